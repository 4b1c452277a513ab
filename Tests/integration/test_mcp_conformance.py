"""The requirement sets of the official conformance suite, modelled: one test per scenario and era,
named as the scenario is. As a server: everything-server, the suite's own fixture, seen through us.
As a client: what we send to a server that records it."""
import asyncio
import base64
import concurrent.futures
import json

import httpx2
import pytest

from omni.everything import EverythingServer
from omni.servers import Puppet
from omni.waiting import eventually
from omni.wire import META, MODERN, Wire

pytestmark = pytest.mark.timeout(300)

SERVER = {
    "handshake": """server-initialize logging-set-level ping completion-complete tools-list tools-call-simple-text
        tools-call-image tools-call-audio tools-call-embedded-resource tools-call-mixed-content
        tools-call-with-logging tools-call-error tools-call-with-progress tools-call-sampling
        tools-call-elicitation elicitation-sep1034-defaults server-sse-multiple-streams
        elicitation-sep1330-enums resources-list resources-read-text resources-read-binary
        resources-templates-read resources-subscribe resources-unsubscribe prompts-list prompts-get-simple
        prompts-get-with-args prompts-get-embedded-resource prompts-get-with-image
        dns-rebinding-protection server-session-lifecycle server-sse-polling json-schema-2020-12""".split(),
    "modern": """server-stateless completion-complete tools-list tools-call-simple-text tools-call-image
        tools-call-audio tools-call-embedded-resource tools-call-mixed-content tools-call-error
        tools-call-with-progress server-sse-multiple-streams resources-list resources-read-text
        resources-read-binary resources-templates-read sep-2164-resource-not-found prompts-list
        prompts-get-simple prompts-get-with-args prompts-get-embedded-resource prompts-get-with-image
        dns-rebinding-protection caching input-required-result-basic-elicitation
        input-required-result-basic-sampling input-required-result-basic-list-roots
        input-required-result-request-state input-required-result-multiple-input-requests
        input-required-result-multi-round input-required-result-missing-input-response
        input-required-result-non-tool-request input-required-result-result-type
        input-required-result-unsupported-methods input-required-result-tampered-state
        input-required-result-capability-check input-required-result-ignore-extra-params
        input-required-result-validate-input http-header-validation http-custom-header-server-validation
        json-schema-2020-12""".split(),
}
scenarios = {}


def scenario(*names):
    def added(function):
        for name in names:
            scenarios[name] = function
        return function

    return added


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    server = EverythingServer(tmp_path_factory.mktemp("everything"))
    yield server
    server.kill()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory, everything):
    """One daemon for all scenarios; its server is spoken to in the newest era."""
    from omni.daemon import Daemon

    one = Daemon(tmp_path_factory.mktemp("daemon"), servers={"e": everything.entry()}).start()
    one.has_loaded("e")
    yield one
    one.stop()


@pytest.mark.parametrize("era, name", [(era, name) for era, names in SERVER.items() for name in names])
def test_server(gateway, era, name):
    wire = Wire(gateway.url + "/mcp", era, gateway.headers)
    scenarios[name](wire)
    wire.close()


def content(answer) -> dict:
    return answer.result["content"][0]


# MARK: Lifecycle

@scenario("server-initialize")
def _(wire):
    wire.session = None
    result = wire.initialize().result
    assert result["protocolVersion"] == "2025-11-25" and result["serverInfo"]["name"] == "omni2-native"
    assert {"tools", "prompts", "resources", "logging", "completions"} <= set(result["capabilities"])


@scenario("ping")
def _(wire):
    assert wire.request("ping").result == {}


@scenario("server-session-lifecycle")
def _(wire):
    assert wire.session.isascii() and wire.session.isprintable()
    assert wire.request("tools/list", headers={"Mcp-Session-Id": None}).status == 400
    assert wire.request("tools/list", headers={"Mcp-Session-Id": "unknown"}).status == 404
    ended = wire.http.delete(wire.url, headers=wire.headers())
    assert ended.status_code == 204
    assert wire.request("tools/list").status == 404


