"""Who may do what: roles and overrides against MCP methods, routes and events, and at once."""
import json

import anyio
import anyio.to_thread
import pytest

from omni.daemon import message
from omni.people import People
from omni.waiting import eventually, eventually_async

pytestmark = pytest.mark.anyio

OPEN, DENIED, UNKNOWN = "open", "denied", "unknown"


@pytest.fixture
def house(daemon, http_server):
    """Two servers, alpha and beta, and a role for each kind of permission."""
    alpha, beta = http_server("alpha"), http_server("beta")
    one = daemon(servers={"alpha": alpha.entry(), "beta": beta.entry()})
    one.has_loaded("alpha", "beta")
    people = People(one)
    people.role("all", mcp_access=["*"], dashboard_access="view", rate_limit=100_000)
    people.role("alpha-only", mcp_access=["alpha"], dashboard_access="view", rate_limit=100_000)
    people.role("echo-only", mcp_access=["alpha"], dashboard_access="view", rate_limit=100_000,
                tool_restrictions={"alpha": {"tools": ["echo"], "resources": [], "prompts": []}})
    people.role("nothing", mcp_access=[], dashboard_access="none", rate_limit=100_000)
    people.role("chat-only", mcp_access=["*"], omni_services=["chat"], rate_limit=100_000)
    return one, people


ROLES = ["super_admin", "all", "alpha-only", "echo-only", "nothing", "chat-only"]


def session(one, someone) -> str:
    answer = one.initialize(token=someone.token)
    assert answer.status_code == 200, answer.text
    identifier = answer.headers["mcp-session-id"]
    assert one.rpc("notifications/initialized", identifier=None, session=identifier,
                   token=someone.token).status_code == 202
    return identifier


class MCP:
    """One session of somebody, and what it gets."""

    def __init__(self, one, someone):
        self.one, self.someone, self.session = one, someone, session(one, someone)

    def ask(self, method: str, **params):
        answer = self.one.rpc(method, params, session=self.session, token=self.someone.token)
        assert answer.status_code == 200, answer.text
        return message(answer)

    def names(self, method: str, member: str, key: str) -> set[str]:
        return {one[key] for one in self.ask(method)["result"][member]}

    def verdict(self, method: str, **params) -> str:
        answer = self.ask(method, **params)
        if "result" in answer:
            return OPEN
        return UNKNOWN if "nknown" in answer["error"]["message"] or "not found" in answer["error"]["message"] \
            or "nothing that is offered" in answer["error"]["message"] else answer["error"]["message"]


# role → (alpha's echo, alpha's count, alpha's prompts and resources, beta)
MAY = {"super_admin": (1, 1, 1, 1), "all": (1, 1, 1, 1), "alpha-only": (1, 1, 1, 0), "echo-only": (1, 0, 0, 0),
       "nothing": (0, 0, 0, 0)}


async def test_every_method_shows_and_does_what_the_role_may(house):
    one, people = house
    for role, (echo, count, rest, beta) in MAY.items():
        mcp = MCP(one, people.user(f"u-{role}", role))
        tools = mcp.names("tools/list", "tools", "name")
        assert ("alpha__echo" in tools, "alpha__count" in tools, "beta__echo" in tools) == \
            (bool(echo), bool(count), bool(beta)), role
        assert len(tools) == echo + (10 + 1) * count + 12 * beta or count or beta, role
        prompts = mcp.names("prompts/list", "prompts", "name")
        assert prompts == {f"{s}__greet" for s, may in (("alpha", rest), ("beta", beta)) if may}, role
        resources = mcp.names("resources/list", "resources", "uri")
        assert {"alpha+note://welcome" in resources, "beta+note://welcome" in resources} == \
            {bool(rest), bool(beta)}, role
        templates = mcp.names("resources/templates/list", "resourceTemplates", "uriTemplate")
        assert len(templates) == rest + beta, role
        expected = lambda may: OPEN if may else UNKNOWN
        for server, may in (("alpha", echo), ("beta", beta)):
            assert mcp.verdict("tools/call", name=f"{server}__echo", arguments={"text": "x"}) == expected(may), role
        assert mcp.verdict("tools/call", name="alpha__count", arguments={}) == expected(count), role
        for server, may in (("alpha", rest), ("beta", beta)):
            assert mcp.verdict("prompts/get", name=f"{server}__greet", arguments={"who": "x"}) == expected(may), role
            assert mcp.verdict("resources/read", uri=f"{server}__note://welcome") == expected(may), role
            assert mcp.verdict("resources/read", uri=f"{server}__note://by-name/x") == expected(may), role
            assert mcp.verdict("completion/complete", ref={"type": "ref/prompt", "name": f"{server}__greet"},
                               argument={"name": "who", "value": "a"}) != OPEN or may, role
        # Unprefixed, the resource belongs to whoever of those one may see has it.
        assert mcp.verdict("resources/read", uri="note://welcome") == expected(rest or beta), role
        for method, params in (("ping", {}), ("logging/setLevel", {"level": "info"})):
            assert "result" in mcp.ask(method, **params), role


