"""The ways to a server: TLS with an own authority and client certificates, proxies, tokens, Unix
sockets, the older event stream. And clients and servers that exist."""
import asyncio
import json
import subprocess
import sys
import threading

import pytest
from fastmcp import Client as FastMCPClient
from fastmcp.client.transports import StreamableHttpTransport

from omni.processes import LEGACY, SERVERS, VENV, Child, free_port
from omni.servers import git_entry, sqlite_entry, time_entry
from omni.waiting import eventually

from test_mcp_duties import content, wire

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """An authority of our own, a server and a client that it signed."""
    folder = tmp_path_factory.mktemp("tls")

    def openssl(*words):
        subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True, cwd=folder)

    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key",
            "-out", "ca.pem", "-subj", "/CN=our authority", "-days", "2")
    for name in ("server", "client"):
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key",
                "-out", f"{name}.csr", "-subj", f"/CN={name}")
        (folder / "ext").write_text("subjectAltName=IP:127.0.0.1")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                "-out", f"{name}.pem", "-days", "2", "-extfile", "ext")
    return folder


def test_tls_with_our_authority_and_a_client_certificate(daemon, puppets, certificates):
    port = free_port()
    puppets("both", "--tls", port, *(certificates / name for name in ("server.pem", "server.key", "ca.pem")))
    url = f"https://127.0.0.1:{port}/mcp"
    tls = {"ca": str(certificates / "ca.pem"), "cert": str(certificates / "client.pem"),
           "key": str(certificates / "client.key")}
    one = daemon(servers={"good": {"url": url, "omni2": {"tls": tls}},
                          "nameless": {"url": url, "omni2": {"tls": {"ca": tls["ca"]}}}, "trusting": {"url": url}})
    one.has_loaded("good")
    assert content(wire(one, "modern").call("good__echo", {"text": "x"})) == "echo x"
    servers = eventually(lambda: one.servers() if one.servers()["trusting"]["health_status"] != "loading" else None)
    assert {name for name, row in servers.items() if row["health_status"] == "healthy"} == {"good"}


def test_settings_that_make_no_sense_are_refused(daemon):
    one = daemon()
    for omni2 in ({"era": "stone"}, {"session": "mine"}, {"tls": {"ca": "relative.pem"}}, {"proxy": 3}):
        refused = one.post("/api/v1/mcp/servers", json={"name": "x", "url": "http://127.0.0.1:9/mcp",
                                                       "protocol": "http-streamable", "omni2": omni2})
        assert refused.status_code in (400, 422) and "omni2." in refused.text, refused.text


