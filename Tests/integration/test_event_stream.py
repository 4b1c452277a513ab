"""Going on where one stopped: server-sent events and the resumption of WebSockets, over the same log."""
import asyncio
import json
from contextlib import contextmanager

import pytest

from omni.daemon import Daemon
from omni.fanout import Publisher, resident_bytes
from omni.raw import Conversation, exchange
from omni.waiting import eventually

QUIET = {"WebSocket": {"PingSec": "1h", "StaleSec": "2h"}}
SHORT = {"WebSocket": {**QUIET["WebSocket"], "LagMaxEvents": "64", "LagMax": "64K"}}
BEYOND = ["18446744073709551615", "18446744073709551616", "9" * 40, "-1", "abc", "1.5", "0x10", ""]


class Stream:
    """A server-sent event stream as bare HTTP: ids and data in the order they came."""

    def __init__(self, one: Daemon, types: str = "note", query: str = "", **headers: str):
        self.conversation = Conversation(one.port)
        lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        self.conversation.send(
            f"GET /api/v1/events/stream?event_types={types}{query} HTTP/1.1\r\nHost: 127.0.0.1:{one.port}\r\n"
            f"Accept: text/event-stream\r\nAuthorization: Bearer {one.token}\r\n{lines}\r\n".encode())
        self.headers: dict[str, str] = {}
        status = self.conversation.stream.readline()
        assert b" 200 " in status, status
        while (line := self.conversation.stream.readline().strip()) != b"":
            name, _, value = line.decode().partition(":")
            self.headers[name.lower()] = value.strip()
        assert self.headers["transfer-encoding"] == "chunked"
        self.text = b""

    def next(self) -> tuple[int, dict]:
        while b"\n\n" not in self.text:
            size = int(self.conversation.stream.readline(), 16)
            assert size > 0, "the stream ended"
            self.text += self.conversation.read(size)
            assert self.conversation.read(2) == b"\r\n"
        event, _, self.text = self.text.partition(b"\n\n")
        fields = dict(line.split(": ", 1) for line in event.decode().splitlines())
        return int(fields["id"]), json.loads(fields["data"])

    def close(self) -> None:
        self.conversation.__exit__()


@contextmanager
def stream(one: Daemon, *words, **headers):
    opened = Stream(one, *words, **headers)
    try:
        yield opened
    finally:
        opened.close()


def publish(one: Daemon, count: int, kind: str = "note", padding: int = 0) -> list[int]:
    """Publishes events and returns their sequence numbers."""
    return [one.post("/api/v1/events/publish",
                     {"type": kind, "data": {"n": number, "pad": "x" * padding}}).json()["seq"]
            for number in range(count)]


def streams(one: Daemon) -> int:
    return one.get("/api/v1/events/websocket/debug").json()["event_streams"]


