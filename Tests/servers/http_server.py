"""A FastMCP server over Streamable HTTP that counts, records, and fails when told to.

The tools behave; the faults sit in front of them, in `Gate`, so that a fault is the same for every
MCP message. Beside /mcp there is a control side that the tests use and the daemon does not know:

    GET  /control/state         {"calls": {tool: count}, "requests": [{"http", "rpc", "headers", "meta"}]}
    POST /control/mode?is=MODE  ok · error (500) · refuse (503) · hang · garbage · lost (404, a session gone)
    POST /control/reset         forgets calls, requests and added tools
"""
import argparse
import asyncio
import json
from collections import Counter

from fastmcp import Context, FastMCP
from fastmcp.exceptions import ToolError
from fastmcp.tools import Tool
from mcp_types import ImageContent, TextContent, ToolAnnotations
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse

READ_ONLY = ToolAnnotations(readOnlyHint=True, idempotentHint=True, openWorldHint=False)
DESTRUCTIVE = ToolAnnotations(readOnlyHint=False, destructiveHint=True)


class Gate:
    """Records every MCP message that comes in and answers in the server's place when a fault is set."""

    calls: Counter = Counter()
    requests: list[dict] = []
    mode = "ok"
    demanded: dict[str, str] = {}

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http" or not scope["path"].startswith("/mcp"):
            return await self.app(scope, receive, send)
        body, messages = b"", []
        while scope["method"] == "POST":
            message = await receive()
            messages.append(message)
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = {name.decode().lower(): value.decode() for name, value in scope["headers"]}
        Gate.requests.append({"http": scope["method"], "rpc": method_of(body), "headers": headers,
                              "meta": meta_of(body)})

        async def replay():
            return messages.pop(0) if messages else await receive()

        fault = self.fault(headers)
        if fault is not None:
            return await fault(scope, replay, send)
        while Gate.mode == "hang":
            await asyncio.sleep(0.05)
        await self.app(scope, replay, send)

    def fault(self, headers):
        for name, value in Gate.demanded.items():
            if headers.get(name) != value:
                return JSONResponse({"error": f"{name} missing or wrong"}, 401)
        return {
            "error": PlainTextResponse("broken on purpose", 500),
            "refuse": PlainTextResponse("not now", 503),
            "garbage": PlainTextResponse('{"jsonrpc": "2.0", "id": ]]]', 200,
                                         media_type="application/json"),
            "lost": JSONResponse({"jsonrpc": "2.0", "id": None,
                                  "error": {"code": -32600, "message": "Session not found"}}, 404),
        }.get(Gate.mode)


def method_of(body: bytes) -> str | None:
    try:
        message = json.loads(body)
    except ValueError:
        return None
    return message.get("method") if isinstance(message, dict) else None


def meta_of(body: bytes) -> dict | None:
    try:
        message = json.loads(body)
    except ValueError:
        return None
    return (message.get("params") or {}).get("_meta") if isinstance(message, dict) else None


def counted(name: str) -> int:
    Gate.calls[name] += 1
    return Gate.calls[name]


def make_server(name: str, page_size: int | None) -> FastMCP:
    server = FastMCP(name, list_page_size=page_size)
    added_tools: set[str] = set()

    @server.custom_route("/control/state", methods=["GET"])
    async def state(_: Request):
        return JSONResponse({"calls": dict(Gate.calls), "requests": Gate.requests})

    @server.custom_route("/control/mode", methods=["POST"])
    async def mode(request: Request):
        Gate.mode = request.query_params["is"]
        return JSONResponse({"mode": Gate.mode})

    @server.custom_route("/control/reset", methods=["POST"])
    async def reset(_: Request):
        Gate.calls.clear()
        Gate.requests.clear()
        while added_tools:
            server.local_provider.remove_tool(added_tools.pop())
        return JSONResponse({})

    @server.tool(annotations=READ_ONLY)
    def count(key: str = "") -> str:
        """Answers with how often it ran, so that a repeated answer was not computed here."""
        return f"{key} {counted('count')}"

    @server.tool(annotations=READ_ONLY)
    def count_many(value: dict) -> dict:
        """The same, with a structured result and any argument."""
        return {"value": value, "count": counted("count_many")}

    @server.tool
    def count_plain(key: str = "") -> str:
        """The same without annotations."""
        return f"{key} {counted('count_plain')}"

    @server.tool(annotations=DESTRUCTIVE)
    def count_destructive(key: str = "") -> str:
        """The same, declared destructive."""
        return f"{key} {counted('count_destructive')}"

    @server.tool(annotations=READ_ONLY)
    def fail(message: str) -> str:
        """Fails as a tool does: a result with isError."""
        raise ToolError(f"{message} {counted('fail')}")

    @server.tool(annotations=READ_ONLY)
    def echo(text: str) -> str:
        """Gives the text back."""
        counted("echo")
        return text

    @server.tool(annotations=READ_ONLY)
    async def slow(seconds: float) -> str:
        """Takes its time."""
        counted("slow")
        await asyncio.sleep(seconds)
        return f"slept {seconds}"

    @server.tool(annotations=READ_ONLY)
    def big(bytes: int) -> str:
        """A result of this many bytes."""
        counted("big")
        return "0123456789abcdef" * (bytes // 16) + "x" * (bytes % 16)

    @server.tool(annotations=READ_ONLY)
    def picture() -> list:
        """Two contents, one of them not text."""
        return [TextContent(type="text", text="a picture"),
                ImageContent(type="image", data="iVBORw0KGgo=", mimeType="image/png")]

    @server.tool
    async def grow(name: str, context: Context) -> str:
        """Adds a tool and announces it."""

        def added() -> str:
            return f"{name} was added"

        added_tools.add(name)
        server.add_tool(Tool.from_function(added, name=name, annotations=READ_ONLY))
        await context.session.send_tool_list_changed()
        return f"added {name}"

    @server.tool
    async def shrink(name: str, context: Context) -> str:
        """Removes a tool and announces it."""
        added_tools.discard(name)
        server.local_provider.remove_tool(name)
        await context.session.send_tool_list_changed()
        return f"removed {name}"

    @server.prompt
    def greet(who: str) -> str:
        """A greeting."""
        return f"Say hello to {who}."

    @server.resource("note://welcome")
    def welcome() -> str:
        """A fixed note."""
        return "welcome"

    @server.resource("note://by-name/{name}")
    def note(name: str) -> str:
        """A note by name."""
        return f"note {name}"

    return server


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--name", default="counting")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--page-size", type=int)
    parser.add_argument("--json", action="store_true", help="answer JSON instead of SSE")
    parser.add_argument("--stateless", action="store_true")
    parser.add_argument("--demand", action="append", default=[], metavar="HEADER=VALUE",
                        help="answer 401 to requests without it")
    parser.add_argument("--traces", metavar="URL", help="export what FastMCP traces to a collector")
    options = parser.parse_args()
    if options.traces:
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(options.traces + "/v1/traces")))
        trace.set_tracer_provider(provider)
    for demand in options.demand:
        name, _, value = demand.partition("=")
        Gate.demanded[name.lower()] = value
    make_server(options.name, options.page_size).run(
        transport="http", host=options.host, port=options.port, show_banner=False,
        log_level="warning", json_response=options.json, stateless_http=options.stateless,
        middleware=[Middleware(Gate)])


if __name__ == "__main__":
    main()
