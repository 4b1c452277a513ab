"""omni2ctl watch: live events with filters, over restarts of the daemon, as lines and as a picture."""
import re
import signal

import pytest

from omni.control import run
from omni.processes import free_port
from omni.waiting import eventually

QUIET = {"WebSocket": {"PingSec": "1h", "StaleSec": "2h"}}


def publish(one, kind: str, **data) -> int:
    answer = one.post("/api/v1/events/publish", {"type": kind, "data": data})
    assert answer.status_code == 200, answer.text
    return answer.json()["seq"]


class TestLines:
    def test_begins_with_how_everything_stands_and_goes_on(self, raw):
        with raw.going("watch") as watching:
            watching.until(r"initial_status .*1 server: raw healthy")
            raw.ok("mcp", "disable", "raw")
            watching.until(r"^\d\d:\d\d:\d\d  mcp_status_change +raw .* → ")
            assert watching.end() == 0

    def test_json_is_one_line_for_each_with_its_number(self, raw):
        with raw.going("watch", "--json", "--type", "note,mcp_status_change", "--count", "2") as watching:
            watching.until("connected|", on="err")
            eventually(lambda: raw.one.get("/api/v1/events/websocket/debug").json()["event_streams"] == 1)
            first, second = publish(raw.one, "note", n=1), publish(raw.one, "note", n=2)
            watching.until(f'"seq":{second}')
            assert [event["seq"] for event in watching.events()] == [first, second]
            assert watching.process.wait(10) == 0

    def test_ends_well_by_either_signal(self, raw):
        for by in (signal.SIGINT, signal.SIGTERM):
            with raw.going("watch") as watching:
                watching.until("initial_status")
                assert watching.end(by) == 0

    def test_chooses_by_type_server_and_severity(self, raw):
        words = ("watch", "--json", "--type", "note", "--server", "raw", "--severity", "high", "--count", "1")
        with raw.going(*words) as watching:
            watching.until("has no event note", on="err")
            eventually(lambda: raw.one.get("/api/v1/events/websocket/debug").json()["event_streams"] == 1)
            publish(raw.one, "other", mcp_name="raw", severity="critical")
            publish(raw.one, "note", mcp_name="else", severity="critical")
            publish(raw.one, "note", mcp_name="raw", severity="medium")
            publish(raw.one, "note", severity="high")
            wanted = publish(raw.one, "note", mcp_name="raw", severity="critical")
            assert watching.process.wait(20) == 0
            watching.until(f'"seq":{wanted}')
            assert len(watching.events()) == 1

    def test_begins_where_it_is_told_to(self, raw):
        numbers = [publish(raw.one, "note", n=n) for n in range(3)]
        words = ("watch", "--json", "--type", "note", "--since", numbers[0], "--count", "2")
        seen = raw.ok(*words)
        assert re.findall(r'"n":(\d)', seen) == ["1", "2"]


class TestRestarts:
    def test_loses_nothing_over_a_lost_connection(self, raw):
        """The daemon's log is the same: what came meanwhile is there, once and in order."""
        proxy = Relay(raw.one.runtime / "admin.sock", raw.one.directory / "relay.sock")
        with proxy, raw.going("watch", "--json", "--type", "note", "--socket", proxy.path) as watching:
            eventually(lambda: raw.one.get("/api/v1/events/websocket/debug").json()["event_streams"] == 1)
            publish(raw.one, "note", n=0)
            watching.until('"n":0')
            proxy.cut()
            watching.until("connection is lost", on="err")
            for n in range(1, 50):
                publish(raw.one, "note", n=n)
            proxy.join()
            watching.until("connected again", on="err")
            publish(raw.one, "note", n=50)
            watching.until('"n":50')
            assert [event["data"]["n"] for event in watching.events()] == list(range(51))
            assert "missed" not in watching.texts["err"].decode()

    def test_says_when_it_had_to_resync(self, control):
        """The numbers of this daemon begin anew: it is behind none of them."""
        ctl = control(QUIET)
        for n in range(5):
            publish(ctl.one, "note", n=n)
        last = publish(ctl.one, "note", n=5)
        with ctl.going("watch", "--json", "--type", "note", "--since", last - 1) as watching:
            watching.until('"n":5')
            ctl.one.restart()
            watching.until("connection is lost", on="err")
            watching.until("events were missed", on="err")
            watching.until('"resync":true')
            eventually(lambda: publish(ctl.one, "note", n=100))
            watching.until('"n":100')


