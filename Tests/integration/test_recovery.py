"""A server dies and comes back: what callers are told, what dashboards see, what the registry says."""
import re
import time

import pytest
from mcp.shared.exceptions import MCPError

from omni.daemon import IMPATIENT, merged
from omni.servers import stdio_entry
from omni.waiting import eventually

EVENTS = ("mcp_status_change", "circuit_breaker_state", "mcp_auto_disabled")
# The circuit stays open for the whole test.
PATIENT_CIRCUIT = merged(IMPATIENT, {"CircuitBreaker": {"TimeoutSec": "10min"}})


def status_of(one, name: str = "counting") -> str:
    return one.servers()[name]["health_status"]


def retry_after(text: str) -> float:
    """The number that the caller is given; the key is `retry_after` or `retry_after_seconds`."""
    found = re.search(r'retry_after(?:_seconds)?\\?"?\s*[:=]\s*(\d+(?:\.\d+)?)', text)
    assert found, f"no retry_after in {text}"
    return float(found.group(1))


def is_open(one, name: str = "counting") -> bool:
    return one.servers()[name]["health_status"] == "circuit_open"


def transitions(events) -> list[tuple[str, str]]:
    """Status and circuit changes in the order in which they arrived."""
    changes = []
    for one in events.seen:
        kind = one.get("type") if isinstance(one, dict) else None
        if kind == "mcp_status_change":
            changes.append(("status", one["data"]["new_status"]))
        elif kind == "circuit_breaker_state":
            changes.append(("circuit", one["data"]["new_state"]))
        elif kind == "health_event":
            changes.append(("health", one["event_type"]))
    return changes


def in_order(wanted: list, seen: list) -> bool:
    """Whether the wanted items occur in this order, with others between them."""
    rest = iter(seen)
    return all(item in rest for item in wanted)


async def test_the_whole_story(daemon, counting):
    one = daemon(IMPATIENT, servers={"counting": counting.entry(), "healthy": stdio_entry()})
    one.has_loaded("counting", "healthy")
    async with one.events() as events:
        await events.subscribe(*EVENTS)

        counting.kill()
        change = await events.event("mcp_status_change", 5,
                                    lambda event: event["data"]["new_status"] == "disconnected")
        assert change["data"]["mcp_name"] == "counting" and change["data"]["old_status"] == "healthy"
        assert change["data"]["reason"] and change["data"]["severity"] == "high"
        assert status_of(one) in ("disconnected", "circuit_open")

        opened = await events.event("health_event", 15, lambda event: event["event_type"] == "circuit_opened")
        assert opened["mcp_name"] == "counting" and opened["data"]["threshold"] == 5
        breaker = await events.event("circuit_breaker_state", 5, lambda event: event["data"]["new_state"] == "open")
        assert breaker["data"]["old_state"] == "closed" and breaker["data"]["state"] == "open"
        eventually(lambda: is_open(one), 5)

        # The other server never noticed.
        started = time.monotonic()
        assert one.call("healthy", "echo", {"text": "x"}).json()["success"]
        assert time.monotonic() - started < 1

        counting.start()
        await events.event("circuit_breaker_state", 20, lambda event: event["data"]["new_state"] == "closed")
        await events.until(
            lambda: events.of_type("mcp_status_change")[-1]["data"]["new_status"] == "healthy", 20)
        assert in_order([("status", "disconnected"), ("health", "circuit_opened"),
                         ("circuit", "half_open"), ("circuit", "closed"), ("status", "healthy")],
                        transitions(events)), transitions(events)
        assert one.call("counting", "count", {"key": "a"}).json()["success"]
        assert {event["data"]["mcp_name"] for event in events.of_type("circuit_breaker_state")} == {"counting"}


async def test_events_arrive_in_order_of_their_time(daemon, counting):
    one = daemon(IMPATIENT, servers={"counting": counting.entry()})
    one.has_loaded("counting")
    async with one.events() as events:
        await events.subscribe(*EVENTS)
        counting.kill()
        await events.event("health_event", 15, lambda event: event["event_type"] == "circuit_opened")
        counting.start()
        await events.until(lambda: ("status", "healthy") in transitions(events), 20)
        times = [event["timestamp"] for event in events.seen if isinstance(event, dict) and "timestamp" in event]
        assert times == sorted(times)


async def test_calls_fail_fast_while_the_circuit_is_open(daemon, counting):
    one = daemon(PATIENT_CIRCUIT, servers={"counting": counting.entry()})
    one.has_loaded("counting")
    counting.mode("error")
    # Health checks and these calls count alike.
    eventually(lambda: not one.call("counting", "count").json()["success"] and is_open(one), 20)
    counting.mode("ok")
    counting.reset()

    started = time.monotonic()
    answer = one.call("counting", "count")
    assert time.monotonic() - started < 1
    assert answer.status_code == 503 and answer.json()["success"] is False
    assert "circuit" in answer.text.lower()
    assert 0 < retry_after(answer.text) <= 600

    async with one.mcp() as gateway:
        try:
            result = await gateway.call_tool("counting__count", {})
            assert result.is_error
            said = result.model_dump_json(by_alias=True)
        except MCPError as error:
            said = error.error.model_dump_json()
        assert "circuit" in said.lower() and 0 < retry_after(said) <= 600
    assert counting.requests("tools/call") == []


