"""The main job: the official client calls the tools of real servers through the gateway."""
import asyncio
import json

import pytest
from mcp import Client, StdioServerParameters
from mcp.shared.exceptions import MCPError

from omni.daemon import message
from omni.servers import git_entry, sqlite_entry, stdio_entry, time_entry
from omni.waiting import eventually, eventually_async

TIME_CALL = ("convert_time", {"source_timezone": "UTC", "time": "12:00", "target_timezone": "Asia/Tokyo"})


def direct(server) -> Client:
    """The SDK's client on the server itself."""
    if isinstance(server, dict):
        return Client(StdioServerParameters(command=server["command"], args=server["args"]))
    return Client(server.url)


def essence(result) -> dict:
    """What a caller reads of a result: everything but `_meta`, which each hop may add to."""
    whole = result.model_dump(by_alias=True, exclude_none=True)
    whole.pop("_meta", None)
    whole.pop("resultType", None)
    return whole


async def all_tools(client: Client) -> dict:
    tools, cursor = {}, None
    while True:
        page = await client.list_tools(cursor=cursor)
        for tool in page.tools:
            assert tool.name not in tools, f"{tool.name} listed twice"
            tools[tool.name] = tool
        if not page.next_cursor:
            return tools
        cursor = page.next_cursor


@pytest.fixture
def three(daemon, counting, repository):
    """A daemon with three real servers, two over stdio and one over Streamable HTTP."""
    servers = {"time": time_entry(), "git": git_entry(repository), "counting": counting.entry()}
    one = daemon(servers=servers)
    one.has_loaded(*servers)
    one.upstream = {"time": servers["time"], "git": servers["git"], "counting": counting}
    return one


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_lists_the_tools_of_three_servers(three, mode):
    async with three.mcp(mode=mode) as gateway:
        offered = await all_tools(gateway)
    wanted = set()
    for name, server in three.upstream.items():
        async with direct(server) as client:
            for tool in (await all_tools(client)).values():
                wanted.add(f"{name}__{tool.name}")
                ours = offered[f"{name}__{tool.name}"]
                assert ours.input_schema == tool.input_schema
                assert ours.output_schema == tool.output_schema
                assert ours.annotations == tool.annotations
                assert (tool.description or "") in (ours.description or "")
    assert set(offered) == wanted


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_calls_give_the_same_content_as_direct_calls(three, repository, mode):
    calls = [("time", *TIME_CALL),
             ("git", "git_log", {"repo_path": str(repository)}),
             ("git", "git_status", {"repo_path": str(repository)}),
             ("counting", "echo", {"text": "Grüße 😀 \u2028 \"\\ /"}),
             ("counting", "picture", {})]
    async with three.mcp(mode=mode) as gateway:
        for name, tool, arguments in calls:
            through = await gateway.call_tool(f"{name}__{tool}", arguments)
            async with direct(three.upstream[name]) as client:
                assert essence(through) == essence(await client.call_tool(tool, arguments)), tool


async def test_an_error_of_the_tool_arrives_as_the_tools_error(three):
    async with three.mcp() as gateway:
        result = await gateway.call_tool("counting__fail", {"message": "no luck"})
        assert result.is_error and "no luck" in result.content[0].text
        wrong = await gateway.call_tool("time__convert_time", {"source_timezone": "Nowhere/City",
                                                               "time": "12:00", "target_timezone": "UTC"})
        assert wrong.is_error


async def test_unknown_names_are_refused_and_the_session_goes_on(three):
    async with three.mcp() as gateway:
        for name in ("counting__no_such_tool", "nobody__echo", "echo", "", "__", "counting__"):
            with pytest.raises(MCPError) as refusal:
                await gateway.call_tool(name, {})
            assert refusal.value.code == -32602, refusal.value
        assert (await gateway.call_tool("counting__echo", {"text": "still here"})).content[0].text == "still here"


async def test_simultaneous_calls_get_their_own_answers(three):
    async with three.mcp() as gateway:
        texts = [f"text {number}" for number in range(40)]
        results = await asyncio.gather(*(gateway.call_tool("counting__echo", {"text": text}) for text in texts))
    assert [result.content[0].text for result in results] == texts


async def test_a_slow_call_delays_nobody(three):
    async with three.mcp() as gateway:
        slow = asyncio.create_task(gateway.call_tool("counting__slow", {"seconds": 3}))
        await eventually_async(lambda: asyncio.to_thread(three.upstream["counting"].calls, "slow"))
        result = await asyncio.wait_for(gateway.call_tool("counting__echo", {"text": "quick"}), 2)
        assert result.content[0].text == "quick" and not slow.done()
        assert (await slow).content[0].text == "slept 3.0"


