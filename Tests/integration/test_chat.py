"""Questions answered by a language model that uses the tools: every protocol, every way of going wrong."""
import json
import socket
import time

import pytest

from omni.people import People
from omni.waiting import eventually

MONITORING = "/api/v1/monitoring"
STREAM = "/api/v1/chat/ask/stream"
CACHED = {"cache_policy": "read_only", "ttl": 300, "scope": "shared"}


@pytest.fixture(params=["anthropic", "openai"])
def provider(request) -> str:
    return request.param


@pytest.fixture
def asking(daemon, model, counting):
    def start(provider: str = "anthropic", more: dict | None = None, **chat):
        configuration = {**model.configuration(provider, **chat), **(more or {})}
        one = daemon(configuration, servers={"counting": counting.entry(**CACHED)})
        one.has_loaded("counting")
        return one

    return start


def events_of(text: str) -> list[tuple[str, dict]]:
    found = []
    for block in text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if line and not line.startswith(":"))
        if "event" in lines:
            found.append((lines["event"], json.loads(lines["data"])))
    return found


def ask(one, message: str = "How many?", path: str = STREAM, **more) -> list[tuple[str, dict]]:
    answer = one.post(path, json={"user_id": "ignored", "message": message}, **more)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    return events_of(answer.text)


def text_of(events) -> str:
    return "".join(data["text"] for name, data in events if name == "token")


def sessions(one, user: int = 0, **more) -> list[dict]:
    answer = one.get(f"{MONITORING}/flows/user/{user}/sessions", **more)
    assert answer.status_code == 200, answer.text
    return answer.json()["sessions"]


def kinds(flow: dict) -> list[str]:
    return [event["event_type"] for event in flow["events"]]


def call(name: str, **arguments) -> dict:
    return {"name": f"counting__{name}", "arguments": arguments}


def test_a_plain_answer_comes_in_tokens(asking, model, provider):
    one = asking(provider)
    model.script({"text": ["Forty", "-", "two"], "usage": {"input": 100, "output": 20, "cached": 50}})
    events = ask(one, path="/api/v1/ask/stream")
    assert [name for name, _ in events] == ["token", "token", "token", "done"]
    done = events[-1][1]
    assert text_of(events) == done["answer"] == "Forty-two"
    assert (done["tokens_input"], done["tokens_output"], done["tokens_cached"]) == (100, 20, 50)
    assert done["iterations"] == 1 and done["tool_calls"] == 0 and "warning" not in done
    assert done["cost_usd"] == pytest.approx((100 * 3 + 20 * 15 + 50 * 0.3) / 1e6)


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
async def test_an_answered_question_is_shown_everywhere_alike(asking, model, provider, redis, request, engine):
    """Two tool calls, one of them from the cache, one failing: live, in Redis, in history, in the table."""
    more = {"Redis": {"URL": redis.url}}
    if engine == "postgresql":
        more["Database"] = {"URL": request.getfixturevalue("postgres").url}
    one = asking(provider, more)
    eventually(lambda: one.get("/api/v1/cluster").json()["redis"])
    one.call("counting", "count", {"key": "a"})
    one.post(f"{MONITORING}/enable/0")
    model.script({"calls": [call("count", key="a"), call("fail", message="no")]},
                 {"text": ["One call failed."]})
    async with one.events("/api/v1/ws/flows/0") as live:
        await live.until(lambda: live.of_type("watching"))
        with redis.listen("flow_events:0") as heard:
            answer = ask(one)
            await live.event("flow_event", where=lambda event: event["event_type"] == "llm_complete")
            eventually(lambda: len(heard.messages("flow_events:0")) == len(live.of_type("flow_event")))
            published = heard.messages("flow_events:0")
        shown = live.of_type("flow_event")
    done = answer[-1][1]
    assert done["tools_used"] == ["counting.count", "counting.fail"] and done["tool_calls"] == 2
    flow = next(flow for flow in sessions(one) if flow["session_id"] == done["session_id"])
    assert flow["source"] == "chat"
    nodes = [event["node_id"] for event in flow["events"]]
    assert [event["node_id"] for event in shown] == nodes == [event["node_id"] for event in published]
    key = f"flow:{flow['session_id']}"
    eventually(lambda: redis.cli("XLEN", key) == len(nodes))
    stream = [dict(zip(fields[::2], fields[1::2])) for _, fields in redis.cli("XRANGE", key, "-", "+")]
    assert [entry["node_id"] for entry in stream] == nodes
    assert kinds(flow)[:6] == ["auth_check", "block_check", "usage_check", "mcp_permission_check",
                               "tool_filter", "llm_thinking"]
    tree = one.get(f"{MONITORING}/flows/session/{flow['session_id']}").json()["tree"]
    node, = tree
    while node["event_type"] != "tool_filter":
        node, = node["children"]
    first, second = node["children"]
    assert {first["event_type"], second["event_type"]} == {"llm_thinking"}
    calls = {event["tool"]: event for event in first["children"] if event["event_type"] == "tool_call"}
    assert calls["count"]["outcome"] == "cached" and calls["fail"]["outcome"] == "tool_error"
    assert [event["event_type"] for event in second["children"]] == ["llm_complete"]
    assert second["children"][0]["tokens"] == 30
    results = model.requests[1]["body"]["messages"]
    assert "a 1" in json.dumps(results) and "no" in json.dumps(results)
    if engine == "postgresql":
        rows = request.getfixturevalue("postgres").rows(
            "SELECT flow_data FROM omni2.interaction_flows WHERE session_id = %s", flow["session_id"])
        assert rows[0][0]["events"] == flow["events"]


