"""Another process reads the cache from shared memory: what the daemon cached, and nothing else."""
import json
import mmap
import os
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

from omni.processes import ROOT
from omni.waiting import eventually

FOUND, MISS, UNREACHABLE = 0, 1, 3
HELLO_MAGIC, WELCOME_MAGIC, PROTOCOL, MAJOR = 0x4F4C4C4548324D4F, 0x454D4F434C45574F, 1, 1
OK, SAME_USER = 0, 3


@pytest.fixture
def tool(cache_tools) -> Path:
    return cache_tools / "omni2-cache"


@pytest.fixture
def shared(daemon, counting):
    """A daemon whose results may be read by processes of its own user."""

    def start(**options):
        one = daemon({"Cache": {"SameUser": "yes"}}, servers={"counting": counting.entry(
            **{"cache_policy": "read_only", "ttl": 300, "scope": "shared", **options})})
        one.has_loaded("counting")
        return one

    return start


def read(tool: Path, one, *words: str) -> subprocess.CompletedProcess:
    return subprocess.run([tool, "-s", one.runtime / "cache.sock", *words], capture_output=True, text=True, timeout=20)


def attach(one) -> tuple[int, list[int]]:
    """The handshake by hand: the status and the descriptors that came with it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as peer:
        peer.settimeout(10)
        peer.connect(str(one.runtime / "cache.sock"))
        peer.send(struct.pack("=QIIQQ", HELLO_MAGIC, PROTOCOL, 0, 1 << MAJOR, time.clock_gettime_ns(time.CLOCK_BOOTTIME)))
        message, descriptors, _, _ = socket.recv_fds(peer, 4096, 4)
    magic, protocol, status = struct.unpack_from("=QII", message)
    assert (magic, protocol) == (WELCOME_MAGIC, PROTOCOL)
    return status, descriptors


def test_a_second_process_reads_what_was_cached(shared, tool, counting):
    one = shared()
    assert one.call("counting", "count", {"key": "a"}).json()["success"]
    got = read(tool, one, "get", "counting", "count", '{"key": "a"}')
    assert got.returncode == FOUND, got.stderr
    result = json.loads(got.stdout)
    assert result["content"][0]["text"] == "a 1" and not result.get("isError")
    assert counting.calls("count") == 1


def test_the_key_does_not_depend_on_how_arguments_are_written(shared, tool):
    one = shared()
    one.call("counting", "count_many", {"value": {"b": 1, "a": [1, 2.5, "é"]}})
    written = ('{"value":{"a":[1,2.5,"\\u00e9"],"b":1}}', '{ "value" : {"b":1, "a":[1, 2.5, "é"]} }')
    for arguments in written:
        assert read(tool, one, "contains", "counting", "count_many", arguments).returncode == FOUND


def test_what_was_not_cached_is_not_there(shared, tool):
    one = shared()
    one.call("counting", "count", {"key": "a"})
    one.call("counting", "fail", {"message": "no"})
    one.call("counting", "count_plain", {"key": "a"})
    for tool_name, arguments in (("count", '{"key": "b"}'), ("fail", '{"message": "no"}'),
                                 ("count_plain", '{"key": "a"}'), ("echo", "{}")):
        assert read(tool, one, "get", "counting", tool_name, arguments).returncode == MISS


def test_what_was_invalidated_is_gone_for_readers_too(shared, tool):
    one = shared()
    one.call("counting", "count", {"key": "a"})
    assert read(tool, one, "contains", "counting", "count", '{"key": "a"}').returncode == FOUND
    one.post("/api/v1/mcp/tools/reload?mcp_name=counting")
    assert read(tool, one, "contains", "counting", "count", '{"key": "a"}').returncode == MISS


def test_what_has_expired_is_gone_without_the_daemons_help(shared, tool):
    one = shared(ttl=1)
    one.call("counting", "count", {"key": "a"})
    eventually(lambda: read(tool, one, "contains", "counting", "count", '{"key": "a"}').returncode == MISS, 5)


def test_statistics_are_shown(shared, tool):
    one = shared()
    one.call("counting", "count", {"key": "a"})
    got = read(tool, one, "stats")
    assert got.returncode == FOUND and got.stdout.strip()


def test_an_installed_wheel_reads_in_three_lines(shared, tmp_path):
    """As a user would: a wheel, an environment with nothing else in it, and the lines of the example."""
    one = shared()
    one.call("counting", "count", {"key": "a"})
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    subprocess.run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", tmp_path, ROOT / "clients" / "python"],
                   check=True, capture_output=True)
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", "--no-index", *tmp_path.glob("omni2cache-*.whl")], check=True,
                   capture_output=True)
    lines = ["from omni2cache import Cache", "cache = Cache()",
             'print(cache.get("counting", "count", {"key": "a"}).decode())']
    got = subprocess.run([python, "-I", "-c", "\n".join(lines)], capture_output=True, text=True, timeout=20,
                         env={"OMNI2_CACHE_SOCKET": str(one.runtime / "cache.sock")})
    assert got.returncode == 0, got.stderr
    assert json.loads(got.stdout)["content"][0]["text"] == "a 1"


def test_the_mapping_cannot_be_written(shared):
    one = shared()
    one.call("counting", "count", {"key": "unmistakable"})
    status, descriptors = attach(one)
    assert status == OK and descriptors
    segment = descriptors[0]
    size = os.fstat(segment).st_size
    with mmap.mmap(segment, size, mmap.MAP_SHARED, mmap.PROT_READ) as mapping:
        assert mapping.find(b"unmistakable 1") > 0
    with pytest.raises(PermissionError):
        mmap.mmap(segment, size, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
    with pytest.raises(OSError):
        os.write(segment, b"x")
    with pytest.raises(OSError):
        os.ftruncate(segment, 0)
    for descriptor in descriptors:
        os.close(descriptor)


def test_processes_of_the_same_user_are_refused_unless_allowed(daemon, tool):
    """They could open the segment for writing behind our back; the operator must say that it is meant."""
    one = daemon()
    status, descriptors = attach(one)
    assert status == SAME_USER and descriptors == []
    assert read(tool, one, "stats").returncode == UNREACHABLE


def test_a_reader_outlives_the_daemon(shared, tool):
    """Once attached, a reader needs the daemon no more; a new one is told that nobody is there."""
    one = shared()
    one.call("counting", "count", {"key": "survivor"})
    _, descriptors = attach(one)
    one.stop()
    with mmap.mmap(descriptors[0], os.fstat(descriptors[0]).st_size, mmap.MAP_SHARED, mmap.PROT_READ) as mapping:
        assert len(mapping) > 0
    os.close(descriptors[0])
    assert read(tool, one, "stats").returncode == UNREACHABLE


@pytest.mark.parametrize("hello", [b"", b"x", b"\0" * 32, b"GET / HTTP/1.1\r\n\r\n",
                                   struct.pack("=QIIQQ", HELLO_MAGIC, 99, 0, 2, 0),
                                   struct.pack("=QIIQQ", HELLO_MAGIC, 1, 0, 1 << 60, 0)],
                         ids=["empty", "short", "zeros", "HTTP", "protocol", "layout"])
def test_a_hello_that_is_none_gets_no_descriptor(shared, hello):
    one = shared()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as peer:
        peer.settimeout(10)
        peer.connect(str(one.runtime / "cache.sock"))
        peer.send(hello)
        if not hello:
            peer.shutdown(socket.SHUT_WR)
        _, descriptors, _, _ = socket.recv_fds(peer, 4096, 4)
        assert descriptors == []
    assert attach(one)[0] == OK


def test_full_file_systems_in_memory_are_no_trouble(shared, tool):
    """The segment is nobody's file: neither /dev/shm nor the runtime directory has to have room."""
    one = shared()
    one.stop()
    fill = ('for place in /dev/shm "$0"; do mount -t tmpfs -o size=64k tmpfs "$place"; '
            'cat /dev/zero > "$place/full" 2>&-; done; exec "$@"')
    one.start(starter=(["unshare", "--mount", "sh", "-c", fill, one.runtime], {}))
    one.has_loaded("counting")
    one.call("counting", "count", {"key": "a"})
    with pytest.raises(OSError, match="No space left"):
        Path(f"/proc/{one.pid}/root/dev/shm/more").write_bytes(b"x" * 8192)
    place = Path(f"/proc/{one.pid}/root{one.runtime}/cache.sock")
    got = subprocess.run([tool, "-s", place.name, "get", "counting", "count", '{"key": "a"}'], cwd=place.parent,
                         capture_output=True, text=True, timeout=20)
    assert got.returncode == FOUND and "a 1" in got.stdout, got.stderr


def test_readers_that_never_speak_are_no_trouble(shared):
    one = shared()
    silent = []
    for _ in range(50):
        peer = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        peer.connect(str(one.runtime / "cache.sock"))
        silent.append(peer)
    assert attach(one)[0] == OK
    assert one.call("counting", "count", {"key": "a"}).json()["success"]
    for peer in silent:
        peer.close()
