"""Repeated read-only calls are answered from the cache, and only those that somebody opted in."""
import asyncio
import time

import pytest

from omni.waiting import eventually

MARK = "omni2/cache"


def is_hit(result) -> bool:
    """Whether the reply says that it came from the cache."""
    return bool(((result.meta or {}).get(MARK) or {}).get("hit"))


def text_of(answer: dict) -> str:
    """The first text of a REST reply: `result` is the content list or the whole MCP result."""
    result = answer["result"]
    contents = result["content"] if isinstance(result, dict) else result
    return contents[0]["text"]


@pytest.fixture
def cached(daemon, counting):
    """Starts a daemon whose one server opted in, with the options given."""

    def start(configuration: dict | None = None, **options):
        one = daemon(configuration, servers={"counting": counting.entry(
            **{"cache_policy": "read_only", "ttl": 300, **options})})
        one.has_loaded("counting")
        return one

    return start


async def test_the_second_identical_call_does_not_reach_the_server(cached, counting):
    async with cached().mcp() as gateway:
        first = await gateway.call_tool("counting__count", {"key": "a"})
        second = await gateway.call_tool("counting__count", {"key": "a"})
    assert first.content[0].text == second.content[0].text == "a 1"
    assert counting.calls("count") == 1
    assert not is_hit(first) and is_hit(second)


async def test_structured_results_come_back_whole(cached, counting):
    async with cached().mcp() as gateway:
        first = await gateway.call_tool("counting__count_many", {"value": {"é": [1, 2.5, None, True]}})
        second = await gateway.call_tool("counting__count_many", {"value": {"é": [1, 2.5, None, True]}})
    assert is_hit(second)
    assert first.structured_content == second.structured_content == {
        "value": {"é": [1, 2.5, None, True]}, "count": 1}


async def test_the_order_of_arguments_does_not_matter(cached, counting):
    async with cached().mcp() as gateway:
        await gateway.call_tool("counting__count_many", {"value": {"a": 1, "b": {"c": 2, "d": 3}}})
        again = await gateway.call_tool("counting__count_many", {"value": {"b": {"d": 3, "c": 2}, "a": 1}})
    assert is_hit(again) and counting.calls("count_many") == 1


async def test_other_arguments_are_another_entry(cached, counting):
    async with cached().mcp() as gateway:
        for value in ({"a": 1}, {"a": 1.0}, {"a": "1"}, {"a": True}, {"a": [1]}, {}):
            result = await gateway.call_tool("counting__count_many", {"value": value})
            assert result.structured_content["value"] == value
            assert not is_hit(result)
    assert counting.calls("count_many") == 6


async def test_two_ways_in_share_the_cache(cached, counting):
    one = cached()
    async with one.mcp() as gateway:
        await gateway.call_tool("counting__count", {"key": "a"})
    answer = one.call("counting", "count", {"key": "a"}).json()
    assert text_of(answer) == "a 1" and counting.calls("count") == 1


@pytest.mark.parametrize("options", [None, {"cache_policy": "off"}])
async def test_without_opting_in_nothing_is_cached(daemon, counting, options):
    one = daemon(servers={"counting": counting.entry(**(options or {}))})
    one.has_loaded("counting")
    async with one.mcp() as gateway:
        for number in (1, 2, 3):
            result = await gateway.call_tool("counting__count", {"key": "a"})
            assert result.content[0].text == f"a {number}" and not is_hit(result)


@pytest.mark.parametrize("tool", ["count_plain", "count_destructive"])
async def test_annotations_veto(cached, tool):
    async with cached().mcp() as gateway:
        for number in (1, 2, 3):
            result = await gateway.call_tool(f"counting__{tool}", {"key": "a"})
            assert result.content[0].text == f"a {number}" and not is_hit(result)


async def test_errors_are_never_cached(cached, counting):
    async with cached().mcp() as gateway:
        for number in (1, 2, 3):
            result = await gateway.call_tool("counting__fail", {"message": "no"})
            assert result.is_error and f"no {number}" in result.content[0].text and not is_hit(result)
    assert counting.calls("fail") == 3


