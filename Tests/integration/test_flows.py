"""What a request did is shown: live, afterwards over the API, and to the SQL of dashboards."""
import socket
import threading
import time
import uuid

import pytest

from omni.waiting import eventually

MONITORING = "/api/v1/monitoring"
# The operator has no row in `users`.
OPERATOR = 0
GATES = ["auth_check", "block_check", "usage_check", "mcp_permission_check", "tool_filter"]
CALL = ["cache_lookup", "circuit_check", "tool_call"]


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request) -> dict:
    """Configuration of one engine or the other."""
    if request.param == "sqlite":
        return {}
    return {"Database": {"URL": request.getfixturevalue("postgres").url}}


@pytest.fixture
def recording(daemon, counting):
    def start(configuration: dict | None = None, **options):
        one = daemon(configuration, servers={"counting": counting.entry(**options)})
        one.has_loaded("counting")
        return one

    return start


def sessions(one, user: int = OPERATOR, **query) -> list[dict]:
    answer = one.get(f"{MONITORING}/flows/user/{user}/sessions", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()["sessions"]


def kinds(events: list[dict]) -> list[str]:
    return [event["event_type"] for event in events]


def of_kind(events: list[dict], kind: str) -> dict:
    return next(event for event in events if event["event_type"] == kind)


def test_a_call_is_one_tree_in_history(recording, engine):
    one = recording(engine)
    one.call("counting", "count", {"key": "a"})
    flow, = sessions(one)
    assert kinds(flow["events"]) == GATES + CALL
    assert flow["source"] == "rest" and flow["event_count"] == 8
    whole = one.get(f"{MONITORING}/flows/session/{flow['session_id']}").json()
    node, = whole["tree"]
    path = []
    while node["event_type"] != "tool_filter":
        path.append(node["event_type"])
        assert node["status"] == "passed"
        node, = node["children"]
    assert path == GATES[:-1]
    assert kinds(node["children"]) == CALL
    call = node["children"][-1]
    assert call["mcp"] == "counting" and call["tool"] == "count"
    assert call["outcome"] == "ok" and call["status"] == "passed" and call["duration_ms"] > 0
    times = [float(event["timestamp"]) for event in flow["events"]]
    assert times == sorted(set(times)) and abs(times[0] - time.time()) < 60


def test_hits_failures_and_open_circuits_are_told_apart(recording, counting, engine):
    one = recording(engine, cache_policy="read_only", ttl=300)
    one.call("counting", "count", {"key": "a"})
    one.call("counting", "count", {"key": "a"})
    one.call("counting", "fail", {"message": "no"})
    hit, miss = (next(flow for flow in sessions(one)
                      if of_kind(flow["events"], "cache_lookup")["result"] == result)
                 for result in ("hit", "miss"))
    assert of_kind(hit["events"], "tool_call")["outcome"] == "cached"
    assert "circuit_check" not in kinds(hit["events"]) and "circuit_check" in kinds(miss["events"])
    failed, = [flow for flow in sessions(one) if of_kind(flow["events"], "tool_call")["tool"] == "fail"]
    call = of_kind(failed["events"], "tool_call")
    assert call["status"] == "failed" and call["outcome"] == "tool_error" and call["error"]


async def test_a_gateway_call_has_the_same_tree(recording):
    one = recording()
    async with one.mcp() as gateway:
        await gateway.call_tool("counting__count", {"key": "a"})
    flow, = sessions(one)
    assert kinds(flow["events"]) == GATES + CALL and flow["source"] == "mcp_gateway"
    assert of_kind(flow["events"], "tool_call")["source"] == "mcp_gateway"


async def test_a_monitored_user_is_watched_live_and_in_order(recording):
    one = recording()
    async with one.events(f"/api/v1/ws/flows/{OPERATOR}") as live, one.events() as hub:
        await live.until(lambda: live.of_type("watching"))
        await hub.subscribe(f"flow:{OPERATOR}")
        one.call("counting", "count")  # not monitored: nothing is shown
        assert one.post(f"{MONITORING}/enable", json=[OPERATOR]).json()["status"] == "enabled"
        one.call("counting", "count")
        await live.event("flow_event", where=lambda event: event["event_type"] == "tool_call")
        await hub.event("flow_event", where=lambda event: event["event_type"] == "tool_call")
        shown = live.of_type("flow_event")
        assert kinds(shown) == GATES + CALL
        assert len({event["session_id"] for event in shown}) == 1
        assert all(event["user_id"] == OPERATOR for event in shown)
        assert [event["node_id"] for event in hub.of_type("flow_event")] == [
            event["node_id"] for event in shown]
        assert shown[0]["parent_id"] is None
        assert [event["parent_id"] for event in shown[1:5]] == [event["node_id"] for event in shown[:4]]
        saved = one.get(f"{MONITORING}/flows/session/{shown[0]['session_id']}").json()
        assert [event["node_id"] for event in saved["flow_data"]["events"]] == [
            event["node_id"] for event in shown]


def test_both_forms_enable_and_expiry_is_exact(recording, engine):
    one = recording(engine)
    answer = one.post(f"{MONITORING}/enable/7", params={"ttl_hours": 1}).json()
    assert answer["user_ids"] == [7] and answer["persisted"]
    assert abs(answer["expires_at"] - time.time() - 3600) < 5
    one.post(f"{MONITORING}/enable", json=[8, 9], params={"ttl_hours": 0.0003})  # about a second
    listed = {user["user_id"]: user["expires_at"]
              for user in one.get(f"{MONITORING}/list").json()["monitored_users"]}
    assert set(listed) == {7, 8, 9}
    eventually(lambda: time.time() > listed[8], 5)
    assert [user["user_id"] for user in one.get(f"{MONITORING}/list").json()["monitored_users"]] == [7]
    one.restart()
    eventually(lambda: one.get(f"{MONITORING}/list").json()["monitored_users"] == [
        {"user_id": 7, "expires_at": listed[7]}])
    one.post(f"{MONITORING}/disable", json={"user_ids": [7]})
    assert one.get(f"{MONITORING}/list").json() == {"monitored_users": []}


@pytest.mark.parametrize("path, body", [
    ("enable", ["x"]), ("enable", [-1]), ("enable/x", None), ("enable/1?ttl_hours=0", None),
    ("enable/1?ttl_hours=soon", None), ("disable", {"user_ids": [1.5]})])
def test_wrong_orders_are_refused(recording, path, body):
    assert recording().post(f"{MONITORING}/{path}", json=body).status_code == 400


def test_history_is_filtered_and_exported(recording, engine):
    one = recording(engine, cache_policy="read_only", ttl=300)
    one.call("counting", "count", {"key": "a"})
    one.call("counting", "count", {"key": "a"})
    first, second = sessions(one)[::-1]
    assert len(sessions(one, checkpoint="circuit_check")) == 1
    assert len(sessions(one, checkpoint="tool_call")) == 2
    assert sessions(one, source="chat") == [] and len(sessions(one, source="rest")) == 2
    begin = float(second["events"][0]["timestamp"])
    assert [flow["session_id"] for flow in sessions(one, **{"from": begin})] == [second["session_id"]]
    assert [flow["session_id"] for flow in sessions(one, to=begin)] == [first["session_id"]]
    assert len(sessions(one, limit=1)) == 1
    assert one.get(f"{MONITORING}/flows/user/0/sessions", params={"checkpoint": "x"}).status_code == 400
    export = one.get(f"{MONITORING}/flows/session/{first['session_id']}/export")
    assert first["session_id"] in export.headers["content-disposition"]
    assert export.json()["flow_data"]["events"] == first["events"]
    assert one.get(f"{MONITORING}/flows/session/{uuid.uuid4()}").status_code == 404
    flows = one.get(f"{MONITORING}/flows/{OPERATOR}").json()["flows"]
    assert [flow["session_id"] for flow in flows] == [second["session_id"], first["session_id"]]


async def test_a_slow_checkpoint_is_announced(recording):
    one = recording({"FlowTracker": {"SlowSec": "100ms"}})
    async with one.events() as events:
        await events.subscribe("flow_slow_checkpoint")
        one.call("counting", "count")
        one.call("counting", "slow", {"seconds": 0.3})
        alert = (await events.event("flow_slow_checkpoint"))["data"]
    assert alert["checkpoint"] == "tool_call" and alert["tool"] == "slow"
    assert alert["duration_ms"] > 100 and alert["threshold_ms"] == 100
    assert len(events.of_type("flow_slow_checkpoint")) == 1


def test_a_client_that_goes_away_leaves_a_flow(recording):
    one = recording()
    with socket.create_connection(("127.0.0.1", one.port)) as client:
        body = b'{"server":"counting","tool":"slow","arguments":{"seconds":0.5}}'
        client.sendall(b"POST /api/v1/mcp/tools/call HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                       + f"Authorization: Bearer {one.token}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
                       + body)
        time.sleep(0.1)
    eventually(lambda: [flow for flow in sessions(one)
                        if of_kind(flow["events"], "tool_call")["tool"] == "slow"], 5)


def test_the_dashboards_queries_find_the_calls(recording, postgres):
    """Wire reference §6.4: what the original's history and analytics pages ask."""
    one = recording({"Database": {"URL": postgres.url}}, cache_policy="read_only", ttl=300)
    for _ in range(3):
        one.call("counting", "count", {"key": "a"})
    one.call("counting", "fail", {"message": "no"})
    eventually(lambda: postgres.rows("SELECT count(*) FROM omni2.interaction_flows") == [(4,)])
    events = ("FROM omni2.interaction_flows f, jsonb_array_elements(f.flow_data->'events') event "
              "WHERE event->>'event_type' = 'tool_call' AND f.created_at >= now() - interval '7 days'")
    assert postgres.rows(f"SELECT event->>'mcp', event->>'tool', count(*) {events} "
                         "GROUP BY 1, 2 ORDER BY 3 DESC") == [
        ("counting", "count", 3), ("counting", "fail", 1)]
    assert postgres.rows(f"SELECT event->>'mcp', count(*), count(DISTINCT f.user_id) {events} "
                         "GROUP BY 1") == [("counting", 4, 1)]
    assert postgres.rows(f"SELECT coalesce(f.source, 'chat'), count(DISTINCT f.session_id) {events} "
                         "GROUP BY 1") == [("rest", 4)]
    assert postgres.rows(f"SELECT date_trunc('day', f.created_at) = date_trunc('day', now() at time zone "
                         f"'utc'), count(*) {events} GROUP BY 1") == [(True, 4)]
    rows = postgres.rows(
        "SELECT session_id::text, created_at, completed_at, jsonb_array_length(flow_data->'events'), "
        "flow_data->>'user_id' FROM omni2.interaction_flows WHERE user_id = 0 "
        "ORDER BY created_at DESC LIMIT 50")
    assert len(rows) == 4 and all(row[2] >= row[1] and row[4] == "0" for row in rows)
    assert sorted(row[3] for row in rows) == [7, 7, 8, 8]


def test_flows_of_an_outage_are_written_once(recording, postgres):
    one = recording({"Database": {"URL": postgres.url}})
    one.call("counting", "count")
    eventually(lambda: postgres.rows("SELECT count(*) FROM omni2.interaction_flows") == [(1,)])
    postgres.stop()
    for _ in range(20):
        assert one.call("counting", "count").json()["success"]
    spool = one.state / "history"
    eventually(lambda: spool.exists() and sum(len(file.read_text().splitlines())
                                              for file in spool.iterdir()) == 20)
    one.kill()  # what is on disk outlives us as well
    postgres.start()
    one.start()
    eventually(lambda: postgres.rows("SELECT count(*), count(DISTINCT session_id) "
                                     "FROM omni2.interaction_flows") == [(21, 21)])
    eventually(lambda: not list(spool.iterdir()))


@pytest.mark.timeout(180)
def test_no_flow_is_lost_or_doubled_when_the_database_dies_under_load(recording, postgres):
    one = recording({"Database": {"URL": postgres.url}}, cache_policy="read_only", ttl=300)
    rate, before, away, after = 200, 3, 30, 3
    done, failed = [], []
    stop = threading.Event()

    def load(share: int) -> None:
        """A quarter of the calls, on a connection of its own, each at its time."""
        import httpx2
        with httpx2.Client(trust_env=False, timeout=30) as client:
            next_call = time.monotonic()
            while not stop.is_set():
                answer = client.post(one.url + "/api/v1/mcp/tools/call", headers=one.headers,
                                     json={"server": "counting", "tool": "count",
                                           "arguments": {"key": str(share)}})
                (done if answer.status_code == 200 else failed).append(answer.status_code)
                next_call += 4 / rate
                time.sleep(max(0, next_call - time.monotonic()))

    threads = [threading.Thread(target=load, args=(share,)) for share in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(before)
    postgres.stop()
    time.sleep(away)
    postgres.start()
    time.sleep(after)
    stop.set()
    for thread in threads:
        thread.join()
    assert not failed and len(done) > rate * (before + away + after) * 0.7
    eventually(lambda: postgres.rows("SELECT count(*), count(DISTINCT session_id) "
                                     "FROM omni2.interaction_flows") == [(len(done), len(done))], 20)


def test_an_order_given_during_an_outage_is_written_afterwards(recording, postgres):
    one = recording({"Database": {"URL": postgres.url}})
    postgres.stop()
    answer = one.post(f"{MONITORING}/enable/7").json()
    assert answer["status"] == "enabled" and not answer["persisted"]
    assert [user["user_id"] for user in one.get(f"{MONITORING}/list").json()["monitored_users"]] == [7]
    postgres.start()
    eventually(lambda: postgres.rows("SELECT config_key FROM omni2.omni2_config "
                                     "WHERE starts_with(config_key, 'monitor_user_')") == [("monitor_user_7",)], 20)