@scenario("server-stateless")
def _(wire):
    discovered = wire.request("server/discover")
    assert MODERN in discovered.result["supportedVersions"] and discovered.result["resultType"] == "complete"
    assert {"tools", "prompts", "resources"} <= set(discovered.result["capabilities"])
    assert "mcp-session-id" not in discovered.headers
    assert wire.http.get(wire.url, headers=wire.headers()).status_code == 405
    assert wire.http.delete(wire.url, headers=wire.headers()).status_code == 405
    # A session id that somebody sends all the same is ignored.
    assert wire.request("tools/list", headers={"Mcp-Session-Id": "whatever"}).status == 200
    unknown = wire.request("no/such/method")
    assert unknown.status == 404 and unknown.error["code"] == -32601
    for gone in ("ping", "logging/setLevel", "resources/subscribe"):
        assert wire.request(gone, {"uri": "x", "level": "info"}).status == 404
    for missing in ("protocolVersion", "clientCapabilities"):
        message = wire.message("tools/list", {})
        del message["params"]["_meta"][META + missing]
        refused = wire.post(message, wire.headers("tools/list"))
        assert refused.status == 400 and refused.error["code"] == -32602
    message = wire.message("tools/list", {"_meta": {META + "protocolVersion": "2099-01-01"}})
    refused = wire.post(message, {**wire.headers("tools/list"), "MCP-Protocol-Version": "2099-01-01"})
    assert refused.status == 400 and refused.error["code"] == -32022
    assert MODERN in refused.error["data"]["supported"] and refused.error["data"]["requested"] == "2099-01-01"
    batch = wire.post([wire.message("tools/list", {})], wire.headers("tools/list"))
    assert batch.status == 400
    missing = wire.call("e__test_missing_capability")
    assert missing.result  # this client can be sampled
    weak = Wire(wire.url, "modern", wire.own, capabilities={})
    refused = weak.call("e__test_missing_capability")
    assert refused.status == 400 and refused.error["code"] == -32021
    assert refused.error["data"]["requiredCapabilities"] == {"sampling": {}}
    quiet, told = wire.call("e__test_logging_tool"), wire.call("e__test_logging_tool", log_level="info")
    assert quiet.before == [] and told.before[0]["method"] == "notifications/message"
    asked = wire.call("e__test_streaming_elicitation")
    assert asked.result["resultType"] == "input_required" and asked.before == []


@scenario("dns-rebinding-protection")
def _(wire):
    evil = wire.request("tools/list", headers={"Host": "evil.example.com", "Origin": "http://evil.example.com"})
    assert 400 <= evil.status < 500
    assert wire.request("tools/list", headers={"Origin": "http://evil.example.com"}).status == 403
    port = wire.url.rsplit(":", 1)[1].split("/")[0]
    assert wire.request("tools/list", headers={"Origin": f"http://127.0.0.1:{port}"}).status == 200


# MARK: Tools

@scenario("tools-list")
def _(wire):
    tools = wire.request("tools/list").result["tools"]
    assert len(tools) == 28 and all(tool["name"].startswith("e__") and tool["inputSchema"] for tool in tools)
    assert tools == wire.request("tools/list").result["tools"], "the order is stable"


@scenario("tools-call-simple-text")
def _(wire):
    assert content(wire.call("e__test_simple_text")) == {
        "type": "text", "text": "This is a simple text response for testing."}


@scenario("tools-call-image")
def _(wire):
    image = content(wire.call("e__test_image_content"))
    assert image["type"] == "image" and image["mimeType"] == "image/png" and base64.b64decode(image["data"])


@scenario("tools-call-audio")
def _(wire):
    audio = content(wire.call("e__test_audio_content"))
    assert audio["type"] == "audio" and audio["mimeType"] == "audio/wav" and base64.b64decode(audio["data"])


@scenario("tools-call-embedded-resource")
def _(wire):
    resource = content(wire.call("e__test_embedded_resource"))
    assert resource["type"] == "resource" and resource["resource"]["uri"] == "test://embedded-resource"


@scenario("tools-call-mixed-content")
def _(wire):
    kinds = [one["type"] for one in wire.call("e__test_multiple_content_types").result["content"]]
    assert kinds == ["text", "image", "resource"]


@scenario("tools-call-error")
def _(wire):
    result = wire.call("e__test_error_handling").result
    assert result["isError"] is True and "intentionally" in result["content"][0]["text"]