class TestPicture:
    def test_is_drawn_in_its_place_until_q(self, raw):
        with raw.terminal("watch", "--top", "--interval", "0.2") as screen:
            screen.until(r"raw +\S*healthy")
            assert screen.text.startswith("\x1b[?1049h") and "\x1b[H" in screen.text
            publish(raw.one, "mcp_status_change", mcp_name="raw", old_status="a", new_status="b", reason="why")
            screen.until("a → b: why")
            raw.ok("mcp", "disable", "raw")
            screen.until(r"raw +\S*disabled")
            screen.press("q")
            assert screen.rest().endswith("\x1b[?25h\x1b[?1049l") and screen.process.returncode == 0

    def test_shows_that_the_daemon_is_gone_and_back(self, raw):
        with raw.terminal("watch", "--top", "--interval", "0.2") as screen:
            screen.until(r"raw +\S*healthy")
            raw.one.stop()
            screen.until("lost:")
            raw.one.start()
            screen.until("live, (came back|with a gap)")
            screen.press("\x03")  # Ctrl-C
            assert screen.rest().endswith("\x1b[?1049l") and screen.process.returncode == 0

    def test_fits_the_terminal(self, raw):
        with raw.terminal("watch", "--top", "--interval", "0.2", columns=40, rows=8) as screen:
            screen.until("CIRCUIT|…")
            screen.until(r"\x1b\[J")
            picture = screen.text.rpartition("\x1b[H")[2].partition("\x1b[J")[0]
            plain = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", picture).replace("\r", "").splitlines()
            assert len(plain) <= 8 and max(map(len, plain)) <= 40

    def test_needs_a_terminal(self, raw):
        for words in (["watch"], ["status"], ["cache", "stats"]):
            assert "there is none" in raw.refused(*words, "--top", status=64)


class TestMistakes:
    @pytest.mark.parametrize("words, meant", [
        (["--since", "yesterday"], "--since is a whole number"),
        (["--count", "-1"], "--count is a whole number"),
        (["--severity", "bad"], "one of info, medium, high, critical"),
    ])
    def test_are_told(self, control, words, meant):
        assert meant in control().refused("watch", *words, status=64)

    def test_an_unknown_server(self, raw):
        assert "there are raw" in raw.refused("watch", "--server", "nobody")

    def test_no_daemon(self, tmp_path):
        ended = run("watch", RUNTIME_DIRECTORY=str(tmp_path))
        assert ended.returncode == 2 and "admin.sock is missing" in ended.stderr
        ended = run("watch", "--host", f"http://127.0.0.1:{free_port()}", OMNI2_TOKEN="x")
        assert ended.returncode == 2 and "cannot be reached" in ended.stderr


class Relay:
    """A Unix socket in front of another, whose connections can be cut."""

    def __init__(self, target, path):
        import socket
        import threading
        self.target, self.path = str(target), str(path)
        self.socket, self.threading = socket, threading
        self.pairs = []
        self.join()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.cut()

    def join(self) -> None:
        self.listener = self.socket.socket(self.socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen()
        self.threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()

    def accept(self, listener) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            far = self.socket.socket(self.socket.AF_UNIX)
            far.connect(self.target)
            self.pairs += [near, far]
            for one, other in ((near, far), (far, near)):
                self.threading.Thread(target=self.copy, args=(one, other), daemon=True).start()

    def copy(self, one, other) -> None:
        try:
            while part := one.recv(65536):
                other.sendall(part)
            other.shutdown(self.socket.SHUT_WR)
        except OSError:
            pass  # it was cut

    def cut(self) -> None:
        import os
        if os.path.exists(self.path):
            os.unlink(self.path)
        self.listener.shutdown(self.socket.SHUT_RDWR)
        self.listener.close()
        for one in self.pairs:
            try:
                one.shutdown(self.socket.SHUT_RDWR)
            except OSError:
                pass  # it has ended by itself
            one.close()
        self.pairs.clear()