async def test_the_circuit_survives_a_restart_of_the_daemon(daemon, counting):
    one = daemon(PATIENT_CIRCUIT, servers={"counting": counting.entry()})
    one.has_loaded("counting")
    counting.kill()
    eventually(lambda: is_open(one), 20)
    one.stop()
    counting.start()
    one.start()
    answer = one.call("counting", "count")
    assert answer.status_code == 503 and retry_after(answer.text) > 0
    async with one.events() as events:
        first = await events.first()
        assert [mcp["circuit_state"] for mcp in first["mcps"]] == ["open"]
    assert counting.calls("count") == 0


async def test_a_kill_of_the_daemon_does_not_close_the_circuit(daemon, counting):
    one = daemon(PATIENT_CIRCUIT, servers={"counting": counting.entry()})
    one.has_loaded("counting")
    counting.kill()
    eventually(lambda: is_open(one), 20)
    one.kill()
    counting.start()
    one.start()
    assert one.call("counting", "count").status_code == 503


def test_errors_of_a_tool_are_no_failures_of_the_server(daemon, counting):
    one = daemon(IMPATIENT, servers={"counting": counting.entry()})
    one.has_loaded("counting")
    for _ in range(10):
        one.call("counting", "fail", {"message": "my own fault"})
        one.call("counting", "echo", {"wrong": "argument"})
    assert status_of(one) == "healthy"
    assert one.call("counting", "count").json()["success"]


@pytest.mark.parametrize("mode", ["error", "refuse", "garbage"])
def test_every_kind_of_transport_failure_counts(daemon, counting, mode):
    one = daemon(PATIENT_CIRCUIT, servers={"counting": counting.entry()})
    one.has_loaded("counting")
    counting.mode(mode)
    eventually(lambda: is_open(one), 20)


async def test_a_hanging_server_delays_nobody(daemon, http_server):
    hanging, good = http_server("hanging"), http_server("good")
    one = daemon(IMPATIENT, servers={"hanging": hanging.entry(), "good": good.entry()})
    one.has_loaded("hanging", "good")
    hanging.mode("hang")
    checked = len(good.requests("tools/list"))
    async with one.mcp() as gateway:
        started = time.monotonic()
        await gateway.list_tools()
        assert (await gateway.call_tool("good__echo", {"text": "x"})).content[0].text == "x"
        assert time.monotonic() - started < 2
    # Nor does the coordinator wait for it before it checks the other again.
    eventually(lambda: len(good.requests("tools/list")) > checked + 2, 10)
    assert status_of(one, "good") == "healthy"


async def test_after_too_many_cycles_the_server_is_disabled_and_an_operator_enables_it(daemon, counting):
    one = daemon(merged(IMPATIENT, {"CircuitBreaker": {"MaxFailureCycles": "2", "TimeoutSec": "300ms"}}),
                 servers={"counting": counting.entry()})
    one.has_loaded("counting")
    async with one.events() as events:
        await events.subscribe(*EVENTS)
        counting.kill()
        disabled = (await events.event("mcp_auto_disabled", 30))["data"]
        assert disabled["mcp_name"] == "counting" and disabled["severity"] == "critical"
        assert disabled["failure_cycles"] >= 2 and disabled["reason"]
    row = eventually(lambda: one.servers()["counting"])
    assert row["enabled"] is False
    counting.start()
    counting.reset()
    answer = one.call("counting", "count")
    assert answer.json()["success"] is False and counting.requests() == []

    enabled = one.request("PUT", f"/api/v1/mcp/servers/{row['id']}", json={"status": "active"})
    assert enabled.status_code == 200, enabled.text
    one.has_loaded("counting")
    assert one.call("counting", "count").json()["success"]


async def test_success_refreshes_the_row(daemon, counting):
    one = daemon(IMPATIENT, servers={"counting": counting.entry()})
    one.has_loaded("counting")
    first = eventually(lambda: one.servers()["counting"]["last_health_check"])
    eventually(lambda: one.servers()["counting"]["last_health_check"] > first, 10)
    assert status_of(one) == "healthy"


async def test_a_server_that_is_down_from_the_beginning_is_picked_up(daemon, counting):
    counting.kill()
    one = daemon(IMPATIENT, servers={"counting": counting.entry()})
    eventually(lambda: status_of(one) in ("disconnected", "circuit_open"), 10)
    counting.start()
    one.has_loaded("counting")
    eventually(lambda: status_of(one) == "healthy")
