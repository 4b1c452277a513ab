"""What operators see of the cache and do to it: statistics, entries, invalidation, events, warming."""
import datetime
import hashlib
import json

import pytest

from omni.waiting import eventually


def key_of(server: str, tool: str, arguments: dict) -> str:
    """The documented key of a shared result."""
    return hashlib.sha256(f"{server}:{tool}:{json.dumps(arguments, sort_keys=True)}".encode()).hexdigest()


@pytest.fixture
def cached(daemon, counting):
    """A daemon whose one server opted in, its results shared unless told otherwise."""

    def start(configuration: dict | None = None, **options):
        one = daemon(configuration, servers={"counting": counting.entry(
            **{"cache_policy": "read_only", "ttl": 300, "scope": "shared", **options})})
        one.has_loaded("counting")
        return one

    return start


def entries(one, **query) -> list[dict]:
    answer = one.get("/api/v1/cache/entries", params=query)
    assert answer.status_code == 200, answer.text
    assert answer.json()["count"] == len(answer.json()["data"])
    return answer.json()["data"]


def statistics(one) -> dict:
    return one.get("/api/v1/cache/stats").json()["data"]


class TestEntries:
    def test_an_entry_is_listed_with_its_facts(self, cached):
        one = cached()
        for _ in range(4):
            one.call("counting", "count", {"key": "a"})
        (entry,) = entries(one)
        assert entry["key"] == key_of("counting", "count", {"key": "a"})
        assert (entry["server"], entry["tool"], entry["scope"]) == ("counting", "count", "shared")
        assert entry["hits"] == 3 and entry["bytes"] > 0
        stored, expires = (datetime.datetime.fromisoformat(entry[name]) for name in ("stored_at", "expires_at"))
        assert 299 <= (expires - stored).total_seconds() <= 301

    def test_personal_entries_say_so(self, cached):
        one = cached(scope="user")
        one.call("counting", "count", {"key": "a"})
        assert [entry["scope"] for entry in entries(one)] == ["personal"]

    def test_by_server_by_tool_and_not_more_than_asked(self, cached):
        one = cached()
        for key in "abc":
            one.call("counting", "count", {"key": key})
        one.call("counting", "count_many", {"value": {}})
        assert len(entries(one)) == 4
        assert len(entries(one, server="counting")) == 4
        assert {entry["tool"] for entry in entries(one, server="counting", tool="count")} == {"count"}
        assert len(entries(one, server="counting", tool="count")) == 3
        assert len(entries(one, limit=2)) == 2
        assert entries(one, server="nobody") == []

    @pytest.mark.parametrize("query", [{"limit": "0"}, {"limit": "1001"}, {"limit": "x"}, {"tool": "count"}])
    def test_questions_that_mean_nothing(self, cached, query):
        assert cached().get("/api/v1/cache/entries", params=query).status_code == 400

    def test_one_entry_with_its_value_and_without_using_it(self, cached):
        one = cached()
        one.call("counting", "count", {"key": "é"})
        key = key_of("counting", "count", {"key": "é"})
        before = statistics(one)
        answer = one.get(f"/api/v1/cache/entries/{key}").json()
        assert answer["data"]["key"] == key and answer["data"]["hits"] == 0
        assert answer["value"]["content"][0]["text"] == "é 1"
        assert statistics(one) == before

    def test_one_entry_ends(self, cached, counting):
        one = cached()
        for key in "ab":
            one.call("counting", "count", {"key": key})
        path = f"/api/v1/cache/entries/{key_of('counting', 'count', {'key': 'a'})}"
        assert one.request("DELETE", path).json()["success"]
        assert one.request("DELETE", path).status_code == 404
        assert one.get(path).status_code == 404
        for key in "ab":
            one.call("counting", "count", {"key": key})
        assert counting.calls("count") == 3, "a was asked again, b was not"
        one.logged(r"service=Cache .*cache invalidated|cache invalidated.*service=Cache")

    @pytest.mark.parametrize("method", ["GET", "DELETE"])
    def test_keys_that_are_none(self, cached, method):
        one = cached()
        assert one.request(method, "/api/v1/cache/entries/abc").status_code == 400
        assert one.request(method, f"/api/v1/cache/entries/{'0' * 64}").status_code == 404

    def test_strangers_see_nothing(self, cached):
        one = cached()
        for path in ("entries", f"entries/{'0' * 64}", "stats"):
            assert one.get(f"/api/v1/cache/{path}", token=None).status_code == 401


