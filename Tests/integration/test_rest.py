"""The REST routes and the shapes of their replies (as the original's dashboard reads them)."""
import re

import pytest

from omni.servers import stdio_entry
from omni.waiting import eventually

TIMESTAMP = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|\+00:00)$")


@pytest.fixture
def one(daemon, counting):
    started = daemon(servers={"counting": counting.entry(), "raw": stdio_entry()})
    started.has_loaded("counting", "raw")
    return started


def create(one, url: str, name: str = "added", **more):
    return one.post("/api/v1/mcp/servers", json={
        "name": name, "url": url, "protocol": "http-streamable", "description": "a server", **more})


class TestTools:
    def test_list(self, one):
        body = one.get("/api/v1/mcp/tools/list").json()
        assert body["success"] is True
        servers = body["data"]["servers"]
        assert set(servers) == {"counting", "raw"}
        echo = next(tool for tool in servers["raw"] if tool["name"] == "echo")
        assert echo["description"] == "gives the text back"
        assert echo["inputSchema"] == {"type": "object", "properties": {"text": {"type": "string"}}}

    def test_list_of_one(self, one):
        assert set(one.get("/api/v1/mcp/tools/list?server=raw").json()["data"]["servers"]) == {"raw"}

    def test_list_of_an_unknown_server(self, one):
        answer = one.get("/api/v1/mcp/tools/list?server=nobody")
        assert answer.status_code == 404 or answer.json()["data"]["servers"].get("nobody", []) == []

    def test_call(self, one):
        answer = one.call("raw", "echo", {"text": "ü"})
        body = answer.json()
        assert answer.status_code == 200
        assert body["success"] is True and body["server"] == "raw" and body["tool"] == "echo"
        assert "echo ü" in str(body["result"]) and body.get("error") is None

    def test_call_that_fails_in_the_tool(self, one):
        answer = one.call("counting", "fail", {"message": "no luck"})
        assert answer.json()["success"] is False and "no luck" in str(answer.json()["error"])

    def test_servers(self, one):
        body = one.get("/api/v1/mcp/tools/servers").json()
        assert body["success"] is True
        assert body["data"]["summary"] == {"total": 2, "enabled": 2, "disabled": 0}
        for server in body["data"]["servers"]:
            assert {"id", "name", "url", "protocol", "enabled", "description", "timeout_seconds", "health_status",
                    "last_health_check", "pt_score", "pt_last_run", "pt_status"} <= set(server)
            assert server["enabled"] is True and server["health_status"] == "healthy"
            assert TIMESTAMP.match(server["last_health_check"])

    def test_servers_with_health(self, one):
        servers = one.get("/api/v1/mcp/tools/servers?include_health=true").json()["data"]["servers"]
        assert all(server["health"]["healthy"] is True for server in servers)

    def test_enabled_only(self, one):
        identifier = one.servers()["raw"]["id"]
        one.request("PUT", f"/api/v1/mcp/servers/{identifier}", json={"status": "inactive"})
        body = one.get("/api/v1/mcp/tools/servers?enabled_only=true").json()["data"]
        assert [server["name"] for server in body["servers"]] == ["counting"]
        body = one.get("/api/v1/mcp/tools/servers?enabled_only=false").json()["data"]
        assert body["summary"] == {"total": 2, "enabled": 1, "disabled": 1}

    def test_health(self, one, counting):
        body = one.get("/api/v1/mcp/tools/health/counting").json()
        assert body["success"] is True and body["server"] == "counting"
        assert body["health"]["healthy"] is True and body["health"]["tool_count"] > 5
        assert body["health"]["response_time_ms"] >= 0 and TIMESTAMP.match(body["health"]["last_check"])
        counting.kill()
        health = one.get("/api/v1/mcp/tools/health/counting").json()["health"]
        assert health["healthy"] is False and health["error"] and health["circuit_state"] in ("closed", "open")

    def test_health_of_an_unknown_server(self, one):
        assert one.get("/api/v1/mcp/tools/health/nobody").status_code == 404

    def test_reload_one(self, one, counting):
        counting.reset()
        body = one.post("/api/v1/mcp/tools/reload?mcp_name=counting").json()
        assert body["success"] is True and body["mcp"] == "counting" and body["message"] and body["status"]
        eventually(lambda: counting.requests("tools/list"))

    def test_reload_all(self, one):
        body = one.post("/api/v1/mcp/tools/reload").json()
        assert body["success"] is True and set(body["loaded_mcps"]) == {"counting", "raw"} and body["count"] == 2

    def test_reload_of_an_unknown_server(self, one):
        answer = one.post("/api/v1/mcp/tools/reload?mcp_name=nobody")
        assert answer.status_code == 404 and not answer.json().get("success")


