"""The examples of clients/, as they stand, against a running daemon."""
import json
import os
import subprocess
import sys

import pytest

from omni.daemon import BINARY
from omni.processes import ROOT

EXAMPLES = ROOT / "clients" / "examples"
SERVER = """
import json, sys
tool = {"name": "get_current_time", "description": "tells", "inputSchema": {"type": "object"},
        "annotations": {"readOnlyHint": True}}
calls = 0
for line in sys.stdin:
    message = json.loads(line)
    if "id" not in message:
        continue
    method, result = message["method"], {}
    if method == "initialize":
        result = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}},
                  "serverInfo": {"name": "time", "version": "1"}}
    elif method == "tools/list":
        result = {"tools": [tool]}
    elif method == "tools/call":
        calls += 1
        result = {"content": [{"type": "text", "text": f"noon {calls}"}]}
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
"""
WORDS = ["time", "get_current_time", "{}"]


@pytest.fixture
def one(daemon, tmp_path):
    (tmp_path / "server.py").write_text(SERVER)
    one = daemon({"Cache": {"SameUser": "yes"}}, servers={"time": {
        "command": sys.executable, "args": [str(tmp_path / "server.py")],
        "omni2": {"cache_policy": "read_only", "ttl": 300, "scope": "shared"}}})
    one.has_loaded("time")
    return one


@pytest.fixture
def run(one, cache_tools):
    """Runs a command that finds the daemon's socket, its token, and what the C library comes with."""
    environment = {
        "PATH": f"{cache_tools}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT / "clients" / "python"),
        "OMNI2_CACHE_SOCKET": str(one.runtime / "cache.sock"), "LD_LIBRARY_PATH": str(cache_tools),
        "OMNI2_CACHE_LIBRARY": str(cache_tools / "libomni2cache.so"),
        "OMNI2_URL": f"http://127.0.0.1:{one.port}", "OMNI2_TOKEN": one.token_file.read_text().strip()}

    def run(*words) -> subprocess.CompletedProcess:
        return subprocess.run(list(map(str, words)), capture_output=True, text=True, env=environment, timeout=60)

    return run


def programs(cache_tools, tmp_path) -> dict[str, list]:
    subprocess.run(["cc", EXAMPLES / "read.c", f"-I{ROOT / 'clients' / 'c' / 'include'}", f"-L{cache_tools}",
                    "-lomni2cache", "-o", tmp_path / "read"], check=True)
    swift = BINARY.parent / "CacheExample"
    assert swift.exists(), f"{swift}: build the whole package first"
    return {"C": [tmp_path / "read", *WORDS], "Swift": [swift], "Python": [sys.executable, EXAMPLES / "read.py"],
            "shell": ["sh", EXAMPLES / "pipeline.sh", *WORDS]}


def test_every_example_reads_what_was_cached(one, run, cache_tools, tmp_path):
    assert one.call("time", "get_current_time", {}).json()["success"]
    for language, command in programs(cache_tools, tmp_path).items():
        done = run(*command)
        assert done.returncode == 0, f"{language}: {done.stderr}"
        assert "noon 1" in done.stdout, language
    statistics = one.get("/api/v1/cache/stats").json()["data"]
    assert statistics["misses"] == 1, "nobody asked the daemon"


def test_every_example_says_what_it_did_not_find(one, run, cache_tools, tmp_path):
    said = {language: run(*command) for language, command in programs(cache_tools, tmp_path).items()}
    assert "ask the daemon" in said["C"].stdout and said["C"].returncode == 1
    assert "ask the daemon" in said["Swift"].stdout
    assert said["Python"].stdout == "None\n"
    assert json.loads(said["shell"].stdout)["success"] and "noon 1" in said["shell"].stdout, "it asks by itself"
