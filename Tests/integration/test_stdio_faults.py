"""Children that die, hang or talk nonsense: an error for the caller, a journal line, and life goes on."""
import asyncio
import socket
import time
from pathlib import Path

import pytest
from mcp.shared.exceptions import MCPError

from omni.daemon import IMPATIENT, merged
from omni.processes import is_alive
from omni.servers import stdio_entry
from omni.waiting import eventually


async def outcome(gateway, tool: str, text: str = "") -> str:
    """What the caller is told: the text of a result, or `error: …` whichever way it came."""
    try:
        result = await gateway.call_tool(f"raw__{tool}", {"text": text} if text else {})
    except MCPError as error:
        return f"error: {error.error.message}"
    first = result.content[0].text if result.content else ""
    return f"error: {first}" if result.is_error else first


async def works_again(gateway, within: float = 15) -> None:
    deadline = time.monotonic() + within
    while (said := await outcome(gateway, "echo", "hi")) != "echo hi":
        assert time.monotonic() < deadline, said
        await asyncio.sleep(0.05)


@pytest.fixture
def raw(daemon, tmp_path):
    def start(*options: str, configuration: dict = IMPATIENT, load: bool = True):
        pids = tmp_path / "pids"
        one = daemon(configuration, servers={"raw": stdio_entry("--pid", pids, *options)})
        one.pids = lambda: [int(pid) for pid in pids.read_text().split()] if pids.exists() else []
        if load:
            one.has_loaded("raw")
        return one

    return start


async def test_one_that_dies_in_a_call(raw):
    one = raw()
    async with one.mcp() as gateway:
        started = time.monotonic()
        said = await outcome(gateway, "die")
        assert said.startswith("error: ") and time.monotonic() - started < 5
        await works_again(gateway)
    one.logged(r"raw.*(exit|died|ended|closed)")
    assert len(one.pids()) == 2 and not is_alive(one.pids()[0])


async def test_one_that_dies_is_not_asked_twice(raw, tmp_path):
    """Whether the first attempt had an effect is unknown: repeating is the caller's decision."""
    one = raw("--marker", tmp_path / "marker")
    async with one.mcp() as gateway:
        assert (await outcome(gateway, "die_once")).startswith("error: ")
        await works_again(gateway)


@pytest.mark.parametrize("tool", ["garbage", "split", "wrong_id", "twice", "chatter"])
async def test_noise_around_the_answer_is_passed_over(raw, tool):
    one = raw()
    async with one.mcp() as gateway:
        assert await outcome(gateway, tool, "x") == f"{tool} x"
        assert await outcome(gateway, "echo", "hi") == "echo hi"
    assert len(one.pids()) == 1


async def test_an_answer_with_an_error_is_the_callers(raw):
    async with raw().mcp() as gateway:
        assert "the server refuses" in await outcome(gateway, "error")
        assert await outcome(gateway, "echo", "hi") == "echo hi"


async def test_a_line_of_two_mebibytes_arrives(raw):
    async with raw().mcp() as gateway:
        assert len(await outcome(gateway, "huge", "2")) == 2 << 20


async def test_a_line_without_end_is_cut_off(raw):
    """256 MiB without a newline: the child is given up long before the daemon holds all that."""
    one = raw()
    async with one.mcp() as gateway:
        assert (await outcome(gateway, "endless", "256")).startswith("error: ")
        await works_again(gateway, 30)
    status = Path(f"/proc/{one.pid}/status").read_text()
    peak = int(status.split("VmHWM:")[1].split()[0]) // 1024
    assert peak < 200, f"{peak} MiB at the peak"


@pytest.mark.parametrize("tool", ["hang", "no_result", "only_garbage"])
async def test_silence_ends_with_the_calls_time(raw, tool):
    """No answer, an answer without content, a line that is none: each is an error for the caller, in time."""
    one = raw(configuration={"MCP": {"CallTimeoutSec": "2s"}, "Coordinator": {"IntervalSec": "1h"}})
    async with one.mcp() as gateway:
        started = time.monotonic()
        said = await outcome(gateway, tool)
        assert said.startswith("error: "), said
        assert time.monotonic() - started < 8
    assert one.get("/health/live", token=None).status_code == 200