async def test_errors_for_what_is_not_allowed_are_those_for_what_is_not_there(house):
    one, people = house
    mcp = MCP(one, people.user("ann", "echo-only"))
    for there, nowhere in (("beta__echo", "gamma__echo"), ("alpha__count", "alpha__nonesuch")):
        hidden = mcp.ask("tools/call", name=there, arguments={})["error"]
        absent = mcp.ask("tools/call", name=nowhere, arguments={})["error"]
        assert {**hidden, "message": hidden["message"].replace(there, "X")} == \
            {**absent, "message": absent["message"].replace(nowhere, "X")}
    for there, nowhere in (("beta", "gamma"), ("alpha", "gamma")):
        tool = "count" if there == "alpha" else "echo"
        hidden = one.call(there, tool, token=mcp.someone.token)
        assert hidden.status_code == 404
    hidden, absent = (one.get(f"/api/v1/mcp/tools/list?server={name}", token=mcp.someone.token)
                      for name in ("beta", "gamma"))
    assert hidden.status_code == absent.status_code == 404
    assert hidden.json()["message"].replace("beta", "X") == absent.json()["message"].replace("gamma", "X")


async def test_a_server_that_is_away_is_not_named_to_whom_it_is_hidden(daemon, http_server):
    alpha, beta = http_server("alpha"), http_server("beta")
    one = daemon({"Coordinator": {"IntervalSec": "300ms"}}, servers={"alpha": alpha.entry(), "beta": beta.entry()})
    one.has_loaded("alpha", "beta")
    people = People(one)
    people.role("alpha-only", mcp_access=["alpha"])
    mcp = MCP(one, people.user("ann", "alpha-only"))
    admin = MCP(one, people.user("root", "super_admin"))
    beta.kill()
    eventually(lambda: "not available" in admin.ask("tools/call", name="beta__echo", arguments={"text": ""})
               .get("error", {}).get("message", ""), 15, "beta is known to be away")
    answer = mcp.ask("tools/call", name="beta__echo", arguments={"text": ""})
    assert answer["error"]["message"] == "Unknown tool: beta__echo"
    assert "data" not in answer["error"]


