"""Live, ready and healthy: what a supervisor, a load balancer and a person ask."""
import re
import socket
import time

from omni.processes import free_port
from omni.servers import stdio_entry
from omni.waiting import eventually

TIMESTAMP = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|\+00:00)$")


def test_live(daemon):
    answer = daemon().get("/health/live", token=None)
    body = answer.json()
    assert answer.status_code == 200 and body["alive"] is True and body["version"]
    assert TIMESTAMP.match(body["timestamp"])


def test_ready(daemon):
    answer = daemon().get("/health/ready", token=None)
    assert answer.status_code == 200 and answer.json()["ready"] is True


def test_not_ready_is_503_with_a_reason(daemon):
    one = daemon({"Database": {"URL": f"postgresql://nobody:secret-word@127.0.0.1:{free_port()}/omni"}},
                 ready=False)
    answer = one.get("/health/ready", token=None)
    assert answer.status_code == 503
    assert answer.json()["ready"] is False and answer.json()["reason"]
    for path in ("/health", "/health/ready", "/health/live"):
        assert "secret-word" not in one.get(path, token=None).text
    assert "secret-word" not in one.output()


def test_health_tells_everything_to_those_who_may_know(daemon, counting):
    one = daemon(servers={"counting": counting.entry(), "raw": stdio_entry()})
    one.has_loaded("counting", "raw")
    body = one.get("/health").json()
    assert {"status", "version", "timestamp", "environment", "database", "mcps", "uptime"} <= set(body)
    assert body["status"] == "healthy" and TIMESTAMP.match(body["timestamp"])
    assert body["database"]["status"] in ("healthy", "connected", "ok")
    assert (body["mcps"]["healthy"], body["mcps"]["enabled"], body["mcps"]["configured"]) == (2, 2, 2)
    assert body["uptime"] not in (None, "N/A")


def test_health_tells_strangers_no_addresses(daemon, counting):
    one = daemon(servers={"counting": counting.entry()})
    one.has_loaded("counting")
    answer = one.get("/health", token=None)
    assert answer.status_code == 200 and str(counting.port) not in answer.text


def test_a_sick_server_degrades_health_but_not_readiness(daemon, counting):
    one = daemon({"Coordinator": {"IntervalSec": "250ms"}}, servers={"counting": counting.entry(),
                                                                     "raw": stdio_entry()})
    one.has_loaded("counting", "raw")
    counting.kill()
    eventually(lambda: one.get("/health").json()["mcps"]["status"] == "degraded", 10)
    assert one.get("/health").json()["mcps"]["healthy"] == 1
    assert one.get("/health/ready", token=None).status_code == 200


