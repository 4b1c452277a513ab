"""omni2ctl mcp and circuit: what is registered, changed, imported, checked."""
import json
import re
import sys

import pytest

from omni.control import Control, facts, rows
from omni.daemon import IMPATIENT, merged
from omni.processes import SERVERS, free_port
from omni.servers import stdio_entry
from omni.waiting import eventually


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

    def test_reload_and_wait(self, raw):
        pid = raw.one.children()
        table = raw.ok("mcp", "reload", "raw", "--wait")
        assert rows(table)["raw"][1] == "healthy" and raw.one.children() not in ([], pid)
        assert raw.json("mcp", "reload", "--wait")["servers"][0]["name"] == "raw"

    def test_edit_by_options(self, raw):
        assert "raw is changed" in raw.ok(
            "mcp", "edit", "raw", "--description", "text things", "--timeout", "40", "--retries", "2",
            "--cache-policy", "read_only", "--ttl", "5min")
        server = raw.json("mcp", "show", "raw")["server"]
        assert server["description"] == "text things" and server["timeout_seconds"] == 40
        assert server["omni2"] == {"cache_policy": "read_only", "ttl": "5min"}
        changed = raw.json("mcp", "edit", "raw", "--scope", "user")
        assert changed["server"]["name"] == "raw"
        # What is not named stays, of the cache's rules too.
        server = raw.json("mcp", "show", "raw")["server"]
        assert server["omni2"] == {"cache_policy": "read_only", "ttl": "5min", "scope": "user"}
        assert server["description"] == "text things"

    def test_edit_an_address_and_a_token(self, control, counting, tmp_path):
        ctl = control()
        (tmp_path / "secret").write_text("very-secret")
        ctl.ok("mcp", "add", "docs", "--url", f"http://127.0.0.1:{free_port()}/mcp")
        ctl.ok("mcp", "edit", "docs", "--url", counting.url, "--bearer-file", tmp_path / "secret")
        ctl.one.has_loaded("docs")
        assert "url must be" in ctl.refused("mcp", "edit", "docs", "--url", "htp://x")
        assert ctl.json("mcp", "show", "docs")["server"]["auth_type"] == "bearer"
        assert "very-secret" not in ctl.ok("mcp", "show", "docs", "--json")

    @pytest.mark.parametrize("words, meant, status", [
        (["nobody", "--timeout", "9"], "there are raw", 1),
        (["raw"], "needs an option", 64),
        (["raw", "--timeout", "soon"], "--timeout is a whole number", 64),
        (["raw", "--timeout", "1"], "from 5 to 300", 1),
        (["raw", "--cache-policy", "always"], "off, listed, read_only", 64),
        (["raw", "--url", "http://x/"], "is a program and has no URL", 1),
        ([], "SERVER is missing", 64),
    ])
    def test_edit_mistakes(self, raw, words, meant, status):
        assert meant in raw.refused("mcp", "edit", *words, status=status)

    @pytest.mark.parametrize("words", [
        ["mcp", "remove"], ["mcp", "enable"], ["mcp", "disable"], ["mcp", "check"], ["mcp", "reload"],
        ["circuit", "show"], ["circuit", "reset"]])
    def test_unknown_and_missing_names(self, raw, words):
        assert "there are raw" in raw.refused(*words, "nobody")
        if words != ["mcp", "reload"]:
            assert "SERVER is missing" in raw.refused(*words, status=64)

    def test_orders_answer_scripts_with_json(self, raw):
        for words in (["mcp", "check", "raw"], ["mcp", "reload", "raw"], ["circuit", "reset", "raw"],
                      ["mcp", "disable", "raw"], ["mcp", "enable", "raw"], ["mcp", "remove", "raw"]):
            assert raw.json(*words)["success"] is True, words

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
        assert "mcpServers.a: must be an object" in said and "mcpServers.b: needs url or command" in said
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
