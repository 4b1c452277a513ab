"""The daemon's life under systemd: restart, reload, kill, hang, broken configuration."""
import contextlib
import http.client
import os
import re
import signal
import threading
import time
from pathlib import Path

SERVICE = "omni2-native.service"
CONFIGURATION = "/etc/omni2/omni2.conf.d/test.conf"


def start(host):
    # On all addresses: the host's own is where this machine reaches it.
    host.write("/etc/systemd/system/omni2-native.socket.d/address.conf",
               "[Socket]\nListenStream=\nListenStream=0.0.0.0:8090\n")
    host.run("systemctl daemon-reload; systemctl restart omni2-native.socket")
    assert answers(host)


def ask(host, timeout=10):
    """None, or what went wrong with one request on a connection of its own."""
    connection = http.client.HTTPConnection(host.address, 8090, timeout=timeout)
    try:
        connection.request("GET", "/health/live")
        status = connection.getresponse().status
        return None if status == 200 else f"status {status}"
    except (OSError, http.client.HTTPException) as error:
        return repr(error)
    finally:
        connection.close()


def answers(host, timeout=10):
    return ask(host, timeout) is None


def outer(host, pid):
    """The process id on this machine of one inside."""
    for entry in Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(OSError):
            text = entry.read_text()
            ids = re.search(r"^NSpid:(.*)$", text, re.M)[1].split()
            if ids[-1] == pid and len(ids) > 1 and text.startswith("Name:\tomni2-native"):
                if os.readlink(entry.parent / "ns/pid") == os.readlink(f"/proc/{host.leader}/ns/pid"):
                    return int(entry.parent.name)
    raise AssertionError(f"no process {pid}")


def fill_cache(host):
    host.write("/opt/eater/eater.py", (Path(__file__).parent / "eater.py").read_text(), mode=0o755)
    host.run("omni2ctl mcp add eater --command /opt/eater/eater.py --cache-policy listed "
             "--cache-tools who --scope shared")
    # What was asked before the server's lists were known is not kept.
    host.wait_for(lambda: host.run("omni2ctl tools call eater who", check=False).returncode == 0
                  and is_cached(host), 20, "never cached")


def is_cached(host):
    """A sibling finds the result in the shared segment."""
    return host.run("omni2-cache contains eater who '{}'", check=False).returncode == 0


class Knocking(threading.Thread):
    """Sends one request after the other, each on a connection of its own, until told to stop."""

    def __init__(self, host):
        super().__init__(daemon=True)
        self.host = host
        self.good = 0
        self.bad = []
        self.ending = threading.Event()

    def run(self):
        while not self.ending.is_set():
            complaint = ask(self.host)
            if complaint is None:
                self.good += 1
            else:
                self.bad.append(complaint)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.ending.set()
        self.join()


def test_restart_refuses_nobody(host):
    start(host)
    with Knocking(host) as knocking:
        for _ in range(5):
            host.run(f"systemctl restart {SERVICE}")
    assert knocking.bad == []
    assert knocking.good > 5


def test_upgrade_keeps_the_sockets_open(host, packages):
    start(host)
    entered = host.property("omni2-native.socket", "ActiveEnterTimestampMonotonic")
    pid = host.property(SERVICE, "MainPID")
    with Knocking(host) as knocking:
        # The same version again runs the same maintainer scripts as an upgrade.
        host.path("/root/packages").mkdir(exist_ok=True)
        deb = next(x for x in packages.glob("omni2-native_*.deb"))
        host.path("/root/packages/new.deb").write_bytes(deb.read_bytes())
        host.run("dpkg --install --force-confold /root/packages/new.deb", timeout=120)
    assert knocking.bad == []
    assert host.property("omni2-native.socket", "ActiveEnterTimestampMonotonic") == entered
    assert host.property(SERVICE, "MainPID") != pid


def test_killed_daemon_is_back_within_a_second(host):
    start(host)
    pid = host.property(SERVICE, "MainPID")
    fill_cache(host)
    times = []
    for _ in range(3):
        pid = host.property(SERVICE, "MainPID")
        begun = time.monotonic()
        os.kill(outer(host, pid), signal.SIGKILL)
        # A peer that the dying daemon had let in is lost with it; whoever comes after is not.
        host.wait_for(lambda: answers(host), 10, "not back")
        times.append(time.monotonic() - begun)
        assert host.property(SERVICE, "MainPID") != pid
        # The door to the cache opens when the servers have been asked; nobody fills it again meanwhile.
        host.wait_for(lambda: is_cached(host), 20, "the cache is empty")
    # The best of them is ours; what else runs on this machine is in the others.
    assert min(times) < 1, times


