"""Restart, upgrade and kill under load: nobody notices, or everybody finds the way back."""
import http.client
import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from test_life import SERVICE, answers, start

CLIENTS = 1000
EVENTS = 100
REQUESTS = 50


class Crowd:
    """Dashboards in a process of their own: see crowd.py."""

    def __init__(self, host, count: int = CLIENTS, rate: int = EVENTS):
        token = host.path("/var/lib/omni2/admin-token").read_text().strip()
        self.process = subprocess.Popen(
            [sys.executable, Path(__file__).parent / "crowd.py", host.address, "8090", token, str(count), str(rate)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        assert self.process.stdout.readline().strip() == "ready"
        return self

    def end(self) -> dict:
        self.process.stdin.write("end\n")
        self.process.stdin.flush()
        result = json.loads(self.process.stdout.readline())
        print(result)
        return result

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


class Requests(threading.Thread):
    """So many requests per second, every other one on a connection that is kept."""

    def __init__(self, host, rate: float):
        super().__init__(daemon=True)
        self.host, self.pause = host, 1 / rate
        self.good, self.bad, self.longest = 0, [], 0.0
        self.ending = threading.Event()
        self.kept = self.connect()

    def connect(self):
        return http.client.HTTPConnection(self.host.address, 8090, timeout=20)

    def run(self):
        keeps, due = False, time.monotonic()
        # On a timetable: what a restart held up is made up for.
        while not self.ending.wait(max(0, due - time.monotonic())):
            keeps, due = not keeps, due + self.pause
            connection = self.kept if keeps else self.connect()
            begun = time.monotonic()
            try:
                connection.request("GET", "/health/live")
                answer = connection.getresponse()
                answer.read()
                if answer.status == 200 and not (keeps and answer.will_close):
                    self.good += 1
                else:
                    self.bad.append(f"status {answer.status}, closes: {answer.will_close}")
            except (OSError, http.client.HTTPException) as error:
                # A request on a kept connection that was closed meanwhile fails, too.
                self.bad.append(repr(error))
                if keeps:
                    self.kept = self.connect()
            finally:
                self.longest = max(self.longest, time.monotonic() - begun)
                if not keeps:
                    connection.close()


class Load:
    def __init__(self, host):
        self.threads = [Requests(host, REQUESTS / 10) for _ in range(10)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        for thread in self.threads:
            thread.ending.set()
        for thread in self.threads:
            thread.join()
        print({"requests": self.good, "longest": max(t.longest for t in self.threads)})

    @property
    def good(self) -> int:
        return sum(thread.good for thread in self.threads)

    @property
    def bad(self) -> list[str]:
        return [problem for thread in self.threads for problem in thread.bad]


def stored(host) -> int:
    return int(host.property(SERVICE, "NFileDescriptorStore"))


def test_ten_restarts_and_an_upgrade_are_not_noticed(host, packages):
    """1 000 dashboards, 100 events/s, 50 requests/s: nothing closed, lost, doubled, reordered or refused."""
    start(host)
    assert answers(host)
    kept = stored(host)
    host.path("/root/packages").mkdir(exist_ok=True)
    deb = next(x for x in packages.glob("omni2-native_*.deb"))
    host.path("/root/packages/new.deb").write_bytes(deb.read_bytes())
    with Crowd(host) as crowd, Load(host) as load:
        pids = {host.property(SERVICE, "MainPID")}
        for _ in range(10):
            host.run(f"systemctl restart {SERVICE}")
            pids.add(host.property(SERVICE, "MainPID"))
            time.sleep(0.5)  # the load goes on for a while between two restarts
        # The same version again runs the same maintainer scripts as an upgrade.
        host.run("dpkg --install --force-confold /root/packages/new.deb", timeout=120)
        pids.add(host.property(SERVICE, "MainPID"))
        time.sleep(0.5)
        result = crowd.end()
    assert len(pids) == 12, "every restart was one"
    assert result["problems"] == 0 and result["behind"] == [], result
    assert result["received"] == CLIENTS * result["published"] > 0
    assert load.bad == []
    assert load.good > REQUESTS * result["seconds"] * 0.8
    assert stored(host) == kept, "what was handed over is out of the store again"
    restored = [x for x in host.journal("SERVICE=Main") if "taken over" in x["MESSAGE"]]
    assert [int(x["CONNECTIONS"]) >= CLIENTS for x in restored] == [True] * 11


def test_an_upgrade_to_a_version_that_knows_no_hand_over_tells_clients_to_come_again(host):
    """The state in the store is made unreadable between two daemons: 1012, and everybody resumes."""
    start(host)
    # Between the old and the new daemon nobody runs: the new one is made to find another version.
    host.write("/etc/systemd/system/omni2-native.service.d/spoil.conf", "\n".join([
        "[Service]", "ExecStart=", "ExecStart=/bin/sh -c '"
        "n=3; for name in $(echo $LISTEN_FDNAMES | tr : \" \"); do "
        "if [ $name = handover ]; then printf \"\\\\143\" | dd of=/proc/self/fd/$n bs=1 seek=8 conv=notrunc 2>/dev/null; fi; "
        "n=$((n+1)); done; exec /usr/bin/omni2-native'", "NoExecPaths=", "ExecPaths=",
        # The daemon needs none of the calls that a shell makes.
        "SystemCallFilter=", ""]))
    with Crowd(host, 20, 20) as crowd:
        host.run(f"systemctl daemon-reload; systemctl restart {SERVICE}")
        result = crowd.end()
    # The frame's payload: 1012 in two bytes.
    assert result["problems"] >= 20
    assert all("frame 88" in x and "\\x03\\xf4" in x for x in result["examples"]), result
    assert any("hand-over cannot be used" in x["MESSAGE"] for x in host.journal("SERVICE=Main"))
    assert stored(host) == 3


@pytest.mark.parametrize("end", ["kill -KILL", "kill -STOP"])
def test_clients_resume_after_the_daemon_was_killed(host, end):
    """At once after a kill, by the watchdog after a hang: the numbers go on and nothing is missing."""
    host.write(f"/etc/systemd/system/{SERVICE}.d/watchdog.conf", "[Service]\nWatchdogSec=1\n")
    start(host)
    token = host.path("/var/lib/omni2/admin-token").read_text().strip()

    def ask(path: str, body: dict | None = None):
        connection = http.client.HTTPConnection(host.address, 8090, timeout=20)
        connection.request("POST" if body else "GET", path, json.dumps(body) if body else None,
                           {"Authorization": f"Bearer {token}", "Content-Type": "application/json"})
        return connection.getresponse()

    def publish(number: int) -> int:
        answer = json.loads(ask("/api/v1/events/publish", {"type": "load_test", "data": {"n": number}}).read())
        return answer["seq"]

    numbers = [publish(number) for number in range(10)]
    pid = host.property(SERVICE, "MainPID")
    begun = time.monotonic()
    host.run(f"{end} {pid}")
    assert answers(host, timeout=30)
    took = time.monotonic() - begun
    assert host.property(SERVICE, "MainPID") != pid
    if "KILL" in end:
        print({"back": took})
        assert took < 3, "the target on a quiet machine is 1"
    numbers.append(publish(10))
    assert numbers == sorted(set(numbers))
    stream = ask(f"/api/v1/events/stream?event_types=load_test&since={numbers[4]}")
    seen = []
    while len(seen) < 6:
        line = stream.readline().decode()
        if line.startswith("data: "):
            seen.append(json.loads(line[6:])["data"]["n"])
    assert seen == list(range(5, 11))
