"""stdio servers as units: started by the gateway's connection, sandboxed, limited, logged by name."""
import json
import re
from pathlib import Path

import pytest

from host import Host

EATER = Path(__file__).parent / "eater.py"
TIME = ("omni2ctl mcp add time --command /opt/mcp-time/bin/mcp-server-time "
        "-- --local-timezone=UTC")


def call(host, server, tool, arguments="{}", check=True):
    return host.run(f"omni2ctl tools call {server} {tool} '{arguments}'", check=check)


def ready(host, server):
    """Once the gateway has its tools."""
    host.wait_for(lambda: host.run(f"omni2ctl mcp check {server}", check=False).returncode == 0, 30,
                  f"{server} is not healthy")


@pytest.fixture
def eating(host):
    host.write("/opt/eater/eater.py", EATER.read_text(), mode=0o755)
    host.run("omni2ctl mcp add eater --command /opt/eater/eater.py --memory-max 64M")
    ready(host, "eater")
    return host


def test_server_from_pypi_is_a_unit(host, server_from_pypi):
    host.copy(server_from_pypi, "/opt/mcp-time")
    said = host.out(TIME)
    assert "wrote /etc/systemd/system/omni2-mcp@time.service.d/omni2ctl.conf" in said
    assert "journalctl -u 'omni2-mcp@time*'" in said
    ready(host, "time")
    answer = call(host, "time", "get_current_time", '{"timezone": "Asia/Tokyo"}').stdout
    assert json.loads(answer)["timezone"] == "Asia/Tokyo"
    unit = "omni2-mcp@time.service"
    assert host.property(unit, "ActiveState") == "active"
    assert host.property(unit, "Slice") == "omni2-mcp.slice"
    pid = host.property(unit, "MainPID")
    # A user of its own, no rights, nothing of the gateway's to be seen.
    status = host.path(f"/proc/{pid}/status").read_text()
    assert int(re.search(r"^Uid:\s+(\d+)", status, re.M)[1]) >= 61184
    assert re.search(r"^CapBnd:\s+0+$", status, re.M) and re.search(r"^Seccomp:\s+2$", status, re.M)
    # systemd puts something over it that nobody may open.
    assert host.path(f"/proc/{pid}/root/run/omni2/admin.sock").stat().st_mode & 0o777 == 0
    # The daemon has no child of its own.
    daemon = host.property("omni2-native.service", "MainPID")
    assert host.path(f"/proc/{daemon}/task/{daemon}/children").read_text() == ""


def test_limits_and_sandbox_follow_the_options(host):
    host.write("/opt/eater/eater.py", EATER.read_text(), mode=0o755)
    host.write("/etc/omni2/eater.env", "TOKEN=secret\n", mode=0o600)
    host.run("omni2ctl mcp add eater --command /opt/eater/eater.py --memory-max 64M --cpu-quota 30% "
             "--network --environment-file /etc/omni2/eater.env -- 'one word' '%i $HOME \"'")
    ready(host, "eater")
    unit = "omni2-mcp@eater.service"
    assert host.property(unit, "MemoryMax") == str(64 << 20)
    assert host.property(unit, "CPUQuotaPerSecUSec") == "300ms"
    assert host.property(unit, "PrivateNetwork") == "no"
    pid = call(host, "eater", "who").stdout.strip()
    main = host.property(unit, "MainPID")
    assert host.out(f"pgrep -P {main}") == pid
    words = host.path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    assert words[-3:] == [b"one word", b'%i $HOME "', b""]
    assert b"TOKEN=secret" in host.path(f"/proc/{pid}/environ").read_bytes().split(b"\0")


def test_journal_has_its_name(eating):
    eating.run("omni2ctl tools call eater nonsense", check=False)
    call(eating, "eater", "who")
    # Its own words on standard error.
    pid = eating.property("omni2-mcp@eater.service", "MainPID")
    eating.run("systemctl stop omni2-mcp@eater.service")
    records = eating.journal("-u", "omni2-mcp@eater*")
    assert any("MCP server eater" in x["MESSAGE"] for x in records)
    assert {x["MCP"] for x in eating.journal(f"_PID={pid}")} <= {"eater"}
    assert eating.journal("SERVICE=MCP", "MCP=eater") == eating.journal("MCP=eater", "SERVICE=MCP")


def test_eater_of_memory_dies_alone_and_comes_back(installed_image):
    with Host(installed_image, enforces_memory=True) as host:
        host.write("/opt/eater/eater.py", EATER.read_text(), mode=0o755)
        host.run("omni2ctl mcp add eater --command /opt/eater/eater.py --memory-max 64M")
        host.run("omni2ctl mcp add other --command /opt/eater/eater.py")
        ready(host, "eater")
        ready(host, "other")
        daemon = host.property("omni2-native.service", "MainPID")
        first = call(host, "eater", "who").stdout
        other = call(host, "other", "who").stdout
        done = call(host, "eater", "eat", check=False)
        assert done.returncode == 1
        assert "omni2-mcp@eater" in done.stderr
        host.wait_for(lambda: call(host, "eater", "who", check=False).returncode == 0, 60,
                      "the eater is not back")
        assert call(host, "eater", "who").stdout != first
        assert call(host, "other", "who").stdout == other
        assert host.property("omni2-native.service", "MainPID") == daemon
        # What it said goes under its name; so does who killed it.
        records = host.journal("-u", "omni2-mcp@eater*")
        assert any(x["MESSAGE"] == "eating" and x["MCP"] == "eater" and x["SERVICE"] == "MCP"
                   and x["SYSLOG_IDENTIFIER"] == "omni2-mcp-eater" for x in records)
        assert any("oom-kill" in x["MESSAGE"] or "signal 9" in x["MESSAGE"] for x in records)


