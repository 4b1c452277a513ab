"""omni2ctl against a daemon: what it prints, --json, exit codes, and the errors a person would make."""
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from omni.daemon import BINARY, IMPATIENT, environment_without_surroundings, merged
from omni.processes import ROOT, SERVERS, free_port
from omni.servers import stdio_entry
from omni.waiting import eventually

PROGRAM = Path(os.environ.get("OMNI2CTL_BINARY", BINARY.with_name("omni2ctl")))
MANUAL = ROOT / "docs" / "man" / "omni2ctl.1"



def run(*words, program: Path = PROGRAM, **environment) -> subprocess.CompletedProcess:
    return subprocess.run([program, *map(str, words)], capture_output=True, text=True, timeout=60,
                          stdin=subprocess.DEVNULL, env=environment_without_surroundings(**environment))


class Control:
    """omni2ctl with the daemon's Unix socket."""

    def __init__(self, one):
        self.one = one

    def __call__(self, *words, **environment) -> subprocess.CompletedProcess:
        return run(*words, **{"RUNTIME_DIRECTORY": str(self.one.runtime), **environment})

    def ok(self, *words) -> str:
        ended = self(*words)
        assert ended.returncode == 0, ended.stderr or ended.stdout
        return ended.stdout

    def json(self, *words):
        return json.loads(self.ok(*words, "--json"))

    def refused(self, *words, status: int = 1) -> str:
        ended = self(*words)
        assert ended.returncode == status, (ended.returncode, ended.stdout, ended.stderr)
        assert ended.stdout == "" and ended.stderr.startswith("omni2ctl: ")
        return ended.stderr


@pytest.fixture
def control(daemon):
    """Starts a daemon with an administrators' socket: `control(servers=…)`."""

    def start(configuration: dict | None = None, **more) -> Control:
        one = daemon(configuration, begin=False, **more)
        socket = str(one.runtime / "admin.sock")
        one.configuration["HTTP"]["Listen"] = [f"127.0.0.1:{one.port}", socket]
        return Control(one.start())

    return start


@pytest.fixture
def raw(control):
    """With one stdio server that has loaded."""
    ctl = control(servers={"raw": stdio_entry()})
    ctl.one.has_loaded("raw")
    return ctl


def rows(table: str) -> dict[str, list[str]]:
    """The lines of a table by their first cell."""
    return {cells[0]: cells for cells in (line.split() for line in table.splitlines()) if cells}


def facts(text: str) -> dict[str, str]:
    return dict(re.findall(r"^ *([A-Z][\w ]*): (.*)$", text, re.MULTILINE))


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