async def test_results_beyond_one_event_of_the_client_arrive_whole(three):
    size = 3 << 20
    async with three.mcp() as gateway:
        result = await gateway.call_tool("counting__big", {"bytes": size})
    assert len(result.content[0].text) == size


async def test_one_call_is_one_request_upstream(three):
    server = three.upstream["counting"]
    server.reset()
    async with three.mcp() as gateway:
        for number in range(5):
            await gateway.call_tool("counting__echo", {"text": str(number)})
    assert len(server.requests("tools/call")) == 5
    assert server.requests("initialize") == [] and server.requests("server/discover") == []


async def test_a_changed_list_is_noticed(three):
    async with three.mcp() as gateway:
        await gateway.call_tool("counting__grow", {"name": "extra"})

        async def offers_extra():
            return "counting__extra" in await all_tools(gateway)

        await eventually_async(offers_extra, 10, "the new tool is offered")
        assert (await gateway.call_tool("counting__extra", {})).content[0].text == "extra was added"
        await gateway.call_tool("counting__shrink", {"name": "extra"})

        async def offers_it_no_more():
            return not await offers_extra()

        await eventually_async(offers_it_no_more, 10, "the tool is gone")


async def test_every_page_of_a_servers_list_is_read(daemon, http_server):
    server = http_server("paged", "--page-size", "2")
    one = daemon(servers={"paged": server.entry()})
    one.has_loaded("paged")
    async with direct(server) as client:
        wanted = set(await all_tools(client))
    assert set(one.tools()["paged"]) == wanted and len(wanted) > 4


@pytest.mark.parametrize("options", [["--json"], ["--stateless"], ["--json", "--stateless"]])
async def test_servers_may_answer_json_and_do_without_sessions(daemon, http_server, options):
    one = daemon(servers={"other": http_server("other", *options).entry()})
    one.has_loaded("other")
    async with one.mcp() as gateway:
        assert (await gateway.call_tool("other__echo", {"text": "hi"})).content[0].text == "hi"


async def test_a_server_of_the_older_era_works(daemon, tmp_path):
    one = daemon(servers={"db": sqlite_entry(tmp_path / "file.db"), "raw": stdio_entry()})
    one.has_loaded("db", "raw")
    async with one.mcp() as gateway:
        await gateway.call_tool("db__create_table", {"query": "CREATE TABLE t (x INTEGER)"})
        await gateway.call_tool("db__write_query", {"query": "INSERT INTO t VALUES (42)"})
        rows = await gateway.call_tool("db__read_query", {"query": "SELECT x FROM t"})
        assert "42" in rows.content[0].text
        assert (await gateway.call_tool("raw__echo", {"text": "hi"})).content[0].text == "echo hi"


async def test_a_server_that_restarted_is_met_with_a_new_session(daemon, counting):
    """Its old session is gone: the call itself finds out and is repeated, once."""
    one = daemon({"Coordinator": {"IntervalSec": "1h"}}, servers={"counting": counting.entry()})
    one.has_loaded("counting")
    async with one.mcp() as gateway:
        await gateway.call_tool("counting__count", {"key": "a"})
        counting.kill()
        counting.start()
        result = await gateway.call_tool("counting__count", {"key": "a"})
        assert not result.is_error and result.content[0].text == "a 1"
    assert counting.calls("count") == 1


@pytest.mark.parametrize("path", ["/mcp", "/mcp-v2"])
def test_both_paths_lead_to_the_gateway(daemon, path):
    one = daemon()
    assert "result" in message(one.initialize(path=path))


