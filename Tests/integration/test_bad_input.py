"""Bad input of every kind: a clear error for whoever sent it, and a daemon that goes on."""
import json
import socket
import time

import httpx2
import pytest

from omni.daemon import message
from omni.raw import Conversation, exchange
from omni.servers import stdio_entry
from omni.waiting import eventually


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One daemon for the whole file: that it survives all of it is the point."""
    from omni.daemon import Daemon

    one = Daemon(tmp_path_factory.mktemp("bad-input"),
                 {"HTTP": {"HeaderTimeoutSec": "1s", "BodyTimeoutSec": "1s", "IdleTimeoutSec": "3s"}},
                 servers={"raw": stdio_entry()}).start()
    yield one
    one.stop()


@pytest.fixture(scope="module")
def loaded(shared):
    """For tests that call a tool."""
    shared.has_loaded("raw")


@pytest.fixture
def one(shared, request):
    """The same daemon, which must be alive and well after each test."""
    request.node.omni_daemons = [shared]
    pid = shared.pid
    yield shared
    assert shared.is_running and shared.pid == pid
    assert shared.get("/health/live", token=None).status_code == 200


def head(one, first: str = "GET /health/live HTTP/1.1", *lines: str, host: bool = True) -> bytes:
    lines = ([f"Host: 127.0.0.1:{one.port}"] if host else []) + list(lines)
    return ("\r\n".join([first, *lines]) + "\r\n\r\n").encode("latin-1")


class TestHTTP:
    @pytest.mark.parametrize("data", [
        b"\x00\x01\x02\x03\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # a TLS hello
        b"GET\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1 more\r\nHost: x\r\n\r\n",
        b"G\xc3\x8bT / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / http/1.1\r\nHost: x\r\n\r\n",
    ], ids=["binary", "tls", "no target", "no version", "two spaces", "four words", "method not ASCII",
            "space in target", "lower-case protocol"])
    def test_what_is_no_request_line_is_400_and_the_end(self, one, data):
        with Conversation(one.port) as conversation:
            # The end of input follows: a line that could still go on is then known to be cut short.
            conversation.send(data)
            conversation.socket.shutdown(socket.SHUT_WR)
            answer = conversation.answer()
            assert answer is None or answer.status == 400
            if b"\n" in data:
                assert answer is not None
            assert conversation.is_closed()

    def test_an_unknown_version_is_refused(self, one):
        assert exchange(one.port, b"GET / HTTP/3.0\r\nHost: x\r\n\r\n").status in (400, 505)

    @pytest.mark.parametrize("lines", [
        ["Content-Length: 5", "Transfer-Encoding: chunked"],
        ["Content-Length: 5", "Content-Length: 6"],
        ["Content-Length: -1"],
        ["Content-Length: 0x10"],
        ["Content-Length: 99999999999999999999999"],
        ["Content-Length: 1,2"],
        ["Content-Length: +5"],
        ["Transfer-Encoding: gzip"],
        ["Transfer-Encoding: chunked, identity"],
        ["Name with space: x"],
        ["Name : x"],
        [": no name"],
        ["no colon"],
        ["X: a\x00b"],
        ["X: a\rb"],
        ["X: a", " folded"],
    ], ids=lambda lines: "|".join(lines))
    def test_what_could_be_read_in_two_ways_is_refused(self, one, lines):
        with Conversation(one.port) as conversation:
            conversation.send(head(one, "POST /mcp HTTP/1.1", *lines))
            answer = conversation.answer()
            assert answer.status in (400, 413, 501), answer
            assert conversation.is_closed()

    @pytest.mark.parametrize("hosts", [[], ["Host: 127.0.0.1", "Host: 127.0.0.1"], ["Host: a b"]],
                             ids=["none", "two", "malformed"])
    def test_exactly_one_host_is_demanded(self, one, hosts):
        assert exchange(one.port, head(one, "GET /health/live HTTP/1.1", *hosts, host=False)).status == 400

    @pytest.mark.parametrize("body", [b"xyz\r\n", b"-1\r\n", b"5\r\nabcdefgh\r\n", b"ffffffffffffffffff\r\n",
                                      b"5;" + b"e" * 100_000 + b"\r\n"],
                             ids=["no number", "negative", "too long", "overflow", "endless extension"])
    def test_a_broken_chunk_is_refused(self, one, body):
        request = head(one, "POST /mcp HTTP/1.1", f"Authorization: Bearer {one.token}",
                       "Content-Type: application/json", "Transfer-Encoding: chunked") + body
        assert exchange(one.port, request).status in (400, 413)

    def test_a_head_too_large_is_431(self, one):
        assert exchange(one.port, head(one, "GET /health/live HTTP/1.1", "X: " + "a" * 1_000_000)).status == 431
        many = [f"X-{number}: y" for number in range(10_000)]
        assert exchange(one.port, head(one, "GET /health/live HTTP/1.1", *many)).status == 431

    def test_a_target_too_long_is_414(self, one):
        assert exchange(one.port, head(one, f"GET /{'a' * 100_000} HTTP/1.1")).status == 414

    def test_a_body_too_large_is_413_before_it_is_sent(self, one):
        request = head(one, "POST /mcp HTTP/1.1", f"Authorization: Bearer {one.token}",
                       "Content-Type: application/json", f"Content-Length: {1 << 40}")
        assert exchange(one.port, request).status == 413

    def test_a_chunked_body_too_large_is_413(self, one):
        block = b"10000\r\n" + b"a" * 0x10000 + b"\r\n"
        with Conversation(one.port, timeout=30) as conversation:
            conversation.send(head(one, "POST /mcp HTTP/1.1", f"Authorization: Bearer {one.token}",
                                   "Content-Type: application/json", "Transfer-Encoding: chunked"))
            for _ in range(2_000):  # 125 MiB, if nobody stops us
                try:
                    conversation.socket.sendall(block)
                except OSError:
                    break
            answer = conversation.answer()
            assert answer is None or answer.status == 413

    @pytest.mark.parametrize("beginning", [
        b"G", b"GET /health/live HTTP/1.1\r\nHost: 127", b"POST /mcp HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Length: 10\r\n\r\n123"], ids=["line", "head", "body"])
    def test_what_never_ends_is_408(self, one, beginning):
        with Conversation(one.port) as conversation:
            conversation.send(beginning)
            answer = conversation.answer()
            assert answer.status in (408, 401)  # without a token the body need not be waited for
            assert conversation.is_closed()

    def test_drop_by_drop_does_not_extend_the_time(self, one):
        """A byte now and then keeps no connection alive: the limit is on the whole head."""
        with Conversation(one.port) as conversation:
            started = time.monotonic()
            conversation.socket.settimeout(0.2)
            is_open = True
            while is_open and time.monotonic() - started < 8:
                conversation.send(b"X")
                try:
                    conversation.socket.recv(1000)
                    is_open = False  # an answer, or the end
                except TimeoutError:
                    pass
                except ConnectionResetError:
                    is_open = False
            assert time.monotonic() - started < 5

    def test_an_idle_connection_is_closed(self, one):
        with Conversation(one.port) as conversation:
            conversation.send(head(one))
            assert conversation.answer().status == 200
            assert conversation.is_closed()

    def test_byte_by_byte_is_as_good(self, one):
        assert exchange(one.port, head(one), piece=1).status == 200

    def test_requests_in_one_packet_are_answered_in_order(self, one):
        with Conversation(one.port) as conversation:
            conversation.send(head(one) + head(one, "GET /nowhere HTTP/1.1") + head(one))
            assert [conversation.answer().status for _ in range(3)] == [200, one.get("/nowhere", token=None).status_code, 200]

    def test_a_chunked_body_is_read(self, one, loaded):
        body = json.dumps({"server": "raw", "tool": "echo", "arguments": {"text": "x"}}).encode()
        chunks = b"".join(b"%x\r\n%c\r\n" % (1, byte) for byte in body) + b"0\r\n\r\n"
        request = head(one, "POST /api/v1/mcp/tools/call HTTP/1.1", f"Authorization: Bearer {one.token}",
                       "Content-Type: application/json", "Transfer-Encoding: chunked")
        answer = exchange(one.port, request + chunks)
        assert answer.status == 200 and json.loads(answer.body)["success"]

    def test_a_client_that_waits_is_told_to_continue(self, one, loaded):
        body = json.dumps({"server": "raw", "tool": "echo", "arguments": {}}).encode()
        with Conversation(one.port) as conversation:
            conversation.send(head(one, "POST /api/v1/mcp/tools/call HTTP/1.1",
                                   f"Authorization: Bearer {one.token}", "Content-Type: application/json",
                                   f"Content-Length: {len(body)}", "Expect: 100-continue"))
            assert conversation.stream.readline().startswith(b"HTTP/1.1 100 ")
            assert conversation.stream.readline() == b"\r\n"
            conversation.send(body)
            assert conversation.answer().status == 200

    def test_the_old_protocol_is_answered_once(self, one):
        with Conversation(one.port) as conversation:
            conversation.send(b"GET /health/live HTTP/1.0\r\n\r\n")
            assert conversation.answer().status == 200
            assert conversation.is_closed()

    def test_close_is_honoured(self, one):
        with Conversation(one.port) as conversation:
            conversation.send(head(one, "GET /health/live HTTP/1.1", "Connection: close"))
            answer = conversation.answer()
            assert answer.status == 200 and conversation.is_closed()

    def test_head_has_no_body(self, one):
        with Conversation(one.port) as conversation:
            conversation.send(head(one, "HEAD /health/live HTTP/1.1") + head(one))
            answer = conversation.answer(method="HEAD")
            assert answer.status == 200 and int(answer.headers["content-length"]) > 0
            assert conversation.answer().status == 200

    def test_unknown_paths_and_methods_are_named(self, one):
        answer = one.get("/api/v1/nowhere")
        assert answer.status_code == 404 and "error" in answer.json()
        answer = one.request("PATCH", "/api/v1/mcp/tools/list")
        assert answer.status_code == 405 and "GET" in answer.headers["allow"]

    def test_a_path_cannot_climb(self, one):
        for target in ("/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/..%2fetc%2fpasswd"):
            answer = exchange(one.port, head(one, f"GET {target} HTTP/1.1"))
            assert answer.status in (400, 401, 404) and b"root:" not in answer.body

    def test_a_client_that_leaves_early_is_no_trouble(self, one):
        for _ in range(50):
            with Conversation(one.port) as conversation:
                conversation.send(head(one)[:20])
        for _ in range(20):
            body = json.dumps({"server": "raw", "tool": "echo", "arguments": {"text": "x"}}).encode()
            with Conversation(one.port) as conversation:
                conversation.send(head(one, "POST /api/v1/mcp/tools/call HTTP/1.1",
                                       f"Authorization: Bearer {one.token}", "Content-Type: application/json",
                                       f"Content-Length: {len(body)}") + body)
                conversation.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")


class TestAccess:
    PATHS = ["/api/v1/mcp/tools/list", "/api/v1/mcp/tools/servers", "/api/v1/mcp/servers/1"]

    @pytest.mark.parametrize("authorization", [
        None, "", "Bearer", "Bearer ", "Bearer wrong", "Basic dXNlcjpwYXNz", "bearer", "Bearer {almost}",
        "Bearer {token} more", "{token}"])
    def test_without_the_token_nothing_is_told(self, one, authorization):
        headers = {}
        if authorization is not None:
            headers["Authorization"] = authorization.format(token=one.token, almost=one.token[:-1]).strip() or "x"
        for path in self.PATHS:
            answer = one.get(path, token=None, headers=headers)
            assert answer.status_code == 401, path
            assert answer.headers["www-authenticate"].startswith("Bearer")
            assert one.token not in answer.text
        for path in ("/mcp", "/mcp-v2", "/api/v1/mcp/tools/call"):
            answer = one.post(path, token=None, json={}, headers=headers)
            assert answer.status_code == 401, path

    def test_the_scheme_is_written_as_one_likes(self, one):
        answer = one.get("/api/v1/mcp/tools/list", token=None, headers={"Authorization": f"bearer {one.token}"})
        assert answer.status_code == 200

    def test_headers_of_a_proxy_nobody_trusts_mean_nothing(self, one):
        answer = one.get("/api/v1/mcp/tools/list", token=None, headers={
            "X-User-Id": "1", "X-User-Username": "a@example.org", "X-User-Role": "super_admin"})
        assert answer.status_code == 401

    def test_a_wrong_token_is_in_the_journal_but_not_its_text(self, one):
        one.get("/api/v1/mcp/tools/list", token="a-wrong-secret-token")
        one.logged(r"service=Access")
        assert "a-wrong-secret-token" not in one.output() and one.token not in one.output()

    @pytest.mark.parametrize("host", ["evil.example", "evil.example:8090", "127.0.0.1.evil.example", "0x7f.1"])
    def test_another_host_is_refused(self, one, host):
        answer = exchange(one.port, head(one, "GET /api/v1/mcp/tools/list HTTP/1.1", f"Host: {host}",
                                         f"Authorization: Bearer {one.token}", host=False))
        assert answer.status in (400, 403, 421)

    @pytest.mark.parametrize("origin", ["http://evil.example", "https://127.0.0.1.evil.example", "null", "file://"])
    def test_another_origin_is_refused(self, one, origin):
        assert one.get("/api/v1/mcp/tools/list", headers={"Origin": origin}).status_code == 403
        assert one.initialize(headers={"Origin": origin}).status_code == 403

    def test_our_own_origin_is_welcome(self, one):
        for origin in (one.url, f"http://localhost:{one.port}"):
            assert one.get("/api/v1/mcp/tools/list", headers={"Origin": origin}).status_code == 200

    def test_localhost_is_a_name_of_ours(self, one):
        answer = exchange(one.port, head(one, "GET /health/live HTTP/1.1", f"Host: localhost:{one.port}", host=False))
        assert answer.status == 200


@pytest.mark.usefixtures("loaded")
class TestJSONRPC:
    @pytest.fixture
    def session(self, one):
        answer = one.initialize()
        identifier = answer.headers["mcp-session-id"]
        one.rpc("notifications/initialized", identifier=None, session=identifier)
        return identifier

    def send(self, one, session, content: bytes, **headers) -> httpx2.Response:
        return one.post("/mcp", content=content, headers={
            "Content-Type": "application/json", "Accept": "application/json, text/event-stream",
            "Mcp-Session-Id": session, "MCP-Protocol-Version": "2025-06-18", **headers})

    @pytest.mark.parametrize("content", [
        b"", b"{", b"not json", b'{"jsonrpc": "2.0", "id": 1, "method": "ping"', b'{"jsonrpc": "2.0",}',
        b'\xef\xbb\xbf{"jsonrpc": "2.0", "id": 1, "method": "ping"}', b'{"a": "\xff\xfe"}', b'{"a": "\\ud800x"}',
        b"'single'", b'{"jsonrpc": "2.0", "id": 1, "method": "ping"} {}', b"[" * 100_000, b'{"a":' * 100_000,
        b'{"id": 01}', b'{"a": "tab\tin text"}', b"NaN"],
        ids=["empty", "cut", "text", "cut late", "comma", "BOM", "not UTF-8", "half a surrogate", "quotes",
             "two values", "deep arrays", "deep objects", "leading zero", "control character", "NaN"])
    def test_what_is_no_json_is_a_parse_error(self, one, session, content):
        answer = self.send(one, session, content)
        assert answer.status_code == 400
        error = answer.json()
        assert error["error"]["code"] in (-32700, -32600) and error["id"] is None

    @pytest.mark.parametrize("value", [
        [], 1, "text", None, True, {}, {"jsonrpc": "1.0", "id": 1, "method": "ping"}, {"id": 1, "method": "ping"},
        {"jsonrpc": "2.0", "id": 1, "method": 5}, {"jsonrpc": "2.0", "id": {}, "method": "ping"},
        {"jsonrpc": "2.0", "id": [1], "method": "ping"}, {"jsonrpc": "2.0", "id": True, "method": "ping"},
        {"jsonrpc": "2.0", "id": 1, "method": "ping", "params": 5},
        {"jsonrpc": "2.0", "id": 1, "method": "ping", "params": "x"},
        [{"jsonrpc": "2.0", "id": 1, "method": "ping"}]],
        ids=lambda value: json.dumps(value)[:40])
    def test_what_is_no_request_is_refused(self, one, session, value):
        answer = self.send(one, session, json.dumps(value).encode())
        assert answer.status_code in (200, 400)
        assert answer.json()["error"]["code"] in (-32600, -32602)

    def test_unknown_methods_are_unknown(self, one, session):
        for method in ("no/such", "tools/", "", "tools/call/x", "__proto__", "x" * 10_000):
            error = message(one.rpc(method, session=session))["error"]
            assert error["code"] in (-32601, -32600) and len(json.dumps(error)) < 1_000

    def test_unknown_notifications_are_accepted_and_forgotten(self, one, session):
        answer = one.rpc("notifications/no-such", identifier=None, session=session)
        assert answer.status_code == 202 and answer.content == b""

    @pytest.mark.parametrize("params", [
        None, {}, {"name": 5}, {"name": None}, {"name": "raw__echo", "arguments": []},
        {"name": "raw__echo", "arguments": "text"}, {"name": "raw__nothing"}, {"name": "nobody__echo"},
        {"name": "x" * 100_000}, {"name": "raw__echo\u0000"}],
        ids=lambda params: json.dumps(params)[:40])
    def test_calls_that_name_nothing_are_invalid(self, one, session, params):
        answer = message(one.rpc("tools/call", params, session=session))
        assert answer["error"]["code"] == -32602 and answer["error"]["message"]

    def test_a_cursor_nobody_gave_out_is_invalid(self, one, session):
        assert message(one.rpc("tools/list", {"cursor": "made up"}, session=session))["error"]["code"] == -32602

    def test_a_response_to_nothing_is_passed_over(self, one, session):
        answer = self.send(one, session, b'{"jsonrpc": "2.0", "id": 77, "result": {}}')
        assert answer.status_code in (202, 400)

    def test_only_json_is_taken(self, one, session):
        answer = self.send(one, session, b"<xml/>", **{"Content-Type": "text/xml"})
        assert answer.status_code in (400, 415)

    def test_repeated_members_are_not_read_in_two_ways(self, one, session):
        """Refused, or read once for all: the name checked is the name called."""
        content = (b'{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": '
                   b'{"name": "nobody__x", "name": "raw__echo", "arguments": {"text": "x"}}}')
        answer = self.send(one, session, content)
        assert answer.status_code in (200, 400) and answer.json()

    def test_work_before_initialize_is_refused(self, one):
        answer = one.rpc("tools/list", headers={"MCP-Protocol-Version": "2025-06-18"})
        assert answer.status_code == 400


@pytest.mark.usefixtures("loaded")
class TestREST:
    @pytest.mark.parametrize("content", [b"", b"{", b"[]", b"5", b'"x"', b"{}", b'{"server": "raw"}',
                                         b'{"server": 1, "tool": 2}', b'{"server": "raw", "tool": null}',
                                         b'{"server": "raw", "tool": "echo", "arguments": [1]}'])
    def test_a_call_that_says_too_little_is_explained(self, one, content):
        answer = one.request("POST", "/api/v1/mcp/tools/call", content=content,
                             headers={"Content-Type": "application/json"})
        assert answer.status_code in (400, 422) and answer.json()["error"]

    def test_unknown_servers_and_tools_are_404(self, one):
        for server, tool in (("nobody", "echo"), ("raw", "nothing"), ("", ""), ("../raw", "echo")):
            answer = one.call(server, tool)
            assert answer.status_code in (400, 404), (server, tool)
            assert answer.json()["success"] is False and answer.json()["error"]

    def test_unknown_ids_are_404(self, one):
        for identifier in ("999999", "0", "-1", "x", "99999999999999999999", "1%27%20OR%201=1"):
            for method in ("GET", "PUT", "DELETE"):
                answer = one.request(method, f"/api/v1/mcp/servers/{identifier}",
                                     json={"description": "x"} if method == "PUT" else None)
                assert answer.status_code in (400, 404, 422), (method, identifier)

    @pytest.mark.parametrize("change", [
        {"name": ""}, {"name": None}, {"name": "x" * 101}, {"url": ""},
        {"url": "no address"}, {"url": "ftp://127.0.0.1/"}, {"url": "http://127.0.0.1:99999/"},
        {"protocol": "carrier-pigeon"}, {"timeout_seconds": 0}, {"timeout_seconds": 4}, {"timeout_seconds": 301},
        {"timeout_seconds": "many"}, {"auth_type": "none-such"}, {"auth_type": "bearer", "auth_config": {}},
        {"auth_config": "text"}, {"unknown_member_xyz": 1, "name": 5},
        {"auth_type": "custom_headers", "auth_config": {"headers": {"X: y\r\nZ": "1"}}},
        {"auth_type": "bearer", "auth_config": {"token": "a\r\nX-Injected: yes"}}], ids=str)
    def test_a_server_that_makes_no_sense_is_not_registered(self, one, change):
        body = {"name": "candidate", "url": "http://127.0.0.1:9/mcp", "protocol": "http-streamable", **change}
        answer = one.post("/api/v1/mcp/servers", json=body)
        assert answer.status_code in (400, 422), answer.text
        assert answer.json()["error"] and "candidate" not in one.servers()

    def test_a_name_is_taken_once(self, one):
        answer = one.post("/api/v1/mcp/servers", json={
            "name": "raw", "url": "http://127.0.0.1:9/mcp", "protocol": "http-streamable"})
        assert answer.status_code in (400, 409) and answer.json()["error"]


def test_many_connections_at_once_are_served_or_refused_and_forgotten(one):
    """500 idle peers, then one that wants something; then all leave and no descriptor stays."""
    import os

    def descriptors() -> int:
        return len(os.listdir(f"/proc/{one.pid}/fd"))

    before = descriptors()
    peers = [socket.create_connection(("127.0.0.1", one.port)) for _ in range(500)]
    assert one.get("/health/live", token=None).status_code == 200
    for peer in peers:
        peer.close()
    eventually(lambda: descriptors() <= before + 5, 10, "descriptors given back")