@scenario("tools-call-with-logging")
def _(wire):
    wire.request("logging/setLevel", {"level": "debug"})
    answer = wire.call("e__test_tool_with_logging")
    logs = [one["params"]["data"] for one in answer.before if one["method"] == "notifications/message"]
    assert logs == ["Tool execution started", "Tool processing data", "Tool execution completed"]


@scenario("tools-call-with-progress")
def _(wire):
    answer = wire.call("e__test_tool_with_progress", _meta={"progressToken": "mine"})
    progress = [one["params"] for one in answer.before if one["method"] == "notifications/progress"]
    assert [one["progress"] for one in progress] == [0, 50, 100]
    assert all(one["progressToken"] == "mine" and one["total"] == 100 for one in progress)
    assert wire.call("e__test_tool_with_progress").before == []


@scenario("logging-set-level")
def _(wire):
    assert wire.request("logging/setLevel", {"level": "info"}).result == {}
    assert wire.request("logging/setLevel", {"level": "loud"}).error["code"] == -32602


@scenario("completion-complete")
def _(wire):
    result = wire.request("completion/complete", {
        "ref": {"type": "ref/prompt", "name": "e__test_prompt_with_arguments"},
        "argument": {"name": "arg1", "value": "t"}}).result
    assert result["completion"]["values"] == [] and result["completion"]["hasMore"] is False


@scenario("json-schema-2020-12")
def _(wire):
    tools = {tool["name"]: tool for tool in wire.request("tools/list").result["tools"]}
    schema = tools["e__json_schema_2020_12_tool"]["inputSchema"]
    assert schema["$schema"].endswith("2020-12/schema") and schema["$defs"]["address"]["$anchor"] == "addressDef"
    assert {"allOf", "if", "then", "else"} <= set(schema) and schema["additionalProperties"] is False


# MARK: What the server asks

def user(said: dict) -> dict:
    """Answers everything a server may ask."""
    if said["method"] == "elicitation/create":
        properties = said["params"]["requestedSchema"]["properties"]
        filled = {}
        for name, schema in properties.items():
            filled[name] = schema.get("default", schema.get("enum", ["value"])[0])
            if "oneOf" in schema:
                filled[name] = schema["oneOf"][0]["const"]
            if "items" in schema:
                filled[name] = []
        return {"result": {"action": "accept", "content": filled}}
    if said["method"] == "sampling/createMessage":
        return {"result": {"role": "assistant", "model": "m", "content": {"type": "text", "text": "sampled"}}}
    return {"result": {"roots": [{"uri": "file:///here", "name": "here"}]}}


@scenario("tools-call-elicitation")
def _(wire):
    # The fixture's plain elicitation needs a session; its resolver works in either era.
    answer = wire.call("e__test_streaming_elicitation", answering=user)
    assert content(answer)["text"] == "elicitation accept"
    assert answer.before[0]["method"] == "elicitation/create"


@scenario("tools-call-sampling")
def _(wire):
    answer = wire.call("e__test_input_required_result_sampling", answering=user)
    assert content(answer)["text"] == "Model said: sampled"
    assert answer.before[0]["method"] == "sampling/createMessage"


