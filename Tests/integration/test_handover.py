"""Connections, sessions and events outlive the daemon where systemd keeps them; the tests play systemd."""
import asyncio
import json
import os
import socket
import struct
import threading
import zlib
from contextlib import AsyncExitStack

import anyio
import httpx2
import pytest

from omni.descriptors import DescriptorStore
from omni.raw import Conversation, RawWebSocket
from omni.waiting import eventually

TYPE = "handover_test"


@pytest.fixture
def store(tmp_path):
    store = DescriptorStore(tmp_path)
    yield store
    store.close()


@pytest.fixture
def kept(daemon, store):
    """A daemon behind a listening socket that outlives it, with a descriptor store."""

    def start(configuration: dict | None = None, **more):
        one = daemon(configuration, environment={"NOTIFY_SOCKET": str(store.path)}, begin=False, **more)
        listener = socket.create_server(("127.0.0.1", one.port), backlog=512)
        store.put("http", listener.detach())
        return again(one, store)

    return start


def again(one, store):
    """The next start, with everything that is stored."""
    return one.start(starter=store.starter())


def restart(one, store) -> None:
    one.stop()
    again(one, store)


def names(store) -> set[str]:
    """What is stored beyond what always is."""
    store.receive()
    return set(store.stored) - {"http", "event-log", "cache-shared", "cache-personal"}


def publish(one, number: int, **data) -> int:
    answer = one.post("/api/v1/events/publish", json={"type": TYPE, "data": {"n": number, **data}})
    assert answer.status_code == 200, answer.text
    return answer.json()["seq"]


def numbers(events) -> list[int]:
    return [event["data"]["n"] for event in events.of_type(TYPE)]


# Clients that stay

@pytest.mark.anyio
async def test_ten_restarts_lose_nothing(kept, store):
    """Events in order and complete on every connection, no request fails, nobody is disconnected."""
    one = kept()
    failures, published = [], 0
    stopping = asyncio.Event()

    async def publishing(client) -> None:
        nonlocal published
        while not stopping.is_set():
            answer = await client.post("/api/v1/events/publish",
                                       json={"type": TYPE, "data": {"n": published, "text": "x" * 300}})
            if answer.status_code != 200:
                failures.append(answer.text)
            published += 1
            await asyncio.sleep(0.01)

    async def asking(keeps_alive: bool) -> None:
        limits = httpx2.Limits(max_keepalive_connections=4 if keeps_alive else 0)
        async with httpx2.AsyncClient(base_url=one.url, headers=one.headers, timeout=30, trust_env=False,
                                      limits=limits) as client:
            while not stopping.is_set():
                try:
                    answer = await client.get("/api/v1/events/metadata")
                    if answer.status_code != 200:
                        failures.append(answer.text)
                except httpx2.HTTPError as error:
                    failures.append(repr(error))
                await asyncio.sleep(0.02)

    async with anyio.create_task_group() as group, AsyncExitStack() as stack:
        clients = []
        for number in range(40):
            # Every other one compressed.
            clients.append(await stack.enter_async_context(
                one.events(compression="deflate" if number % 2 else None)))
        for client in clients:
            await client.subscribe(TYPE)
        http = await stack.enter_async_context(
            httpx2.AsyncClient(base_url=one.url, headers=one.headers, timeout=30, trust_env=False))
        group.start_soon(publishing, http)
        group.start_soon(asking, True)
        group.start_soon(asking, False)
        for _ in range(10):
            await asyncio.sleep(0.1)
            await asyncio.to_thread(restart, one, store)
        stopping.set()
        await asyncio.sleep(0.1)
        for client in clients:
            await client.until(lambda client=client: len(numbers(client)) >= published, 20, f"{published} events")
        assert failures == []
        assert all(numbers(client) == list(range(published)) for client in clients)
        assert not any(client.is_closed for client in clients)
        assert published > 50
        assert not any(event.get("resync") for client in clients for event in client.of_type("initial_status"))
        assert names(store) == set(), "what was used is removed"
    one.logged("taken over from the predecessor.*connections=4[0-9]")