async def test_an_entry_ends_with_its_time(cached, counting):
    async with cached(ttl=1).mcp() as gateway:
        await gateway.call_tool("counting__count", {"key": "a"})
        born = time.monotonic()
        assert is_hit(await gateway.call_tool("counting__count", {"key": "a"}))
        while counting.calls("count") == 1:
            await gateway.call_tool("counting__count", {"key": "a"})
            assert time.monotonic() - born < 5, "still served after five times its TTL"
        assert time.monotonic() - born >= 0.9


async def test_the_least_recently_used_makes_room(cached, counting):
    async with cached({"Cache": {"MaxEntries": "3"}}).mcp() as gateway:
        async def call(key: str) -> bool:
            return is_hit(await gateway.call_tool("counting__count", {"key": key}))

        for key in "abc":
            assert not await call(key)
        assert await call("a")  # now b is the oldest
        assert not await call("d")
        assert await call("a") and await call("c") and await call("d")
        assert not await call("b")


async def test_a_value_beyond_the_limit_is_served_but_not_kept(cached, counting):
    async with cached({"Cache": {"MaxValueBytes": "64K"}}).mcp() as gateway:
        for _ in range(2):
            result = await gateway.call_tool("counting__big", {"bytes": 200_000})
            assert len(result.content[0].text) == 200_000 and not is_hit(result)
        assert not is_hit(await gateway.call_tool("counting__big", {"bytes": 2_000}))
        assert is_hit(await gateway.call_tool("counting__big", {"bytes": 2_000}))
    assert counting.calls("big") == 3


async def test_identical_calls_in_flight_become_one(cached, counting):
    async with cached().mcp() as gateway:
        results = await asyncio.gather(
            *(gateway.call_tool("counting__slow", {"seconds": 1.5}) for _ in range(5)))
    assert {result.content[0].text for result in results} == {"slept 1.5"}
    assert counting.calls("slow") == 1


async def test_what_is_asked_after_an_invalidation_does_not_wait_for_what_was_asked_before(cached, counting):
    one = cached()
    async with one.mcp() as gateway:
        before = asyncio.ensure_future(gateway.call_tool("counting__slow", {"seconds": 1.5}))
        while counting.calls("slow") == 0:
            await asyncio.sleep(0.02)
        one.post("/api/v1/cache/invalidate?server=counting")
        after = await gateway.call_tool("counting__slow", {"seconds": 1.5})
        assert counting.calls("slow") == 2 and not is_hit(after)
        await before
        assert is_hit(await gateway.call_tool("counting__slow", {"seconds": 1.5}))
    assert counting.calls("slow") == 2


class TestInvalidation:
    async def test_by_reload(self, cached, counting):
        one = cached()
        async with one.mcp() as gateway:
            await gateway.call_tool("counting__count", {"key": "a"})
            reloaded = one.post("/api/v1/mcp/tools/reload", params={"mcp_name": "counting"})
            assert reloaded.json()["success"]
            one.has_loaded("counting")
            assert not is_hit(await gateway.call_tool("counting__count", {"key": "a"}))
        assert counting.calls("count") == 2

    async def test_by_a_changed_list(self, cached, counting):
        one = cached()
        async with one.mcp() as gateway:
            await gateway.call_tool("counting__count", {"key": "a"})
            await gateway.call_tool("counting__grow", {"name": "extra"})
            eventually(lambda: "extra" in one.tools()["counting"])
            assert not is_hit(await gateway.call_tool("counting__count", {"key": "a"}))

    async def test_by_a_restart_of_the_daemon_nothing_wrong_is_served(self, cached, counting):
        """Entries may survive a restart or not; what is served is what the server said."""
        one = cached()
        one.call("counting", "count", {"key": "a"})
        one.restart()
        one.has_loaded("counting")
        async with one.mcp() as gateway:
            result = await gateway.call_tool("counting__count", {"key": "a"})
        assert result.content[0].text == ("a 1" if is_hit(result) else "a 2")