def test_calls_of_one_turn_run_at_the_same_time(asking, model, provider):
    one = asking(provider)
    model.script({"calls": [call("slow", seconds=0.6), call("slow", seconds=0.6), call("slow", seconds=0.6)]},
                 {"text": ["Done."]})
    begin = time.monotonic()
    assert ask(one)[-1][1]["tool_calls"] == 3
    assert time.monotonic() - begin < 1.5


def test_an_unknown_tool_is_the_models_mistake(asking, model, provider):
    one = asking(provider)
    model.script({"calls": [{"name": "nothing__here", "arguments": {}}]}, {"text": ["Sorry."]})
    assert ask(one)[-1][1]["answer"] == "Sorry."
    assert "no tool named nothing__here" in json.dumps(model.requests[1]["body"])


@pytest.mark.parametrize("turn, what", [
    ({"status": 401, "message": "bad key"}, "bad key"),
    ({"status": 529, "message": "overloaded"}, "overloaded"),
    ({"text": ["Half an ans"], "cut": True}, "broke off"),
    ({"text": ["x"], "fail": "too hot"}, "too hot"),
])
def test_what_goes_wrong_is_said(asking, model, provider, turn, what):
    one = asking(provider)
    model.script(turn)
    events = ask(one)
    assert events[-1][0] == "error" and what in events[-1][1]["error"]
    flow = sessions(one)[0]
    assert kinds(flow)[-1] == "error" and what in flow["events"][-1]["error"]


def test_a_service_that_is_not_there_is_an_error(asking, model):
    one = asking()
    model.child.kill()
    events = ask(one)
    assert events[-1][0] == "error" and "not available" in events[-1][1]["error"]


def test_a_slow_model_is_given_up(asking, model, provider):
    one = asking(provider, TimeoutSec="1s")
    model.script({"text": ["slow"] * 20, "delay": 0.3})
    events = ask(one)
    assert events[-1] == ("error", {"error": "the language model did not answer in time"})


def test_rounds_end_somewhere(asking, model, provider):
    one = asking(provider, MaxIterations="3")
    model.script(*[{"calls": [call("count", key=str(number))]} for number in range(5)])
    done = ask(one)[-1][1]
    assert done["iterations"] == 3 and done["warning"] == "max_iterations_reached"
    assert len(model.requests) == 3