@scenario("elicitation-sep1034-defaults", "elicitation-sep1330-enums")
def _(wire):
    """Schemas cross unchanged: see the differential test for these two tools with a handshake server."""
    answer = wire.call("e__test_input_required_result_elicitation", answering=user)
    schema = answer.before[0]["params"]["requestedSchema"]
    assert schema == {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    assert content(answer)["text"] == "Hello, value!"


@scenario("server-sse-multiple-streams")
def _(wire):
    def one(_):
        other = Wire.__new__(Wire)
        other.__dict__ = {**wire.__dict__, "http": httpx2.Client(trust_env=False, timeout=30)}
        answer = other.call("e__test_tool_with_progress", _meta={"progressToken": f"t{_}"})
        other.close()
        return [said["params"]["progressToken"] for said in answer.before
                if said["method"] == "notifications/progress"]

    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        assert list(pool.map(one, range(3))) == [[f"t{n}"] * 3 for n in range(3)]


@scenario("server-sse-polling")
def _(wire):
    """A client that lost the stream of a call gets the rest, and the answer, by GET."""
    message = wire.message("tools/call", {"name": "e__test_tool_with_progress", "arguments": {},
                                          "_meta": {"progressToken": 7}})
    last = None
    with httpx2.stream("POST", wire.url, json=message, headers=wire.headers(), trust_env=False, timeout=20) as lost:
        for line in lost.iter_lines():
            if line.startswith("id: "):
                last = line[4:]
            if "progress" in line:
                break
    assert last
    with httpx2.stream("GET", wire.url, headers={**wire.headers(), "Last-Event-ID": last}, trust_env=False,
                       timeout=20) as rest:
        assert rest.status_code == 200
        data = [json.loads(line[6:]) for line in rest.iter_lines() if line.startswith("data: {")]
    assert data[-1]["id"] == message["id"] and "result" in data[-1]
    assert [one["params"]["progress"] for one in data[:-1]] == [50, 100]


# MARK: Resources and prompts

@scenario("resources-list")
def _(wire):
    uris = {one["uri"] for one in wire.request("resources/list").result["resources"]}
    assert uris == {"e+test://static-text", "e+test://static-binary", "e+test://watched-resource"}


@scenario("resources-read-text")
def _(wire):
    for uri in ("e+test://static-text", "e__test://static-text", "test://static-text"):
        assert "static text" in wire.request("resources/read", {"uri": uri}).result["contents"][0]["text"]


@scenario("resources-read-binary")
def _(wire):
    found = wire.request("resources/read", {"uri": "e+test://static-binary"}).result["contents"][0]
    assert base64.b64decode(found["blob"]).startswith(b"\x89PNG")


@scenario("resources-templates-read")
def _(wire):
    template = wire.request("resources/templates/list").result["resourceTemplates"][0]["uriTemplate"]
    found = wire.request("resources/read", {"uri": template.replace("{id}", "42")}).result["contents"][0]
    assert json.loads(found["text"])["id"] == "42"


@scenario("sep-2164-resource-not-found")
def _(wire):
    answer = wire.request("resources/read", {"uri": "nowhere://nothing"})
    assert answer.status == 400 and answer.error["code"] == -32602
    assert wire.request("resources/read", {"uri": "e+test://nothing"}).error["code"] == -32602


@scenario("resources-subscribe", "resources-unsubscribe")
def _(wire):
    assert wire.request("resources/subscribe", {"uri": "e+test://watched-resource"}).result == {}
    assert wire.request("resources/unsubscribe", {"uri": "e+test://watched-resource"}).result == {}


@scenario("prompts-list")
def _(wire):
    prompts = {one["name"]: one for one in wire.request("prompts/list").result["prompts"]}
    assert len(prompts) == 5 and len(prompts["e__test_prompt_with_arguments"]["arguments"]) == 2


@scenario("prompts-get-simple")
def _(wire):
    found = wire.request("prompts/get", {"name": "e__test_simple_prompt"}).result["messages"][0]
    assert found["content"]["text"] == "This is a simple prompt for testing."


@scenario("prompts-get-with-args")
def _(wire):
    found = wire.request("prompts/get", {"name": "e__test_prompt_with_arguments",
                                         "arguments": {"arg1": "a", "arg2": "b"}}).result["messages"][0]
    assert "arg1='a', arg2='b'" in found["content"]["text"]


@scenario("prompts-get-embedded-resource")
def _(wire):
    found = wire.request("prompts/get", {"name": "e__test_prompt_with_embedded_resource",
                                         "arguments": {"resourceUri": "test://x"}}).result["messages"][0]
    assert found["content"]["resource"]["uri"] == "test://x"


@scenario("prompts-get-with-image")
def _(wire):
    found = wire.request("prompts/get", {"name": "e__test_prompt_with_image"}).result["messages"][0]
    assert found["content"]["type"] == "image"


@scenario("caching")
def _(wire):
    for method, params in [("server/discover", {}), ("tools/list", {}), ("prompts/list", {}), ("resources/list", {}),
                           ("resources/templates/list", {}), ("resources/read", {"uri": "e+test://static-text"})]:
        result = wire.request(method, params).result
        assert isinstance(result["ttlMs"], int) and result["ttlMs"] >= 0, method
        assert result["cacheScope"] in ("public", "private"), method
    called = wire.call("e__test_simple_text").result
    assert "ttlMs" not in called and "cacheScope" not in called


# MARK: Multi round-trip requests

def round_trip(wire, tool: str, answers: dict, arguments: dict | None = None, **more):
    """The first round's result and the second one's answer."""
    first = wire.call(tool, arguments).result
    assert first["resultType"] == "input_required", first
    state = {"requestState": first["requestState"]} if "requestState" in first else {}
    return first, wire.call(tool, arguments, **{**state, "inputResponses": answers, **more})


NAME = {"action": "accept", "content": {"name": "Ada"}}
SAMPLE = {"role": "assistant", "model": "m", "content": {"type": "text", "text": "Paris"}}
ROOTS = {"roots": [{"uri": "file:///a"}, {"uri": "file:///b"}]}


@scenario("input-required-result-basic-elicitation")
def _(wire):
    first, second = round_trip(wire, "e__test_input_required_result_elicitation", {"user_name": NAME})
    assert first["inputRequests"]["user_name"]["method"] == "elicitation/create"
    assert content(second)["text"] == "Hello, Ada!" and second.result["resultType"] == "complete"


@scenario("input-required-result-basic-sampling")
def _(wire):
    first, second = round_trip(wire, "e__test_input_required_result_sampling", {"capital_question": SAMPLE})
    assert first["inputRequests"]["capital_question"]["method"] == "sampling/createMessage"
    assert content(second)["text"] == "Model said: Paris"


@scenario("input-required-result-basic-list-roots")
def _(wire):
    _, second = round_trip(wire, "e__test_input_required_result_list_roots", {"client_roots": ROOTS})
    assert content(second)["text"] == "Client exposed 2 root(s)."


@scenario("input-required-result-request-state")
def _(wire):
    _, second = round_trip(wire, "e__test_input_required_result_request_state",
                           {"confirm": {"action": "accept", "content": {"ok": True}}})
    assert "state-ok" in content(second)["text"]


@scenario("input-required-result-multiple-input-requests")
def _(wire):
    first, second = round_trip(wire, "e__test_input_required_result_multiple_inputs",
                               {"user_name": NAME, "greeting": SAMPLE, "client_roots": ROOTS})
    assert set(first["inputRequests"]) == {"user_name", "greeting", "client_roots"}
    assert content(second)["text"] == "All inputs received."


@scenario("input-required-result-multi-round")
def _(wire):
    tool = "e__test_input_required_result_multi_round"
    first, second = round_trip(wire, tool, {"step1": NAME})
    assert second.result["resultType"] == "input_required"
    assert second.result["requestState"] != first["requestState"]
    third = wire.call(tool, requestState=second.result["requestState"],
                      inputResponses={"step2": {"action": "accept", "content": {"color": "red"}}})
    assert content(third)["text"] == "Ada likes red."


@scenario("input-required-result-missing-input-response")
def _(wire):
    _, again = round_trip(wire, "e__test_input_required_result_elicitation", {"wrong": NAME})
    assert again.result["resultType"] == "input_required"


@scenario("input-required-result-non-tool-request")
def _(wire):
    name = "e__test_input_required_result_prompt"
    first = wire.request("prompts/get", {"name": name}).result
    assert first["resultType"] == "input_required"
    second = wire.request("prompts/get", {"name": name, "inputResponses": {
        "user_context": {"action": "accept", "content": {"context": "here"}}}}).result
    assert "here" in second["messages"][0]["content"]["text"] and second["resultType"] == "complete"


@scenario("input-required-result-result-type")
def _(wire):
    assert wire.call("e__test_simple_text").result["resultType"] == "complete"
    assert wire.request("tools/list").result["resultType"] == "complete"
    asked = wire.call("e__test_input_required_result_elicitation").result
    assert asked["resultType"] == "input_required" and (asked.get("inputRequests") or asked.get("requestState"))


@scenario("input-required-result-unsupported-methods")
def _(wire):
    for method in ("tools/list", "prompts/list", "resources/list", "server/discover", "completion/complete"):
        params = {"ref": {"type": "ref/prompt", "name": "e__test_simple_prompt"},
                  "argument": {"name": "x", "value": ""}} if method.startswith("comp") else {}
        assert wire.request(method, params).result["resultType"] == "complete"


@scenario("input-required-result-tampered-state")
def _(wire):
    tool = "e__test_input_required_result_tampered_state"
    first = wire.call(tool).result
    refused = wire.call(tool, requestState=first["requestState"] + "x", inputResponses={})
    assert "error" in refused.message or refused.result.get("isError")
    ours = wire.call(tool, requestState="omni2-held.forged", inputResponses={})
    assert "error" in ours.message or ours.result.get("isError")


@scenario("input-required-result-capability-check")
def _(wire):
    for capabilities, wanted in [({"sampling": {}}, {"sample"}), ({"elicitation": {}}, {"ask"})]:
        weak = Wire(wire.url, "modern", wire.own, capabilities)
        asked = weak.call("e__test_input_required_result_capabilities").result
        assert set(asked["inputRequests"]) == wanted


@scenario("input-required-result-ignore-extra-params")
def _(wire):
    _, second = round_trip(wire, "e__test_input_required_result_elicitation", {"user_name": NAME, "extra": NAME})
    assert content(second)["text"] == "Hello, Ada!"


@scenario("input-required-result-validate-input")
def _(wire):
    _, second = round_trip(wire, "e__test_input_required_result_elicitation", {"user_name": "not an object"})
    assert second.status < 500 and ("error" in second.message or "resultType" in second.result)


# MARK: Headers

@scenario("http-header-validation")
def _(wire):
    name = "e__test_simple_text"
    assert wire.call(name, headers={"mcp-method": "TOOLS/CALL"}).error["code"] == -32020, "values keep their case"
    for wrong in ({"Mcp-Method": "tools/list"}, {"Mcp-Method": None}, {"Mcp-Name": "e__other"}, {"Mcp-Name": None},
                  {"MCP-Protocol-Version": None}):
        refused = wire.call(name, headers=wrong)
        assert refused.status == 400 and refused.error["code"] == -32020, wrong
    encoded = "=?base64?" + base64.b64encode(name.encode()).decode() + "?="
    assert wire.call(name, headers={"Mcp-Name": encoded}).result
    assert wire.call(name, headers={"Mcp-Name": "=?base64?####?="}).error["code"] == -32020


@scenario("http-custom-header-server-validation")
def _(wire):
    def call(arguments, **headers):
        return wire.call("e__test_x_mcp_header", arguments, headers=headers)

    assert content(call({"region": "eu"}, **{"Mcp-Param-Region": "eu"}))["text"] == "region=eu"
    assert content(call({}))["text"] == "region=<none>"
    for refused in (call({"region": "eu"}, **{"Mcp-Param-Region": "us"}), call({"region": "eu"}),
                    call({}, **{"Mcp-Param-Region": "eu"})):
        assert refused.status == 400 and refused.error["code"] == -32020
    text = "=?base64?" + base64.b64encode("Zürich".encode()).decode() + "?="
    assert content(call({"region": "Zürich"}, **{"Mcp-Param-Region": text}))["text"] == "region=Zürich"


# MARK: As a client

@pytest.fixture
def behind(daemon, tmp_path):
    """A daemon before a puppet of one era: `behind("modern")`."""
    puppets = []

    def start(eras: str, *options: str, **omni2):
        puppet = Puppet(tmp_path, eras, *options)
        puppets.append(puppet)
        one = daemon(servers={"p": puppet.entry(**omni2)})
        one.has_loaded("p")
        return one, puppet, Wire(one.url + "/mcp", "modern", one.headers)

    yield start
    for puppet in puppets:
        puppet.kill()


class TestClient:
    def test_initialize(self, behind):
        _, puppet, _ = behind("handshake")
        first = puppet.seen("initialize")[0]["message"]["params"]
        assert first["protocolVersion"] == "2025-11-25" and first["clientInfo"]["name"] == "omni2-native"
        assert puppet.seen("notifications/initialized")
        later = puppet.seen("tools/list")[0]["headers"]
        assert later["mcp-protocol-version"] == "2025-11-25" and later["mcp-session-id"].startswith("session-")

    @pytest.mark.parametrize("eras", ["handshake", "modern"])
    def test_tools_call(self, behind, eras):
        _, puppet, wire = behind(eras)
        assert content(wire.call("p__echo", {"text": "hi"}))["text"] == "echo hi"
        assert len(puppet.seen("tools/call")) == 1

    def test_elicitation_sep1034_client_defaults(self, behind):
        _, _, wire = behind("handshake")
        asked = wire.call("p__ask").result["inputRequests"]["q1"]
        assert asked["params"]["requestedSchema"]["properties"] == {"name": {"type": "string"}}

    def test_sse_retry(self, behind):
        """The server closes the stream of a call; we come back with its id (everything-server's
        test_reconnection does it in the differential test) and never without one."""
        _, puppet, wire = behind("handshake")
        refused = wire.call("p__cut")
        assert refused.error["code"] == -32000 and not [one for one in puppet.seen() if one["http"] == "GET"
                                                       and "last-event-id" in one["headers"]]

    def test_request_metadata(self, behind):
        _, puppet, wire = behind("modern")
        wire.call("p__echo", {"text": "x"})
        for record in puppet.seen():
            if record["http"] != "POST" or "id" not in record["message"] or record["rpc"] == "initialize":
                continue
            meta = record["message"]["params"]["_meta"]
            assert meta[META + "protocolVersion"] == MODERN and META + "clientCapabilities" in meta
            assert meta[META + "clientInfo"]["name"]
            assert record["headers"]["mcp-protocol-version"] == MODERN and "mcp-session-id" not in record["headers"]

    def test_http_standard_headers(self, behind):
        _, puppet, wire = behind("modern")
        wire.call("p__echo", {"text": "x"})
        wire.request("resources/read", {"uri": "p+puppet://one"})
        wire.request("prompts/get", {"name": "p__greet"})
        for record in puppet.seen():
            if record["http"] == "POST":
                assert record["headers"]["mcp-method"] == record["rpc"]
        names = {record["rpc"]: record["headers"].get("mcp-name") for record in puppet.seen()}
        assert names["tools/call"] == "echo" and names["resources/read"] == "puppet://one"
        assert names["prompts/get"] == "greet" and names["tools/list"] is None

    def test_http_custom_headers(self, behind):
        _, puppet, wire = behind("modern")
        region = "=?base64?" + base64.b64encode("Zürich".encode()).decode() + "?="
        wire.call("p__marked", {"region": "Zürich", "deep": {"flag": True}},
                  headers={"Mcp-Param-Region": region, "Mcp-Param-Flag": "true"})
        sent = puppet.seen("tools/call", "marked")[0]["headers"]
        assert sent["mcp-param-region"] == region and sent["mcp-param-flag"] == "true"
        wire.call("p__marked", {})
        assert not [name for name in puppet.seen("tools/call", "marked")[1]["headers"] if name.startswith("mcp-param")]

    def test_http_invalid_tool_headers(self, behind):
        one, _, wire = behind("modern")
        names = {tool["name"] for tool in wire.request("tools/list").result["tools"]}
        assert "p__marked" in names and "p__unusable" not in names

    def test_json_schema_ref_no_deref(self, behind):
        _, puppet, wire = behind("modern")
        tools = {tool["name"]: tool for tool in wire.request("tools/list").result["tools"]}
        assert tools["p__schema"]["inputSchema"]["properties"]["remote"]["$ref"].startswith("http://")
        assert not [one for one in puppet.seen() if one["http"] == "GET"]

    def test_json_schema_2020_12_preservation(self, behind):
        _, _, wire = behind("handshake")
        tools = {tool["name"]: tool for tool in wire.request("tools/list").result["tools"]}
        assert tools["p__rich"]["unknownMember"] == {"kept": [1, 2.5, None]} and tools["p__rich"]["icons"]

    def test_sep_2322_client_request_state(self, behind):
        """For a session we are the client of the rounds: state and answers go back as they came."""
        one, puppet, _ = behind("modern")
        wire = Wire(one.url + "/mcp", "handshake", one.headers)
        answer = wire.call("p__ask", answering=user)
        assert json.loads(content(answer)["text"]) == [{"action": "accept", "content": {"name": "value"}}, "my state"]
        first, second = (record["message"] for record in puppet.seen("tools/call", "ask"))
        assert first["id"] != second["id"] and second["params"]["requestState"] == "my state"


def test_every_scenario_of_the_requirement_sets_has_a_test():
    assert {name for names in SERVER.values() for name in names} == set(scenarios)