class TestServers:
    def test_a_life(self, control):
        ctl = control()
        assert "No servers" in ctl.ok("mcp", "list")
        added = ctl.ok("mcp", "add", "raw", "--command", sys.executable, "--",
                       SERVERS / "stdio_server.py")
        assert "omni2ctl mcp check raw" in added
        ctl.one.has_loaded("raw")
        assert "raw is healthy" in ctl.ok("mcp", "check", "raw")
        assert rows(ctl.ok("mcp", "list"))["raw"][1] == "healthy"
        assert ctl.ok("mcp", "disable", "raw") == "raw is disabled.\n"
        assert rows(ctl.ok("mcp", "list"))["raw"][1] == "disabled"
        assert "already" in ctl.ok("mcp", "disable", "raw")
        for words in (("mcp", "check", "raw"), ("mcp", "reload", "raw"), ("tools", "list", "raw"),
                      ("tools", "call", "raw", "echo"), ("circuit", "reset", "raw")):
            assert "omni2ctl mcp enable raw" in ctl.refused(*words)
        assert "raw is enabled" in ctl.ok("mcp", "enable", "raw")
        assert "already" in ctl.ok("mcp", "enable", "raw")
        ctl.one.has_loaded("raw")
        assert ctl.ok("mcp", "remove", "raw") == "raw is removed.\n"
        assert ctl.json("mcp", "list") == {"servers": []}

    def test_show(self, raw):
        text = raw.ok("mcp", "show", "raw")
        assert text.startswith("● raw") and facts(text)["State"] == "healthy"
        assert facts(text)["Protocol"] == "stdio" and "echo" in facts(text)["Tools"]
        value = eventually(lambda: found if (found := raw.json("mcp", "show", "raw"))["log"] else None)
        assert value["server"]["name"] == "raw" and "echo" in value["tools"]
        assert "load" in [entry["event_type"] for entry in value["log"]]

    def test_add_a_url_with_a_token_and_cache_rules(self, control, tmp_path):
        ctl = control()
        secret = tmp_path / "secret"
        secret.write_text("very-secret\n")
        url = f"http://127.0.0.1:{free_port()}/mcp"
        ctl.ok("mcp", "add", "docs", f"--url={url}", "--bearer-file", secret, "--cache-policy",
               "read_only", "--ttl", "5min", "--scope", "shared")
        server = ctl.json("mcp", "show", "docs")["server"]
        assert server["url"] == url and server["auth_type"] == "bearer"
        assert server["omni2"] == {"cache_policy": "read_only", "ttl": "5min", "scope": "shared"}
        assert "very-secret" not in ctl.ok("mcp", "show", "docs") + ctl.ok("mcp", "show", "docs", "--json")

    def test_a_server_that_does_not_answer(self, control):
        ctl = control()
        ctl.ok("mcp", "add", "gone", "--url", f"http://127.0.0.1:{free_port()}/mcp")
        eventually(lambda: rows(ctl.ok("mcp", "list"))["gone"][1] == "disconnected")
        ended = ctl("mcp", "check", "gone")
        assert ended.returncode == 1 and "gone is not well" in ended.stdout
        assert json.loads(ctl("mcp", "check", "gone", "--json").stdout)["health_result"]["healthy"] is False

    def test_reload(self, raw):
        pid = raw.one.children()
        assert raw.ok("mcp", "reload", "raw") == "raw is being reloaded.\n"
        eventually(lambda: raw.one.children() not in ([], pid), 20, "a new child")
        assert raw.ok("mcp", "reload") == "Reloading 1 server.\n"
        raw.one.has_loaded("raw")

    def test_refusals(self, raw):
        assert "there are raw" in raw.refused("mcp", "show", "nobody")
        assert "already" in raw.refused("mcp", "add", "raw", "--url", "http://127.0.0.1:1/mcp")
        assert "url must be" in raw.refused("mcp", "add", "other", "--url", "htp://x")
        assert "ttl" in raw.refused("mcp", "add", "other", "--url", "http://x/", "--cache-policy",
                                    "read_only", "--ttl", "soon")

    @pytest.mark.parametrize("words, hint", [
        ([], "--url URL or --command CMD"),
        (["--url", "http://x/", "--command", "y"], "leave one out"),
        (["--url", "http://x/", "--", "y"], "after --"),
        (["--command", "y", "--bearer-file", "z"], "goes with --url"),
        (["--url", "http://x/", "--bearer-file", "/nowhere"], "/nowhere cannot be read"),
        (["--url", "http://x/", "--ttl", "5"], "--ttl needs --cache-policy"),
        (["--url", "http://x/", "--cache-policy", "always"], "off, listed, read_only"),
        (["--url", "http://x/", "--cache-policy", "listed"], "--cache-tools"),
    ])
    def test_add_needs_sense(self, words, hint, control):
        assert hint in control().refused("mcp", "add", "other", *words, status=64)


def registered(control: Control) -> dict[str, dict]:
    """What is written in the registry by operators, by name."""
    columns = ("url", "protocol", "description", "enabled", "timeout_seconds", "auth_type", "omni2")
    return {server["name"]: {column: server[column] for column in columns}
            for server in control.json("mcp", "list")["servers"]}


