"""The event hub as a dashboard meets it: frames, subscriptions, filters and endings."""
import asyncio
import json
import re

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from omni.daemon import IMPATIENT
from omni.raw import RawWebSocket, exchange
from omni.servers import stdio_entry
from omni.waiting import eventually

TIMESTAMP = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z$")
TEXT, BINARY, CLOSE, PING, PONG, CONTINUATION = 1, 2, 8, 9, 10, 0


@pytest.fixture
def one(daemon, counting):
    started = daemon(IMPATIENT, servers={"counting": counting.entry(), "raw": stdio_entry()})
    started.has_loaded("counting", "raw")
    return started


@pytest.fixture
def bare(daemon):
    """A daemon without servers, for what needs none."""
    return daemon()


def keys(event: dict) -> set[str]:
    """The original's keys; `seq`, which resumption needs, is ours and may come with any event."""
    return set(event) - {"seq"}


async def silence(events, kind: str, provoke) -> None:
    """Nothing of that type arrives although it happened: a fence behind the event proves it passed us by."""
    count = len(events.of_type(kind))
    await provoke()
    await events.fence()
    assert len(events.of_type(kind)) == count


@pytest.mark.parametrize("shards", ["1", "2"])
async def test_a_connection_outlives_what_http_allows_idle_ones(daemon, shards):
    """An upgraded connection waits for no next request."""
    one = daemon({"HTTP": {"IdleTimeoutSec": "500ms", "HeaderTimeoutSec": "500ms"}, "WebSocket": {"Shards": shards}})
    async with one.events("/ws?event_types=note") as events:
        await events.first()
        await asyncio.sleep(2)
        one.post("/api/v1/events/publish", {"type": "note", "data": {}})
        assert await events.event("note")


class TestFirst:
    @pytest.mark.parametrize("path", ["/ws", "/ws/mcp-status"])
    async def test_comes_the_status_of_all(self, one, path):
        async with one.events(path) as events:
            first = await events.first()
        assert set(first) >= {"type", "timestamp", "mcps"} and first["type"] == "initial_status"
        assert TIMESTAMP.match(first["timestamp"])
        mcps = {mcp["name"]: mcp for mcp in first["mcps"]}
        assert set(mcps) == {"counting", "raw"}
        for mcp in mcps.values():
            assert set(mcp) == {"name", "health_status", "circuit_state", "last_health_check"}
            assert mcp["health_status"] == "healthy" and mcp["circuit_state"] == "closed"

    async def test_comes_before_what_happens_meanwhile(self, one, counting):
        """Connections made while events fly: each still gets the status first."""
        counting.kill()

        async def first_of_one() -> str:
            async with one.events() as events:
                return (await events.first())["type"]

        kinds = await asyncio.gather(*(first_of_one() for _ in range(30)))
        assert set(kinds) == {"initial_status"}


class TestActions:
    async def test_subscribe_is_confirmed_with_what_was_asked(self, bare):
        async with bare.events() as events:
            await events.send({"action": "subscribe", "event_types": ["mcp_status_change", "anything"],
                               "filters": {"mcp_names": ["counting"]}})
            reply = await events.event("subscribed")
        assert re.match(r"^sub_[0-9a-f]{8}$", reply["subscription_id"])
        assert reply == {"type": "subscribed", "subscription_id": reply["subscription_id"],
                         "event_types": ["mcp_status_change", "anything"], "filters": {"mcp_names": ["counting"]}}

    async def test_filters_may_be_left_out(self, bare):
        async with bare.events() as events:
            await events.send({"action": "subscribe", "event_types": ["mcp_status_change"]})
            assert (await events.event("subscribed"))["filters"] == {}

    async def test_unsubscribe_is_confirmed_even_for_what_never_was(self, bare):
        async with bare.events() as events:
            for identifier in (await events.subscribe("mcp_status_change"), "sub_00000000"):
                await events.send({"action": "unsubscribe", "subscription_id": identifier})
                reply = await events.event("unsubscribed", where=lambda e: e["subscription_id"] == identifier)
                assert reply == {"type": "unsubscribed", "subscription_id": identifier}

    @pytest.mark.parametrize("ping", ['{"action": "ping"}', "ping"])
    async def test_ping_is_answered_with_bare_text(self, bare, ping):
        async with bare.events() as events:
            await events.send(ping)
            await events.text("pong")

    async def test_metadata_describes_the_events(self, bare):
        async with bare.events() as events:
            await events.send({"action": "get_metadata"})
            data = (await events.event("metadata"))["data"]
        described = {event["id"]: event for category in data["categories"] for event in category["events"]}
        assert {"mcp_status_change", "circuit_breaker_state", "mcp_auto_disabled"} <= set(described)
        assert {category["id"] for category in data["categories"]} >= {"mcp", "system"}
        for event in described.values():
            assert {"id", "label", "description", "icon", "severity_levels", "fields"} <= set(event)
            for field in event["fields"]:
                assert {"name", "label", "type"} <= set(field)
                assert field["type"] in ("select", "multiselect", "text", "number")

    @pytest.mark.parametrize("noise", ["hello", "{", "[]", "5", "null", '"ping"', '{"action": 5}', "{}",
                                       '{"action": "dance"}', '{"action": "subscribe"}',
                                       '{"action": "subscribe", "event_types": "x"}',
                                       '{"action": "subscribe", "event_types": [1], "filters": 2}',
                                       '{"action": "unsubscribe"}', "", "[" * 10_000, b"\x00\xff binary"],
                             ids=lambda noise: repr(noise)[:30])
    async def test_noise_is_passed_over(self, bare, noise):
        async with bare.events() as events:
            await events.first()
            await events.send(noise)
            await events.fence()