class TestRegistry:
    def test_create_read_change_delete(self, one, http_server):
        server = http_server("added")
        created = create(one, server.url)
        assert created.status_code in (200, 201)
        body = created.json()
        assert body["success"] is True and body["message"]
        assert body["server"] == {"id": body["server"]["id"], "name": "added", "url": server.url, "status": "active"}
        identifier = body["server"]["id"]
        one.has_loaded("added", within=5)

        row = one.get(f"/api/v1/mcp/servers/{identifier}").json()
        row = row.get("server", row)
        assert row["name"] == "added" and row["description"] == "a server" and row["timeout_seconds"] == 30
        assert {"max_retries", "retry_delay_seconds", "auth_type", "health_status", "circuit_state", "error_count",
                "created_at", "updated_at"} <= set(row)

        changed = one.request("PUT", f"/api/v1/mcp/servers/{identifier}", json={"description": "another"})
        assert changed.status_code == 200
        row = one.get(f"/api/v1/mcp/servers/{identifier}").json()
        assert row.get("server", row)["description"] == "another"
        assert one.call("added", "echo", {"text": "x"}).json()["success"]

        assert one.request("DELETE", f"/api/v1/mcp/servers/{identifier}").status_code == 200
        assert one.get(f"/api/v1/mcp/servers/{identifier}").status_code == 404
        assert "added" not in one.servers()
        assert one.call("added", "echo", {"text": "x"}).status_code == 404

    def test_a_changed_address_is_used_at_once(self, one, http_server):
        first, second = http_server("first"), http_server("second")
        identifier = create(one, first.url).json()["server"]["id"]
        one.has_loaded("added")
        one.request("PUT", f"/api/v1/mcp/servers/{identifier}", json={"url": second.url})

        def reaches_the_second() -> bool:
            one.call("added", "count")
            return second.calls("count") > 0

        eventually(reaches_the_second, 3)

    def test_secrets_are_kept_but_not_shown(self, one, http_server):
        server = http_server("closed", "--demand", "authorization=Bearer very-secret-value")
        created = create(one, server.url, auth_type="bearer", auth_config={"token": "very-secret-value"})
        identifier = created.json()["server"]["id"]
        one.has_loaded("added")
        for path in (f"/api/v1/mcp/servers/{identifier}", "/api/v1/mcp/tools/servers?include_health=true", "/health"):
            assert "very-secret-value" not in one.get(path).text
        # A change of something else leaves the secret in place.
        one.request("PUT", f"/api/v1/mcp/servers/{identifier}", json={"description": "x"})
        eventually(lambda: one.call("added", "echo", {"text": "x"}).json()["success"])

    def test_registered_servers_survive_a_restart(self, one, http_server):
        server = http_server("added")
        create(one, server.url)
        one.has_loaded("added")
        one.restart()
        one.has_loaded("added", "counting", "raw")
        assert set(one.servers()) == {"added", "counting", "raw"}

    def test_importing_twice_makes_no_second_row(self, one):
        identifiers = {name: server["id"] for name, server in one.servers().items()}
        one.restart()
        assert {name: server["id"] for name, server in one.servers().items()} == identifiers

    def test_a_name_with_a_space_is_still_a_tool_name(self, one, http_server):
        """Tool names allow letters, digits, `_` and `-` only: the name is mapped and mapped back."""
        from omni.daemon import message

        created = create(one, http_server("spaced").url, name="my notes (old)")
        assert created.status_code in (200, 201), created.text
        one.has_loaded("my notes (old)")
        session = one.initialize().headers["mcp-session-id"]
        tools = message(one.rpc("tools/list", session=session))["result"]["tools"]
        name = next(tool["name"] for tool in tools if "notes" in tool["name"] and tool["name"].endswith("__echo"))
        assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name)
        result = message(one.rpc("tools/call", {"name": name, "arguments": {"text": "hi"}}, session=session))
        assert result["result"]["content"][0]["text"] == "hi"

    @pytest.mark.parametrize("protocol", ["http", "http-streamable", "http_streamable"])
    def test_every_word_for_the_protocol_is_understood(self, one, http_server, protocol):
        server = http_server("added")
        assert create(one, server.url, protocol=protocol).status_code in (200, 201)
        one.has_loaded("added")

    def test_the_address_may_leave_the_path_out(self, one, http_server):
        server = http_server("added")
        create(one, server.url.removesuffix("/mcp") + "/")
        one.has_loaded("added")


def test_replies_are_json_and_say_so(one):
    for path in ("/api/v1/mcp/tools/list", "/health", "/nowhere"):
        assert one.get(path).headers["content-type"].startswith("application/json")