class TestImport:
    def test_adds_and_changes(self, control, tmp_path):
        ctl = control()
        file = tmp_path / "servers.json"
        entry = stdio_entry(cache_policy="read_only")
        url = f"http://127.0.0.1:{free_port()}/mcp"
        file.write_text(json.dumps({"mcpServers": {
            "raw": entry, "docs": {"url": url, "headers": {"Authorization": "Bearer secret-word"},
                                   "disabled": True}}}))
        assert [cells[1] for cells in rows(ctl.ok("mcp", "import", file)).values()] == ["RESULT", "added", "added"]
        ctl.one.has_loaded("raw")
        servers = {server["name"]: server for server in ctl.json("mcp", "list")["servers"]}
        assert servers["docs"]["auth_type"] == "bearer" and servers["docs"]["enabled"] is False
        assert servers["raw"]["omni2"] == {"cache_policy": "read_only"}
        again = ctl.json("mcp", "import", file)
        assert {server["result"] for server in again["servers"]} == {"changed"}

    def test_means_the_same_as_the_daemons_own_import(self, control, tmp_path):
        url = f"http://127.0.0.1:{free_port()}"
        servers = {
            "typed": {"type": "streamable-http", "url": f"{url}/mcp", "timeout": 60, "description": "d"},
            "events": {"transport": "sse", "url": f"{url}/sse", "disabled": True},
            "headers": {"url": f"{url}/mcp", "headers": {"X-Key": "k", "Authorization": "Bearer b"}},
            "bearer": {"url": f"{url}/mcp", "headers": {"authorization": "bearer b"}},
            "key": {"url": f"{url}/mcp", "auth_type": "api_key", "auth_config": {"api_key": "k"}},
            "child": {"command": "true", "args": ["a"], "env": {"A": "b"}, "omni2": {"cache_policy": "off"}},
        }
        file = tmp_path / "servers.json"
        file.write_text(json.dumps({"mcpServers": servers}))
        ctl = control()
        ctl.ok("mcp", "import", file)
        assert registered(ctl) == registered(control(servers=servers))

    def test_mistakes_change_nothing_and_are_all_named(self, control, tmp_path):
        ctl = control()
        file = tmp_path / "servers.json"
        file.write_text(json.dumps({"mcpServers": {"fine": stdio_entry(), "a": 1, "b": {}}}))
        said = ctl.refused("mcp", "import", file)
        assert "a: must be an object" in said and "b: needs url or command" in said
        assert ctl.json("mcp", "list") == {"servers": []}
        file.write_text("{")
        assert "not JSON" in ctl.refused("mcp", "import", file)
        file.write_text("{}")
        assert "mcpServers" in ctl.refused("mcp", "import", file)
        assert "cannot be read" in ctl.refused("mcp", "import", tmp_path / "none")

    def test_a_value_that_the_daemon_refuses(self, control, tmp_path):
        ctl = control()
        file = tmp_path / "servers.json"
        file.write_text(json.dumps({"mcpServers": {
            "fine": stdio_entry(), "odd": {**stdio_entry(), "timeout": 1}}}))
        ended = ctl("mcp", "import", file)
        assert ended.returncode == 1
        assert rows(ended.stdout)["fine"][1] == "added" and "timeout_seconds" in ended.stdout


class TestTools:
    def test_list(self, raw):
        assert rows(raw.ok("tools", "list"))["raw"]
        assert "gives the text back" in raw.ok("tools", "list", "raw")
        assert "echo" in [tool["name"] for tool in raw.json("tools", "list")["servers"]["raw"]]
        assert "there are raw" in raw.refused("tools", "list", "nobody")

    def test_call(self, raw):
        assert raw.ok("tools", "call", "raw", "echo", '{"text": "hü"}') == "echo hü\n"
        value = raw.json("tools", "call", "raw", "echo", '{"text": "hü"}')
        assert value["success"] is True and value["result"]["content"][0]["text"] == "echo hü"

    def test_the_second_call_comes_from_the_cache(self, control, counting):
        ctl = control(servers={"counting": counting.entry(cache_policy="read_only", ttl=300)})
        ctl.one.has_loaded("counting")
        call = ("tools", "call", "counting", "count", '{"key": "a"}')
        assert ctl.ok(*call) == "a 1\n"
        second = ctl(*call)
        assert second.stdout == "a 1\n" and "from the cache" in second.stderr
        assert ctl.json("cache", "stats")["hits"] == 1
        assert facts(ctl.ok("cache", "stats"))["Entries"].startswith("1 of ")
        assert ctl.ok("cache", "invalidate", "counting", "count") == \
            "1 kept result of counting count forgotten.\n"
        assert ctl.ok(*call) == "a 2\n"
        assert ctl.json("cache", "invalidate") == {"success": True, "invalidated": 1}

    def test_a_tool_that_fails(self, control, counting):
        ctl = control(servers={"counting": counting.entry()})
        ctl.one.has_loaded("counting")
        ended = ctl("tools", "call", "counting", "fail", '{"message": "no luck"}')
        assert ended.returncode == 1
        assert "no luck" in ended.stdout and "reported an error" in ended.stderr

    def test_mistakes(self, raw):
        assert "no tool named nothing" in raw.refused("tools", "call", "raw", "nothing")
        assert "there are raw" in raw.refused("tools", "call", "nobody", "echo")
        assert "not JSON" in raw.refused("tools", "call", "raw", "echo", "{text: 1}", status=64)
        assert "JSON object" in raw.refused("tools", "call", "raw", "echo", "[1]", status=64)


