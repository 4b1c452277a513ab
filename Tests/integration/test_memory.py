"""What is over is let go of: a daemon that has done the same thing thousands of times is as large as before."""
import concurrent.futures
from collections.abc import Callable
from contextlib import nullcontext

import httpx2
import pytest
from websockets.sync.client import connect

from omni.collector import Collector
from omni.daemon import merged
from omni.processes import memory_bytes
from omni.raw import Conversation
from omni.servers import stdio_entry

from test_mcp_duties import content, wire

pytestmark = pytest.mark.timeout(200)
WARMING, TIMES, ROUNDS, CALLERS = 2000, 2400, 3, 4
# What is kept of one of them: a request's smallest part is larger, the allocator's moods are smaller.
KEPT_MAX = 256
QUIET = {"Coordinator": {"IntervalSec": "1h"}}


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
        before = memory_bytes(one.pid, "RssAnon")
        work(TIMES, 1_000_000 * (len(kept) + 1))
        kept.append((memory_bytes(one.pid, "RssAnon") - before) / TIMES)
    record_property("figures", f"{min(kept):.0f} bytes kept of each")
    assert min(kept) < KEPT_MAX, kept


def echoing(one, server: str = "p", era: str = "modern") -> Callable[[], Callable[[int], None]]:
    """Callers of a server's `echo`."""
    def caller():
        talker = wire(one, era)

        def call(number: int) -> None:
            assert str(number) in content(talker.call(f"{server}__echo", {"text": str(number)}))

        return call

    return caller


def client(one) -> httpx2.Client:
    return httpx2.Client(base_url=one.url, headers=one.headers, trust_env=False, timeout=30)


@pytest.mark.parametrize("era", ["handshake", "modern"])
def test_of_a_call_that_a_server_answered(daemon, puppets, record_property, era):
    one = daemon(QUIET, servers={"p": puppets().entry()})
    one.has_loaded("p")
    keeps_nothing(one, echoing(one, era=era), record_property)


@pytest.mark.parametrize("era", ["handshake", "modern"])
def test_of_a_call_that_failed(daemon, puppets, record_property, era):
    """The server hangs up in the middle of its answer. Another that succeeds keeps the circuit closed."""
    one = daemon(merged(QUIET, {"CircuitBreaker": {"FailureThreshold": "1000"}}), servers={"p": puppets().entry()})
    one.has_loaded("p")

    def caller():
        talker, succeed = wire(one, era), echoing(one, era=era)()

        def call(number: int) -> None:
            assert talker.call("p__cut").error["code"] == -32000
            succeed(number)

        return call

    keeps_nothing(one, caller, record_property)


def test_of_a_call_of_a_tool_that_is_none(daemon, record_property):
    one = daemon(QUIET)

    def caller():
        talker = wire(one, "modern")

        def call(_: int) -> None:
            assert talker.call("nobodys__tool").error["code"] == -32602

        return call

    keeps_nothing(one, caller, record_property)


def test_of_a_call_of_a_child_process(daemon, record_property):
    one = daemon(QUIET, servers={"raw": stdio_entry()})
    one.has_loaded("raw")
    keeps_nothing(one, echoing(one, "raw"), record_property)


def test_of_a_call_that_was_taken_back(daemon, puppets, record_property):
    """The client hangs up before the answer comes, and waits for another: so only so many are there at once."""
    one = daemon(QUIET, servers={"p": puppets().entry()})
    one.has_loaded("p")
    talker = wire(one, "modern")

    def hang_up(number: int) -> None:
        message = talker.message("tools/call", {"name": "p__echo", "arguments": {"text": str(number)}})
        request = httpx2.Request("POST", talker.url, json=message,
                                 headers=talker.headers("tools/call", message["params"]))
        head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
        with Conversation(one.port) as gone:
            gone.send(f"POST /mcp HTTP/1.1\r\n{head}\r\n".encode() + request.content)

    def caller():
        succeed = echoing(one)()

        def call(number: int) -> None:
            hang_up(number)
            succeed(number)

        return call

    keeps_nothing(one, caller, record_property)


@pytest.mark.parametrize("collector_is_there", [True, False])
def test_of_a_call_that_was_traced(daemon, puppets, record_property, collector_is_there):
    """Spans wait for a collector that is away; as many as may are there before it is measured."""
    collector = Collector()
    with collector.running() if collector_is_there else nullcontext():
        one = daemon(merged(QUIET, {"Telemetry": {"OTLPEndpoint": collector.url, "ExportSec": "200ms"}}),
                     servers={"p": puppets().entry()})
        one.has_loaded("p")
        keeps_nothing(one, echoing(one), record_property)


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


@pytest.mark.parametrize("path, status", [
    ("/metrics", 200), ("/health", 200), ("/api/v1/mcp/tools/servers", 200), ("/api/v1/nowhere", 404),
])
def test_of_a_request(daemon, record_property, path, status):
    one = daemon(QUIET)

    def caller():
        http = client(one)

        def ask(_: int) -> None:
            assert http.get(path).status_code == status

        return ask

    keeps_nothing(one, caller, record_property)


def test_of_an_event(daemon, record_property):
    """The log of events is bounded, and full before it is measured."""
    one = daemon(merged(QUIET, {"WebSocket": {"LagMaxEvents": "256", "LagMax": "1M"}}))

    def caller():
        http = client(one)
        return lambda number: http.post(
            "/api/v1/events/publish", json={"type": "numbered", "data": {"n": number}}).raise_for_status()

    keeps_nothing(one, caller, record_property)


def test_of_a_stream_of_events(daemon, record_property):
    one = daemon(QUIET)

    def caller():
        http = client(one)

        def visit(_: int) -> None:
            with http.stream("GET", "/api/v1/events/stream") as stream:
                assert next(stream.iter_lines())

        return visit

    keeps_nothing(one, caller, record_property)


def test_of_a_question(daemon, model, puppets, record_property):
    """The model calls a tool, and answers then."""
    one = daemon(merged(QUIET, model.configuration("anthropic")), servers={"p": puppets().entry()})
    one.has_loaded("p")
    turns = [{"calls": [{"name": "p__echo", "arguments": {"text": "x"}}]}, {"text": ["Well."]}]
    model.script(*turns * (WARMING + ROUNDS * TIMES))

    def caller():
        http = client(one)

        def ask(_: int) -> None:
            answer = http.post("/api/v1/chat/ask", json={"user_id": "u", "message": "How?"}).json()
            assert answer["tool_calls"] == 1, answer

        return ask

    keeps_nothing(one, caller, record_property, count=1)
