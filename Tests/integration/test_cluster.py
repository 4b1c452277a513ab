"""Several hosts with one PostgreSQL and one Redis, and what Redis shows of one host alone."""
import asyncio
import os
import time

import pytest

from omni.daemon import IMPATIENT, Daemon
from omni.databases import Postgres, Redis
from omni.namespaces import Namespaces
from omni.servers import HTTPServer
from omni.waiting import eventually, eventually_async

MONITORING = "/api/v1/monitoring"
CACHED = {"cache_policy": "read_only", "ttl": 300, "scope": "shared"}


@pytest.fixture
def with_redis(daemon, redis, counting):
    one = daemon({"Redis": {"URL": redis.url}}, servers={"counting": counting.entry(**CACHED)})
    one.has_loaded("counting")
    eventually(lambda: cluster(one)["redis"])
    return one


@pytest.fixture
def network(tmp_path, request):
    """Where two hosts live: each in a network namespace of its own where we may make one, else both
    on loopback. Yields their neighbours and how to start each of them."""
    if os.geteuid() != 0:
        yield (request.getfixturevalue("postgres"), request.getfixturevalue("redis"),
               request.getfixturevalue("counting"), lambda: ([], "127.0.0.1"))
        return
    namespaces = Namespaces()
    neighbours = []
    try:
        postgres, redis = Postgres(namespaces.address), Redis(tmp_path, namespaces.address)
        neighbours += [postgres.remove, redis.stop]
        postgres.start()
        redis.start()
        server = HTTPServer(tmp_path, address=namespaces.address)
        neighbours.append(lambda: server.is_running and server.kill())
        yield postgres, redis, server, namespaces.make
    finally:
        for end in neighbours:
            end()
        namespaces.remove()


@pytest.fixture
def pair(network, tmp_path):
    """Two hosts that share everything but their address. The first one leads."""
    postgres, redis, counting, place = network
    daemons = []

    def daemon(configuration: dict, servers: dict | None = None) -> Daemon:
        words, address = place()
        directory = tmp_path / f"host{len(daemons)}"
        directory.mkdir()
        one = Daemon(directory, configuration, servers, address=address)
        daemons.append(one)
        return one.start(starter=(words, {}))

    try:
        yield two(daemon, postgres, redis, counting)
    finally:
        for one in daemons:
            if one.child:
                one.kill()


def two(daemon, postgres, redis, counting):
    configuration = {"Database": {"URL": postgres.url}, "Redis": {"URL": redis.url},
                     "Coordinator": {**IMPATIENT["Coordinator"]},
                     "CircuitBreaker": {**IMPATIENT["CircuitBreaker"]}}
    first = daemon(configuration, servers={"counting": counting.entry(**CACHED)})
    first.has_loaded("counting")
    second = daemon(configuration)
    second.has_loaded("counting")
    for one in (first, second):
        eventually(lambda: cluster(one)["redis"])
    assert cluster(first)["is_leader"] and not cluster(second)["is_leader"]
    return first, second


def cluster(one) -> dict:
    answer = one.get("/api/v1/cluster")
    assert answer.status_code == 200, answer.text
    return answer.json()


def newest_flow(one) -> dict:
    return one.get(f"{MONITORING}/flows/user/0/sessions").json()["sessions"][0]


def test_a_flow_is_a_stream_with_an_end(with_redis, redis):
    with_redis.call("counting", "count", {"key": "a"})
    flow = newest_flow(with_redis)
    key = f"flow:{flow['session_id']}"
    eventually(lambda: redis.cli("XLEN", key) == 8)
    entries = [dict(zip(fields[::2], fields[1::2])) for _, fields in redis.cli("XRANGE", key, "-", "+")]
    assert [entry["event_type"] for entry in entries] == [event["event_type"] for event in flow["events"]]
    assert [entry["node_id"] for entry in entries] == [event["node_id"] for event in flow["events"]]
    assert entries[0]["parent_id"] == "" and entries[1]["parent_id"] == entries[0]["node_id"]
    assert entries[-1]["mcp"] == "counting" and entries[-1]["tool"] == "count"
    assert float(entries[-1]["duration_ms"]) > 0 and float(entries[0]["timestamp"]) > 1e9
    assert 86_000 < redis.cli("TTL", key) <= 86_400


