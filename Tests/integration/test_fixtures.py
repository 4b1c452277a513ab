"""The neighbours themselves, without the daemon: a test that fails later is then about the daemon."""
import sys

import pytest
from mcp import Client, StdioServerParameters

from omni.processes import SERVERS
from omni.servers import git_entry, sqlite_entry, time_entry


def stdio(entry: dict) -> StdioServerParameters:
    return StdioServerParameters(command=entry["command"], args=entry["args"])


async def test_counting_server_counts_and_records(counting):
    async with Client(counting.url) as client:
        assert (await client.call_tool("count", {"key": "a"})).content[0].text == "a 1"
        assert (await client.call_tool("count", {"key": "a"})).content[0].text == "a 2"
        assert (await client.call_tool("fail", {"message": "no"})).is_error
    assert counting.calls("count") == 2
    assert len(counting.requests("tools/call")) == 3


async def test_counting_server_announces_a_new_tool(counting):
    async with Client(counting.url, mode="legacy") as client:
        await client.call_tool("grow", {"name": "extra"})
        assert "extra" in [tool.name for tool in (await client.list_tools()).tools]
        await client.call_tool("shrink", {"name": "extra"})
        assert "extra" not in [tool.name for tool in (await client.list_tools(cache_mode="bypass")).tools]


async def test_counting_server_pages_its_lists(http_server):
    server = http_server("paged", "--page-size", "2")
    async with Client(server.url, mode="legacy") as client:
        page = await client.list_tools()
        assert len(page.tools) == 2 and page.next_cursor


async def test_counting_server_comes_back_on_its_port(counting):
    counting.kill()
    counting.start()
    async with Client(counting.url) as client:
        assert (await client.call_tool("count", {"key": "a"})).content[0].text == "a 1"


async def test_counting_server_demands_its_header(http_server):
    server = http_server("closed", "--demand", "x-key=secret")
    with pytest.raises(Exception):
        async with Client(server.url, mode="legacy") as client:
            await client.list_tools()


@pytest.mark.parametrize("tool", ["echo", "split", "chatter"])
async def test_raw_server_behaves_until_told_otherwise(tool):
    parameters = StdioServerParameters(command=sys.executable, args=[str(SERVERS / "stdio_server.py")])
    async with Client(parameters, mode="legacy") as client:
        result = await client.call_tool(tool, {"text": "hello"})
        assert result.content[0].text == f"{tool} hello"


async def test_real_servers_answer(repository, tmp_path):
    async with Client(stdio(time_entry())) as client:
        assert "get_current_time" in [tool.name for tool in (await client.list_tools()).tools]
    async with Client(stdio(git_entry(repository))) as client:
        log = await client.call_tool("git_log", {"repo_path": str(repository)})
        assert "Commit 2" in log.content[0].text
    async with Client(stdio(sqlite_entry(tmp_path / "file.db")), mode="legacy") as client:
        assert "read_query" in [tool.name for tool in (await client.list_tools()).tools]


def test_postgres_restarts_with_its_data(postgres):
    postgres.psql("CREATE TABLE IF NOT EXISTS probe AS SELECT 1 AS one")
    postgres.restart()
    assert postgres.psql("SELECT one FROM probe") == "1"


def test_redis_answers(redis):
    redis.stop()
    redis.start()