def test_hung_up_program_is_ended(host):
    # It does not notice the end of its input.
    host.write("/opt/deaf.sh", "#!/bin/sh\ncat /opt/answers\nexec sleep 1000\n", mode=0o755)
    host.write("/opt/answers", json.dumps({
        "jsonrpc": "2.0", "id": 1, "result": {
            "protocolVersion": "2025-06-18", "capabilities": {},
            "serverInfo": {"name": "deaf", "version": "1"}}}) + "\n")
    host.run("omni2ctl mcp add deaf --command /opt/deaf.sh")
    unit = "omni2-mcp@deaf.service"
    host.wait_for(lambda: host.property(unit, "ActiveState") == "active", 10, "never started")
    host.run("omni2ctl mcp disable deaf")
    host.wait_for(lambda: host.property(unit, "ActiveState") == "inactive", 20, "still there")
    assert host.out("pgrep -c sleep || true") == "0"


def test_server_goes_and_comes_with_the_gateway(eating):
    sockets = "omni2-native.socket omni2-native-admin.socket omni2-native-cache.socket"
    eating.run(f"systemctl stop {sockets} omni2-native.service")
    eating.wait_for(lambda: eating.property("omni2-mcp@eater.service", "ActiveState") == "inactive", 20,
                    "the server stays")
    assert eating.property("omni2-mcp@eater.socket", "ActiveState") == "inactive"
    eating.run(f"systemctl start {sockets}")
    ready(eating, "eater")


def test_removed_server_leaves_no_unit(eating):
    eating.run("omni2ctl mcp remove eater")
    assert eating.out("ls -d /etc/systemd/system/omni2-mcp@* /run/omni2/mcp/* 2>/dev/null || true") == ""
    assert eating.out("systemctl list-units --all --no-legend 'omni2-mcp@*'") == ""
    assert eating.out("ls /etc/systemd/system/*.wants | grep mcp || true") == ""


def test_import_makes_units(host):
    host.write("/opt/eater/eater.py", EATER.read_text(), mode=0o755)
    host.write("/root/servers.json", json.dumps({"mcpServers": {"eater": {
        "command": "/opt/eater/eater.py", "args": ["a"], "env": {"KEY": "it's \"$x\""}}}}))
    host.run("omni2ctl mcp import /root/servers.json")
    ready(host, "eater")
    pid = call(host, "eater", "who").stdout.strip()
    assert b"KEY=it's \"$x\"" in host.path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    kept = host.path("/etc/systemd/system/omni2-mcp@eater.service.d/omni2ctl.env")
    assert kept.stat().st_mode & 0o777 == 0o600
    assert "KEY" not in host.out("omni2ctl mcp list --json")


@pytest.mark.parametrize("words, hint", [
    ("a/b --command /bin/cat", "is a unit of systemd's: its name"),
    ("x --command /root/thing", "there is no program /root/thing"),
    ("x --command /root/.bashrc", "does not see; install it below /opt"),
    ("x --command /bin/cat --memory-max much", "--memory-max is a size such as 256M, not much"),
    ("x --command /bin/cat --cpu-quota 5", "--cpu-quota is a share of one core such as 50%, not 5"),
    ("x --command nothing-of-the-kind", "there is no program nothing-of-the-kind in $PATH"),
])
def test_add_says_what_cannot_be(refusing, words, hint):
    done = refusing.run(f"omni2ctl mcp add {words}", check=False)
    assert done.returncode != 0 and hint in done.stderr, done.stderr
    assert refusing.out("ls -d /etc/systemd/system/omni2-mcp@* 2>/dev/null || true") == ""


@pytest.fixture(scope="module")
def refusing(installed_image):
    with Host(installed_image) as host:
        yield host


def test_only_root_adds_units(refusing):
    refusing.run("useradd -G omni2-admin helper")
    done = refusing.run("omni2ctl mcp add x --command /bin/cat", check=False, user="helper")
    assert done.returncode == 1 and "only root may; try sudo" in done.stderr


def test_server_without_a_unit_says_what_to_do(refusing):
    # As a client's file, or another host's database, may name one.
    refusing.run("curl -sf --unix-socket /run/omni2/admin.sock -H 'Content-Type: application/json' "
                 "-d '{\"name\": \"homeless\", \"command\": \"/bin/cat\"}' "
                 "http://localhost/api/v1/mcp/servers")
    refusing.wait_for(lambda: "omni2ctl mcp add homeless --command" in refusing.run(
        "omni2ctl mcp check homeless", check=False).stdout, 20, "no advice")


def test_accepting_socket_would_lose_the_servers_name(refusing):
    """Why the template is not `Accept=yes`, see docs/systemd.md."""
    refusing.write("/etc/systemd/system/probe@.socket",
                   "[Socket]\nListenStream=/run/probe-%i.sock\nAccept=yes\n")
    refusing.write("/etc/systemd/system/probe@.service",
                   "[Service]\nExecStart=/bin/cat\nStandardInput=socket\n")
    refusing.run("systemctl daemon-reload; systemctl start probe@time.socket")
    refusing.run("systemd-run --quiet --unit=peer sh -c 'sleep 30 | nc -U /run/probe-time.sock'")
    refusing.wait_for(lambda: services(refusing) != [], 10, "no service")
    assert re.fullmatch(r"probe@0-\d+-0\.service", services(refusing)[0])
    refusing.run("systemctl stop probe@time.socket peer.service 'probe@*.service'")


def services(host):
    return [x.split()[0] for x in host.out(
        "systemctl list-units --plain --no-legend 'probe@*.service'").splitlines()]