class TestCircuit:
    def test_show_and_reset(self, raw):
        assert facts(raw.ok("circuit", "show", "raw"))["Circuit"] == "closed"
        assert raw.json("circuit", "show", "raw")["circuit_breaker"]["state"] == "closed"
        assert raw.ok("circuit", "reset", "raw") == "The circuit of raw is closed.\n"
        assert "there are raw" in raw.refused("circuit", "show", "nobody")


    def test_an_open_circuit(self, control, http_server):
        server = http_server("fragile")
        ctl = control(servers={"fragile": server.entry()}, configuration=merged(IMPATIENT, {
            "CircuitBreaker": {"FailureThreshold": "2", "TimeoutSec": "60s"}}))
        ctl.one.has_loaded("fragile")
        server.kill()
        eventually(lambda: facts(ctl.ok("circuit", "show", "fragile"))["Circuit"] == "open", 20)
        assert re.fullmatch(r"in \d+ s|in 1 min", facts(ctl.ok("circuit", "show", "fragile"))["Next attempt"])
        assert rows(ctl.ok("mcp", "list"))["fragile"][2] == "open"
        assert "circuit is open" in ctl.refused("tools", "call", "fragile", "count")
        check = ctl("mcp", "check", "fragile")
        assert check.returncode == 1 and "next attempt in" in check.stdout
        assert facts(ctl.ok("status"))["State"] == "degraded"
        server.start()
        ctl.ok("circuit", "reset", "fragile")
        ctl.one.has_loaded("fragile")


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
        missing = run("mcp", "list", "--host", one.url)
        assert missing.returncode == 1 and "--token-file" in missing.stderr
        wrong = run("mcp", "list", "--host", one.url, OMNI2_TOKEN="x" * 40)
        assert wrong.returncode == 1 and "AdminTokenFile" in wrong.stderr
        assert "x" * 40 not in wrong.stderr
        # A variable meant for another host does not spoil the socket.
        assert raw("mcp", "list", OMNI2_TOKEN="x" * 40).returncode == 0

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


def on_terminal(control: Control, *words, **environment) -> str:
    """What a person at a terminal would see."""
    ours, theirs = pty.openpty()
    with subprocess.Popen([PROGRAM, *words], stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs,
                          env=environment_without_surroundings(
                              RUNTIME_DIRECTORY=str(control.one.runtime), **environment)) as process:
        os.close(theirs)
        seen = b""
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:  # the other side is closed
                break
            if not part:
                break
            seen += part
        assert process.wait(30) == 0, seen
    os.close(ours)
    return seen.decode()


class TestConfiguration:
    @pytest.fixture
    def beside(self, tmp_path: Path) -> Path:
        """omni2ctl in a directory with the daemon's program."""
        for program, name in ((PROGRAM, "omni2ctl"), (BINARY, "omni2-native")):
            (tmp_path / name).symlink_to(program)
        return tmp_path

    def check(self, beside: Path, text: str, *more) -> subprocess.CompletedProcess:
        file = beside / "omni2.conf"
        file.write_text(text)
        return run("config", "check", file, *more, program=beside / "omni2ctl",
                   STATE_DIRECTORY=str(beside), RUNTIME_DIRECTORY=str(beside))

    def test_fine_and_wrong(self, beside):
        assert self.check(beside, "[HTTP]\nListen=127.0.0.1:1234\n").returncode == 0
        wrong = self.check(beside, "[HTTP]\nListen=somewhere\n")
        assert wrong.returncode == 78 and "Listen" in wrong.stderr

    def test_has_no_json(self, beside):
        assert self.check(beside, "", "--json").returncode == 64

    def test_without_the_daemons_program(self, tmp_path):
        (tmp_path / "omni2ctl").symlink_to(PROGRAM)
        ended = run("config", "check", program=tmp_path / "omni2ctl", PATH=str(tmp_path))
        assert ended.returncode == 1 and "not installed" in ended.stderr


