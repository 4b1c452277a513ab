"""Every flow of everything-server, played by an official client and told as plain data.

Runs under both lines of the SDK: as a module of the tests (2.x) and as a program (1.x), which reads
`{url, headers, prefix, uri_prefix}` from its standard input and prints what it saw.
"""
import asyncio
import json
import sys

IMAGE = "test_image_content"
TOOLS = {
    "test_simple_text": {}, IMAGE: {}, "test_audio_content": {}, "test_embedded_resource": {},
    "test_multiple_content_types": {}, "test_tool_with_logging": {}, "test_tool_with_progress": {},
    "test_error_handling": {}, "test_x_mcp_header": {"region": "eu-west"}, "test_logging_tool": {},
    "json_schema_2020_12_tool": {}, "test_reconnection": {}, "test_trigger_tool_change": {},
    "test_trigger_prompt_change": {}, "test_missing_capability": {},
    "test_sampling": {"prompt": "Say something"}, "test_elicitation": {"message": "Who are you?"},
    "test_elicitation_sep1034_defaults": {}, "test_elicitation_sep1330_enums": {},
    "test_streaming_elicitation": {},
    "test_input_required_result_elicitation": {}, "test_input_required_result_sampling": {},
    "test_input_required_result_list_roots": {}, "test_input_required_result_request_state": {},
    "test_input_required_result_multiple_inputs": {}, "test_input_required_result_multi_round": {},
    "test_input_required_result_tampered_state": {}, "test_input_required_result_capabilities": {},
}
PROMPTS = {
    "test_simple_prompt": {}, "test_prompt_with_arguments": {"arg1": "one", "arg2": "zwölf"},
    "test_prompt_with_embedded_resource": {"resourceUri": "test://example"},
    "test_prompt_with_image": {}, "test_input_required_result_prompt": {},
}
RESOURCES = ["test://static-text", "test://static-binary", "test://watched-resource",
             "test://template/123/data"]


def plain(model) -> dict:
    """A result without what each hop may add to and what belongs to one era."""
    value = model.model_dump(mode="json", by_alias=True, exclude_none=True)

    def cleaned(value):
        if isinstance(value, dict):
            unwanted = ("_meta", "resultType", "ttlMs", "cacheScope")
            return {key: cleaned(inner) for key, inner in value.items() if key not in unwanted}
        return [cleaned(inner) for inner in value] if isinstance(value, list) else value

    return cleaned(value)


def answers(schema: dict) -> dict:
    """What our user fills in: each property's default, or something that fits."""
    filled = {}
    for name, member in schema.get("properties", {}).items():
        if "default" in member:
            filled[name] = member["default"]
        elif member.get("enum"):
            filled[name] = member["enum"][0]
        elif member.get("oneOf"):
            filled[name] = member["oneOf"][0]["const"]
        elif member.get("type") == "boolean":
            filled[name] = True
        elif member.get("type") == "array" or "items" in member:
            filled[name] = []
        else:
            filled[name] = f"my {name}"
    return filled


class Told:
    """What one flow showed its client."""

    def __init__(self):
        self.clear()

    def clear(self):
        self.asked, self.logs, self.progress = [], [], []

    def of(self, outcome: dict) -> dict:
        return {**outcome, "asked": sorted(self.asked, key=str), "logs": self.logs, "progress": self.progress}


async def outcome(call) -> dict:
    try:
        return {"result": plain(await call)}
    except Exception as problem:
        error = getattr(problem, "error", None)
        if error is None and "RoundsExceeded" not in type(problem).__name__:
            raise
        return {"error": error.code if error else "endless"}


async def play(told: Told, names, call_tool, get_prompt, read_resource, complete, lists) -> dict:
    """All flows in one session; `names(kind, own)` is what the server's own name is called here."""
    seen = {}
    for kind, listing in lists.items():
        found = await listing()
        seen[f"list {kind}"] = sorted((plain(item) for item in found), key=str)
    for tool, arguments in TOOLS.items():
        told.clear()
        seen[f"tool {tool}"] = told.of(await outcome(call_tool(names("tool", tool), arguments)))
    for prompt, arguments in PROMPTS.items():
        told.clear()
        seen[f"prompt {prompt}"] = told.of(await outcome(get_prompt(names("prompt", prompt), arguments)))
    for uri in RESOURCES:
        told.clear()
        seen[f"resource {uri}"] = told.of(await outcome(read_resource(names("resource", uri))))
    told.clear()
    seen["completion"] = told.of(await outcome(complete(names("prompt", "test_prompt_with_arguments"))))
    return seen


