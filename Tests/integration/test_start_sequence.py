"""What the journal tells of a start and a stop, in the order of the original."""
import os
import re
import stat

from omni.servers import stdio_entry
from omni.waiting import eventually

LINE = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \[(debug|info|notice|warning|error|critical)\] \S.* service=\w+")
SERVICES = {"Main", "Coordinator", "Cache", "WebSocket", "CircuitBreaker", "Gateway", "FlowTracker", "Access",
            "API", "Database", "Cluster", "Telemetry", "Chat"}
# Service and what its line says, in order.
START = [
    ("Cache", r"(?i)started.* max_size=1000 ttl=300"),
    ("Database", r"[Dd]atabase .*connected|[Cc]onnected .*database|[Dd]atabase (is )?(open|ready)"),
    ("Main|Gateway|Coordinator", r"(?i)servers? .*loaded|loaded .*servers?"),
    ("Coordinator", r"(?i)started"),
    ("WebSocket", r"(?i)started"),
    ("Main", r"(?i)ready"),
]


def index_of(lines: list[str], service: str, pattern: str) -> int:
    for index, line in enumerate(lines):
        if re.search(rf"service=({service})\b", line) and re.search(pattern, line):
            return index
    raise AssertionError(f"no line of {service} with /{pattern}/ in:\n" + "\n".join(lines))


def test_the_services_start_in_order(daemon):
    one = daemon(servers={"raw": stdio_entry()})
    one.has_loaded("raw")
    one.logged(r"(?i)ready.*service=Main")
    indexes = [index_of(one.lines(), service, pattern) for service, pattern in START]
    assert indexes == sorted(indexes), "\n".join(one.lines())


def test_every_line_can_be_read_by_person_and_program(daemon):
    one = daemon(servers={"raw": stdio_entry()})
    one.has_loaded("raw")
    one.stop()
    for line in one.lines():
        # The token is printed once, for the person at the first start.
        assert LINE.match(line) or "omni2_mcp_" in line or "token" in line.lower(), line
        service = re.search(r"service=(\w+)", line)
        assert service is None or service.group(1) in SERVICES, line


def test_the_stop_is_told_in_reverse(daemon):
    one = daemon(servers={"raw": stdio_entry()})
    one.has_loaded("raw")
    began = len(one.lines())
    one.stop()
    lines = one.lines()[began:]
    order = ["Main", "Coordinator", "Cache", "WebSocket", "Database"]
    told = {service: next((i for i, line in enumerate(lines) if f"service={service}" in line
                           and re.search(r"(?i)stop|clos", line)), None) for service in order}
    assert told["WebSocket"] is not None and told["Coordinator"] is not None, "\n".join(lines)
    if told["Database"] is not None:
        assert told["Database"] > told["Coordinator"] and told["Database"] > told["WebSocket"]


def test_a_lost_server_tells_its_story(daemon, counting):
    from omni.daemon import IMPATIENT

    one = daemon(IMPATIENT, servers={"counting": counting.entry()})
    one.has_loaded("counting")
    counting.kill()
    one.logged(r"service=Coordinator.*mcp=counting|mcp=counting.*service=Coordinator")
    one.logged(r"(?i)open.*(service=CircuitBreaker.*mcp=counting|mcp=counting.*service=CircuitBreaker)", 15)
    counting.start()
    one.logged(r"(?i)(closed|recovered).*mcp=counting|mcp=counting.*(closed|recovered)", 20)


class TestToken:
    def test_is_made_once_with_tight_permissions(self, daemon):
        one = daemon()
        assert len(one.token) >= 32
        mode = os.stat(one.token_file).st_mode
        assert stat.S_IMODE(mode) == 0o600
        before = one.token
        one.restart()
        assert one.token == before

    def test_of_the_operators_choice_is_used(self, daemon):
        one = daemon(begin=False)
        one.token_file.write_text("chosen-by-the-operator-0123456789abcdef\n")
        one.token_file.chmod(0o600)
        one.start()
        assert one.token == "chosen-by-the-operator-0123456789abcdef"
        assert one.get("/api/v1/mcp/tools/list").status_code == 200
        assert "chosen-by-the-operator" not in one.output()

    def test_is_kept_as_a_hash(self, daemon):
        one = daemon()
        secret = one.token.encode()
        one.stop()
        for path in one.state.rglob("*"):
            if path.is_file():
                assert secret not in path.read_bytes(), path


def test_state_stays_where_it_was_put(daemon):
    one = daemon(servers={"raw": stdio_entry()})
    one.has_loaded("raw")
    assert any(one.state.iterdir())
    for path in one.state.rglob("*"):
        assert not stat.S_IMODE(path.stat().st_mode) & 0o007, f"{path} is open to others"


def test_a_kill_loses_nothing_that_was_registered(daemon, counting):
    one = daemon()
    created = one.post("/api/v1/mcp/servers", json={
        "name": "counting", "url": counting.url, "protocol": "http-streamable"})
    assert created.status_code in (200, 201)
    one.kill()
    one.start()
    one.has_loaded("counting")


def test_a_second_sigterm_is_harmless(daemon):
    import signal

    one = daemon(servers={"raw": stdio_entry()})
    for _ in range(3):
        if one.is_running:
            one.child.process.send_signal(signal.SIGTERM)
    assert one.child.process.wait(30) == 0


def test_sigint_stops_like_sigterm(daemon):
    import signal

    one = daemon()
    one.child.process.send_signal(signal.SIGINT)
    assert one.child.process.wait(30) == 0


def test_starts_in_a_row_leave_nothing_behind(daemon):
    """Quick starts and stops, some before it was ready: no crash, no child, no stale lock."""
    import signal

    one = daemon(servers={"raw": stdio_entry()})
    for round in range(6):
        one.child.process.send_signal(signal.SIGTERM)
        assert one.child.process.wait(30) == 0
        one.start()
    eventually(lambda: one.tools().get("raw"))