class TestServiceManager:
    """The other end of $NOTIFY_SOCKET."""

    def test_hears_ready_status_watchdog_and_stopping(self, daemon, tmp_path):
        path = tmp_path / "notify"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(str(path))
            manager.settimeout(10)
            heard: list[str] = []

            def hears(prefix: str, within: float = 10) -> str:
                deadline = time.monotonic() + within
                while not any(line.startswith(prefix) for line in heard):
                    manager.settimeout(max(deadline - time.monotonic(), 0.01))
                    heard.extend(manager.recv(65536).decode().splitlines())
                return next(line for line in heard if line.startswith(prefix))

            one = daemon(environment={"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "600000"})
            hears("READY=1")
            assert hears("STATUS=").removeprefix("STATUS=")
            heard.clear()
            hears("WATCHDOG=1", 2)
            heard.clear()
            hears("WATCHDOG=1", 2)
            one.stop()
            hears("STOPPING=1")


def test_sockets_of_the_service_manager_are_used(tmp_path):
    """LISTEN_FDS as systemd passes them: descriptor 3 onwards, LISTEN_PID naming the process."""
    import subprocess
    import sys

    from omni.daemon import BINARY, Daemon

    one = Daemon(tmp_path)
    one.configuration["HTTP"].pop("Listen")
    one.file.write_text("\n".join(f"[{section}]\n" + "\n".join(f"{k}={v}" for k, v in keys.items())
                                  for section, keys in one.configuration.items()))
    starter = ("import os, socket, sys; s = socket.socket(); s.bind(('127.0.0.1', int(sys.argv[1]))); s.listen();"
               "os.dup2(s.fileno(), 3); os.set_inheritable(3, True);"
               "os.environ.update(LISTEN_FDS='1', LISTEN_FDNAMES='http', LISTEN_PID=str(os.getpid()));"
               "os.execv(sys.argv[2], sys.argv[2:])")
    with one.log.open("wb") as log:
        process = subprocess.Popen([sys.executable, "-c", starter, str(one.port), BINARY, "--config", one.file],
                                   env=one.environment, stdout=log, stderr=log, cwd=tmp_path)
    try:
        eventually(lambda: _live(one, process), 15)
        process.terminate()
        assert process.wait(30) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _live(one, process) -> bool:
    import httpx2

    assert process.poll() is None, one.output()
    try:
        return one.get("/health/live", token=None).status_code == 200
    except httpx2.TransportError:
        return False


def test_listens_on_a_unix_socket_too(daemon, tmp_path):
    one = daemon(begin=False)
    path = one.runtime / "omni2.sock"
    one.configuration["HTTP"]["Listen"] = [f"127.0.0.1:{one.port}", str(path)]
    one.start()
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(5)
        peer.connect(str(path))
        peer.sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert peer.recv(100).startswith(b"HTTP/1.1 200")


def test_a_port_that_is_taken_is_said_clearly(daemon):
    import subprocess

    from omni.daemon import BINARY, ini

    first = daemon()
    second = daemon(begin=False)
    second.configuration["HTTP"]["Listen"] = f"127.0.0.1:{first.port}"
    second.file.write_text(ini(second.configuration))
    ended = subprocess.run([BINARY, "--config", second.file], env=second.environment, capture_output=True,
                           text=True, timeout=20)
    assert ended.returncode not in (0, -6, -11) and ended.returncode > 0
    assert str(first.port) in ended.stderr


def test_calls_in_flight_are_finished_before_the_end(daemon, counting):
    """SIGTERM: no new work, but what was begun is answered."""
    from concurrent.futures import ThreadPoolExecutor

    one = daemon(servers={"counting": counting.entry()})
    one.has_loaded("counting")
    with ThreadPoolExecutor() as pool:
        call = pool.submit(one.call, "counting", "slow", {"seconds": 2})
        eventually(lambda: counting.calls("slow"))
        one.stop(20)
        assert call.result().json()["success"] is True


def test_startup_is_over_when_the_servers_have_been_loaded(daemon):
    one = daemon({"Database": {"URL": f"postgresql://nobody@127.0.0.1:{free_port()}/omni"}}, ready=False)
    answer = one.get("/health/startup", token=None)
    assert answer.status_code == 503 and answer.json()["started"] is False and answer.headers["Retry-After"] == "1"
    answer = daemon().get("/health/startup", token=None)
    assert answer.status_code == 200 and answer.json()["started"] is True


def test_every_check_says_what_was_seen(daemon, counting):
    one = daemon({"Coordinator": {"IntervalSec": "250ms"}}, servers={"counting": counting.entry()})
    one.has_loaded("counting")
    checks = one.get("/health", token=None).json()["checks"]
    assert set(checks) == {"database", "servers", "event_loop", "memory", "descriptors"}
    assert {name: check["status"] for name, check in checks.items() if name != "memory"} == {
        "database": "pass", "servers": "pass", "event_loop": "pass", "descriptors": "pass"}
    assert checks["database"]["observedValue"] == "sqlite"
    assert checks["servers"]["observedValue"] == 1 and checks["event_loop"]["observedUnit"] == "ms"
    assert 0 < checks["descriptors"]["observedValue"] < 50 and checks["descriptors"]["observedUnit"] == "percent"
    counting.kill()
    eventually(lambda: one.get("/health", token=None).json()["checks"]["servers"]["status"] == "warn", 10)
    body = one.get("/health", token=None).json()
    assert body["status"] == "degraded" and body["checks"]["servers"]["output"] == "1 not healthy"
    assert "counting" not in one.get("/health", token=None).text


def test_info_is_for_those_who_may_see(daemon):
    one = daemon()
    assert one.get("/health/info", token=None).status_code == 401
    body = one.get("/health/info").json()
    assert body["service"] == "omni2-native" and body["version"] and body["database"] == "sqlite"
    assert body["process"]["resident_bytes"] > 1 << 20 and body["process"]["descriptors"] > 3
    assert socket.gethostname() == body["host"]
