"""Events from outside: over HTTP and over a WebSocket, and everything that is refused."""
import asyncio
import json

import httpx2
import pytest

from omni.daemon import Daemon

PATH = "/api/v1/events/publish"


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One daemon for the whole file: it must survive all of it."""
    one = Daemon(tmp_path_factory.mktemp("publish"), {"WebSocket": {"PingSec": "1h", "StaleSec": "2h"}}).start()
    yield one
    one.stop()


@pytest.fixture
def one(shared, request):
    request.node.omni_daemons = [shared]
    pid = shared.pid
    yield shared
    assert shared.is_running and shared.pid == pid


BAD = {
    "no type": {"data": {}},
    "type is a number": {"type": 5, "data": {}},
    "type is nothing": {"type": None, "data": {}},
    "type is empty": {"type": "", "data": {}},
    "type is too long": {"type": "a" * 65, "data": {}},
    "type in capitals": {"type": "Note", "data": {}},
    "type with a space": {"type": "a b", "data": {}},
    "type with a line break": {"type": "a\nb", "data": {}},
    "type beyond ASCII": {"type": "größe", "data": {}},
    "type that is the daemon's own word": {"type": "initial_status", "data": {"resync": True}},
    "data is a list": {"type": "note", "data": []},
    "data is text": {"type": "note", "data": "x"},
    "data is a number": {"type": "note", "data": 1.5},
    "data is nothing": {"type": "note", "data": None},
    "topic is a number": {"type": "note", "data": {}, "topic": 1},
    "topic is a list": {"type": "note", "data": {}, "topic": ["a"]},
    "topic is empty": {"type": "note", "data": {}, "topic": ""},
    "topic is too long": {"type": "note", "data": {}, "topic": "t" * 65},
    "topic with a slash": {"type": "note", "data": {}, "topic": "a/b"},
    "a list": [{"type": "note", "data": {}}],
    "a text": "note",
    "a number": 7,
    "nothing": None,
}


class TestHTTP:
    async def test_an_event_reaches_its_subscribers_as_it_was_given(self, one):
        data = {"text": "Grüße \u2028 \U0001f600 \"\\\u0000", "n": [1, 2.5, -3e10, True, None], "deep": {"a": {"b": {}}}}
        async with one.events() as events:
            await events.subscribe("note", "other")
            answer = one.post(PATH, {"type": "note", "data": data, "topic": "build:42"})
            assert answer.status_code == 200 and answer.json()["success"] is True
            event = await events.event("note")
        assert set(event) == {"type", "timestamp", "seq", "data", "topic"}
        assert event["seq"] == answer.json()["seq"] and event["data"] == data and event["topic"] == "build:42"

    async def test_topic_and_data_may_be_left_out(self, one):
        async with one.events() as events:
            await events.subscribe("bare")
            assert one.post(PATH, {"type": "bare"}).status_code == 200
            assert one.post(PATH, {"type": "bare", "data": {"n": 1}, "topic": None}).status_code == 200
            await events.until(lambda: len(events.of_type("bare")) == 2)
        first, second = events.of_type("bare")
        assert first["data"] == {} and "topic" not in first and second["data"] == {"n": 1} and "topic" not in second

    def test_numbers_rise_by_one(self, one):
        numbers = [one.post(PATH, {"type": "note", "data": {}}).json()["seq"] for _ in range(5)]
        assert numbers == list(range(numbers[0], numbers[0] + 5))

    async def test_who_did_not_subscribe_gets_none(self, one):
        async with one.events() as events:
            await events.subscribe("something_else")
            one.post(PATH, {"type": "note", "data": {}})
            await events.fence()
            assert not events.of_type("note")

    @pytest.mark.parametrize("body", BAD.values(), ids=BAD.keys())
    def test_what_is_no_event_is_400_and_says_the_rule(self, one, body):
        answer = one.request("POST", PATH, content=json.dumps(body), headers={"Content-Type": "application/json"})
        assert answer.status_code == 400
        assert '"type"' in answer.json()["message"]

    @pytest.mark.parametrize("body", [b"", b"{", b'{"type": "note", "data": {}} more', b"\xff\xfe", b'{"type": "note"',
                                      b'{"data":' + b"[" * 5000 + b"]" * 5000 + b"}"],
                             ids=["empty", "brace", "more", "binary", "cut", "deep"])
    def test_what_is_no_json_is_400(self, one, body):
        answer = one.request("POST", PATH, content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 400 and "JSON" in answer.json()["message"]

    @pytest.mark.parametrize("size, status", [(250_000, 200), (300_000, 413), (5_000_000, 413)])
    def test_an_event_has_a_limit(self, one, size, status):
        try:
            answer = one.post(PATH, {"type": "note", "data": {"pad": "x" * size}})
        except httpx2.WriteError:
            assert size > 4_000_000  # refused by its length, before it was sent
            return
        assert answer.status_code == status
        if status == 413 and size < 4_000_000:
            assert str(256 << 10) in answer.json()["message"]

    @pytest.mark.parametrize("token", [None, "wrong", "omni2_mcp_" + "0" * 32])
    def test_without_a_credential_it_is_401(self, one, token):
        answer = one.request("POST", PATH, token=token, json={"type": "note", "data": {}})
        assert answer.status_code == 401

    def test_another_method_is_405(self, one):
        answer = one.get(PATH)
        assert answer.status_code == 405 and "POST" in answer.headers["Allow"]

    async def test_refused_events_use_no_number_and_reach_nobody(self, one):
        async with one.events() as events:
            await events.subscribe("note")
            first = one.post(PATH, {"type": "note", "data": {}}).json()["seq"]
            for body in BAD.values():
                one.request("POST", PATH, content=json.dumps(body))
            one.request("POST", PATH, token=None, json={"type": "note", "data": {"stolen": True}})
            assert one.post(PATH, {"type": "note", "data": {}}).json()["seq"] == first + 1
            await events.until(lambda: len(events.of_type("note")) == 2)


class TestWebSocket:
    async def test_the_answer_has_the_number_and_the_id_of_the_request(self, one):
        async with one.events() as publisher, one.events() as events:
            await events.subscribe("note")
            await publisher.send({"action": "publish", "type": "note", "data": {"n": 1}, "id": "mine-1"})
            answer = await publisher.event("published")
            assert answer == {"type": "published", "seq": answer["seq"], "id": "mine-1"}
            assert (await events.event("note"))["seq"] == answer["seq"]

    async def test_answers_come_in_the_order_of_the_requests(self, one):
        async with one.events() as publisher, one.events() as events:
            await events.subscribe("note")
            for number in range(200):
                await publisher.send({"action": "publish", "type": "note", "data": {"n": number}, "id": number})
            await publisher.until(lambda: len(publisher.of_type("published")) == 200)
            await events.until(lambda: len(events.of_type("note")) == 200)
        assert [answer["id"] for answer in publisher.of_type("published")] == list(range(200))
        sequence = [answer["seq"] for answer in publisher.of_type("published")]
        assert [event["seq"] for event in events.of_type("note")] == sequence
        assert [event["data"]["n"] for event in events.of_type("note")] == list(range(200))

    async def test_a_publisher_that_subscribes_hears_itself_once(self, one):
        async with one.events() as events:
            await events.subscribe("note")
            await events.send({"action": "publish", "type": "note", "data": {}})
            await events.event("published")
            await events.fence()
            assert len(events.of_type("note")) == 1

    @pytest.mark.parametrize("body", [body for body in BAD.values() if isinstance(body, dict)],
                             ids=[name for name, body in BAD.items() if isinstance(body, dict)])
    async def test_what_is_no_event_is_told_so(self, one, body):
        async with one.events() as events:
            await events.subscribe("note")
            await events.send({"action": "publish", **body})
            assert '"type"' in (await events.event("error"))["error"]
            await events.fence()
            assert not events.of_type("note") and not events.of_type("published")

    async def test_an_event_has_a_limit(self, one):
        async with one.events() as events:
            await events.send({"action": "publish", "type": "note", "data": {"pad": "x" * 300_000}})
            assert str(256 << 10) in (await events.event("error"))["error"]
            await events.send({"action": "publish", "type": "note", "data": {"pad": "x" * 250_000}})
            await events.event("published")

    async def test_many_publishers_at_once_lose_nothing(self, one):
        async with one.events() as events:
            await events.subscribe("note")

            async def publish(name: int) -> list[int]:
                async with one.events() as publisher:
                    for number in range(50):
                        await publisher.send({"action": "publish", "type": "note", "data": {"from": name, "n": number}})
                    await publisher.until(lambda: len(publisher.of_type("published")) == 50)
                    return [answer["seq"] for answer in publisher.of_type("published")]

            numbers = await asyncio.gather(*(publish(name) for name in range(10)))
            await events.until(lambda: len(events.of_type("note")) == 500, 20)
        assert len({number for one_list in numbers for number in one_list}) == 500
        seen = [event["seq"] for event in events.of_type("note")]
        assert seen == sorted(seen)
        for name in range(10):
            assert [e["data"]["n"] for e in events.of_type("note") if e["data"]["from"] == name] == list(range(50))