class TestUsage:
    @pytest.mark.parametrize("words, hint", [
        ([], "a command is missing"),
        (["frobnicate"], "there is no command frobnicate"),
        (["mcp"], "mcp needs one of list, show, add"),
        (["mcp", "eject"], "there is no mcp eject"),
        (["mcp", "show"], "NAME is missing; write omni2ctl mcp show NAME"),
        (["mcp", "show", "a", "b"], "b is one too many"),
        (["mcp", "show", ""], "NAME of mcp show is empty"),
        (["mcp", "list", "--url", "x"], "mcp list has no option --url"),
        (["mcp", "list", "--frob"], "there is no option --frob"),
        (["mcp", "list", "--json=yes"], "--json takes no value"),
        (["mcp", "list", "--host"], "--host needs a value"),
        (["mcp", "list", "--", "x"], "takes nothing after --"),
        (["status", "--host", "gateway"], "--host is a URL"),
        (["status", "--host", "http://x", "--socket", "/y"], "leave one out"),
        (["status", "--token-file", "/nowhere"], "/nowhere cannot be read"),
    ])
    def test_mistakes(self, words, hint):
        ended = run(*words)
        assert ended.returncode == 64 and ended.stdout == ""
        assert ended.stderr.startswith("omni2ctl: ") and hint in ended.stderr

    def test_version(self):
        assert re.fullmatch(r"omni2ctl \d+\.\d+\.\d+\n", run("--version").stdout)

    def test_lines_of_the_help_fit_a_terminal(self):
        for words in ([], ["mcp"], *(words for words, _ in commands())):
            assert max(map(len, help_text(*words).splitlines())) <= 80


# Help and manual page

def help_text(*words: str) -> str:
    ended = run(*words, "--help")
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def entries(text: str, title: str) -> dict[str, str]:
    """The entries under a title of the help, with their texts on one line."""
    found: dict[str, str] = {}
    for line in text.partition(f"\n{title}:\n")[2].partition("\n\n")[0].splitlines():
        if head := re.match(r"  (\S.*?)(?:  +(.*))?$", line):
            name = head[1]
            found[name] = head[2] or ""
        else:
            found[name] = f"{found[name]} {line.strip()}".strip()
    return found


def commands() -> list[tuple[list[str], str]]:
    """The words of every command, and how it is called."""
    return [([word for word in synopsis.split() if re.fullmatch("[a-z]+", word)], synopsis)
            for synopsis in entries(help_text(), "Commands")]


def manual() -> dict[str, dict[str, str]]:
    """The entries of the manual page by section, without the marks of troff."""
    text = MANUAL.read_text()
    for mark, meant in ((r"\-", "-"), (r"\[u2026]", "…"), (r"\(aq", "'"), (r"\(dq", '"'), (r"\e", "\\")):
        text = text.replace(mark, meant)
    sections = {}
    for section in text.split(".SH ")[1:]:
        title, _, body = section.partition("\n")
        sections[title] = dict(re.findall(r'^\.TP\n\.B "?(.*?)"?\n(.*)$', body, re.MULTILINE))
    return sections


def sentences(found: dict[str, str]) -> dict[str, str]:
    return {name: f"{text[0].upper()}{text[1:]}." for name, text in found.items()}


class TestManual:
    def test_has_the_commands_of_the_help(self):
        text = help_text()
        expected = entries(text, "Commands")
        for words, _ in commands():
            expected |= entries(help_text(*words), "Options")
        assert manual()["COMMANDS"] == sentences(expected)

    def test_has_the_options_and_exit_codes_of_the_help(self):
        text = help_text()
        assert manual()["OPTIONS"] == sentences(entries(text, "Options of all commands"))
        assert manual()["EXIT STATUS"] == sentences(entries(text, "Exit status"))

    def test_tells_what_a_commands_own_help_tells(self):
        page = " ".join(MANUAL.read_text().replace(r"\-", "-").replace(r"\(aq", "'")
                        .replace(r"\(dq", '"').split())
        for words, _ in commands():
            detail = [part for part in help_text(*words).split("\n\n")[2:]
                      if not part.startswith("Options:")]
            assert all(" ".join(part.split()) in page for part in detail)


