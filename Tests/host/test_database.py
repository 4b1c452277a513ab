"""PostgreSQL as a unit beside the gateway: later than it, gone for a while, back again."""
import json

import pytest

from host import Host

SERVICE = "omni2-native.service"


@pytest.fixture
def beside(root_file_system, database_layer, packages):
    with Host([root_file_system, database_layer]) as host:
        host.run("systemctl start postgresql.service", timeout=120)
        host.install(packages)
        host.run("runuser -u postgres -- createuser omni2; "
                 "runuser -u postgres -- createdb --owner=omni2 omni2")
        host.run("systemctl stop 'omni2-native*.socket' omni2-native.service postgresql.service")
        # No password: PostgreSQL knows the gateway's user by its socket.
        host.write("/etc/credstore/omni2.database-url",
                   "postgresql:///omni2?host=/run/postgresql\n", mode=0o600)
        host.run("systemctl start omni2-native.socket omni2-native-admin.socket "
                 "omni2-native-cache.socket")
        yield host


def health(host):
    answer = json.loads(host.out("curl -s http://127.0.0.1:8090/health"))
    return "healthy" if answer["database"]["status"] == "connected" else "degraded"


def wait(host, status):
    """Until /health and the status line of `systemctl status` say so."""
    host.wait_for(lambda: health(host) == status, 60, f"never {status}")
    host.wait_for(lambda: ("database" in line(host)) == (status == "degraded"), 30,
                  f"systemctl status does not tell that it is {status}")


def line(host):
    text = host.out(f"systemctl status {SERVICE} || true")
    return next((x for x in text.splitlines() if x.strip().startswith("Status:")), "")


def test_comes_late_goes_and_comes_back(beside):
    host = beside
    assert "postgresql.service" in host.property(SERVICE, "After").split()
    # First the gateway alone.
    wait(host, "degraded")
    pid = host.property(SERVICE, "MainPID")
    host.run("systemctl start postgresql.service", timeout=120)
    wait(host, "healthy")
    host.run("omni2ctl mcp add gone --url http://127.0.0.1:9/mcp")
    # Then it is taken away.
    host.run("systemctl stop postgresql.service", timeout=60)
    wait(host, "degraded")
    assert "gone" in host.out("omni2ctl mcp list")
    host.run("systemctl start postgresql.service", timeout=120)
    wait(host, "healthy")
    assert host.property(SERVICE, "MainPID") == pid
    kept = host.out("runuser -u postgres -- psql -At omni2 -c 'select name from omni2.mcp_servers'")
    assert kept == "gone"
    ids = [x.get("MESSAGE_ID") for x in host.journal("SERVICE=Database")]
    assert "090f19e80a734aff87994fe3c7551983" in ids and "60f77cd5bedc45038070a7e66ce48079" in ids


def test_stopping_together_waits_for_the_gateway(beside):
    """Ordered after the database, the gateway stops before it and finds it there until its end."""
    host = beside
    host.run("systemctl start postgresql.service", timeout=120)
    wait(host, "healthy")
    host.run(f"systemctl stop omni2-native.socket {SERVICE} postgresql.service", timeout=120)
    times = {unit: int(host.property(unit, "InactiveEnterTimestampMonotonic"))
             for unit in (SERVICE, "postgresql.service")}
    assert times[SERVICE] < times["postgresql.service"]
    assert host.property(SERVICE, "Result") == "success"
