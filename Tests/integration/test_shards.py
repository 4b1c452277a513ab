"""Subscribers on several rings: one bus for all of them, whichever thread serves whom."""
import asyncio
import json
import random
import resource
import socket
from contextlib import AsyncExitStack

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from omni.raw import Conversation
from omni.waiting import eventually_async

SHARDS = [1, 2, 4]


def rings(count: int, **more) -> dict:
    return {"WebSocket": {"Shards": str(count)} | {key: str(value) for key, value in more.items()}}


def publish(one, kind: str = "note", **data) -> int:
    answer = one.post("/api/v1/events/publish", json={"type": kind, "data": data})
    assert answer.status_code == 200, answer.text
    return answer.json()["seq"]


def report(one) -> dict:
    return one.get("/api/v1/events/websocket/debug").json()


async def has_rings(one, count: int) -> None:
    async def all_are_there():
        return report(one)["shards"] == count

    await eventually_async(all_are_there, 10, f"{count} rings")


async def crowd(stack: AsyncExitStack, one, count: int, path: str = "/ws") -> list:
    return [await stack.enter_async_context(one.events(path)) for _ in range(count)]


@pytest.mark.parametrize("count", SHARDS)
class TestOneBus:
    async def test_every_subscriber_gets_every_event_in_order(self, daemon, count):
        one = daemon(rings(count))
        await has_rings(one, count)
        async with AsyncExitStack() as stack:
            peers = await crowd(stack, one, 21, "/ws?event_types=note")
            numbers = [publish(one, n=n) for n in range(50)]
            assert numbers == list(range(numbers[0], numbers[0] + 50))
            for peer in peers:
                await peer.until(lambda: len(peer.of_type("note")) == 50)
                assert [event["seq"] for event in peer.of_type("note")] == numbers
                assert [event["data"]["n"] for event in peer.of_type("note")] == list(range(50))
            shown = report(one)
            assert shown["active_connections"] == 21 and shown["shards"] == count
            identifiers = [each["conn_id"] for each in shown["connections"]]
            assert len(set(identifiers)) == 21
            # Nobody sits on one ring alone while others are empty.
            seats = [sum(1 for each in identifiers if each % count == ring) for ring in range(count)]
            assert max(seats) - min(seats) <= 1
            assert shown["subscription_stats"]["total_subscriptions"] == 21

    async def test_an_event_is_there_before_the_answer_to_a_later_question(self, daemon, count):
        one = daemon(rings(count))
        await has_rings(one, count)
        async with AsyncExitStack() as stack:
            peers = await crowd(stack, one, 4, "/ws?event_types=note")
            for _ in range(20):
                number = publish(one)
                for peer in peers:
                    await peer.fence()
                    assert peer.of_type("note")[-1]["seq"] == number

    async def test_subscribers_publish_and_are_told_the_number(self, daemon, count):
        one = daemon(rings(count))
        await has_rings(one, count)
        async with AsyncExitStack() as stack:
            peers = await crowd(stack, one, 8, "/ws?event_types=note")

            async def say(index: int) -> None:
                for turn in range(10):
                    mark = f"{index}.{turn}"
                    await peers[index].send(
                        {"action": "publish", "type": "note", "data": {"by": mark}, "id": mark})
                    reply = await peers[index].event("published", where=lambda each: each["id"] == mark)
                    own = await peers[index].event("note", where=lambda each: each["data"]["by"] == mark)
                    assert own["seq"] == reply["seq"]

            await asyncio.gather(*(say(index) for index in range(8)))
            for peer in peers:
                await peer.until(lambda: len(peer.of_type("note")) == 80)
                numbers = [each["seq"] for each in peer.of_type("note")]
                assert numbers == sorted(set(numbers))
            await peers[3].send({"action": "publish", "type": "NO", "data": {}})
            assert "An event is" in (await peers[3].event("error"))["error"]

    async def test_who_returns_gets_what_it_missed_on_whichever_ring(self, daemon, count):
        one = daemon(rings(count))
        await has_rings(one, count)
        last = [publish(one, n=n) for n in range(20)][-1]
        async with AsyncExitStack() as stack:
            for peer in await crowd(stack, one, 6, f"/ws?event_types=note&since={last - 7}"):
                assert (await peer.first())["type"] == "resumed"
                await peer.until(lambda: len(peer.of_type("note")) == 7)
                assert [each["seq"] for each in peer.of_type("note")] == list(range(last - 6, last + 1))

    async def test_who_was_away_too_long_gets_a_marked_snapshot(self, daemon, count):
        one = daemon(rings(count, LagMaxEvents=64))
        await has_rings(one, count)
        for n in range(100):
            publish(one, n=n)
        async with AsyncExitStack() as stack:
            for peer in await crowd(stack, one, 6, "/ws?event_types=note&since=2"):
                first = await peer.first()
                assert first["type"] == "initial_status" and first["resync"] is True
                number = publish(one)
                event = await peer.event("note")
                assert event["seq"] == first["seq"] + 1 <= number

    async def test_limits_hold_for_all_rings_together(self, daemon, count):
        one = daemon(rings(count, MaxConnections=7))
        await has_rings(one, count)
        async with AsyncExitStack() as stack:
            peers = await crowd(stack, one, 7)
            with pytest.raises(InvalidStatus) as refused:
                async with one.events():
                    pass
            assert refused.value.response.status_code == 503
            for peer in peers[2:5]:
                await peer.socket.close()

            async def has_room():
                return report(one)["active_connections"] == 4

            await eventually_async(has_room, 10, "three have gone")
            await crowd(stack, one, 3)
            with pytest.raises(InvalidStatus):
                async with one.events():
                    pass

    async def test_one_identity_does_not_take_all_rings(self, daemon, count):
        one = daemon(rings(count, MaxPerIdentity=5))
        await has_rings(one, count)
        async with AsyncExitStack() as stack:
            await crowd(stack, one, 5)
            with pytest.raises(InvalidStatus) as refused:
                async with one.events():
                    pass
            assert refused.value.response.status_code == 429

    async def test_what_comes_with_the_upgrade_is_not_lost(self, daemon, count):
        """Frames behind the request in the same segment, and right after it, in any cut."""
        one = daemon(rings(count))
        await has_rings(one, count)
        seed = random.randrange(1 << 32)
        print(f"seed {seed}")
        chance = random.Random(seed)
        text = b'{"action":"ping"}'
        frame = bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text
        head = (f"GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{one.port}\r\nUpgrade: websocket\r\n"
                f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nAuthorization: Bearer {one.token}\r\n"
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n").encode()

        def early() -> None:
            with Conversation(one.port) as raw:
                raw.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                raw.send(head + 5 * frame, piece=chance.choice([None, len(head), len(head) + 9, 61]))
                assert raw.answer().status == 101
                pongs, others = 0, 0
                while pongs < 5:
                    first, second = raw.read(2)
                    count = second if second < 126 else int.from_bytes(raw.read(2), "big")
                    payload = raw.read(count)
                    assert first == 0x81
                    pongs += payload == b"pong"
                    others += payload != b"pong"
                assert others == 1

        for _ in range(20):
            await asyncio.to_thread(early)

    async def test_all_are_told_when_the_daemon_stops(self, daemon, count):
        one = daemon(rings(count))
        await has_rings(one, count)
        async with AsyncExitStack() as stack:
            peers = await crowd(stack, one, 9)
            await asyncio.to_thread(one.stop)
            assert [await peer.closed() for peer in peers] == [1001] * 9


@pytest.mark.parametrize("count", [2, 4])
async def test_nobody_sees_a_gap_while_all_come_and_go(daemon, count):
    """Clients that lose their connection again and again under continuous events."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    one = daemon(rings(count, LagMaxEvents=512))
    await has_rings(one, count)
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    ends = asyncio.Event()
    last = 0
    resumed = resyncs = 0

    async def client() -> None:
        nonlocal resumed, resyncs
        seen, address = None, f"ws://127.0.0.1:{one.port}/ws?event_types=note"
        while True:
            since = "" if seen is None else f"&since={seen}"
            async with connect(address + since, proxy=None, compression=None, close_timeout=1,
                               additional_headers=one.headers) as peer:
                stays = chance.randrange(5, 120)
                async for text in peer:
                    event = json.loads(text)
                    if event["type"] == "initial_status":
                        assert seen is None or event.get("resync"), "a snapshot without a mark"
                        resyncs += seen is not None
                        seen = event["seq"]
                    elif event["type"] == "resumed":
                        assert event["since"] == seen
                        resumed += 1
                    else:
                        # A ping counts as well: everybody gets it.
                        assert event["seq"] == seen + 1, f"{seen} then {event['seq']}"
                        seen = event["seq"]
                    if ends.is_set() and seen >= last:
                        return
                    stays -= not ends.is_set()
                    if stays == 0:
                        peer.transport.abort()
                        break

    async def publisher() -> None:
        nonlocal last
        async with one.events() as bus:
            for n in range(1500):
                await bus.send({"action": "publish", "type": "note", "data": {"n": n}, "id": n})
                if n % 10 == 0:
                    await bus.event("published", where=lambda each: each["id"] == n)
            last = (await bus.event("published", where=lambda each: each["id"] == 1499))["seq"]
        ends.set()
        publish(one)

    await asyncio.wait_for(asyncio.gather(publisher(), *(client() for _ in range(60))), 120)
    assert resumed > 60
    shown = report(one)
    assert shown["resumed"] + shown["resyncs"] >= resumed + resyncs