class TestEvents:
    async def test_status_change_has_the_keys_of_the_original(self, one, counting):
        async with one.events() as events:
            await events.subscribe("mcp_status_change")
            counting.kill()
            event = await events.event("mcp_status_change")
        assert keys(event) == {"type", "timestamp", "data"} and TIMESTAMP.match(event["timestamp"])
        data = event["data"]
        assert {"mcp_name", "old_status", "new_status", "reason", "severity"} <= set(data)
        assert isinstance(data["error_count"], int)

    async def test_recovery_tells_what_was_found(self, one, counting):
        counting.kill()
        eventually(lambda: one.servers()["counting"]["health_status"] != "healthy")
        async with one.events() as events:
            await events.subscribe("mcp_status_change")
            counting.start()
            event = await events.event("mcp_status_change", 20, lambda e: e["data"]["new_status"] == "healthy")
        assert event["data"]["severity"] == "info" and event["data"]["tool_count"] > 5
        assert event["data"]["response_time_ms"] >= 0

    async def test_breaker_event_has_the_keys_of_the_original_and_state(self, one, counting):
        async with one.events() as events:
            await events.subscribe("circuit_breaker_state")
            counting.kill()
            event = await events.event("circuit_breaker_state", 15)
        assert keys(event) == {"type", "timestamp", "data"}
        data = event["data"]
        assert {"mcp_name", "old_state", "new_state", "state", "severity", "message"} <= set(data)
        assert (data["old_state"], data["new_state"], data["state"], data["severity"]) == (
            "closed", "open", "open", "high")
        assert data["failure_count"] >= data["threshold"] == 5

    async def test_health_event_reaches_everybody(self, one, counting):
        async with one.events() as events:
            await events.first()
            counting.kill()
            event = await events.event("health_event", 15, lambda e: e["event_type"] == "circuit_opened")
        assert keys(event) == {"type", "timestamp", "mcp_name", "event_type", "data"}
        assert event["mcp_name"] == "counting" and event["data"]["threshold"] == 5

    async def test_system_metrics_reach_everybody(self, one):
        async with one.events() as events:
            event = await events.event("system_metrics", 10)
        assert keys(event) == {"type", "timestamp", "metrics"}
        assert event["metrics"]["active_mcps"] == 2

    async def test_pings_come_as_configured_and_not_more_often(self, daemon):
        one = daemon({"WebSocket": {"PingSec": "500ms"}})
        async with one.events() as events:
            await events.until(lambda: len(events.of_type("ping")) >= 3, 5)
            pings = events.of_type("ping")
        assert all(keys(ping) == {"type", "timestamp"} and TIMESTAMP.match(ping["timestamp"]) for ping in pings)
        seconds = [float(ping["timestamp"][17:-1]) for ping in pings]
        assert all(((later - earlier) % 60) > 0.3 for earlier, later in zip(seconds, seconds[1:]))

    async def test_without_a_subscription_there_is_none(self, one, counting):
        async with one.events() as events, one.events() as witness:
            await witness.subscribe("mcp_status_change")

            async def provoke():
                counting.kill()
                await witness.event("mcp_status_change")

            await events.first()
            await silence(events, "mcp_status_change", provoke)

    async def test_after_unsubscribing_there_are_no_more(self, one, counting):
        async with one.events() as events, one.events() as witness:
            await witness.subscribe("mcp_status_change")
            identifier = await events.subscribe("mcp_status_change")
            await events.send({"action": "unsubscribe", "subscription_id": identifier})
            await events.event("unsubscribed")

            async def provoke():
                counting.kill()
                await witness.event("mcp_status_change")

            await silence(events, "mcp_status_change", provoke)

    async def test_several_matching_subscriptions_deliver_once(self, one, counting):
        async with one.events() as events:
            for _ in range(3):
                await events.subscribe("mcp_status_change", "circuit_breaker_state")
            counting.kill()
            await events.event("mcp_status_change")
            await events.fence()
            seen = [json.dumps(event, sort_keys=True) for event in events.of_type("mcp_status_change")]
            assert len(seen) == len(set(seen))

    @pytest.mark.parametrize("filters, passes", [
        ({"mcp_names": ["counting"]}, True),
        ({"mcp_names": ["COUNTING"]}, True),
        ({"mcp_names": ["other", "counting"]}, True),
        ({"mcp_names": ["raw"]}, False),
        ({"severity": ["high"]}, True),
        ({"severity": ["info"]}, False),
        ({"old_status": "healthy"}, True),
        ({"new_status": "active"}, False),
        ({"state": ["OPEN"]}, True),
        ({"mcp_names": [], "severity": []}, True),
        ({"mcp_names": ["counting"], "severity": ["info"]}, False),
    ], ids=json.dumps)
    async def test_filters_choose(self, one, counting, filters, passes):
        """The event: counting goes from healthy to disconnected, severity high, and has no state."""
        async with one.events() as events, one.events() as witness:
            await events.subscribe("mcp_status_change", **filters)
            await witness.subscribe("mcp_status_change")

            async def provoke():
                counting.kill()
                await witness.event("mcp_status_change", where=lambda e: e["data"]["old_status"] == "healthy")

            if passes:
                await provoke()
                event = await events.event("mcp_status_change")
                assert event["data"]["mcp_name"] == "counting"
            else:
                await silence(events, "mcp_status_change", provoke)

    async def test_every_reader_gets_every_event_in_the_same_order(self, one, counting):
        async with asyncio.TaskGroup() as group:
            ready = asyncio.Barrier(11)

            async def read() -> list[str]:
                async with one.events() as events:
                    await events.subscribe("mcp_status_change", "circuit_breaker_state")
                    await ready.wait()
                    await events.event("health_event", 20, lambda e: e["event_type"] == "circuit_opened")
                    await events.event("circuit_breaker_state", 20)
                    # What belongs to this moment may arrive in several frames.
                    await events.fence()
                    last = next(i for i, e in enumerate(events.seen) if isinstance(e, dict)
                                and e.get("type") == "circuit_breaker_state")
                    first = next(i for i, e in enumerate(events.seen) if isinstance(e, dict)
                                 and e.get("type") == "mcp_status_change")
                    return [json.dumps(e) for e in events.seen[first:last + 1] if isinstance(e, dict)
                            and e.get("type") in ("mcp_status_change", "circuit_breaker_state")]

            readers = [group.create_task(read()) for _ in range(10)]
            await ready.wait()
            counting.kill()
        lists = [reader.result() for reader in readers]
        assert lists[0] and all(one_list == lists[0] for one_list in lists)