class TestEvents:
    async def test_an_invalidation_is_told(self, cached):
        one = cached()
        one.call("counting", "count", {"key": "a"})
        async with one.events() as events:
            await events.subscribe("cache_invalidated", mcp_names=["counting"])
            assert one.post("/api/v1/cache/invalidate?server=counting&tool=count").json()["invalidated"] == 1
            event = await events.event("cache_invalidated")
        data = event["data"]
        assert (data["mcp_name"], data["tool"], data["entries"]) == ("counting", "count", 1)
        assert data["reason"].startswith("ordered by")

    async def test_what_ends_nothing_is_not_told(self, cached):
        one = cached()
        async with one.events() as events:
            await events.subscribe("cache_invalidated")
            one.post("/api/v1/cache/invalidate")
            await events.fence()
            assert events.of_type("cache_invalidated") == []

    async def test_statistics_come_with_every_sweep(self, cached):
        one = cached({"Cache": {"SweepSec": "500ms"}})
        async with one.events() as events:
            await events.subscribe("cache_stats")
            one.call("counting", "count", {"key": "a"})
            one.call("counting", "count", {"key": "a"})
            event = await events.event("cache_stats", where=lambda event: event["data"]["hits"] == 1)
        assert event["data"]["size"] == 1 and event["data"]["hit_rate_percent"] == 50.0

    def test_dashboards_can_offer_them(self, cached):
        text = cached().get("/api/v1/events/metadata").text
        assert '"cache_stats"' in text and '"cache_invalidated"' in text


def test_statistics_are_exact(cached, counting):
    """Against a run that was counted: 60 calls of 20 keys into 12 places, some invalidated."""
    one = cached({"Cache": {"MaxEntries": "12"}})
    live: list[str] = []
    hits = misses = evictions = invalidations = 0
    for step in range(60):
        key = f"k{step * step % 20}"
        answer = one.call("counting", "count", {"key": key}).json()
        if key in live:
            assert answer["cache"]["hit"]
            hits += 1
            live.remove(key)
        else:
            assert "cache" not in answer
            misses += 1
            if len(live) == 12:
                live.pop(0)
                evictions += 1
        live.append(key)
        if step == 30:
            invalidations = one.post("/api/v1/cache/invalidate?server=counting").json()["invalidated"]
            assert invalidations == len(live)
            live.clear()
    shown = statistics(one)
    assert shown["hits"] == hits and shown["misses"] == misses == counting.calls("count")
    assert (shown["evictions"], shown["invalidations"]) == (evictions, invalidations)
    assert (shown["size"], shown["max_size"], shown["expirations"]) == (len(live), 12, 0)
    assert shown["hit_rate_percent"] == round(hits * 100 / (hits + misses), 2)
    assert [entry["key"] for entry in entries(one)] == [
        key_of("counting", "count", {"key": key}) for key in reversed(live)]


class TestWarming:
    def calls(self, one, *keys: str) -> None:
        for key in keys:
            assert one.call("counting", "count", {"key": key}).json()["success"]

    def test_the_most_used_are_there_again(self, cached, counting):
        one = cached({"Cache": {"WarmEntries": "2"}})
        self.calls(one, "a", "b", "c", "b", "c", "c")
        one.restart()
        one.logged("cache warmed")
        shown = entries(one)
        assert {entry["key"] for entry in shown} == {
            key_of("counting", "count", {"key": key}) for key in "bc"}
        before = counting.calls("count")
        self.calls(one, "b", "c")
        assert counting.calls("count") == before == 5
        file = one.state / "cache-warm.json"
        assert file.stat().st_mode & 0o777 == 0o600

    def test_off_by_default(self, cached, counting):
        one = cached()
        self.calls(one, "a", "a")
        one.restart()
        one.has_loaded("counting")
        assert not (one.state / "cache-warm.json").exists() and counting.calls("count") == 1

    def test_what_belongs_to_somebody_is_not_remembered(self, cached):
        one = cached({"Cache": {"WarmEntries": "10"}}, scope="user")
        self.calls(one, "a", "a")
        one.stop()
        assert json.loads((one.state / "cache-warm.json").read_text()) == []

    @pytest.mark.parametrize("text", ["", "{", "[1, {}]", '[{"server": "counting", "tool": "count"}]'])
    def test_a_file_that_is_none_warms_nothing(self, cached, counting, text):
        one = cached({"Cache": {"WarmEntries": "10"}})
        one.stop()
        (one.state / "cache-warm.json").write_text(text)
        one.start()
        one.has_loaded("counting")
        assert entries(one) == [] and counting.calls("count") == 0

    def test_tools_that_may_not_be_cached_are_not_called(self, cached, counting):
        one = cached({"Cache": {"WarmEntries": "10"}})
        one.stop()
        (one.state / "cache-warm.json").write_text(json.dumps(
            [{"server": "counting", "tool": tool, "arguments": {"key": "a"}}
             for tool in ("count_plain", "count_destructive", "absent", "count")]))
        one.start()
        one.logged("cache warmed")
        assert counting.calls("count_plain") == counting.calls("count_destructive") == 0
        eventually(lambda: counting.calls("count") == 1)