# path, and what each role gets: administrators, viewers of the dashboard, others.
ROUTES = [
    ("GET", "/", 200, 200, 200),
    ("GET", "/web/app.js", 200, 200, 200),
    ("GET", "/api/v1/usage", 200, 403, 403),
    ("GET", "/health/live", 200, 200, 200),
    ("GET", "/health/ready", 200, 200, 200),
    ("GET", "/health/startup", 200, 200, 200),
    ("GET", "/health/info", 200, 200, 403),
    ("GET", "/health", 200, 200, 200),
    ("GET", "/api/v1/mcp/tools/list", 200, 200, 200),
    ("GET", "/api/v1/mcp/tools/servers", 200, 200, 200),
    ("GET", "/api/v1/mcp/tools/capabilities", 200, 200, 200),
    ("GET", "/api/v1/mcp/servers", 200, 403, 403),
    ("POST", "/api/v1/mcp/servers", 400, 403, 403),
    ("GET", "/api/v1/mcp/servers/1", 200, 403, 403),
    ("PUT", "/api/v1/mcp/servers/1", 400, 403, 403),
    ("DELETE", "/api/v1/mcp/servers/999", 404, 403, 403),
    ("GET", "/api/v1/mcp/servers/1/logs", 200, 403, 403),
    ("POST", "/api/v1/mcp/servers/1/health-check", 200, 403, 403),
    ("POST", "/api/v1/mcp/servers/discover", 400, 403, 403),
    ("GET", "/api/v1/circuit-breaker/config", 200, 200, 403),
    ("PUT", "/api/v1/circuit-breaker/config", 400, 403, 403),
    ("POST", "/api/v1/circuit-breaker/mcp/1/reset", 200, 403, 403),
    ("POST", "/api/v1/circuit-breaker/mcp/999/enable", 404, 403, 403),
    ("GET", "/api/v1/events/metadata", 200, 200, 403),
    ("GET", "/api/v1/events/mcp-list", 200, 200, 403),
    ("GET", "/api/v1/events/websocket/debug", 200, 403, 403),
    ("POST", "/api/v1/events/publish", 400, 403, 403),
    ("POST", "/api/v1/events/test/broadcast", 200, 403, 403),
    ("GET", "/api/v1/cache/stats", 200, 200, 403),
    ("GET", "/api/v1/cache/entries", 200, 403, 403),
    ("GET", "/api/v1/config", 200, 403, 403),
    ("GET", "/api/v1/cluster", 200, 200, 403),
    ("POST", "/api/v1/cache/invalidate", 200, 403, 403),
    ("GET", "/api/v1/users", 200, 403, 403),
    ("POST", "/api/v1/users", 400, 403, 403),
    ("GET", "/api/v1/roles", 200, 403, 403),
    ("POST", "/api/v1/roles", 400, 403, 403),
    ("GET", "/api/v1/teams", 200, 403, 403),
    ("POST", "/api/v1/teams", 400, 403, 403),
    ("GET", "/api/v1/blocks", 200, 403, 403),
    ("GET", "/api/v1/audit", 200, 403, 403),
    ("GET", "/api/v1/permissions/1", 200, 403, 403),
    ("GET", "/api/v1/mcp/tokens", 200, 200, 200),
    ("POST", "/api/v1/mcp/tokens/validate", 400, 403, 403),
    ("GET", "/api/v1/stats", 200, 200, 403),
    ("GET", "/api/v1/activity", 200, 403, 403),
    ("GET", "/api/v1/auth/me", 200, 200, 200),
    ("GET", "/openapi.json", 200, 200, 200),
    ("GET", "/docs", 200, 200, 200),
]


async def test_every_route_opens_for_the_roles_it_is_meant_for(house):
    one, people = house
    someone = {role: people.user(f"u-{role}", role) for role in ("super_admin", "all", "nothing")}
    wrong = []
    for method, path, *expected in ROUTES:
        body = {"json": [1]} if method in ("POST", "PUT") and 400 in expected else {}
        got = [one.request(method, path, token=someone[role].token, **body).status_code for role in someone]
        if got != expected:
            wrong.append((method, path, expected, got))
        if path.startswith("/api"):
            assert one.request(method, path, token=None, **body).status_code == 401, path
            assert one.request(method, path, token="omni2_mcp_" + "x" * 43, **body).status_code == 401, path
    assert not wrong


async def test_no_route_is_left_out_of_the_table(house):
    """What the document knows and neither table nor exception names was forgotten here."""
    one, _ = house
    elsewhere = ("/mcp", "/ws", "/api/v1/auth/", "/api/v1/chat", "/api/v1/ask", "/api/v1/monitoring", "/api/v1/prompt-guard",
                 "/.well-known", "/metrics")
    documented = {(method.upper(), path) for path, methods in one.get("/openapi.json").json()["paths"].items()
                  for method in methods if "{" not in path and not path.startswith(elsewhere)}
    tabled = {(method, path) for method, path, *_ in ROUTES}
    streams = {("GET", "/api/v1/events/stream"), ("POST", "/api/v1/ask/stream"), ("GET", "/api/v1/cluster"), ("POST", "/api/v1/mcp/tools/call"),
               ("POST", "/api/v1/mcp/tools/reload"), ("GET", "/api/v1/mcp/tokens/list"),
               ("POST", "/api/v1/mcp/tokens"), ("POST", "/api/v1/mcp/tokens/generate"),
               ("GET", "/health/cache"), ("POST", "/health/cache/invalidate")}
    assert documented - tabled - streams == set()