def test_a_watched_user_is_published(with_redis, redis):
    with redis.listen("flow_events:*") as heard:
        with_redis.call("counting", "count")
        with_redis.post(f"{MONITORING}/enable/0")
        with_redis.call("counting", "count")
        eventually(lambda: len(heard.messages("flow_events:0")) == 7)
        messages = heard.messages("flow_events:0")
    events = newest_flow(with_redis)["events"]
    assert [message["node_id"] for message in messages] == [event["node_id"] for event in events]
    assert all(message["user_id"] == 0 for message in messages) and messages[0]["parent_id"] is None


async def test_system_events_go_both_ways(with_redis, redis):
    with redis.listen("system_events") as heard:
        async with with_redis.events() as events:
            await events.subscribe("prompt_guard_violation", "note")
            redis.cli("PUBLISH", "system_events",
                      '{"type":"prompt_guard_violation","data":{"user_id":7,"score":0.9}}')
            event = await events.event("prompt_guard_violation")
            assert event["data"] == {"user_id": 7, "score": 0.9}
            with_redis.post("/api/v1/events/publish", json={"type": "note", "data": {"text": "é"}})
            await events.event("note")
            await eventually_async(lambda: said(heard, "note"))
            await events.fence()
            assert len(events.of_type("note")) == 1  # our own echo is nobody's news


async def said(heard, kind: str) -> list[dict]:
    return [message for message in heard.messages("system_events") if message["type"] == kind]


@pytest.mark.timeout(120)
def test_no_request_fails_or_waits_when_redis_dies(with_redis, redis):
    """`bench/flow/run` says by how little they differ; here one that waited for Redis would show."""
    def round_trips(seconds: float) -> list[float]:
        import httpx2
        spent, end = [], time.monotonic() + seconds
        body = {"server": "counting", "tool": "count", "arguments": {"key": "a"}}
        with httpx2.Client(trust_env=False, timeout=10) as client:
            while time.monotonic() < end:
                begin = time.monotonic()
                answer = client.post(with_redis.url + "/api/v1/mcp/tools/call", json=body,
                                     headers=with_redis.headers)
                spent.append(time.monotonic() - begin)
                assert answer.status_code == 200, answer.text
                time.sleep(0.003)
        return sorted(spent)

    round_trips(1)
    redis.kill()
    without = round_trips(4)
    assert with_redis.call("counting", "count", {"key": "new"}).json()["success"]
    redis.start()
    eventually(lambda: cluster(with_redis)["redis"], 10)
    assert with_redis.call("counting", "count", {"key": "newer"}).json()["success"]
    # What Redis is asked costs 50 ms at most; a call that asked a dead one would cost that.
    assert without[int(len(without) * 0.99)] < 0.04


def test_a_redis_that_hangs_costs_a_moment_once(with_redis, redis):
    import os
    import signal
    os.kill(redis.child.pid, signal.SIGSTOP)
    try:
        begin = time.monotonic()
        for number in range(20):
            assert with_redis.call("counting", "count", {"key": str(number)}).json()["success"]
        assert time.monotonic() - begin < 10
    finally:
        os.kill(redis.child.pid, signal.SIGCONT)
    eventually(lambda: cluster(with_redis)["redis"], 15)


# Several hosts

async def test_a_status_change_reaches_the_other_hosts_subscribers_once(pair, network):
    first, second = pair
    async with first.events() as here, second.events() as there:
        for events in (here, there):
            await events.subscribe("mcp_status_change")
        network[2].kill()
        for events in (here, there):
            await events.event("mcp_status_change", 15, lambda event: event["data"]["new_status"] in (
                "disconnected", "circuit_open"))
        network[2].start()
        for events in (here, there):
            await events.event("mcp_status_change", 20, lambda event: event["data"]["new_status"] == "healthy")
        await asyncio.sleep(1)  # what would come twice has come by now
        for events in (here, there):
            told = [event["data"]["new_status"] for event in events.of_type("mcp_status_change")]
            assert told.count("healthy") == 1 and told.count("disconnected") <= 1, told