class TestStream:
    def test_it_is_an_event_stream_nobody_keeps(self, daemon):
        with stream(daemon(QUIET)) as opened:
            assert opened.headers["content-type"].startswith("text/event-stream")
            assert opened.headers["cache-control"] == "no-store"

    def test_it_begins_with_the_status_and_goes_on_with_events(self, daemon):
        one = daemon(QUIET)
        with stream(one) as opened:
            number, status = opened.next()
            assert status["type"] == "initial_status" and "resync" not in status and status["seq"] == number
            numbers = publish(one, 5)
            seen = [opened.next() for _ in numbers]
        assert [number for number, _ in seen] == numbers
        assert [event["seq"] for _, event in seen] == numbers
        assert [event["data"]["n"] for _, event in seen] == list(range(5))

    def test_it_carries_only_the_types_asked_for(self, daemon):
        one = daemon(QUIET)
        with stream(one, "note,other") as opened:
            opened.next()
            publish(one, 1, "something")
            publish(one, 1, "other")
            publish(one, 1)
            assert [opened.next()[1]["type"] for _ in range(2)] == ["other", "note"]

    @pytest.mark.parametrize("how", ["header", "query"])
    def test_who_comes_back_gets_exactly_what_it_missed(self, daemon, how):
        one = daemon(QUIET)
        with stream(one) as opened:
            opened.next()
            publish(one, 3)
            seen = [opened.next() for _ in range(3)]
        missed = publish(one, 4)
        last = seen[-1][0]
        with (stream(one, Last_Event_ID=str(last)) if how == "header"
              else stream(one, "note", f"&since={last}")) as again:
            seen = [again.next() for _ in missed]
            assert [number for number, _ in seen] == missed
            assert [event["type"] for _, event in seen] == ["note"] * 4
            more = publish(one, 1)
            assert again.next()[0] == more[0]

    def test_a_header_counts_more_than_the_query(self, daemon):
        """A browser repeats the address it was given and adds where it is."""
        one = daemon(QUIET)
        numbers = publish(one, 4)
        with stream(one, "note", f"&since={numbers[0]}", Last_Event_ID=str(numbers[2])) as opened:
            assert opened.next()[0] == numbers[3]

    def test_zero_is_from_the_beginning(self, daemon):
        one = daemon(QUIET)
        numbers = publish(one, 3)
        with stream(one, Last_Event_ID="0") as opened:
            assert [opened.next()[0] for _ in numbers] == numbers

    def test_what_the_log_has_lost_is_a_marked_snapshot(self, daemon):
        one = daemon(SHORT)
        first = publish(one, 1)[0]
        with Publisher(one) as publisher:
            publisher.publish(100)
            publisher.drain()
        with stream(one, Last_Event_ID=str(first)) as opened:
            number, status = opened.next()
            assert status["type"] == "initial_status" and status["resync"] is True and status["seq"] == number
            more = publish(one, 2)
            assert [opened.next()[0] for _ in more] == more

    @pytest.mark.parametrize("place", BEYOND, ids=lambda place: place[:12] or "empty")
    def test_a_place_that_is_none_is_a_marked_snapshot(self, daemon, place):
        one = daemon(QUIET)
        publish(one, 2)
        with stream(one, Last_Event_ID=place) as opened:
            number, status = opened.next()
            assert status["type"] == "initial_status" and status.get("resync", False) is (place != "")
            more = publish(one, 1)
            assert opened.next()[0] == more[0]

    def test_a_reader_that_falls_behind_gets_a_marked_snapshot_and_no_memory(self, daemon):
        one = daemon(SHORT)
        with Publisher(one, "note", 8_000) as publisher, stream(one) as opened:
            opened.next()
            # What the daemon takes once, such as each of its receive buffers, it has now.
            for _ in range(1200):
                publisher.publish()
                publisher.drain()
            before = resident_bytes(one.pid)
            for _ in range(1000):
                publisher.publish()
                publisher.drain()
            assert resident_bytes(one.pid) - before < 1 << 20
            final = publish(one, 1)[-1]
            last, gaps = 0, 0
            while True:
                number, event = opened.next()
                if number == final and event["type"] == "note":
                    break
                if event["type"] == "initial_status":
                    assert event["resync"] is True
                    last, gaps = 0, gaps + 1
                    if number == final:
                        break
                    continue
                assert last in (0, event["data"]["n"] - 1)
                last = event["data"]["n"]
            assert gaps >= 1

    def test_a_stream_that_is_left_is_forgotten(self, daemon):
        one = daemon(QUIET)
        with stream(one) as opened:
            opened.next()
            assert streams(one) == 1
        eventually(lambda: streams(one) == 0, 5, "the stream is gone")

    @pytest.mark.parametrize("token", [None, "wrong"])
    def test_without_a_credential_it_is_401(self, daemon, token):
        assert daemon(QUIET).get("/api/v1/events/stream", token=token).status_code == 401

    def test_beyond_the_limit_it_is_503_and_says_when_to_come_again(self, daemon):
        one = daemon({**QUIET, "HTTP": {"MaxConnections": "1200"}})
        head = (f"GET /api/v1/events/stream HTTP/1.1\r\nHost: 127.0.0.1:{one.port}\r\n"
                f"Authorization: Bearer {one.token}\r\n\r\n").encode()
        taken = [Stream(one) for _ in range(1000)]
        try:
            answer = exchange(one.port, head)
            assert answer.status == 503 and int(answer.headers["retry-after"]) >= 1
            assert "event streams" in json.loads(answer.body)["message"]
            taken.pop().close()
            eventually(lambda: streams(one) == 999, 5)
            taken.append(Stream(one))
        finally:
            for opened in taken:
                opened.close()