@pytest.mark.anyio
async def test_subscriptions_and_their_ids_stay(kept, store):
    one = kept()
    async with one.events() as client:
        kept_id = await client.subscribe(TYPE, severity=["high"])
        dropped = await client.subscribe("other")
        await asyncio.to_thread(restart, one, store)
        publish(one, 1, severity="low")
        publish(one, 2, severity="high")
        await client.event(TYPE, where=lambda event: event["data"]["n"] == 2)
        assert numbers(client) == [2]
        await client.send({"action": "unsubscribe", "subscription_id": dropped})
        assert (await client.event("unsubscribed"))["subscription_id"] == dropped
        await client.send({"action": "unsubscribe", "subscription_id": kept_id})
        await client.until(lambda: len(client.of_type("unsubscribed")) == 2)
        publish(one, 3, severity="high")
        await client.fence()
        assert numbers(client) == [2]


@pytest.mark.anyio
async def test_events_while_nobody_is_there_come_afterwards(kept, store):
    """What clients said meanwhile is answered as well."""
    one = kept()
    async with one.events() as client:
        await client.subscribe(TYPE)
        publish(one, 1)
        await asyncio.to_thread(one.stop)
        await client.send({"action": "ping"})
        await asyncio.to_thread(again, one, store)
        await client.text("pong")
        publish(one, 2)
        await client.until(lambda: numbers(client) == [1, 2])


def test_a_reader_in_the_middle_of_a_frame_gets_the_rest(kept, store):
    """The client reads nothing until the kernel's buffers are full; no byte is lost or doubled."""
    one = kept()
    with socket.socket() as narrow:
        narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        narrow.connect(("127.0.0.1", one.port))
        client = RawWebSocket.__new__(RawWebSocket)
        client.socket, client.stream = narrow, narrow.makefile("rb")
        narrow.settimeout(20)
        client.send((f"GET /ws?event_types={TYPE} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                     "Connection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
                     f"Sec-WebSocket-Version: 13\r\nAuthorization: Bearer {one.token}\r\n\r\n").encode())
        assert client.answer().status == 101
        for number in range(60):
            publish(one, number, text=str(number % 10) * 20_000)
        one.stop()
        store.receive()
        assert any(name.startswith("cut-") for name in store.stored), "it stopped inside of a frame"
        again(one, store)
        restart(one, store)
        publish(one, 60)
        seen = []
        while not seen or seen[-1] != 60:
            opcode, payload = client.receive()
            event = json.loads(payload) if opcode == 1 else {}
            if event.get("type") == TYPE:
                seen.append(event["data"]["n"])
                assert event["data"].get("text", "") in ("", str(seen[-1] % 10) * 20_000)
        assert seen == list(range(61))


@pytest.mark.parametrize("cut", [1, 3, 7, 20])
def test_a_frame_that_came_in_two_halves(kept, store, cut):
    one = kept()
    with RawWebSocket(one.port, one.token) as client:
        client.receive()
        frame = client.frame(1, b'{"action": "get_metadata"}')
        client.send(frame[:cut])
        restart(one, store)
        client.send(frame[cut:])
        assert json.loads(client.receive()[1])["type"] == "metadata"


@pytest.mark.parametrize("compressed", [False, True])
def test_a_message_that_came_in_several_frames(kept, store, compressed):
    """Three restarts inside one message: between its frames, and inside of one."""
    one = kept()
    message = json.dumps({"action": "subscribe", "event_types": [f"type{n}" for n in range(300)]}).encode()
    with RawWebSocket(one.port, one.token) if not compressed else deflating(one) as client:
        client.receive()
        data, reserved = message, 0
        if compressed:
            deflate = zlib.compressobj(wbits=-15)
            data, reserved = (deflate.compress(message) + deflate.flush(zlib.Z_SYNC_FLUSH))[:-4], 4
        third = len(data) // 3
        frames = (client.frame(1, data[:third], fin=False, reserved=reserved)
                  + client.frame(9, b"still there")
                  + client.frame(0, data[third:2 * third], fin=False) + client.frame(0, data[2 * third:]))
        cuts = [0, third + 8, third + 40, 2 * third + 20, len(frames)]
        for start, end in zip(cuts, cuts[1:]):
            client.send(frames[start:end])
            if end < len(frames):
                restart(one, store)
        seen = [client.receive() for _ in range(2)]
        assert seen[0] == (10, b"still there")
        text = zlib.decompressobj(wbits=-15).decompress(seen[1][1]) if compressed else seen[1][1]
        assert json.loads(text)["type"] == "subscribed"


class deflating(RawWebSocket):
    """A raw client that has agreed on compression."""

    def __init__(self, one):
        Conversation.__init__(self, one.port)
        self.send((f"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                   "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
                   "Sec-WebSocket-Extensions: permessage-deflate\r\n"
                   f"Authorization: Bearer {one.token}\r\n\r\n").encode())
        answer = self.answer()
        assert answer.status == 101 and "permessage-deflate" in answer.headers["sec-websocket-extensions"]


