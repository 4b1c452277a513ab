"""What servers do wrong: every caller gets an answer in time, others notice nothing, memory stays
bounded, and all is well again by itself."""
import concurrent.futures
import http.client
import json
import time

import pytest

from omni.daemon import IMPATIENT, merged
from omni.processes import is_alive, memory_bytes
from omni.servers import stdio_entry
from omni.waiting import eventually

from test_mcp_duties import Listening, content, wire

pytestmark = pytest.mark.timeout(200)
SHORT = {"MCP": {"CallTimeoutSec": "2s", "MaxResultBytes": "16M"}}


def memory(one, what: str = "VmRSS") -> float:
    """MiB."""
    return memory_bytes(one.pid, what) / (1 << 20)


@pytest.mark.parametrize("eras", ["handshake", "modern"])
@pytest.mark.parametrize("fault, arguments", [
    ("hang_head", {}), ("hang_mid", {}), ("garbage", {}), ("cut", {}), ("wrong_id", {}),
    ("big", {"bytes": 64 << 20}), ("flood", {"count": 3000}),
])
def test_a_fault_is_the_callers_alone(daemon, puppets, eras, fault, arguments):
    bad, good = puppets(eras), puppets()
    one = daemon(merged(SHORT, {"CircuitBreaker": {"FailureThreshold": "1000"}}),
                 servers={"bad": bad.entry(), "good": good.entry()})
    one.has_loaded("bad", "good")
    client, other = wire(one, "modern"), wire(one, "handshake")

    def calls_the_bad_one(_):
        started = time.monotonic()
        answer = wire(one, "modern").call(f"bad__{fault}", arguments, _meta={"progressToken": 1})
        return time.monotonic() - started, answer

    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        under_way = [pool.submit(calls_the_bad_one, number) for number in range(3)]
        slowest = 0.0
        while not all(call.done() for call in under_way):
            started = time.monotonic()
            assert content(other.call("good__echo", {"text": "x"})) == "echo x"
            slowest = max(slowest, time.monotonic() - started)
    assert slowest < 3, "the other server's callers waited"
    for call in under_way:
        took, answer = call.result()
        assert took < 12, fault
        if fault == "flood":
            assert content(answer) == "flooded"
        else:
            assert answer.error["code"] == -32000 and "bad" in answer.error["data"].get("server", "bad")
    assert content(client.call("bad__echo", {"text": "again"})) == "echo again"
    assert memory(one, "VmHWM") < 300


def test_a_crash_between_calls_heals_by_itself_and_all_hear_of_new_tools(daemon, puppets):
    server = puppets("both")
    one = daemon(merged(IMPATIENT, SHORT), servers={"p": server.entry()})
    one.has_loaded("p")
    sessions = [wire(one, "handshake") for _ in range(3)]
    streams = [Listening(session) for session in sessions]
    modern = wire(one, "modern")
    streams.append(Listening(modern, modern.message("subscriptions/listen",
                                                    {"notifications": {"toolsListChanged": True}})))
    server.kill()
    eventually(lambda: "error" in modern.call("p__echo").message)
    eventually(lambda: not [tool for tool in modern.request("tools/list").result["tools"]], 15)
    server.options = ("--grown",)
    server.start()
    eventually(lambda: "p__grown" in {tool["name"] for tool in modern.request("tools/list").result["tools"]}, 20)
    for stream in streams:
        eventually(lambda s=stream: len(s.heard("notifications/tools/list_changed")) >= 2, 10)
    assert content(sessions[0].call("p__grown")) == "grown {}"


def test_a_flood_of_announcements_is_no_flood_for_clients(daemon, puppets):
    server = puppets("handshake")
    one = daemon(SHORT, servers={"p": server.entry()})
    one.has_loaded("p")
    client = wire(one, "handshake")
    stream = Listening(client)
    assert content(client.call("p__flood", {"count": 2000})) == "flooded"
    assert stream.heard("notifications/tools/list_changed") == [], "nothing has changed"
    assert len(server.seen("tools/list")) < 50


@pytest.mark.slow
def test_ten_thousand_abandoned_sessions_leave_no_memory_behind(daemon):
    one = daemon({"MCP": {"SessionIdleSec": "1s", "MaxSessions": "20000"}})
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "leaver", "version": "1"}}})
    headers = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json", **one.headers}

    def abandon(count: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", one.port)
        for _ in range(count):
            connection.request("POST", "/mcp", body, headers)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 200 and answer.getheader("Mcp-Session-Id")
        connection.close()


    # Whatever is made once is made before the measurement, the table's own growth included.
    abandon(10_000)
    time.sleep(20)
    before = memory(one)
    abandon(10_000)
    full = memory(one)
    time.sleep(20)
    after = memory(one)
    assert after - before < 4, (before, full, after)


@pytest.mark.slow
def test_two_thousand_stdio_calls_with_crashes_leave_no_process(daemon, tmp_path):
    pids = tmp_path / "pids"
    one = daemon({"Coordinator": {"IntervalSec": "250ms", "BackoffSec": "100ms 150ms"},
                  "CircuitBreaker": {"FailureThreshold": "1000"}}, servers={"raw": stdio_entry("--pid", pids)})
    one.has_loaded("raw")
    client = wire(one, "modern")
    outcomes = {"answered": 0, "failed": 0}
    for number in range(2000):
        dies = number % 100 == 50
        answer = client.call("raw__die" if dies else "raw__echo", {"text": str(number)})
        outcomes["answered" if "result" in answer.message else "failed"] += 1
        if dies:
            eventually(lambda: "result" in client.call("raw__echo", {"text": "up"}).message, 15)
    assert outcomes == {"answered": 1980, "failed": 20}
    started = [int(pid) for pid in pids.read_text().split()]
    assert len(started) == 21
    assert [pid for pid in started if is_alive(pid)] == started[-1:] == one.children()
    one.stop()
    assert not is_alive(started[-1])