@pytest.fixture
def proxy():
    """A forward proxy for plain HTTP that remembers what it forwarded."""
    forwarded, port = [], free_port()

    async def serve(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        target = head.split(b" ")[1].decode()
        forwarded.append(target)
        host, _, path = target.removeprefix("http://").partition("/")
        name, _, number = host.partition(":")
        up_reader, up_writer = await asyncio.open_connection(name, int(number))
        up_writer.write(head.replace(target.encode(), b"/" + path.encode(), 1))

        async def pump(source, sink):
            while data := await source.read(1 << 16):
                sink.write(data)
                await sink.drain()
            sink.close()

        await asyncio.gather(pump(reader, up_writer), pump(up_reader, writer), return_exceptions=True)

    loop = asyncio.new_event_loop()
    ready = threading.Event()

    async def main():
        await asyncio.start_server(serve, "127.0.0.1", port)
        ready.set()
        await asyncio.Event().wait()

    def run():
        try:
            loop.run_until_complete(main())
        except RuntimeError:
            pass  # stopped by the fixture

    threading.Thread(target=run, daemon=True).start()
    assert ready.wait(5)
    yield f"http://127.0.0.1:{port}", forwarded
    loop.call_soon_threadsafe(loop.stop)


def test_a_proxy(daemon, puppets, proxy):
    url, forwarded = proxy
    puppet = puppets()
    one = daemon(servers={"p": puppet.entry(proxy=url)})
    one.has_loaded("p")
    assert content(wire(one, "modern").call("p__echo", {"text": "x"})) == "echo x"
    assert forwarded and set(forwarded) == {puppet.url}


@pytest.mark.parametrize("way", ["basic", "post"])
def test_oauth_client_credentials(daemon, puppets, way):
    """A token is fetched once for all, shown with every request, and replaced when it is refused."""
    puppet = puppets("both", "--oauth")
    one = daemon(servers={"p": {**puppet.entry(), "auth_type": "oauth2", "auth_config": {
        "token_url": puppet.url.replace("/mcp", "/control/token"), "client_id": "client", "client_secret": "s/ecret",
        "scope": "tools", "client_auth": way}}})
    one.has_loaded("p")
    client = wire(one, "modern")
    assert content(client.call("p__echo", {"text": "x"})) == "echo x"
    asked = [record for record in puppet.seen() if record["http"] == "token"]
    assert len(asked) == 1
    assert asked[0]["message"]["grant_type"] == ["client_credentials"] and asked[0]["message"]["scope"] == ["tools"]
    assert asked[0]["message"]["resource"] == [puppet.url]
    assert ("client_secret" in asked[0]["message"]) == (way == "post")
    puppet.do("expire")
    assert content(client.call("p__echo", {"text": "y"})) == "echo y"
    assert len([record for record in puppet.seen() if record["http"] == "token"]) == 2
    assert "s/ecret" not in one.output() and "s/ecret" not in one.get("/api/v1/mcp/servers").text


def test_a_unix_socket(daemon, puppets, tmp_path):
    path = tmp_path / "s.sock"
    puppets("both", "--unix", path)
    one = daemon(servers={"p": {"url": f"http+unix://{str(path).replace('/', '%2F')}/mcp"}})
    one.has_loaded("p")
    assert content(wire(one, "handshake").call("p__echo", {"text": "x"})) == "echo x"


@pytest.fixture
def legacy_sse(tmp_path):
    port = free_port()
    child = Child([VENV / "python", "-c", f"""
from fastmcp import FastMCP
server = FastMCP("old")
@server.tool
def echo(text: str) -> str: return "echo " + text
server.run(transport="sse", host="127.0.0.1", port={port}, show_banner=False, log_level="error")
"""], tmp_path / "sse.log")
    child.answers(port)
    yield port
    child.kill()


@pytest.mark.parametrize("entry", [{"type": "sse"}, {}])
def test_the_older_event_stream(daemon, legacy_sse, entry):
    """Named as such, or found by its path."""
    one = daemon(servers={"old": {**entry, "url": f"http://127.0.0.1:{legacy_sse}/sse"}})
    one.has_loaded("old")
    for era in ("handshake", "modern"):
        assert content(wire(one, era).call("old__echo", {"text": "x"})) == "echo x"


# MARK: Clients and servers that exist

async def test_fastmcps_client(daemon, puppets):
    one = daemon(servers={"p": puppets().entry()})
    one.has_loaded("p")
    transport = StreamableHttpTransport(one.url + "/mcp", headers=one.headers)
    seen = []

    async def elicit(message, response_type, params, context):
        return {"name": "Ada"}

    async def progress(done, total, message):
        seen.append(done)

    async with FastMCPClient(transport, elicitation_handler=elicit) as client:
        assert "p__echo" in {tool.name for tool in await client.list_tools()}
        result = await client.call_tool("p__echo", {"text": "x"}, progress_handler=progress)
        assert result.content[0].text == "echo x"
        assert (await client.get_prompt("p__greet")).messages
        assert (await client.read_resource("p+puppet://one"))[0].text == "content"
        assert "Ada" in (await client.call_tool("p__ask", {})).content[0].text
        await client.call_tool("p__flood", {"count": 3}, progress_handler=progress)
    assert seen[-3:] == [0, 1, 2]


@pytest.mark.slow
def test_eight_servers_of_pypi(daemon, repository, tmp_path):
    """Each lists its tools and answers a call, in either era of the client."""
    (tmp_path / "page.txt").write_text("a page")
    web = free_port()
    pages = Child([sys.executable, "-m", "http.server", web, "--bind", "127.0.0.1", "--directory", tmp_path],
                  tmp_path / "web.log")
    pages.answers(web)
    (tmp_path / "edit.txt").write_text("one line\n")
    servers = {
        "time": time_entry(), "git": git_entry(repository), "sqlite": sqlite_entry(tmp_path / "s.db"),
        "fetch": {"command": str(VENV / "mcp-server-fetch"), "args": ["--ignore-robots-txt", "--allow-private-ips"]},
        "calculator": {"command": str(LEGACY / "mcp-server-calculator")},
        "duckdb": {"command": str(LEGACY / "mcp-server-duckdb"), "args": ["--db-path", str(tmp_path / "d.db")]},
        "editor": {"command": str(LEGACY / "mcp-text-editor")},
        "shell": {"command": str(LEGACY / "mcp-shell-server"), "env": {"ALLOW_COMMANDS": "ls,cat"}},
    }
    calls = {
        "time__get_current_time": ({"timezone": "UTC"}, "UTC"),
        "git__git_log": ({"repo_path": str(repository)}, "Commit 2"),
        "sqlite__read_query": ({"query": "SELECT 41 + 1 AS x"}, "42"),
        "fetch__fetch": ({"url": f"http://127.0.0.1:{web}/page.txt"}, "a page"),
        "calculator__calculate": ({"expression": "6 * 7"}, "42"),
        "duckdb__query": ({"query": "SELECT 6 * 7"}, "42"),
        "editor__get_text_file_contents": ({"files": [{"file_path": str(tmp_path / "edit.txt"),
                                                       "ranges": [{"start": 1}]}]}, "one line"),
        "shell__shell_execute": ({"command": ["cat", "edit.txt"], "directory": str(tmp_path)}, "one line"),
    }
    try:
        one = daemon({"MCP": {"HandshakeTimeoutSec": "60s"}, "Coordinator": {"IntervalSec": "1h"}}, servers=servers)
        one.has_loaded(*servers, within=90)
        for era in ("handshake", "modern"):
            client = wire(one, era)
            offered = {tool["name"] for tool in client.request("tools/list").result["tools"]}
            for tool, (arguments, wanted) in calls.items():
                assert tool in offered, (tool, sorted(offered))
                result = client.call(tool, arguments).result
                assert wanted in json.dumps(result["content"]), (tool, result)
    finally:
        pages.kill()
