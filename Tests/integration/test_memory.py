"""What is over is let go of: a daemon that has done the same thing thousands of times is as large as before."""
import concurrent.futures
import re
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import httpx2
import pytest
from websockets.sync.client import connect

from omni.collector import Collector
from omni.daemon import merged
from omni.raw import Conversation
from omni.servers import Puppet, stdio_entry

from test_mcp_duties import wire

pytestmark = pytest.mark.timeout(200)
WARMING, TIMES, ROUNDS, CALLERS = 2000, 2400, 3, 4
# What is kept of one of them: a request's smallest part is larger, the allocator's moods are smaller.
KEPT_MAX = 256
QUIET = {"Coordinator": {"IntervalSec": "1h"}}


@pytest.fixture
def puppet(tmp_path):
    one = Puppet(tmp_path, "both")
    yield one
    one.kill()


def own_bytes(pid: int) -> int:
    """The memory that belongs to the process alone: neither files nor what it shares."""
    return int(re.search(r"RssAnon:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) << 10


def keeps_nothing(one, make: Callable[[], Callable[[int], object]], record_property, count: int = CALLERS) -> None:
    """`make` makes a caller, of which there are `count`; each does its part of the work, with numbers of its own."""
    callers = [make() for _ in range(count)]

    def work(times: int, first: int) -> None:
        with concurrent.futures.ThreadPoolExecutor(count) as pool:
            for done in [pool.submit(lambda who, start: [callers[who](start + n) for n in range(times // count)],
                                     who, first + who * times) for who in range(count)]:
                done.result()

    work(WARMING, 0)
    kept = []
    # What is kept for ever shows each time; room for more of them at one moment is taken once.
    while len(kept) < ROUNDS and min(kept, default=KEPT_MAX) >= KEPT_MAX:
        before = own_bytes(one.pid)
        work(TIMES, 1_000_000 * (len(kept) + 1))
        kept.append((own_bytes(one.pid) - before) / TIMES)
    record_property("figures", f"{min(kept):.0f} bytes kept of each")
    assert min(kept) < KEPT_MAX, kept


@pytest.mark.parametrize("client", ["handshake", "modern"])
@pytest.mark.parametrize("tool", ["echo", "fail"])
def test_of_a_call_that_a_server_answered(daemon, puppet, record_property, client, tool):
    one = daemon(QUIET, servers={"p": puppet.entry()})
    one.has_loaded("p")

    def caller():
        talker = wire(one, client)
        return lambda number: talker.call(f"p__{tool}", {"text": str(number)})

    keeps_nothing(one, caller, record_property)


def test_of_a_call_of_a_child_process(daemon, record_property):
    one = daemon(QUIET, servers={"raw": stdio_entry()})
    one.has_loaded("raw")

    def caller():
        talker = wire(one, "modern")
        return lambda number: talker.call("raw__echo", {"text": str(number)})

    keeps_nothing(one, caller, record_property)


def test_of_a_call_that_was_taken_back(daemon, puppet, record_property):
    """The client hangs up before the answer comes."""
    one = daemon(QUIET, servers={"p": puppet.entry()})
    one.has_loaded("p")
    talker = wire(one, "modern")

    def hang_up(number: int) -> None:
        message = talker.message("tools/call", {"name": "p__echo", "arguments": {"text": str(number)}})
        request = httpx2.Request("POST", talker.url, json=message,
                                 headers=talker.headers("tools/call", message["params"]))
        head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
        with Conversation(one.port) as gone:
            gone.send(f"POST /mcp HTTP/1.1\r\n{head}\r\n".encode() + request.content)

    keeps_nothing(one, lambda: hang_up, record_property)


@pytest.mark.parametrize("collector_is_there", [True, False])
def test_of_a_call_that_was_traced(daemon, puppet, record_property, collector_is_there):
    """Spans wait for a collector that is away; as many as may are there before it is measured."""
    collector = Collector()
    with collector.running() if collector_is_there else nullcontext():
        one = daemon(merged(QUIET, {"Telemetry": {"OTLPEndpoint": collector.url, "ExportSec": "200ms"}}),
                     servers={"p": puppet.entry()})
        one.has_loaded("p")

        def caller():
            talker = wire(one, "modern")
            return lambda number: talker.call("p__echo", {"text": str(number)})

        keeps_nothing(one, caller, record_property)


def test_of_a_session(daemon, record_property):
    one = daemon(QUIET)

    def caller():
        talker = wire(one, "handshake")

        def session(_: int) -> None:
            talker.http.delete(talker.url, headers=talker.headers()).raise_for_status()
            talker.session = None
            talker.initialize()

        return session

    keeps_nothing(one, caller, record_property)


def test_of_a_dashboards_connection(daemon, record_property):
    one = daemon(QUIET)

    def visit(_: int) -> None:
        with connect(f"ws://{one.address}:{one.port}/ws", additional_headers=one.headers, proxy=None) as socket:
            assert socket.recv(timeout=10)

    keeps_nothing(one, lambda: visit, record_property)


@pytest.mark.parametrize("path", ["/metrics", "/health", "/api/v1/mcp/tools/servers", "/api/v1/nowhere"])
def test_of_a_request(daemon, record_property, path):
    one = daemon(QUIET)

    def caller():
        http = httpx2.Client(base_url=one.url, headers=one.headers, trust_env=False)
        return lambda _: http.get(path)

    keeps_nothing(one, caller, record_property)


def test_of_an_event(daemon, record_property):
    """The log of events is bounded, and full before it is measured."""
    one = daemon(merged(QUIET, {"WebSocket": {"LagMaxEvents": "256", "LagMax": "1M"}}))

    def caller():
        http = httpx2.Client(base_url=one.url, headers=one.headers, trust_env=False)
        return lambda number: http.post(
            "/api/v1/events/publish", json={"type": "numbered", "data": {"n": number}}).raise_for_status()

    keeps_nothing(one, caller, record_property)


def test_of_a_stream_of_events(daemon, record_property):
    one = daemon(QUIET)

    def caller():
        http = httpx2.Client(base_url=one.url, headers=one.headers, trust_env=False)

        def visit(_: int) -> None:
            with http.stream("GET", "/api/v1/events/stream") as stream:
                assert next(stream.iter_lines())

        return visit

    keeps_nothing(one, caller, record_property)


def test_of_a_question(daemon, model, puppet, record_property):
    """The model calls a tool, and answers then."""
    one = daemon(merged(QUIET, model.configuration("anthropic")), servers={"p": puppet.entry()})
    one.has_loaded("p")
    turns = [{"calls": [{"name": "p__echo", "arguments": {"text": "x"}}]}, {"text": ["Well."]}]
    model.script(*turns * (WARMING + ROUNDS * TIMES))

    def caller():
        http = httpx2.Client(base_url=one.url, headers=one.headers, trust_env=False, timeout=30)

        def ask(_: int) -> None:
            answer = http.post("/api/v1/chat/ask", json={"user_id": "u", "message": "How?"}).json()
            assert answer["tool_calls"] == 1, answer

        return ask

    keeps_nothing(one, caller, record_property, count=1)