def test_hung_daemon_is_restarted_by_the_watchdog(host):
    host.write(f"/etc/systemd/system/{SERVICE}.d/watchdog.conf", "[Service]\nWatchdogSec=1\n")
    start(host)
    pid = host.property(SERVICE, "MainPID")
    time.sleep(2.5)
    assert host.property(SERVICE, "MainPID") == pid, "a healthy daemon feeds its watchdog"
    fill_cache(host)
    host.run(f"kill -STOP {pid}")
    assert answers(host, timeout=30)
    host.wait_for(lambda: is_cached(host), 20, "the cache is empty")
    assert host.property(SERVICE, "MainPID") != pid
    assert any("watchdog" in x["MESSAGE"].lower() for x in host.journal("UNIT=" + SERVICE))


def test_wrong_configuration_ends_with_78_and_is_not_tried_again(host):
    host.write(CONFIGURATION, "[Cache]\nMaxEntires=5\n")
    host.run(f"systemctl start {SERVICE}", check=False)
    assert host.property(SERVICE, "ExecMainStatus") == "78"
    assert host.property(SERVICE, "NRestarts") == "0"
    assert host.property(SERVICE, "StatusErrno") == "22"
    assert f"{CONFIGURATION}:2: [Cache] MaxEntires=" in host.property(SERVICE, "StatusText")
    text = " ".join(x["MESSAGE"] for x in host.journal("_SYSTEMD_UNIT=" + SERVICE))
    assert f"{CONFIGURATION}:2: [Cache] MaxEntires=: unknown key; did you mean MaxEntries=?" in text
    host.write(CONFIGURATION, "[Cache]\nMaxEntries=5\n")
    host.run(f"systemctl reset-failed {SERVICE}; systemctl restart omni2-native.socket")
    assert host.out("curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:8090/health/live") == "200"


def test_start_that_takes_long_is_extended(host):
    """Longer than TimeoutStartSec= allows, for a database that takes connections and says nothing."""
    host.write(f"/etc/systemd/system/{SERVICE}.d/short.conf", "[Service]\nTimeoutStartSec=2\n")
    host.write("/etc/credstore/omni2.database-url", "postgresql://omni2@127.0.0.1/omni2", mode=0o600)
    host.run("systemctl daemon-reload; systemd-run --quiet nc -lk 127.0.0.1 5432")
    begun = time.monotonic()
    host.run(f"systemctl start {SERVICE}")
    assert time.monotonic() - begun > 2
    assert host.property(SERVICE, "NRestarts") == "0"
    assert host.property(SERVICE, "ActiveState") == "active"


def test_broken_reload_leaves_the_daemon_as_it_was(host):
    start(host)
    pid = host.property(SERVICE, "MainPID")
    host.write(CONFIGURATION, "[Log]\nLevel=loud\n")
    assert host.run(f"systemctl reload {SERVICE}", check=False).returncode != 0
    assert host.property(SERVICE, "MainPID") == pid
    assert host.property(SERVICE, "ActiveState") == "active"
    assert answers(host)
    text = " ".join(x["MESSAGE"] for x in host.journal("_SYSTEMD_UNIT=" + SERVICE))
    assert f"{CONFIGURATION}:2: [Log] Level=loud" in text
    # Sent by somebody else than systemctl, the signal reaches a daemon that looks for itself.
    host.run(f"kill -HUP {pid}")
    host.wait_for(lambda: "reload refused" in host.property(SERVICE, "StatusText"), 10, "no status")
    assert f"{CONFIGURATION}:2: [Log] Level=loud" in host.out(f"systemctl status {SERVICE} || true")
    assert answers(host)


def test_reload_changes_what_it_can_and_names_what_waits(host):
    start(host)
    pid = host.property(SERVICE, "MainPID")
    host.write(CONFIGURATION, "[Log]\nLevel=debug\n[Cache]\nMaxEntries=5\n")
    host.run(f"systemctl reload {SERVICE}")

    def said(text):
        return any(text in x["MESSAGE"] for x in host.journal("SERVICE=Main"))

    # The reload is a signal: systemctl does not wait for the daemon to have read its files.
    host.wait_for(lambda: said("[Log] Level= is debug now, was info"), 10, "no word of the reload")
    assert said("[Cache] MaxEntries= stays 1000 until a restart")
    assert "wait for a restart: [Cache] MaxEntries=" in host.property(SERVICE, "StatusText")
    assert host.property(SERVICE, "MainPID") == pid
    assert answers(host)


def test_credentials_arrive_without_a_trace(host):
    host.write("/etc/credstore/omni2.encryption-key", "short", mode=0o600)
    host.run(f"systemctl start {SERVICE}", check=False)
    text = " ".join(x["MESSAGE"] for x in host.journal("_SYSTEMD_UNIT=" + SERVICE))
    assert "credential encryption-key: [Access] EncryptionKey=: is not 64 hexadecimal digits" in text
    assert "short" not in text
    host.write("/etc/credstore/omni2.encryption-key", "0" * 64 + "\n", mode=0o600)
    host.run(f"systemctl reset-failed {SERVICE}; systemctl start {SERVICE}")
    assert host.property(SERVICE, "ActiveState") == "active"