@pytest.mark.parametrize("start, pattern", [
    ("die", r"raw.*(exit|died|ended|closed|status 7)"),
    ("only-garbage", r"raw"),
    ("hang", r"raw"),
])
async def test_one_that_never_begins_keeps_nobody_waiting(daemon, tmp_path, start, pattern):
    pids = tmp_path / "pids"
    one = daemon(merged(IMPATIENT, {"MCP": {"HandshakeTimeoutSec": "2s"}}),
                 servers={"raw": stdio_entry("--at-start", start, "--pid", pids), "good": stdio_entry()})
    one.has_loaded("good", within=10)
    assert one.call("good", "echo", {"text": "x"}).json()["success"]
    one.logged(pattern)
    started = time.monotonic()
    answer = one.call("raw", "echo", {"text": "x"}, timeout=60)
    assert answer.json()["success"] is False
    assert time.monotonic() - started < 10
    one.stop()
    for pid in map(int, pids.read_text().split()):
        assert not is_alive(pid)


async def test_a_greeting_before_the_protocol_is_passed_over(raw):
    async with raw("--at-start", "garbage").mcp() as gateway:
        assert await outcome(gateway, "echo", "hi") == "echo hi"


def test_a_command_that_does_not_exist_is_named(daemon):
    one = daemon(IMPATIENT, servers={"raw": {"command": "/no/such/program", "args": []},
                                     "good": stdio_entry()})
    one.has_loaded("good")
    one.logged(r"/no/such/program")
    eventually(lambda: one.servers()["raw"]["health_status"] in ("disconnected", "circuit_open"))


def test_a_deaf_child_goes_with_the_daemon(raw):
    """It ignores the end of its input and SIGTERM; SIGKILL to its group ends it."""
    one = raw("--deaf")
    pids = one.pids()
    one.stop(30)
    assert pids and not any(is_alive(pid) for pid in pids)


def test_a_removed_server_takes_its_child_along(raw):
    one = raw()
    identifier = one.servers()["raw"]["id"]
    assert one.request("DELETE", f"/api/v1/mcp/servers/{identifier}").status_code == 200
    eventually(lambda: not any(is_alive(pid) for pid in one.pids()), 20)


def test_a_killed_child_is_noticed_and_replaced(raw):
    import os
    import signal

    one = raw()
    os.kill(one.pids()[0], signal.SIGKILL)
    eventually(lambda: len(one.pids()) == 2, 10, "another child")
    one.has_loaded("raw")
    eventually(lambda: one.call("raw", "echo", {"text": "x"}).json()["success"])
    assert not Path(f"/proc/{one.pids()[0]}").exists(), "left as a zombie"


def test_children_see_none_of_our_secrets(daemon, tmp_path):
    """Neither our environment beyond what a program needs, nor our descriptors."""
    report = tmp_path / "report"
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(str(tmp_path / "notify"))
    script = (f"ls -l /proc/self/fd > {report}.tmp; env >> {report}.tmp; mv {report}.tmp {report}; exit 1")
    one = daemon(servers={"spy": {"command": "/bin/sh", "args": ["-c", script], "env": {"WANTED": "yes"}}},
                 environment={"UNRELATED_SECRET": "hidden", "NOTIFY_SOCKET": str(tmp_path / "notify")})
    eventually(report.exists)
    text = report.read_text()
    assert "WANTED=yes" in text and "PATH=" in text
    assert "hidden" not in text and "NOTIFY_SOCKET" not in text and one.token not in text
    inherited = [line for line in text.splitlines() if "->" in line]
    leaked = [line for line in inherited if "io_uring" in line or "memfd" in line or "eventfd" in line]
    assert not leaked, leaked