class TestAccess:
    @pytest.mark.parametrize("token", [None, "wrong"])
    async def test_without_the_token_nobody_listens(self, bare, token):
        """Refused with 401, or accepted and closed with 1008 before anything is told."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        try:
            async with connect(f"ws://127.0.0.1:{bare.port}/ws", additional_headers=headers, proxy=None) as socket:
                await asyncio.wait_for(socket.wait_closed(), 5)
                assert socket.close_code == 1008
        except InvalidStatus as refusal:
            assert refusal.response.status_code == 401

    async def test_another_origin_is_refused(self, bare):
        with pytest.raises(InvalidStatus) as refusal:
            async with connect(f"ws://127.0.0.1:{bare.port}/ws", additional_headers=bare.headers, proxy=None,
                               origin="http://evil.example"):
                pass
        assert refusal.value.response.status_code == 403

    @pytest.mark.parametrize("changed, status", [
        ({"Sec-WebSocket-Version": "12"}, 426), ({"Sec-WebSocket-Version": None}, 426),
        ({"Sec-WebSocket-Key": None}, 400), ({"Sec-WebSocket-Key": "short"}, 400),
        ({"Upgrade": "h2c"}, 400), ({"Connection": "keep-alive"}, 400)], ids=str)
    def test_a_handshake_that_is_none_is_refused(self, bare, changed, status):
        headers = {"Host": f"127.0.0.1:{bare.port}", "Upgrade": "websocket", "Connection": "Upgrade",
                   "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version": "13",
                   **bare.headers, **changed}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items() if value is not None)
        answer = exchange(bare.port, f"GET /ws HTTP/1.1\r\n{lines}\r\n".encode())
        assert answer.status in (status, 400, 426)
        if "Sec-WebSocket-Version" in changed and answer.status == 426:
            assert answer.headers["sec-websocket-version"] == "13"

    def test_the_accept_key_is_right(self, bare):
        answer = exchange(bare.port, (
            f"GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{bare.port}\r\nUpgrade: WebSocket\r\n"
            "Connection: keep-alive, Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            f"Sec-WebSocket-Version: 13\r\nAuthorization: Bearer {bare.token}\r\n\r\n").encode())
        assert answer.status == 101 and answer.headers["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


class TestFrames:
    """RFC 6455 as seen on the wire."""

    @pytest.fixture
    def socket(self, bare):
        with RawWebSocket(bare.port, bare.token) as raw:
            opcode, payload = raw.receive()
            assert opcode == TEXT and json.loads(payload)["type"] == "initial_status"
            yield raw

    def pong_text(self, socket) -> None:
        """Reads on, past events, until the answer to an application ping."""
        while (frame := socket.receive()) is not None:
            if frame == (TEXT, b"pong"):
                return
        raise AssertionError("closed before pong")

    def test_fragments_make_one_message(self, socket):
        socket.send(socket.frame(TEXT, b"pi", fin=False) + socket.frame(CONTINUATION, b"", fin=False)
                    + socket.frame(CONTINUATION, b"ng"))
        self.pong_text(socket)

    def test_control_frames_fit_between_fragments(self, socket):
        socket.send(socket.frame(TEXT, b"pi", fin=False) + socket.frame(PING, b"between")
                    + socket.frame(CONTINUATION, b"ng"))
        frames = []
        while (TEXT, b"pong") not in frames:
            frames.append(socket.receive())
        assert (PONG, b"between") in frames

    @pytest.mark.parametrize("size", [0, 1, 124, 125])
    def test_ping_is_answered_with_its_payload(self, socket, size):
        payload = bytes(range(size))
        socket.send(socket.frame(PING, payload))
        while (frame := socket.receive())[0] != PONG:
            pass
        assert frame[1] == payload

    @pytest.mark.parametrize("size", [125, 126, 127, 65535, 65536])
    def test_every_length_form_is_read(self, socket, size):
        socket.send(socket.frame(TEXT, b'{"x": "' + b"a" * (size - 9) + b'"}') + socket.frame(TEXT, b"ping"))
        self.pong_text(socket)

    def test_byte_by_byte_is_as_good(self, socket):
        socket.send(socket.frame(TEXT, b'{"action": "ping"}'), piece=1)
        self.pong_text(socket)

    def test_many_frames_in_one_packet_are_all_answered(self, socket):
        socket.send(socket.frame(TEXT, b"ping") * 100)
        for _ in range(100):
            self.pong_text(socket)

    @pytest.mark.parametrize("broken, code", [
        (lambda s: s.frame(TEXT, b"ping", masked=False), 1002),
        (lambda s: s.frame(TEXT, b"ping", reserved=4), 1002),
        (lambda s: s.frame(TEXT, b"ping", reserved=1), 1002),
        (lambda s: s.frame(3, b"x"), 1002),
        (lambda s: s.frame(11, b"x"), 1002),
        (lambda s: s.frame(PING, b"x" * 126), 1002),
        (lambda s: s.frame(PING, b"x", fin=False), 1002),
        (lambda s: s.frame(CONTINUATION, b"x"), 1002),
        (lambda s: s.frame(TEXT, b"x", fin=False) + s.frame(TEXT, b"x"), 1002),
        (lambda s: s.frame(CLOSE, b"\x03"), 1002),
        (lambda s: s.frame(CLOSE, b"\x03\xed"), 1002),
        (lambda s: s.frame(CLOSE, b"\x00\x00"), 1002),
        (lambda s: s.frame(CLOSE, b"\x03\xe8\xff\xfe"), (1002, 1007)),
        (lambda s: s.frame(TEXT, b"\xff\xfe"), 1007),
        (lambda s: s.frame(TEXT, b"\xc3", fin=False) + s.frame(CONTINUATION, b"("), 1007),
        (lambda s: s.frame(TEXT, b"", length=1 << 40), 1009),
        (lambda s: s.frame(TEXT, b"", length=1 << 63), (1002, 1009)),
    ], ids=["unmasked", "rsv1", "rsv3", "opcode 3", "opcode 11", "long ping", "fragmented ping",
            "continuation of nothing", "new message inside another", "close of one byte", "close 1005",
            "close 0", "close reason not UTF-8", "not UTF-8", "not UTF-8 across fragments", "a tebibyte",
            "length with the top bit"])
    def test_broken_frames_end_the_connection_with_their_code(self, socket, broken, code):
        socket.send(broken(socket))
        assert socket.close_code() in (code if isinstance(code, tuple) else (code,))

    @pytest.mark.parametrize("payload, code", [(b"", 1005), (b"\x03\xe8", 1000), (b"\x03\xe9bye", 1001),
                                               (b"\x0f\xa0", 4000)])
    def test_a_close_is_answered_in_kind(self, socket, payload, code):
        socket.send(socket.frame(CLOSE, payload))
        assert socket.close_code() in (code, 1000 if code == 1005 else code)
        assert socket.is_closed()

    def test_a_message_beyond_the_limit_is_1009(self, socket):
        fragment = socket.frame(CONTINUATION, b"a" * 65_536, fin=False)
        socket.send(socket.frame(TEXT, b"a", fin=False))
        for _ in range(1_000):  # 64 MiB, if nobody stops us
            try:
                socket.socket.sendall(fragment)
            except OSError:
                break
        assert socket.close_code() in (1009, None)

    def test_a_peer_that_vanishes_is_forgotten(self, bare):
        for _ in range(30):
            with RawWebSocket(bare.port, bare.token) as raw:
                raw.send(raw.frame(TEXT, b'{"action": "subscribe", "event_types": ["ping"]}')[:7])
        assert bare.get("/health/live", token=None).status_code == 200


class TestEnd:
    async def test_stopping_closes_with_going_away(self, one):
        async with one.events() as first, one.events() as second:
            await first.first()
            await second.first()
            stopping = asyncio.create_task(asyncio.to_thread(one.stop))
            assert await first.closed(20) == 1001 and await second.closed(20) == 1001
            await stopping

    async def test_a_reader_that_does_not_answer_does_not_delay_the_stop(self, one):
        import time

        with RawWebSocket(one.port, one.token):
            started = time.monotonic()
            await asyncio.to_thread(one.stop)
            assert time.monotonic() - started < 15


async def test_a_limit_of_connections_is_said_clearly(daemon):
    one = daemon({"WebSocket": {"MaxConnections": "3"}})
    sockets = []
    try:
        for _ in range(3):
            sockets.append(await connect(f"ws://127.0.0.1:{one.port}/ws", additional_headers=one.headers, proxy=None))
        with pytest.raises(InvalidStatus) as refusal:
            await connect(f"ws://127.0.0.1:{one.port}/ws", additional_headers=one.headers, proxy=None)
        assert refusal.value.response.status_code in (429, 503)
        await sockets.pop().close()

        async def gets_in() -> bool:
            try:
                sockets.append(await connect(f"ws://127.0.0.1:{one.port}/ws", additional_headers=one.headers,
                                             proxy=None))
                return True
            except InvalidStatus:
                return False

        from omni.waiting import eventually_async
        await eventually_async(gets_in, 5)
    finally:
        for socket in sockets:
            await socket.close()


async def test_a_peer_that_stays_silent_is_closed(daemon):
    """Frames are read but no protocol ping is ever answered."""
    one = daemon({"WebSocket": {"PingSec": "300ms", "StaleSec": "1s"}})
    with RawWebSocket(one.port, one.token) as raw:
        raw.socket.settimeout(20)
        assert raw.close_code() in (1001, 1008, 1011, 1013, None)
