"""omni2ctl as such: status, how the daemon is reached, what is said to wrong words."""
import re
import socket
import socketserver
import ssl
import subprocess
import threading

import pytest

from omni.control import facts, on_terminal, rows, run
from omni.people import People
from omni.processes import free_port
from omni.servers import stdio_entry


class TestStatus:
    def test_says_how_everything_is(self, raw):
        text = raw.ok("status")
        assert text.startswith("● omni2-native ")
        assert facts(text)["State"] == "healthy" and "sqlite" in facts(text)["Database"]
        assert facts(text)["Servers"] == "1 of 1 healthy, 0 disabled"
        assert rows(text)["raw"][1:3] == ["healthy", "closed"]

    def test_json(self, raw):
        value = raw.json("status")
        assert set(value) == {"health", "servers", "cache"}
        assert value["health"]["status"] == "healthy" and value["servers"][0]["name"] == "raw"

    def test_columns_stand_under_one_another(self, control):
        ctl = control(servers={"a": stdio_entry(), "a-much-longer-name": stdio_entry()})
        lines = ctl.ok("mcp", "list").splitlines()
        column = lines[0].index("STATE")
        assert all(line[column - 2:column] == "  " and line[column] != " " for line in lines)
        assert not any(line.endswith(" ") for line in lines)


class Guarded:
    """TLS in front of a daemon, with a certificate of its own making."""

    def __init__(self, directory, target: int):
        self.certificate, key = directory / "certificate.pem", directory / "key.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                        "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
                        "-keyout", key, "-out", self.certificate], check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, key)

        class Relay(socketserver.StreamRequestHandler):
            def handle(self):
                try:
                    with context.wrap_socket(self.request, server_side=True) as near, \
                            socket.create_connection(("127.0.0.1", target)) as far:
                        while request := near.recv(65536):
                            far.sendall(request)
                            near.sendall(far.recv(1 << 20))
                except (OSError, ssl.SSLError):
                    pass  # whoever does not trust us hangs up

        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Relay)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


class TestReaching:
    def test_without_a_daemon(self, tmp_path):
        ended = run("status", RUNTIME_DIRECTORY=str(tmp_path))
        assert ended.returncode == 2 and ended.stdout == ""
        assert f"{tmp_path}/admin.sock is missing" in ended.stderr
        assert "systemctl status omni2-native" in ended.stderr

    def test_a_socket_that_nobody_listens_on(self, raw):
        raw.one.kill()
        ended = raw("status")
        assert ended.returncode == 2 and "nobody answers at" in ended.stderr and "systemctl status omni2-native" in ended.stderr

    def test_a_socket_by_its_path(self, raw):
        ended = run("status", "--socket", raw.one.runtime / "admin.sock")
        assert ended.returncode == 0

    def test_a_host_with_a_token(self, raw, tmp_path):
        one = raw.one
        assert run("status", "--host", one.url, "--token-file", one.token_file).returncode == 0
        assert run("mcp", "list", "--host", one.url + "/", OMNI2_TOKEN=one.token).returncode == 0
        assert run("mcp", "list", "--host", one.url, "--token", one.token).returncode == 0
        missing = run("mcp", "list", "--host", one.url)
        assert missing.returncode == 77 and "--token-file" in missing.stderr
        wrong = run("mcp", "list", "--host", one.url, OMNI2_TOKEN="x" * 40)
        assert wrong.returncode == 77 and "AdminTokenFile" in wrong.stderr
        assert "x" * 40 not in wrong.stderr
        # A variable meant for another host does not spoil the socket.
        assert raw("mcp", "list", OMNI2_TOKEN="x" * 40).returncode == 0

    @pytest.mark.parametrize("words", [
        ["mcp", "reload"], ["watch"], ["cache", "list"], ["cache", "invalidate"], ["flows", "list", "ann"],
        ["config", "show"], ["user", "list"], ["mcp", "add", "x", "--url", "http://127.0.0.1:1/"]])
    def test_somebody_without_the_right_is_told(self, raw, words):
        ann = People(raw.one).user("ann", "viewer")
        role = People(raw.one).change_role("viewer", dashboard_access="none")
        assert role["dashboard_access"] == "none"
        ended = run(*words, "--host", raw.one.url, OMNI2_TOKEN=ann.token)
        assert ended.returncode == 77 and ended.stdout == "", (ended.stdout, ended.stderr)
        assert ended.stderr.startswith("omni2ctl: not allowed: ")

    def test_a_host_over_tls(self, raw, tmp_path):
        """Its certificate is checked; an authority of one's own is named by --ca-file."""
        with Guarded(tmp_path, raw.one.port) as guarded:
            words = ("mcp", "list", "--host", f"https://localhost:{guarded.port}")
            trusted = run(*words, "--ca-file", guarded.certificate, OMNI2_TOKEN=raw.one.token)
            assert trusted.returncode == 0 and "raw" in trusted.stdout, trusted.stderr
            doubted = run(*words, OMNI2_TOKEN=raw.one.token)
            assert doubted.returncode == 2 and "TLS failed" in doubted.stderr

    def test_a_host_that_is_not_there(self):
        url = f"http://127.0.0.1:{free_port()}"
        ended = run("status", "--host", url, OMNI2_TOKEN="x")
        assert ended.returncode == 2 and f"{url} cannot be reached" in ended.stderr

    def test_colours_are_for_terminals(self, raw):
        assert "\x1b" not in raw.ok("status")
        assert "\x1b[32m●" in on_terminal(raw, "status", TERM="xterm")
        assert "\x1b" not in on_terminal(raw, "status", TERM="xterm", NO_COLOR="1")
        assert "\x1b" not in on_terminal(raw, "status", TERM="dumb")

    def test_a_servers_text_does_not_command_the_terminal(self, raw):
        call = ("tools", "call", "raw", "echo", '{"text": "\\u001b[2J"}')
        assert raw.ok(*call) == "echo \x1b[2J\n"
        assert "\x1b" not in on_terminal(raw, *call, TERM="xterm")


class TestUsage:
    @pytest.mark.parametrize("words, hint", [
        ([], "a command is missing"),
        (["frobnicate"], "there is no command frobnicate"),
        (["mcp"], "mcp needs one of list, show, add"),
        (["mcp", "eject"], "there is no mcp eject"),
        (["mcp", "show"], "SERVER is missing; write omni2ctl mcp show SERVER"),
        (["mcp", "show", "a", "b"], "b is one too many"),
        (["mcp", "show", ""], "SERVER of mcp show is empty"),
        (["mcp", "list", "--url", "x"], "mcp list has no option --url"),
        (["mcp", "list", "--frob"], "there is no option --frob"),
        (["mcp", "list", "--json=yes"], "--json takes no value"),
        (["mcp", "list", "--host"], "--host needs a value"),
        (["mcp", "list", "--", "x"], "takes nothing after --"),
        (["status", "--host", "gateway"], "--host is a URL"),
        (["status", "--host", "http://x", "--socket", "/y"], "leave one out"),
        (["status", "--token", "x", "--token-file", "/y"], "leave one out"),
        (["status", "--host", "https://x", "--ca-file", "/nowhere"], "/nowhere is not there"),
        (["status", "--token-file", "/nowhere"], "/nowhere cannot be read"),
    ])
    def test_mistakes(self, words, hint):
        ended = run(*words)
        assert ended.returncode == 64 and ended.stdout == ""
        assert ended.stderr.startswith("omni2ctl: ") and hint in ended.stderr

    def test_version(self):
        assert re.fullmatch(r"omni2ctl \d+\.\d+\.\d+\n", run("--version").stdout)