async def test_mcp_is_closed_to_roles_without_the_service(house):
    one, people = house
    someone = people.user("ann", "chat-only")
    for answer in (one.initialize(token=someone.token), one.get("/api/v1/mcp/tools/list", token=someone.token)):
        assert answer.status_code == 403 and "mcp" in answer.json()["message"]


# Events

async def test_events_reach_whom_they_concern(house):
    one, people = house
    kinds = ["mcp_status_change", "cache_invalidated", "user_login", "prompt_guard_violation", "deployment"]
    events = [
        ("mcp_status_change", {"mcp_name": "alpha"}, {"super_admin", "all", "alpha-only", "echo-only"}),
        ("mcp_status_change", {"mcp_name": "beta"}, {"super_admin", "all"}),
        ("cache_invalidated", {"mcp_name": "alpha", "tool": "echo"}, {"super_admin", "all", "alpha-only", "echo-only"}),
        ("cache_invalidated", {"mcp_name": "alpha", "tool": "count"}, {"super_admin", "all", "alpha-only"}),
        ("user_login", {"user_id": 7}, {"super_admin"}),
        ("prompt_guard_violation", {"user_id": 7}, {"super_admin"}),
        ("deployment", {"user_email": "a@example.org"}, {"super_admin"}),
        ("deployment", {"text": "for all"}, {"super_admin", "all", "alpha-only", "echo-only"}),
    ]
    roles = ["super_admin", "all", "alpha-only", "echo-only"]
    someone = {role: people.user(f"u-{role}", role) for role in roles}
    got = {}
    for role in roles:
        async with one.events(token=someone[role].token) as socket:
            status = await socket.event("initial_status")
            assert {each["name"] for each in status["mcps"]} == \
                ({"alpha", "beta"} if role in ("super_admin", "all") else {"alpha"}), role
            await socket.subscribe(*kinds)
            for number, (kind, data, _) in enumerate(events):
                answer = one.post("/api/v1/events/publish", json={"type": kind, "data": {**data, "n": number}})
                assert answer.status_code == 200
            one.post("/api/v1/events/publish", json={"type": "deployment", "data": {"n": -1}})
            await socket.event("deployment", where=lambda each: each["data"]["n"] == -1)
            got[role] = {each["data"]["n"] for each in socket.seen if isinstance(each, dict)
                         and each.get("data", {}).get("n", -1) >= 0}
    for role in roles:
        assert got[role] == {number for number, (_, _, to) in enumerate(events) if role in to}, role
    answer = one.get("/ws", token=people.user("none", "nothing").token)
    assert answer.status_code == 403


# At once

async def test_a_role_that_changes_changes_sessions_that_are_open(house):
    one, people = house
    someone = people.user("ann", "alpha-only")
    async with one.mcp(token=someone.token) as client:
        before = {tool.name for tool in (await client.list_tools()).tools}
        people.change_role("alpha-only", mcp_access=["beta"])
        after = {tool.name for tool in (await client.list_tools()).tools}
    assert {name.split("__")[0] for name in before} == {"alpha"}
    assert {name.split("__")[0] for name in after} == {"beta"}


async def test_sessions_hear_that_their_lists_changed_and_only_theirs(house):
    one, people = house
    people.role("other", mcp_access=["beta"])
    heard = {}
    import httpx2
    someone = {"alpha-only": people.user("ann", "alpha-only"), "other": people.user("bob", "other")}
    async with httpx2.AsyncClient(trust_env=False, timeout=20) as http:
        streams = {}
        for role, who in someone.items():
            mcp = MCP(one, who)
            mcp.ask("tools/list")
            request = http.build_request("GET", one.url + "/mcp", headers={
                "Authorization": f"Bearer {who.token}", "Accept": "text/event-stream", "Mcp-Session-Id": mcp.session,
                "MCP-Protocol-Version": "2025-06-18"})
            streams[role] = await http.send(request, stream=True)
        people.change_role("alpha-only", tool_restrictions={"alpha": ["echo"]})
        lines = streams["alpha-only"].aiter_lines()
        async for line in lines:
            if line.startswith("data:"):
                heard["alpha-only"] = json.loads(line[5:])["method"]
                break
        people.change_role("other", tool_restrictions={"beta": ["echo"]})
        async for line in streams["other"].aiter_lines():
            if line.startswith("data:"):
                heard["other"] = json.loads(line[5:])["method"]
                break
        for stream in streams.values():
            await stream.aclose()
    assert heard == {"alpha-only": "notifications/tools/list_changed", "other": "notifications/tools/list_changed"}