class TestPeople:
    def test_a_user_gets_a_role_a_token_and_what_they_open(self, control):
        ctl = control(servers={"files": stdio_entry()})
        ctl.ok("role", "add", "reader", "--servers", "files", "--services", "mcp", "--rate-limit", "50",
               "--cost-limit", "2.5", "--dashboard", "view", "--tools", '{"files": {"tools": ["*"]}}')
        ctl.ok("user", "add", "ann", "--role", "reader", "--email", "ann@example.org")
        made = ctl("token", "create", "ann", "--name", "laptop", "--days", "30")
        token = made.stdout.strip()
        assert token.startswith("omni2_mcp_") and "cannot be shown again" in made.stderr
        assert ctl.one.get("/api/v1/mcp/tools/list", token=token).status_code == 200
        listed = ctl.json("token", "list", "ann")
        assert [one["name"] for one in listed] == ["laptop"] and token not in ctl.ok("token", "list")
        shown = ctl.ok("user", "show", "ann")
        assert "reader" in shown and "files" in shown and "50" in shown
        assert "ann@example.org" in ctl.ok("user", "list") and "$2.5" in ctl.ok("role", "list")
        ctl.ok("token", "revoke", listed[0]["id"])
        assert ctl.one.get("/api/v1/mcp/tools/list", token=token).status_code == 401

    def test_block_and_unblock(self, control):
        ctl = control()
        ctl.ok("user", "add", "ann", "--role", "developer")
        token = ctl.ok("token", "create", "ann").strip()
        ctl.ok("block", "ann", "--services", "mcp", "--message", "Ask Bob.", "--reason", "leaving")
        answer = ctl.one.get("/api/v1/mcp/tools/list", token=token)
        assert answer.status_code == 403 and answer.json()["message"] == "Ask Bob."
        assert "blocked" in ctl.ok("user", "list")
        assert "not blocked any more" in ctl.ok("unblock", "ann")
        assert "not blocked." in ctl.ok("unblock", "ann")
        assert ctl.one.get("/api/v1/mcp/tools/list", token=token).status_code == 200

    def test_changes_of_users_and_roles(self, control, tmp_path):
        ctl = control()
        (tmp_path / "password").write_text("correct horse battery\n")
        ctl.ok("role", "add", "reader")
        ctl.ok("user", "add", "ann", "--role", "reader", "--password-file", tmp_path / "password")
        ctl.ok("user", "set", "ann", "--active", "no", "--full-name", "Ann", "--rate-limit", "7")
        user = ctl.json("user", "show", "ann")
        assert user["user"]["active"] is False and user["permission"]["rate_limit"] == 7
        ctl.ok("role", "set", "reader", "--servers", "none", "--dashboard", "admin")
        assert "There is one already" in ctl.refused("role", "remove", "reader")
        ctl.ok("user", "remove", "ann")
        ctl.ok("role", "remove", "reader")

    @pytest.mark.parametrize("words, meant, status", [
        (["user", "add", "ann"], "--role ROLE", 64),
        (["user", "add", "ann", "--role", "nobody"], "no role named nobody", 1),
        (["user", "show", "nobody"], "no user named nobody", 1),
        (["user", "set", "ann"], "needs an option", 64),
        (["role", "set", "nobody", "--rate-limit", "1"], "there are super_admin", 1),
        (["role", "add", "x", "--tools", "{"], "not JSON", 64),
        (["role", "add", "x", "--rate-limit", "many"], "whole number", 64),
        (["role", "add", "x", "--dashboard", "root"], "one of admin, view, none", 64),
        (["token", "revoke", "x"], "is the number", 64),
        (["token", "revoke", "999"], "no token with this id", 1),
        (["block", "nobody"], "no user named nobody", 1),
    ])
    def test_mistakes_are_told_with_their_remedy(self, control, words, meant, status):
        assert meant in control().refused(*words, status=status)


FORMS = {
    "Claude Desktop": """{"mcpServers": {"files": {"command": "/bin/true", "args": ["-y", "x"], "env": {"KEY": "v"}}}}""",
    "Cursor": """{"mcpServers": {"files": {"url": "http://127.0.0.1:9/mcp", "headers": {"Authorization": "Bearer abc"}}}}""",
    "Cursor, SSE": """{"mcpServers": {"files": {"type": "sse", "url": "http://127.0.0.1:9/sse"}}}""",
    "VS Code, mcp.json": """{
        // as the editor writes it
        "inputs": [],
        "servers": {"files": {"type": "http", "url": "http://127.0.0.1:9/mcp", /* and */ "headers": {"X-Key": "v"},},},
    }""",
    "VS Code, settings.json": """{"mcp": {"servers": {"files": {"type": "stdio", "command": "/bin/true", "args": []}}}}""",
}


@pytest.mark.parametrize("form", FORMS)
def test_every_clients_form_is_imported(control, tmp_path, form):
    ctl = control()
    file = tmp_path / "mcp.json"
    file.write_text(FORMS[form])
    ctl.ok("mcp", "import", file)
    assert set(ctl.one.servers()) == {"files"}


def test_what_only_an_editor_can_fill_in_is_named(control, tmp_path):
    ctl = control()
    file = tmp_path / "mcp.json"
    file.write_text('{"servers": {"x": {"url": "http://127.0.0.1:9/mcp", "headers": {"K": "${input:key}"}}}}')
    assert "${input:key}" in ctl.refused("mcp", "import", file)