async def test_events_of_operators_cross_once(pair):
    first, second = pair
    async with first.events() as here, second.events() as there:
        for events in (here, there):
            await events.subscribe("note")
        for number in range(20):
            first.post("/api/v1/events/publish", json={"type": "note", "data": {"n": number}})
        await there.until(lambda: len(there.of_type("note")) >= 20)
        await there.fence()
        assert [event["data"]["n"] for event in there.of_type("note")] == list(range(20))
        assert [event["data"]["n"] for event in here.of_type("note")] == list(range(20))


def test_another_host_takes_over_from_a_leader_that_was_killed(pair, network):
    first, second = pair
    first.kill()
    begin = time.monotonic()
    eventually(lambda: cluster(second)["is_leader"], 10)
    checked = "SELECT max(last_health_check) FROM omni2.mcp_servers"
    before = network[0].rows(checked)
    eventually(lambda: network[0].rows(checked) != before, 10 - (time.monotonic() - begin))


def test_only_one_host_checks(pair, network):
    first, second = pair
    pings = len(network[2].requests("ping"))
    begin = time.monotonic()
    eventually(lambda: len(network[2].requests("ping")) >= pings + 8, 10)
    rate = 8 / (time.monotonic() - begin)
    assert rate < 6, "two hosts check"  # one check each 250 ms


def test_a_result_of_one_host_is_a_hit_on_the_other(pair, network):
    first, second = pair
    first.call("counting", "count", {"key": "a"})
    eventually(lambda: cluster(first)["cache_stored"] == 1)
    answer = second.call("counting", "count", {"key": "a"}).json()
    assert answer["cache"]["hit"] and 0 < answer["cache"]["expires_in_ms"] <= 300_000
    assert network[2].calls("count") == 1
    lookups = [event["result"] for event in newest_flow(second)["events"]
               if event["event_type"] == "cache_lookup"]
    assert lookups == ["remote"]
    assert second.call("counting", "count", {"key": "a"}).json()["cache"]["hit"]  # its own by now
    first.post("/api/v1/cache/invalidate", json={"server": "counting"})

    def is_forgotten() -> bool:
        return second.get("/api/v1/cache/stats").json()["data"]["size"] == 0

    eventually(is_forgotten, 1, "the other host forgets too")
    assert "hit" not in (second.call("counting", "count", {"key": "a"}).json().get("cache") or {})
    assert network[2].calls("count") == 2


def test_watching_is_shared_and_flows_cross(pair):
    first, second = pair
    first.post(f"{MONITORING}/enable/0")
    eventually(lambda: second.get(f"{MONITORING}/list").json()["monitored_users"], 5)


async def test_a_flow_is_watched_on_another_host(pair):
    first, second = pair
    first.post(f"{MONITORING}/enable/0")
    async with second.events("/api/v1/ws/flows/0") as live:
        await live.until(lambda: live.of_type("watching"))
        first.call("counting", "count", {"key": "z"})
        await live.event("flow_event", where=lambda event: event["event_type"] == "tool_call")
        kinds = [event["event_type"] for event in live.of_type("flow_event")]
        assert len(kinds) == 8 and kinds[0] == "auth_check" and kinds[-1] == "tool_call"


def test_both_hosts_serve_when_everything_behind_them_goes(pair, network):
    network[1].kill()
    network[0].stop()
    for one in pair:
        for number in range(5):
            assert one.call("counting", "count", {"key": f"{one.port}{number}"}).json()["success"]
    network[0].start()
    network[1].start()
    for one in pair:
        eventually(lambda: cluster(one)["redis"], 15)
        eventually(lambda: one.get("/health/ready", token=None).status_code == 200, 20)
    eventually(lambda: [cluster(one)["is_leader"] for one in pair].count(True) == 1, 15)
    eventually(lambda: network[0].rows("SELECT count(*) FROM omni2.interaction_flows") == [(10,)], 15)
