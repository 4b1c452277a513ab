"""omni2ctl as such: status, how the daemon is reached, what is said to wrong words."""
import re
import socket
import socketserver
import ssl
import subprocess
import threading

import pytest

from omni.control import commands, facts, on_terminal, rows, run
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


# What each command needs besides its words, to get as far as the daemon.
GIVEN = {
    "mcp show": "x", "mcp add": "x --url http://127.0.0.1:9/mcp", "mcp edit": "x --timeout 9",
    "mcp import": "{servers}", "mcp remove": "x", "mcp enable": "x", "mcp disable": "x", "mcp check": "x",
    "tools call": "x y", "cache get": "00", "circuit show": "x", "circuit reset": "x", "flows list": "x",
    "flows show": "x", "flows watch": "x", "user show": "x", "user add": "x --role y", "user set": "x --email e",
    "user remove": "x", "block": "x", "unblock": "x", "role add": "x", "role set": "x --rate-limit 1",
    "role remove": "x", "token create": "x", "token revoke": "1", "names": "servers",
}
# These do not ask the daemon, or make something of it that it is not there.
ALONE = {"config check", "doctor", "completion", "manual", "stdio"}


def everything(servers) -> list[list[str]]:
    """Each command that asks the daemon, complete."""
    names = [" ".join(words) for words, _ in commands()]
    assert set(GIVEN) | ALONE <= set(names)
    return [[*name.split(), *GIVEN.get(name, "").format(servers=servers).split()] for name in names
            if name not in ALONE]


class TestEveryCommand:
    @pytest.fixture
    def servers(self, tmp_path):
        file = tmp_path / "servers.json"
        file.write_text('{"mcpServers": {"x": {"url": "http://127.0.0.1:9/mcp"}}}')
        return file

    def test_says_that_the_daemon_does_not_run(self, servers, tmp_path):
        for words in everything(servers):
            ended = run(*words, RUNTIME_DIRECTORY=str(tmp_path))
            assert ended.returncode == 2 and ended.stdout == "", (words, ended.stdout, ended.stderr)
            assert "admin.sock is missing" in ended.stderr and "systemctl status" in ended.stderr

    def test_says_that_a_token_is_wrong_or_missing(self, control, servers):
        ctl = control()
        for words in everything(servers):
            if words == ["status"]:
                continue  # begins with what is open to everybody
            for more in ({"OMNI2_TOKEN": "wrong" * 8}, {}):
                ended = run(*words, "--host", ctl.one.url, **more)
                assert ended.returncode == 77 and ended.stdout == "", (words, ended.stdout, ended.stderr)
                assert "does not know this token" in ended.stderr if more else "wants a token" in ended.stderr

    def test_has_help_and_refuses_what_it_does_not_know(self):
        for words, _ in commands():
            assert run(*words, "--help").stdout.startswith(f"usage: omni2ctl {' '.join(words)}")
            unknown = run(*words, "--frobnicate")
            assert unknown.returncode == 64 and "no option --frobnicate" in unknown.stderr


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