def test_a_client_killed_in_the_middle_ends_it_all(asking, model):
    one = asking()
    model.script({"text": ["word "] * 200, "delay": 0.05})
    with socket.create_connection(("127.0.0.1", one.port)) as client:
        body = b'{"message":"Tell me everything"}'
        client.sendall(f"POST {STREAM} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {one.token}\r\n"
                       f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        while b"word" not in client.recv(4096):
            pass
    eventually(lambda: model.ended == 1, 5, "the model's service is hung up on")
    flow = eventually(lambda: sessions(one)[:1], 5)[0]
    assert kinds(flow)[-1] == "error" and "went away" in flow["events"][-1]["error"]
    assert flow["completed_at"]


def test_without_a_provider_it_says_so(daemon):
    one = daemon()
    for path in (STREAM, "/api/v1/ask/stream", "/api/v1/chat/ask"):
        answer = one.post(path, json={"message": "x"})
        assert answer.status_code == 503 and "[Chat] Provider=" in answer.json()["message"]
    assert one.get("/ws/chat").status_code == 503


def test_one_answer_as_json(asking, model, provider):
    one = asking(provider)
    model.script({"calls": [call("count", key="a")]}, {"text": ["a 1"]})
    answer = one.post("/api/v1/chat/ask", json={"message": "?"}).json()
    assert answer["success"] and answer["answer"] == "a 1" and answer["tools_used"] == ["counting.count"]
    model.script({"status": 400, "message": "bad"})
    answer = one.post("/api/v1/chat/ask", json={"message": "?"})
    assert answer.status_code == 502 and answer.json()["success"] is False and "bad" in answer.json()["error"]


async def test_the_websocket_speaks_the_originals_protocol(asking, model, provider):
    one = asking(provider)
    model.script({"text": ["Yes", "."]}, {"status": 500, "message": "oops"}, {"text": ["Again."]})
    async with one.events("/ws/chat") as chat:
        await chat.send({"type": "other"})
        await chat.send("no JSON")
        for text in ("1", "2", "3"):
            await chat.send({"type": "message", "text": text})
        await chat.until(lambda: len(chat.of_type("done")) == 2)
        assert [one["type"] for one in chat.seen] == ["token", "token", "done", "error", "token", "done"]
        assert chat.of_type("done")[0]["result"]["answer"] == "Yes."
    conversations = {flow["session_id"] for flow in sessions(one)}
    assert len(conversations) == 3


# People

def test_costs_are_kept_and_end_the_day(asking, model, provider, postgres):
    one = asking(provider, {"Database": {"URL": postgres.url}})
    people = People(one)
    people.role("frugal", mcp_access=["*"], cost_limit_daily=0.01, omni_services=["chat"])
    bob = people.user("bob", "frugal")
    model.script({"calls": [call("count", key="a")], "usage": {"input": 2000, "output": 100}},
                 {"text": ["a 1"], "usage": {"input": 1000, "output": 100}})
    done = ask(one, token=bob.token)[-1][1]
    assert done["cost_usd"] == pytest.approx(0.012)
    refused = ask(one, "More?", token=bob.token)
    assert [name for name, _ in refused] == ["token", "done"] and refused[-1][1] == {}
    assert "Today's budget is used up: $0.01 of $0.01." in text_of(refused)
    assert len(model.requests) == 2  # the model was not asked
    answer = one.post("/api/v1/chat/ask", json={"message": "?"}, token=bob.token)
    assert answer.status_code == 429
    eventually(lambda: len(postgres.rows("SELECT 1 FROM omni2.audit_logs")) == 3)
    rows = postgres.rows(
        "SELECT user_id, question, success, llm_tokens_used, cost_usd::float, tools_used, mcp_servers_used, "
        "source, was_blocked FROM omni2.audit_logs ORDER BY id")
    assert rows[0] == (bob.id, "How many?", True, 3200, pytest.approx(0.012), ["counting.count"], ["counting"],
                       "sse_chat", False)
    assert rows[1][2] is False and rows[1][8] is True and rows[1][4] == 0
    flow = sessions(one, bob.id)[0]
    assert kinds(flow) == ["auth_check", "block_check", "usage_check"]
    assert flow["events"][-1]["status"] == "failed" and flow["events"][-1]["remaining"] == 0
    one.restart()  # what was spent is read again
    assert "budget" in text_of(ask(one, token=bob.token))


def test_the_model_sees_the_tools_its_asker_may_use(asking, model, provider):
    one = asking(provider)
    people = People(one)
    people.role("counter", mcp_access=["counting"], tool_restrictions={"counting": ["count"]})
    people.role("nobody", mcp_access=[])
    ann, joe = people.user("ann", "counter"), people.user("joe", "nobody")
    model.script({"calls": [call("fail", message="x")]}, {"text": ["No."]}, {"text": ["None."]})
    ask(one, token=ann.token)
    ask(one, token=joe.token)
    first, _, last = (request["body"] for request in model.requests)
    names = [tool.get("name") or tool["function"]["name"] for tool in first["tools"]]
    assert names == ["counting__count"] and "tools" not in last
    assert "no tool named counting__fail" in json.dumps(model.requests[1]["body"])
    flow = sessions(one, ann.id)[0]
    gate = next(event for event in flow["events"] if event["event_type"] == "tool_filter")
    assert gate["tool_restrictions"]["counting"]["tools"] == ["count"]
    mine = one.get(f"{MONITORING}/flows/user/{ann.id}/sessions", token=ann.token)
    assert mine.status_code == 200 and mine.json()["sessions"][0]["session_id"] == flow["session_id"]
    assert one.get(f"{MONITORING}/flows/user/{joe.id}/sessions", token=ann.token).status_code == 403
    assert one.get(f"{MONITORING}/flows/session/{flow['session_id']}", token=joe.token).status_code == 404
    assert one.post(f"{MONITORING}/enable/{ann.id}", token=ann.token).status_code == 403
    assert one.get(f"/api/v1/ws/flows/{joe.id}", token=ann.token).status_code == 403


async def test_a_blocked_user_loses_every_socket_at_once(asking, model):
    one = asking()
    people = People(one)
    people.role("watcher", mcp_access=["*"], dashboard_access="view")
    eve = people.user("eve", "watcher")
    model.script({"text": ["word "] * 200, "delay": 0.05})
    async with (one.events("/ws", token=eve.token) as hub, one.events("/ws/chat", token=eve.token) as chat,
                one.events(f"/api/v1/ws/flows/{eve.id}", token=eve.token) as live,
                one.events("/ws") as other):
        await hub.first()
        await live.first()
        await other.first()
        await chat.send({"type": "message", "text": "Go on"})
        await chat.event("token")
        begin = time.monotonic()
        people.block(eve.id, message="Back on Monday.")
        for socket_ in (hub, chat, live):
            assert await socket_.closed(2) == 1008
            assert socket_.of_type("blocked")[0]["message"] == "Back on Monday."
        assert time.monotonic() - begin < 1
        await other.fence()
    eventually(lambda: model.ended == 1, 5)
    refused = one.post(STREAM, json={"message": "?"}, token=eve.token)
    assert "Back on Monday." in text_of(events_of(refused.text))
    flow = sessions(one, eve.id)[0]
    assert kinds(flow)[-1] == "block_check" and flow["events"][-1]["status"] == "failed"


async def test_a_block_heard_from_redis_closes_sockets(asking, model, redis):
    one = asking(more={"Redis": {"URL": redis.url}})
    eventually(lambda: one.get("/api/v1/cluster").json()["redis"])
    people = People(one)
    people.role("watcher", mcp_access=["*"], dashboard_access="view")
    eve = people.user("eve", "watcher")
    async with one.events("/ws", token=eve.token) as hub, one.events("/ws/chat", token=eve.token) as chat:
        await hub.first()
        redis.cli("PUBLISH", "user_blocked", json.dumps(
            {"user_id": eve.id, "blocked_services": ["chat"], "custom_message": "Enough.", "blocked_by": 1,
             "timestamp": time.time()}))
        for socket_ in (hub, chat):
            assert await socket_.closed(1) == 1008
            assert socket_.of_type("blocked")[0]["message"] == "Enough."
    with redis.listen("user_blocked") as heard:
        people.block(eve.id, "mcp", message="Out.")
        message, = eventually(lambda: heard.messages("user_blocked"))
    assert message["user_id"] == eve.id and message["blocked_services"] == ["mcp"]
    assert message["custom_message"] == "Out."


def test_somebody_is_greeted(asking, model, postgres):
    one = asking(more={"Database": {"URL": postgres.url}})
    people = People(one)
    ann = people.user("ann", "developer")
    postgres.psql("INSERT INTO omni2.chat_welcome_config (config_type, welcome_message, show_usage_info) "
                  f"VALUES ('default', 'Hello!', false); INSERT INTO omni2.chat_welcome_config (config_type, "
                  f"target_id, welcome_message, show_usage_info) VALUES ('user', {ann.id}, 'Hi Ann.', true)")
    model.script({"text": ["One."]}, {"text": ["Two."]})
    assert text_of(ask(one)).startswith("Hello!\n\nOne.")
    assert text_of(ask(one, token=ann.token)) == "Hi Ann.\n\nToday: $0.00 of $100.00.\n\nTwo."