async def test_a_revoked_token_ends_what_it_opened(house):
    one, people = house
    someone = people.user("ann", "all")
    mcp = MCP(one, someone)
    people.ask("DELETE", f"/mcp/tokens/{someone.token_id}")
    answer = one.rpc("tools/list", session=mcp.session, token=someone.token)
    assert answer.status_code == 401
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]


@pytest.mark.parametrize("change", [{"active": False}, {"role": "nothing"}], ids=["inactive", "demoted"])
async def test_what_becomes_of_a_user_counts_at_once(house, change):
    one, people = house
    someone = people.user("ann", "all")
    mcp = MCP(one, someone)
    people.ask("PUT", f"/users/{someone.id}", json=change)
    answer = one.rpc("tools/list", session=mcp.session, token=someone.token)
    if "active" in change:
        assert answer.status_code == 403 and "not active" in answer.json()["message"]
    else:
        assert message(answer)["result"]["tools"] == []


async def test_a_blocked_user_is_told_the_operators_words_and_loses_the_session(house):
    one, people = house
    someone = people.user("ann", "all")
    mcp = MCP(one, someone)
    people.block(someone.id, "mcp", message="Ask Bob at extension 7.")
    answer = one.rpc("tools/list", session=mcp.session, token=someone.token)
    assert answer.status_code == 403 and answer.json()["message"] == "Ask Bob at extension 7."
    people.unblock(someone.id)
    answer = one.rpc("tools/list", session=mcp.session, token=someone.token)
    assert answer.status_code == 404, "the session ended with the block"
    assert MCP(one, someone).names("tools/list", "tools", "name")


async def test_a_token_expires_to_the_second(house):
    one, people = house
    someone = people.user("ann", "all")
    token = people.token(someone.id, expires_in_seconds=1)["token"]
    assert one.get("/api/v1/mcp/tools/list", token=token).status_code == 200
    eventually(lambda: one.get("/api/v1/mcp/tools/list", token=token).status_code == 401, 3, "expired")


async def test_a_session_belongs_to_its_token(house):
    one, people = house
    someone = people.user("ann", "all")
    mcp = MCP(one, someone)
    other = people.token(someone.id)["token"]
    assert one.rpc("tools/list", session=mcp.session, token=other).status_code == 404


async def test_teams_and_overrides_narrow_the_role(house):
    one, people = house
    someone = people.user("ann", "all")
    servers = lambda: set(one.get("/api/v1/mcp/tools/list", token=someone.token).json()["data"]["servers"])
    assert servers() == {"alpha", "beta"}
    team = people.ask("POST", "/teams", 201, json={"name": "blue", "mcp_access": ["alpha"]})["team"]
    people.ask("PUT", f"/teams/{team['id']}/members/{someone.id}")
    assert servers() == {"alpha"}
    people.ask("DELETE", f"/teams/{team['id']}/members/{someone.id}")
    people.ask("PUT", f"/users/{someone.id}/override", json={"mcp_restrictions": ["beta"]})
    assert servers() == {"alpha"}
    people.ask("DELETE", f"/users/{someone.id}/override")
    assert servers() == {"alpha", "beta"}


async def test_rows_changed_with_sql_count_within_a_second(daemon, postgres, http_server):
    alpha = http_server("alpha")
    one = daemon({"Database": {"URL": postgres.url}}, servers={"alpha": alpha.entry()})
    one.has_loaded("alpha")
    people = People(one)
    people.role("all", mcp_access=["*"], dashboard_access="view")
    someone = people.user("ann", "all")
    mcp = MCP(one, someone)
    async with one.events(token=someone.token):
        assert mcp.names("tools/list", "tools", "name")
        postgres.psql("UPDATE auth_service.roles SET mcp_access = '{}' WHERE name = 'all'")
        eventually(lambda: not mcp.names("tools/list", "tools", "name"), 2, "the tools are gone")
    postgres.psql(f"DELETE FROM auth_service.mcp_access_tokens WHERE user_id = {someone.id}")
    eventually(lambda: one.get("/api/v1/mcp/tools/list", token=someone.token).status_code == 401, 2, "revoked")