class TestWebSocketResumption:
    async def test_who_comes_back_gets_exactly_what_it_missed(self, daemon):
        one = daemon(QUIET)
        numbers = publish(one, 3)
        async with one.events(f"/ws?event_types=note&since={numbers[0]}") as events:
            assert (await events.event("resumed"))["since"] == numbers[0]
            more = publish(one, 2)
            await events.until(lambda: len(events.of_type("note")) == 4)
            assert [event["seq"] for event in events.of_type("note")] == numbers[1:] + more
            assert not events.of_type("initial_status")

    async def test_the_action_does_the_same_after_subscribing(self, daemon):
        one = daemon(QUIET)
        numbers = publish(one, 3)
        async with one.events() as events:
            await events.subscribe("note")
            await events.send({"action": "resume", "since": numbers[0]})
            await events.event("resumed")
            await events.until(lambda: len(events.of_type("note")) == 2)
            assert [event["seq"] for event in events.of_type("note")] == numbers[1:]

    async def test_what_the_log_has_lost_is_a_marked_snapshot(self, daemon):
        one = daemon(SHORT)
        first = publish(one, 1)[0]
        with Publisher(one) as publisher:
            publisher.publish(100)
            publisher.drain()
        async with one.events(f"/ws?event_types=note&since={first}") as events:
            status = await events.event("initial_status")
            assert status["resync"] is True
            more = publish(one, 1)
            assert (await events.event("note"))["seq"] == more[0] == status["seq"] + 1

    @pytest.mark.parametrize("place", BEYOND, ids=lambda place: place[:12] or "empty")
    async def test_a_place_that_is_none_is_a_marked_snapshot(self, daemon, place):
        one = daemon(QUIET)
        publish(one, 2)
        async with one.events(f"/ws?event_types=note&since={place}") as events:
            status = await events.event("initial_status")
            assert status.get("resync", False) is (place != "")
            await events.fence()
            assert not events.of_type("note") and not events.of_type("resumed")

    @pytest.mark.parametrize("since", ["1", None, -1, 1.5, 2**63 - 1, 10**30, [1], {}, True],
                             ids=lambda since: repr(since)[:12])
    async def test_an_action_with_a_place_that_is_none_is_a_marked_snapshot(self, daemon, since):
        one = daemon(QUIET)
        publish(one, 2)
        async with one.events() as events:
            await events.subscribe("note")
            await events.send({"action": "resume", "since": since})
            await events.event("initial_status", where=lambda event: event.get("resync") is True)
            await events.fence()
            assert not events.of_type("note") and not events.of_type("resumed")

    async def test_the_place_of_now_brings_only_what_comes(self, daemon):
        one = daemon(QUIET)
        numbers = publish(one, 3)
        async with one.events(f"/ws?event_types=note&since={numbers[-1]}") as events:
            await events.event("resumed")
            await events.fence()
            assert not events.of_type("note")
            more = publish(one, 1)
            assert (await events.event("note"))["seq"] == more[0]

    async def test_a_thousand_missed_events_come_in_order(self, daemon):
        one = daemon(QUIET)
        with Publisher(one, "note", 300) as publisher:
            publisher.publish(1000)
            publisher.drain()
        async with one.events("/ws?event_types=note&since=0") as events:
            await events.until(lambda: len(events.of_type("note")) == 1000, 20)
            assert [event["data"]["n"] for event in events.of_type("note")] == list(range(1, 1001))

    async def test_after_a_restart_a_former_place_is_a_marked_snapshot(self, daemon):
        """Numbers begin anew: whoever is ahead of them has lost its place, and is told."""
        one = daemon(QUIET)
        last = publish(one, 5)[-1]
        await asyncio.to_thread(one.restart)
        async with one.events(f"/ws?event_types=note&since={last}") as events:
            assert (await events.event("initial_status"))["resync"] is True