# What cannot be gone on with

def spoil(store, change) -> None:
    """Changes the hand-over's bytes as `change` says."""
    store.receive()
    [state] = store.stored["handover"]
    data = bytearray(os.pread(state, 1 << 24, 0))
    changed = change(data)
    data = data if changed is None else changed
    os.truncate(state, len(data))
    os.pwrite(state, bytes(data), 0)


def newer(data: bytearray) -> None:
    data[8:12] = struct.pack("<I", 999)


def flipped(data: bytearray) -> None:
    data[-5] ^= 0x10


def shortened(data: bytearray) -> bytearray:
    return data[:len(data) // 2]


def emptied(data: bytearray) -> bytearray:
    return data[:0]


@pytest.mark.anyio
@pytest.mark.parametrize("change, reason", [
    (newer, "it has version 999"), (flipped, "checksum"), (shortened, "checksum"),
    (emptied, "ends too early")])
async def test_a_hand_over_that_cannot_be_read_tells_clients_to_come_again(kept, store, change, reason):
    one = kept()
    async with one.events() as client, one.events() as other:
        await client.subscribe(TYPE)
        publish(one, 1)
        seen = (await client.event(TYPE))["seq"]
        await asyncio.to_thread(one.stop)
        spoil(store, change)
        await asyncio.to_thread(again, one, store)
        assert await client.closed() == 1012
        assert await other.closed() == 1012
        one.logged(f"hand-over cannot be used.*{reason}")
        assert names(store) == set()
        # The event log is another matter: who comes back misses nothing.
        publish(one, 2)
        async with one.events(f"/ws?event_types={TYPE}&since={seen}") as returned:
            await returned.until(lambda: numbers(returned) == [2])
            assert returned.of_type("resumed")


@pytest.mark.anyio
async def test_a_missing_state_tells_clients_to_come_again(kept, store):
    one = kept()
    async with one.events() as client:
        await client.first()
        await asyncio.to_thread(one.stop)
        store.receive()
        store.drop("handover")
        await asyncio.to_thread(again, one, store)
        assert await client.closed() == 1012


@pytest.mark.anyio
async def test_a_start_that_died_while_taking_over_is_not_repeated(kept, store):
    """The state is marked before it is used: bytes may have left since."""
    one = kept()
    async with one.events() as client:
        await client.first()
        await asyncio.to_thread(one.stop)
        spoil(store, lambda data: bytearray(b"OMNI2OLD") + data[8:])
        await asyncio.to_thread(again, one, store)
        assert await client.closed() == 1012
        one.logged("hand-over cannot be used.*had begun to use it")


@pytest.mark.anyio
async def test_a_missing_descriptor_ends_only_its_own_connection(kept, store):
    one = kept()
    async with one.events() as first, one.events() as second:
        for client in (first, second):
            await client.subscribe(TYPE)
        await asyncio.to_thread(one.stop)
        store.receive()
        lose_one(store, "ws-0")
        await asyncio.to_thread(again, one, store)
        publish(one, 1)
        [alive] = [client for client in (first, second) if await has_event(client)]
        assert numbers(alive) == [1]
    one.logged("some connections could not be taken over.*missing=1")


def lose_one(store, name: str) -> None:
    """Takes the batch out of its parcel and makes another one with the first descriptor missing."""
    [parcel] = store.stored.pop(name)
    with socket.socket(fileno=parcel) as old:
        _, descriptors, _, _ = socket.recv_fds(old, 1, 253)
    mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with mine:
        socket.send_fds(mine, [b"p"], descriptors[1:])
    store.put(name, theirs.detach())
    for descriptor in descriptors:
        os.close(descriptor)


async def has_event(client) -> bool:
    try:
        await client.event(TYPE, within=3)
        return True
    except AssertionError:
        return False


@pytest.mark.anyio
async def test_a_connection_whose_token_is_not_valid_any_more_ends(kept, store):
    one = kept()
    async with one.events() as client:
        await client.subscribe(TYPE)
        session = one.initialize().headers["mcp-session-id"]
        one.rpc("notifications/initialized", identifier=None, session=session)
        await asyncio.to_thread(one.stop)
        one.token_file.write_text("omni2_mcp_another-token-of-the-administrator\n")
        await asyncio.to_thread(again, one, store)
        assert await client.closed() == 1008
        assert client.of_type(TYPE) == []
        assert one.rpc("tools/list", session=session).status_code == 404


# Killed

@pytest.mark.anyio
async def test_clients_resume_by_number_after_a_kill(kept, store):
    one = kept()
    async with one.events() as client:
        await client.subscribe(TYPE)
        for number in range(20):
            publish(one, number)
        await client.until(lambda: len(numbers(client)) == 20)
        middle = client.of_type(TYPE)[9]["seq"]
        one.kill()
        await client.closed()
    again(one, store)
    one.logged("event log continued.*")
    async with one.events(f"/ws?event_types={TYPE}&since={middle}") as returned:
        publish(one, 20)
        await returned.until(lambda: numbers(returned) == list(range(10, 21)))
        assert returned.of_type("resumed")
        sequences = [event["seq"] for event in returned.of_type(TYPE)]
        assert sequences == sorted(set(sequences)), "numbers go on where they were"


def test_many_kills_keep_one_log(kept, store):
    one = kept()
    last = 0
    for number in range(4):
        sequence = publish(one, number)
        assert sequence > last
        last = sequence
        one.kill()
        again(one, store)
    store.receive()
    assert len(store.stored["event-log"]) == 1
    first = Conversation(one.port)
    with first:
        first.send((f"GET /api/v1/events/stream?event_types={TYPE}&since={last - 1} HTTP/1.1\r\nHost: localhost\r\n"
                    f"Authorization: Bearer {one.token}\r\n\r\n").encode())
        text = b""
        while b'"n":3' not in text.replace(b" ", b""):
            text += first.socket.recv(4096)


@pytest.mark.anyio
@pytest.mark.parametrize("damage", ["foreign", "flipped"])
async def test_a_damaged_event_log_begins_anew(kept, store, damage):
    """Numbers of the old log are not taken for those of the new one."""
    one = kept()
    sequence = publish(one, 1)
    one.kill()
    store.receive()
    [log] = store.stored["event-log"]
    if damage == "foreign":
        os.pwrite(log, b"nonsense", 0)
    else:
        data = os.pread(log, os.fstat(log).st_size, 0)
        place = data.rindex(TYPE.encode())
        os.pwrite(log, b"\0", place)
    again(one, store)
    one.logged("event log cannot be continued")
    publish(one, 2)
    async with one.events(f"/ws?event_types={TYPE}&since={sequence}") as client:
        status = await client.event("initial_status")
        assert status["resync"]
        assert numbers(client) == []


@pytest.mark.anyio
async def test_a_log_of_another_size_is_copied(kept, store):
    one = kept()
    async with one.events() as client:
        await client.subscribe(TYPE)
        sequences = [publish(one, number, text="x" * 1000) for number in range(50)]
        await client.until(lambda: len(numbers(client)) == 50)
        one.configuration.setdefault("WebSocket", {})["LagMax"] = "2M"
        await asyncio.to_thread(restart, one, store)
        publish(one, 50)
        await client.until(lambda: numbers(client) == list(range(51)))
        async with one.events(f"/ws?event_types={TYPE}&since={sequences[9]}") as returned:
            await returned.until(lambda: numbers(returned) == list(range(10, 51)))


# HTTP

def ask(one, path: str = "/api/v1/events/metadata") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {one.token}\r\n\r\n".encode()


def test_idle_connections_stay(kept, store):
    one = kept()
    with Conversation(one.port) as used, Conversation(one.port) as fresh:
        used.send(ask(one))
        assert used.answer().status == 200
        for _ in range(3):
            restart(one, store)
            used.send(ask(one))
            assert used.answer().status == 200
        fresh.send(ask(one))
        assert fresh.answer().status == 200


@pytest.mark.parametrize("cut", [1, 20, 60])
def test_a_request_in_two_halves_is_answered(kept, store, cut):
    one = kept()
    with Conversation(one.port) as client:
        request = ask(one)
        client.send(request[:cut])
        eventually(lambda: one.get("/health/live").status_code == 200)
        restart(one, store)
        client.send(request[cut:] + request)
        assert client.answer().status == 200
        assert client.answer().status == 200


def test_requests_sent_while_nobody_is_there_wait(kept, store):
    one = kept()
    with Conversation(one.port) as old, Conversation(one.port) as new:
        old.send(ask(one))
        assert old.answer().status == 200
        one.stop()
        old.send(ask(one))
        new.send(ask(one))
        with Conversation(one.port) as late:
            late.send(ask(one))
            again(one, store)
            assert [client.answer().status for client in (old, new, late)] == [200] * 3


@pytest.mark.anyio
async def test_a_call_under_way_is_finished_and_others_are_served_meanwhile(kept, store, counting):
    one = kept(servers={"counting": counting.entry()})
    one.has_loaded("counting")
    async with anyio.create_task_group() as group:
        answers = []

        async def call() -> None:
            answer = await asyncio.to_thread(one.call, "counting", "slow", {"seconds": 2})
            answers.append(answer.json())

        group.start_soon(call)
        await asyncio.to_thread(eventually, lambda: counting.calls("slow") == 1)
        stop = asyncio.create_task(asyncio.to_thread(one.stop))
        await asyncio.to_thread(one.logged, "stopping")
        answer = await asyncio.to_thread(one.get, "/api/v1/events/metadata", timeout=1)
        assert answer.status_code == 200 and answers == [], "served before the slow call has ended"
        await stop
        await asyncio.to_thread(again, one, store)
    assert answers[0]["success"], answers


def test_tool_calls_do_not_fail_across_restarts(kept, store, counting):
    """Callers wait until the successor has its servers, on connections old and new."""
    one = kept(servers={"counting": counting.entry()})
    one.has_loaded("counting")
    ending, outcomes = threading.Event(), []

    def calling(keeps: bool) -> None:
        with httpx2.Client(base_url=one.url, headers=one.headers, timeout=30, trust_env=False) as client:
            while not ending.is_set():
                call = client.post if keeps else one.post
                answer = call("/api/v1/mcp/tools/call", json={
                    "server": "counting", "tool": "echo", "arguments": {"text": "x"}})
                outcomes.append(answer.status_code == 200 and answer.json()["success"] or answer.text)

    threads = [threading.Thread(target=calling, args=(keeps,)) for keeps in (True, True, False)]
    for thread in threads:
        thread.start()
    for _ in range(4):
        count = len(outcomes)
        restart(one, store)
        eventually(lambda count=count: len(outcomes) > count + 6, 20)
    ending.set()
    for thread in threads:
        thread.join()
    assert set(outcomes) == {True}


def test_a_call_that_takes_too_long_is_told_to_come_again(kept, store, counting):
    one = kept({"Main": {"StopTimeoutSec": "2s"}}, servers={"counting": counting.entry()})
    one.has_loaded("counting")
    with Conversation(one.port, timeout=20) as client:
        body = json.dumps({"server": "counting", "tool": "slow", "arguments": {"seconds": 20}}).encode()
        client.send(b"POST /api/v1/mcp/tools/call HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                    + f"Authorization: Bearer {one.token}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        eventually(lambda: counting.calls("slow") == 1)
        one.stop()
        answer = client.answer()
        assert answer.status == 503 and answer.headers["retry-after"] == "1"
        assert answer.headers["connection"] == "close"
    again(one, store)


# Streams and sessions

def test_event_streams_go_on(kept, store):
    one = kept()
    with Conversation(one.port) as client:
        client.send(ask(one, f"/api/v1/events/stream?event_types={TYPE}"))
        client.socket.settimeout(10)

        def until(number: int) -> bytes:
            nonlocal text
            while f'"n":{number}' not in text.decode().replace(" ", ""):
                piece = client.socket.recv(65536)
                assert piece, text
                text += piece
            return text

        text = b""
        publish(one, 0)
        until(0)
        for number in range(1, 4):
            restart(one, store)
            publish(one, number)
            until(number)
        ids = [int(line[4:]) for line in text.decode().split("\n") if line.startswith("id: ")]
        assert ids == sorted(set(ids)) and text.count(b"HTTP/1.1") == 1
        assert "resync" not in text.decode()


@pytest.mark.anyio
async def test_mcp_sessions_go_on(kept, store, counting):
    """The SDK's client notices nothing: same session, same stream."""
    one = kept(servers={"counting": counting.entry()})
    one.has_loaded("counting")
    async with one.mcp() as client:
        assert "hello" in str(await client.call_tool("counting__echo", {"text": "hello"}))
        for _ in range(3):
            await asyncio.to_thread(restart, one, store)
            assert "again" in str(await client.call_tool("counting__echo", {"text": "again"}))
        tools = [tool.name for tool in (await client.list_tools()).tools]
        assert "counting__echo" in tools


def test_without_a_manager_connections_end_as_before(daemon):
    one = daemon()
    with RawWebSocket(one.port, one.token) as client:
        client.receive()
        one.stop()
        assert client.close_code() == 1001
