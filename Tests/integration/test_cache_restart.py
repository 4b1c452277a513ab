"""The cache outlives the daemon where systemd keeps its descriptors; the tests play systemd."""
import mmap
import os

import pytest

from omni.descriptors import DescriptorStore
from omni.waiting import eventually

SEGMENTS = ("cache-shared", "cache-personal")


@pytest.fixture
def store(tmp_path):
    store = DescriptorStore(tmp_path)
    yield store
    store.close()


@pytest.fixture
def kept(daemon, counting, store):
    """A daemon with a descriptor store."""

    def start(configuration: dict | None = None, **options):
        one = daemon({"Cache": {"SameUser": "yes", **(configuration or {})}},
                     servers={"counting": counting.entry(
                         **{"cache_policy": "read_only", "ttl": 300, "scope": "shared", **options})},
                     environment={"NOTIFY_SOCKET": str(store.path)})
        one.has_loaded("counting")
        store.until(*SEGMENTS)
        return one

    return start


def again(one, store) -> None:
    """The next start, with everything that is stored."""
    one.start(starter=store.starter())
    one.has_loaded("counting")


def text(one, key: str) -> str:
    answer = one.call("counting", "count", {"key": key}).json()
    assert answer["success"], answer
    result = answer["result"]
    return (result["content"] if isinstance(result, dict) else result)[0]["text"]


@pytest.mark.parametrize("scope", ["shared", "user"])
@pytest.mark.parametrize("end", ["kill", "stop"])
def test_entries_outlive_the_daemon(kept, store, counting, end, scope):
    one = kept(scope=scope)
    assert text(one, "a") == "a 1"
    getattr(one, end)()
    again(one, store)
    assert text(one, "a") == "a 1" and counting.calls("count") == 1
    one.logged("cache continued")


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_an_attached_reader_keeps_reading(kept, store, omni2cache, end):
    one = kept()
    text(one, "a")
    with omni2cache.Cache(str(one.runtime / "cache.sock")) as cache:
        assert b"a 1" in cache.get("counting", "count", {"key": "a"})
        getattr(one, end)()
        assert b"a 1" in cache.get("counting", "count", {"key": "a"}), "while nobody is there"
        again(one, store)
        assert b"a 1" in cache.get("counting", "count", {"key": "a"})
        text(one, "b")
        assert b"b 2" in cache.get("counting", "count", {"key": "b"}), "the successor writes where the reader reads"
        one.post("/api/v1/cache/invalidate?server=counting")
        assert cache.get("counting", "count", {"key": "a"}) is None


def test_many_restarts_keep_one_segment_each(kept, store, counting):
    one = kept()
    text(one, "a")
    for _ in range(4):
        one.kill()
        again(one, store)
        assert text(one, "a") == "a 1"
    store.receive()
    assert {name: len(some) for name, some in store.stored.items()} == dict.fromkeys((*SEGMENTS, "event-log"), 1)
    assert counting.calls("count") == 1


def test_another_configuration_of_the_server_ends_its_entries(kept, store, counting):
    one = kept()
    text(one, "a")
    one.kill()
    one.import_servers({"counting": {"type": "http", "url": counting.url + "?changed", "omni2": {
        "cache_policy": "read_only", "ttl": 300, "scope": "shared"}}})
    again(one, store)
    assert text(one, "a") == "a 2"


@pytest.mark.parametrize("scope", ["shared", "user"])
def test_other_bounds_take_the_entries_along(kept, store, counting, scope):
    one = kept(scope=scope)
    text(one, "a")
    name = "cache-shared" if scope == "shared" else "cache-personal"
    old = os.fstat(store.stored[name][0]).st_ino
    one.kill()
    one.configuration["Cache"]["MaxEntries"] = "5000"
    again(one, store)
    one.logged(f"cache entries taken over.*{name}")
    assert text(one, "a") == "a 1" and counting.calls("count") == 1
    assert one.get("/api/v1/cache/stats").json()["data"]["max_size"] == 5000
    eventually(lambda: (store.receive(), [os.fstat(x).st_ino for x in store.stored[name]] != [old]
                        and len(store.stored[name]) == 1)[1])
    assert os.fstat(store.stored[name][0]).st_ino != old
    one.kill()
    again(one, store)
    assert text(one, "a") == "a 1", "and the successor's successor continues it"


def test_an_attached_reader_follows_to_other_bounds(kept, store, omni2cache):
    one = kept()
    text(one, "a")
    with omni2cache.Cache(str(one.runtime / "cache.sock")) as cache:
        assert b"a 1" in cache.get("counting", "count", {"key": "a"})
        before = cache.stats()["segment"]
        one.stop()
        one.configuration["Cache"]["MaxBytes"] = "8M"
        again(one, store)
        one.logged("cache entries taken over.*cache-shared")
        assert b"a 1" in cache.get("counting", "count", {"key": "a"})
        assert cache.stats()["segment"] != before
        one.post("/api/v1/cache/invalidate?server=counting")
        assert cache.get("counting", "count", {"key": "a"}) is None


def test_two_segments_are_one_after_a_death_between_them(kept, store, counting):
    """As a daemon leaves it that dies while it takes entries over: old and new are both stored."""
    one = kept()
    text(one, "a")
    one.stop()
    store.receive()
    old = os.dup(store.stored["cache-shared"][0])
    one.configuration["Cache"]["MaxEntries"] = "50"
    again(one, store)
    one.logged("cache entries taken over.*cache-shared")
    text(one, "b")
    # What was stored before, as live as it was then.
    with mmap.mmap(old, 4096) as header:
        header[192:196] = (1).to_bytes(4, "little")
    one.kill()
    store.put("cache-shared", old)
    again(one, store)
    assert (text(one, "a"), text(one, "b")) == ("a 1", "b 2") and counting.calls("count") == 2
    eventually(lambda: (store.receive(), len(store.stored["cache-shared"]) == 1)[1])


def test_what_is_no_segment_begins_anew(kept, store, counting):
    one = kept()
    text(one, "a")
    one.kill()
    os.close(store.stored.pop("cache-shared")[0])
    foreign = os.memfd_create("foreign")
    os.truncate(foreign, 4096)
    store.put("cache-shared", foreign)
    again(one, store)
    one.logged("cache segment cannot be continued")
    assert text(one, "a") == "a 2"


def test_unknown_names_are_dropped(kept, store):
    one = kept()
    one.kill()
    store.put("somebody-elses", os.memfd_create("unknown"))
    again(one, store)
    eventually(lambda: (store.receive(), "somebody-elses" not in store.stored)[1])
    assert set(store.stored) == {*SEGMENTS, "event-log"}


def test_a_server_that_is_gone_leaves_no_entries(kept, store, omni2cache):
    one = kept()
    text(one, "a")
    with omni2cache.Cache(str(one.runtime / "cache.sock")) as cache:
        assert cache.get("counting", "count", {"key": "a"})
        servers = one.servers()
        assert one.request("DELETE", f"/api/v1/mcp/servers/{servers['counting']['id']}").status_code < 300
        eventually(lambda: cache.get("counting", "count", {"key": "a"}) is None)