@pytest.mark.parametrize("version", ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"])
def test_the_clients_version_is_spoken(daemon, version):
    result = message(daemon().initialize(version))["result"]
    assert result["protocolVersion"] == version
    assert "tools" in result["capabilities"] and result["serverInfo"]["name"]


def test_an_unknown_version_is_answered_with_a_known_one(daemon):
    result = message(daemon().initialize("1999-01-01"))["result"]
    assert result["protocolVersion"] in ("2025-03-26", "2025-06-18", "2025-11-25")


class TestSession:
    def test_begins_serves_and_ends(self, daemon):
        one = daemon()
        session = one.initialize().headers["mcp-session-id"]
        assert session.isascii() and len(session) >= 16
        accepted = one.rpc("notifications/initialized", identifier=None, session=session)
        assert accepted.status_code == 202 and accepted.content == b""
        pong = message(one.rpc("ping", identifier="p", session=session))
        assert pong == {"jsonrpc": "2.0", "id": "p", "result": {}}
        assert message(one.rpc("tools/list", session=session))["result"]["tools"] == []
        ended = one.request("DELETE", "/mcp", headers={"Mcp-Session-Id": session})
        assert ended.status_code in (200, 202, 204)
        assert one.rpc("ping", session=session).status_code == 404

    def test_unknown_is_404_and_missing_is_400(self, daemon):
        one = daemon()
        assert one.rpc("ping", session="never-given-out").status_code == 404
        missing = one.rpc("tools/list", headers={"MCP-Protocol-Version": "2025-06-18"})
        assert missing.status_code == 400

    def test_ids_differ(self, daemon):
        one = daemon()
        assert len({one.initialize().headers["mcp-session-id"] for _ in range(20)}) == 20

    def test_an_unsupported_version_header_is_refused(self, daemon):
        one = daemon()
        session = one.initialize().headers["mcp-session-id"]
        answer = one.post("/mcp", json={"jsonrpc": "2.0", "id": 1, "method": "ping"},
                          headers={"Accept": "application/json, text/event-stream",
                                   "Mcp-Session-Id": session, "MCP-Protocol-Version": "bogus"})
        assert answer.status_code == 400

    def test_get_opens_a_stream_or_is_refused_as_such(self, daemon):
        import httpx2

        one = daemon()
        session = one.initialize().headers["mcp-session-id"]
        headers = {**one.headers, "Accept": "text/event-stream", "Mcp-Session-Id": session,
                   "MCP-Protocol-Version": "2025-06-18"}
        with httpx2.stream("GET", one.url + "/mcp", headers=headers, trust_env=False, timeout=5) as answer:
            if answer.status_code == 200:
                assert answer.headers["content-type"].startswith("text/event-stream")
            else:
                assert answer.status_code == 405


def test_the_id_comes_back_as_it_was(daemon):
    one = daemon()
    session = one.initialize().headers["mcp-session-id"]
    for identifier in (0, -1, 2**53 - 1, "", "ü\"\\", "1"):
        assert message(one.rpc("ping", identifier=identifier, session=session))["id"] == identifier


class TestUpstreamAuthentication:
    """What the registry says is what the server receives, and nothing of the caller's."""

    def demands(self, header: str, value: str) -> tuple[str, str]:
        return "--demand", f"{header}={value}"

    @pytest.mark.parametrize("kind, configuration, header, value", [
        ("bearer", {"token": "upstream-secret"}, "authorization", "Bearer upstream-secret"),
        ("bearer", {"api_key": "upstream-secret"}, "authorization", "Bearer upstream-secret"),
        ("api_key", {"header_name": "X-Api-Key", "api_key": "upstream-secret"}, "x-api-key", "upstream-secret"),
        ("custom_headers", {"headers": {"X-One": "upstream-secret", "X-Two": "2"}}, "x-one", "upstream-secret"),
    ])
    def test_of_the_registry(self, daemon, http_server, kind, configuration, header, value):
        server = http_server("closed", *self.demands(header, value))
        one = daemon()
        created = one.post("/api/v1/mcp/servers", json={
            "name": "closed", "url": server.url, "protocol": "http-streamable",
            "auth_type": kind, "auth_config": configuration})
        assert created.status_code in (200, 201), created.text
        one.has_loaded("closed")
        assert one.call("closed", "echo", {"text": "in"}).json()["success"]
        for request in server.requests():
            assert one.token not in json.dumps(request["headers"])
        assert "upstream-secret" not in one.output()

    def test_of_the_import_file(self, daemon, http_server):
        server = http_server("closed", *self.demands("authorization", "Bearer upstream-secret"))
        entry = {**server.entry(), "headers": {"Authorization": "Bearer upstream-secret"}}
        one = daemon(servers={"closed": entry})
        one.has_loaded("closed")

    def test_that_is_wrong_leaves_the_server_out_and_says_so(self, daemon, http_server):
        server = http_server("closed", *self.demands("authorization", "Bearer other"))
        one = daemon(servers={"closed": server.entry()})
        one.logged(r"closed.*(401|[Uu]nauthori[sz]ed|denied)")
        eventually(lambda: one.servers()["closed"]["health_status"] not in ("healthy", "loading"))
        assert "closed" not in one.tools() or one.tools()["closed"] == []