# Limits

async def test_requests_per_hour_are_counted_and_refused(house):
    one, people = house
    people.role("few", mcp_access=["*"], rate_limit=3)
    someone = people.user("ann", "few")
    mcp = MCP(one, someone)
    for number in range(3):
        mcp.ask("tools/list")
        answer = one.rpc("tools/call", {"name": "alpha__echo", "arguments": {"text": "x"}}, session=mcp.session,
                         token=someone.token)
        assert answer.status_code == 200
        assert answer.headers["ratelimit-limit"] == "3"
        assert answer.headers["ratelimit-remaining"] == str(2 - number)
    refused = one.rpc("tools/call", {"name": "alpha__echo", "arguments": {"text": "x"}}, session=mcp.session,
                      token=someone.token)
    assert refused.status_code == 429
    assert 0 < int(refused.headers["retry-after"]) <= 3661
    assert refused.headers["ratelimit-remaining"] == "0"
    assert refused.json()["error"]["message"].startswith("As many requests as allowed")
    # A second token of the same person does not help; REST neither.
    other = people.token(someone.id)["token"]
    assert one.call("alpha", "echo", {"text": "x"}, token=other).status_code == 429
    # An override of the user replaces the role's limit, at once.
    people.ask("PUT", f"/users/{someone.id}", json={"rate_limit_override": 5})
    assert one.call("alpha", "echo", {"text": "x"}, token=other).status_code == 200


async def test_calls_in_flight_are_bounded_and_wait_their_turn(daemon, http_server):
    alpha = http_server("alpha")
    one = daemon({"Access": {"MaxCallsPerPrincipal": "1", "MaxCallsWaiting": "1"}}, servers={"alpha": alpha.entry()})
    one.has_loaded("alpha")
    people = People(one)
    people.role("all", mcp_access=["*"])
    ann, bob = people.user("ann", "all"), people.user("bob", "all")
    answers: dict[str, int] = {}

    async def slow(name: str, someone, seconds: float) -> None:
        call = lambda: one.call("alpha", "slow", {"seconds": seconds}, token=someone.token)
        answers[name] = (await anyio.to_thread.run_sync(call)).status_code

    async with anyio.create_task_group() as group:
        group.start_soon(slow, "first", ann, 2)
        await eventually_async(lambda: anyio.to_thread.run_sync(lambda: alpha.calls("slow") == 1))
        group.start_soon(slow, "second", ann, 0)
        await anyio.sleep(0.3)
        refused = one.call("alpha", "slow", {"seconds": 0}, token=ann.token)
        assert refused.status_code == 502 and "too many calls wait" in refused.json()["error"]
        # Another person's calls are not held up by these.
        assert one.call("alpha", "slow", {"seconds": 0}, token=bob.token).status_code == 200
        assert "first" not in answers and "second" not in answers
    assert answers == {"first": 200, "second": 200}


# The audit trail

async def test_changes_and_denials_are_on_record(house):
    one, people = house
    someone = people.user("ann", "alpha-only")
    MCP(one, someone).ask("tools/call", name="beta__echo", arguments={"text": ""})
    assert one.get("/api/v1/users", token=someone.token).status_code == 403
    assert one.get("/api/v1/users", token="omni2_mcp_wrong").status_code == 401
    trail = eventually(lambda: (lambda found: found if {"denied"} <= {e["outcome"] for e in found} and
                                any(e["action"] == "authenticate" for e in found) else None)(people.audit()), 5)
    facts = {(each["actor"], each["action"], each["target"], each["outcome"]) for each in trail}
    assert ("admin", "user.create", "ann", "done") in facts
    assert ("ann", "tools/call", "beta__echo", "denied") in facts
    assert ("ann", "GET", "/api/v1/users", "denied") in facts
    assert ("unknown", "authenticate", "/api/v1/users", "denied") in facts
    assert all(each["ip_address"] == "127.0.0.1" for each in trail)
    assert "omni2_mcp_" not in one.output()