def naming(prefix: str, uri_prefix: str):
    return lambda kind, own: (uri_prefix if kind == "resource" else prefix) + own


async def play_v1(url: str, headers: dict, prefix: str, uri_prefix: str) -> dict:
    """With the clients of the 1.x line, which know the handshake era alone."""
    from mcp import ClientSession, types
    from mcp.client.streamable_http import streamablehttp_client
    from pydantic import AnyUrl

    told = Told()

    async def sample(context, params):
        told.asked.append(["sampling", params.messages[0].content.text])
        return types.CreateMessageResult(role="assistant", model="m", stopReason="endTurn",
                                         content=types.TextContent(type="text", text="sampled"))

    async def elicit(context, params):
        told.asked.append(["elicitation", params.message])
        return types.ElicitResult(action="accept", content=answers(params.requestedSchema))

    async def roots(context):
        told.asked.append(["roots"])
        return types.ListRootsResult(roots=[types.Root(uri=AnyUrl("file:///home/me"), name="home")])

    async def log(params):
        told.logs.append([params.level, params.data])

    async def progress(done, total, message):
        told.progress.append([done, total, message])

    async with streamablehttp_client(url, headers=headers) as (read, write, _):
        async with ClientSession(read, write, sampling_callback=sample, elicitation_callback=elicit,
                                 list_roots_callback=roots, logging_callback=log) as session:
            await session.initialize()

            async def listed(method, member):
                return getattr(await method(), member)

            lists = {"tools": lambda: listed(session.list_tools, "tools"),
                     "prompts": lambda: listed(session.list_prompts, "prompts"),
                     "resources": lambda: listed(session.list_resources, "resources"),
                     "templates": lambda: listed(session.list_resource_templates, "resourceTemplates")}
            return await play(
                told, naming(prefix, uri_prefix),
                lambda name, arguments: session.call_tool(name, arguments, progress_callback=progress),
                session.get_prompt, lambda uri: session.read_resource(AnyUrl(uri)),
                lambda name: session.complete(types.PromptReference(type="ref/prompt", name=name),
                                              {"name": "arg1", "value": "o"}), lists)


async def play_v2(url: str, headers: dict, prefix: str, uri_prefix: str, mode: str) -> dict:
    """With the client of the 2.x line: `mode` chooses the era."""
    import httpx2
    from mcp import Client, types
    from mcp.client.streamable_http import streamable_http_client

    told = Told()

    async def sample(context, params):
        told.asked.append(["sampling", params.messages[0].content.text])
        return types.CreateMessageResult(role="assistant", model="m", stop_reason="endTurn",
                                         content=types.TextContent(type="text", text="sampled"))

    async def elicit(context, params):
        told.asked.append(["elicitation", params.message])
        return types.ElicitResult(action="accept", content=answers(params.requested_schema))

    async def roots(context):
        told.asked.append(["roots"])
        return types.ListRootsResult(roots=[types.Root(uri="file:///home/me", name="home")])

    async def log(params):
        told.logs.append([params.level, params.data])

    async def progress(done, total, message):
        told.progress.append([done, total, message])

    async with httpx2.AsyncClient(headers=headers, trust_env=False, timeout=60) as http:
        async with Client(streamable_http_client(url, http_client=http), mode=mode, log_level="debug",
                          sampling_callback=sample, elicitation_callback=elicit, cache=None,
                          list_roots_callback=roots, logging_callback=log) as client:

            async def listed(method, member):
                return getattr(await method(), member)

            lists = {"tools": lambda: listed(client.list_tools, "tools"),
                     "prompts": lambda: listed(client.list_prompts, "prompts"),
                     "resources": lambda: listed(client.list_resources, "resources"),
                     "templates": lambda: listed(client.list_resource_templates, "resource_templates")}
            return await play(
                told, naming(prefix, uri_prefix),
                lambda name, arguments: client.call_tool(name, arguments, progress_callback=progress),
                client.get_prompt, client.read_resource,
                lambda name: client.complete(types.PromptReference(name=name), {"name": "arg1", "value": "o"}),
                lists)


if __name__ == "__main__":
    print(json.dumps(asyncio.run(play_v1(**json.load(sys.stdin)))))
