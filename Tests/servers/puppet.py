"""An MCP server over HTTP without any SDK, for what no well-behaved server can be made to do.

    puppet.py PORT handshake|modern|both [--json] [--oauth] [--tls PORT CERT KEY CA] [--unix PATH] [--grown]

Its tools misbehave on request; everything that comes in is recorded. The control side:

    GET  /control/seen      [{"http", "rpc", "headers", "message"}]
    POST /control/do?what   forget (all sessions) · grow · shrink · touch (a resource changes) · clear ·
                            expire (all tokens)
    POST /control/token     with --oauth: a token for `client` and `secret`, without which /mcp is closed
"""
import asyncio
import base64
import json
import ssl
import sys
from urllib.parse import parse_qs, urlsplit

MODERN = "2026-07-28"
META = "io.modelcontextprotocol/"
NAME_SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}}}
port, eras = int(sys.argv[1]), sys.argv[2]
answers_json = "--json" in sys.argv
seen: list[dict] = []
sessions: set[str] = set()
listeners: dict[object, dict | None] = {}  # a writer and, in the stateless era, its subscription
waiting: dict[int, asyncio.Future] = {}
extra_tools: list[str] = []
next_id = 1000
needs_token = "--oauth" in sys.argv
tokens: list[str] = []
if "--grown" in sys.argv:
    extra_tools.append("grown")


def tool(name: str, schema: dict | None = None, **more) -> dict:
    return {"name": name, "description": f"The tool {name}.",
            "inputSchema": {"type": "object", "properties": schema or {}}, **more}


def tools() -> list[dict]:
    names = ["echo", "params", "slow", "ask", "ask_twice", "big", "flood", "hang_head", "hang_mid", "garbage",
             "cut", "late_progress", "backwards", "wrong_id", "url", "task"]
    marked = {"region": {"type": "string", "x-mcp-header": "Region"},
              "deep": {"type": "object", "properties": {"flag": {"type": "boolean", "x-mcp-header": "Flag"}}}}
    return [*(tool(name) for name in [*names, *extra_tools]), tool("marked", marked),
            tool("unusable", {"x": {"type": "number", "x-mcp-header": "X"}}),
            tool("schema", {"remote": {"$ref": f"http://127.0.0.1:{port}/control/schema"}}),
            tool("rich", icons=[{"src": "data:image/png;base64,AA==", "mimeType": "image/png"}], title="Rich",
                 annotations={"readOnlyHint": True, "destructiveHint": False}, unknownMember={"kept": [1, 2.50, None]})]


class Peer:
    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        self.is_streaming = False

    async def read(self):
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin1")
        first, *lines = head.rstrip().split("\r\n")
        headers = {}
        for line in lines:
            name, value = line.split(":", 1)
            headers[name.lower()] = value.strip()
        body = await self.reader.readexactly(int(headers.get("content-length", 0)))
        method, target, _ = first.split(" ")
        return method, target, headers, body

    async def respond(self, status: str, value=None, headers: dict | None = None):
        body = b"" if value is None else value if isinstance(value, bytes) else json.dumps(value).encode()
        lines = {"Content-Type": "application/json", "Content-Length": len(body), "Connection": "close",
                 **(headers or {})}
        text = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        self.writer.write(f"HTTP/1.1 {status}\r\n{text}\r\n".encode() + body)
        await self.writer.drain()

    async def stream(self):
        if not self.is_streaming:
            self.is_streaming = True
            self.writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                              b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n")

    async def event(self, message: dict):
        await self.stream()
        text = f"event: message\ndata: {json.dumps(message)}\n\n".encode()
        self.writer.write(f"{len(text):x}\r\n".encode() + text + b"\r\n")
        await self.writer.drain()

    async def end(self):
        self.writer.write(b"0\r\n\r\n")
        await self.writer.drain()
        self.is_streaming = False


class Request:
    """One request of a client on its way through a tool."""

    def __init__(self, peer: Peer, message: dict, modern: bool):
        self.peer, self.message, self.modern = peer, message, modern
        self.params = message.get("params") or {}
        self.meta = self.params.get("_meta") or {}

    async def result(self, result: dict):
        if self.modern:
            result = {"resultType": "complete", **result}
        message = {"jsonrpc": "2.0", "id": self.message["id"], "result": result}
        if self.peer.is_streaming:
            await self.peer.event(message)
            return await self.peer.end()
        if answers_json or self.message["method"] != "tools/call":
            return await self.peer.respond("200 OK", message)
        await self.peer.event(message)
        await self.peer.end()

    async def text(self, text: str):
        await self.result({"content": [{"type": "text", "text": text}]})

    async def error(self, code: int, text: str, status: str = "200 OK", data=None):
        error = {"code": code, "message": text, **({"data": data} if data is not None else {})}
        await self.peer.respond(status, {"jsonrpc": "2.0", "id": self.message["id"], "error": error})

    async def notify(self, method: str, **params):
        await self.peer.event({"jsonrpc": "2.0", "method": method, "params": params})

    async def progress(self, done: float):
        if "progressToken" in self.meta:
            await self.notify("notifications/progress", progressToken=self.meta["progressToken"], progress=done)

    async def ask(self, method: str, params: dict) -> dict:
        """In the handshake era: a request of ours on the call's stream."""
        global next_id
        next_id += 1
        mine = next_id
        waiting[mine] = asyncio.get_running_loop().create_future()
        await self.peer.event({"jsonrpc": "2.0", "id": mine, "method": method, "params": params})
        return await waiting[mine]


async def call(request: Request, name: str, arguments: dict):
    elicitation = {"message": "Who are you?", "requestedSchema": NAME_SCHEMA}
    if name == "echo":
        await request.text(f"echo {arguments.get('text', '')}")
    elif name == "params":
        await request.text(json.dumps(request.params))
    elif name == "slow":
        for step in range(int(arguments.get("steps", 100))):
            await request.progress(step)
            await asyncio.sleep(0.1)
        await request.text("slept")
    elif name in ("ask", "ask_twice"):
        keys = ["name"] if name == "ask" else ["name", "again"]
        if request.modern:
            answers = request.params.get("inputResponses") or {}
            if not set(keys) <= set(answers):
                return await request.result({"resultType": "input_required", "requestState": "my state",
                    "inputRequests": {key: {"method": "elicitation/create", "params": elicitation} for key in keys}})
            return await request.text(json.dumps([answers[key] for key in keys] + [request.params["requestState"]]))
        answers = [await request.ask("elicitation/create", elicitation) for _ in keys]
        await request.text(json.dumps(answers))
    elif name == "task":
        await request.result({"resultType": "task", "taskId": "task-1", "status": "working"})
    elif name == "url":
        if "inputResponses" in request.params:
            return await request.text("opened")
        await request.error(-32042, "Open this first", data={"elicitations": [
            {"mode": "url", "message": "Open this", "url": "https://example.org/", "elicitationId": "e1"}]})
    elif name == "big":
        await request.peer.respond("200 OK", b'{"jsonrpc":"2.0","id":%d,"result":{"content":[{"type":"text","text":"%s"}]}}'
                                   % (request.message["id"], b"x" * int(arguments["bytes"])))
    elif name == "flood":
        for number in range(int(arguments["count"])):
            await request.notify("notifications/tools/list_changed")
            await request.notify("notifications/message", level="info", data=f"line {number}")
            await request.progress(number)
        await request.text("flooded")
    elif name == "hang_head":
        await asyncio.sleep(3600)
    elif name == "hang_mid":
        await request.progress(1)
        await request.peer.stream()
        await request.peer.writer.drain()
        await asyncio.sleep(3600)
    elif name == "garbage":
        await request.peer.respond("200 OK", b'{"jsonrpc": "2.0", "id": ]]')
    elif name == "cut":
        await request.progress(1)
        await request.peer.stream()
        request.peer.writer.close()
    elif name == "late_progress":
        await request.progress(1)
        await request.peer.event({"jsonrpc": "2.0", "id": request.message["id"],
                                  "result": {"content": [{"type": "text", "text": "done"}]}})
        await request.progress(2)
        await request.peer.end()
    elif name == "backwards":
        for done in (2, 1, 3):
            await request.progress(done)
        await request.text("done")
    elif name == "wrong_id":
        await request.peer.respond("200 OK", {"jsonrpc": "2.0", "id": 999_999, "result": {}})
    elif name == "rich":
        await request.result({
            "content": [{"type": "text", "text": "one", "annotations": {"audience": ["user"]}},
                        {"type": "resource_link", "uri": "puppet://one", "name": "one"},
                        {"type": "hologram", "unknown": True}],
            "structuredContent": {"number": 1.50, "text": "ü\u2028"}, "unknownMember": [None, {"a": 1}],
            "_meta": {"com.example/own": "kept"}})
    else:
        await request.text(f"{name} {json.dumps(arguments)}")


CAPABILITIES = {"tools": {"listChanged": True}, "prompts": {"listChanged": True}, "logging": {}, "completions": {},
                "resources": {"listChanged": True, "subscribe": True}}


async def handle(peer: Peer, headers: dict, message: dict):
    method, modern = message.get("method"), headers.get("mcp-protocol-version") == MODERN
    if method is None:
        future = waiting.pop(message.get("id"), None)
        if future and not future.done():
            future.set_result(message.get("result") or {"error": message.get("error")})
        return await peer.respond("202 Accepted")
    if "id" not in message:
        return await peer.respond("202 Accepted")
    request = Request(peer, message, modern)
    params = request.params
    if modern and eras == "handshake" or method == "server/discover" and not modern:
        return await request.error(-32601, "Method not found", "404 Not Found")
    if not modern and eras == "modern":
        return await request.error(-32022, "Unsupported", "400 Bad Request", {"supported": [MODERN], "requested": "?"})
    if method == "initialize":
        session = f"session-{len(seen)}"
        sessions.add(session)
        return await peer.respond("200 OK", {"jsonrpc": "2.0", "id": message["id"], "result": {
            "protocolVersion": "2025-11-25", "capabilities": CAPABILITIES,
            "serverInfo": {"name": "puppet", "version": "1"}}}, {"Mcp-Session-Id": session})
    if not modern and headers.get("mcp-session-id") not in sessions:
        return await request.error(-32600, "Session not found", "404 Not Found")
    fresh = {"ttlMs": 5000, "cacheScope": "public"} if modern else {}
    if method == "server/discover":
        await request.result({"supportedVersions": [MODERN], "capabilities": CAPABILITIES, **fresh})
    elif method == "tools/list":
        await request.result({"tools": tools(), **fresh})
    elif method == "prompts/list":
        await request.result({"prompts": [{"name": "greet", "arguments": [{"name": "who"}]}], **fresh})
    elif method == "resources/list":
        await request.result({"resources": [{"uri": "puppet://one", "name": "one"}], **fresh})
    elif method == "resources/templates/list":
        await request.result({"resourceTemplates": [{"uriTemplate": "puppet://item/{id}", "name": "item"}], **fresh})
    elif method == "resources/read":
        if "missing" in params["uri"]:
            return await request.error(-32602 if modern else -32002, "Resource not found", data={"uri": params["uri"]})
        await request.result({"contents": [{"uri": params["uri"], "text": "content"}], **fresh})
    elif method == "prompts/get":
        await request.result({"messages": [{"role": "user", "content": {"type": "text", "text": "hi"}}]})
    elif method == "completion/complete":
        await request.result({"completion": {"values": [json.dumps(params["ref"])], "hasMore": False}})
    elif method in ("ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe"):
        await request.result({})
    elif method == "subscriptions/listen":
        listeners[peer] = {"id": message["id"], "filter": params["notifications"]}
        await peer.event({"jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged",
                          "params": {"notifications": params["notifications"],
                                     "_meta": {META + "subscriptionId": message["id"]}}})
    elif method == "tools/call":
        await call(request, params["name"], params.get("arguments") or {})
    elif method == "tasks/get":
        await request.result({"taskId": params["taskId"], "status": "working"})
    else:
        await request.error(-32601, "Method not found", "404 Not Found" if modern else "200 OK")


async def announce(method: str, flag: str, **params):
    for peer, subscription in list(listeners.items()):
        if subscription is None:
            await peer.event({"jsonrpc": "2.0", "method": method, "params": params})
        elif subscription["filter"].get(flag):
            meta = {"_meta": {META + "subscriptionId": subscription["id"]}}
            await peer.event({"jsonrpc": "2.0", "method": method, "params": {**params, **meta}})


async def control(peer: Peer, target: str):
    what = next(iter(parse_qs(urlsplit(target).query, keep_blank_values=True)), "")
    if what == "forget":
        sessions.clear()
    elif what == "clear":
        seen.clear()
    elif what == "expire":
        tokens.clear()
    elif what in ("grow", "shrink"):
        extra_tools[:] = ["grown"] if what == "grow" else []
        await announce("notifications/tools/list_changed", "toolsListChanged")
    elif what == "touch":
        await announce("notifications/resources/updated", "resourceSubscriptions", uri="puppet://one")
    await peer.respond("200 OK", seen if "seen" in target else {})


async def token(peer: Peer, headers: dict, form: dict):
    seen.append({"http": "token", "rpc": None, "headers": headers, "message": form})
    basic = "Basic " + base64.b64encode(b"client:s%2Fecret").decode()
    posted = form.get("client_id") == ["client"] and form.get("client_secret") == ["s/ecret"]
    if headers.get("authorization") != basic and not posted:
        return await peer.respond("401 Unauthorized", {"error": "invalid_client"})
    tokens.append(f"token-{len(seen)}")
    await peer.respond("200 OK", {"access_token": tokens[-1], "token_type": "Bearer", "expires_in": 3600})


async def serve(reader, writer):
    """One request per connection: then whatever comes after it says that the client has gone."""
    peer = Peer(reader, writer)
    try:
        http, target, headers, body = await peer.read()
        if target.startswith("/control/token"):
            return await token(peer, headers, parse_qs(body.decode()))
        if target.startswith("/control"):
            return await control(peer, target)
        if needs_token and headers.get("authorization", "").removeprefix("Bearer ") not in tokens[-1:]:
            return await peer.respond("401 Unauthorized")
        message = json.loads(body) if body else {}
        record = {"http": http, "rpc": message.get("method"), "headers": headers, "message": message}
        seen.append(record)
        if http == "DELETE":
            sessions.discard(headers.get("mcp-session-id"))
            return await peer.respond("204 No Content")
        if http == "GET":
            if eras == "modern" or headers.get("mcp-session-id") not in sessions:
                return await peer.respond("405 Method Not Allowed")
            listeners[peer] = None
            await peer.stream()
            await writer.drain()
            return await reader.read(1)
        running = asyncio.ensure_future(handle(peer, headers, message))
        leaving = asyncio.ensure_future(reader.read(1))
        await asyncio.wait([running, leaving], return_when=asyncio.FIRST_COMPLETED)
        if leaving.done() and not running.done():
            record["left"] = True
            running.cancel()
        elif message.get("method") == "subscriptions/listen":
            await leaving
        else:
            await running
            leaving.cancel()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass  # the client has gone
    finally:
        listeners.pop(peer, None)
        writer.close()


async def main():
    options = {}
    if "--tls" in sys.argv:
        tls_port, certificate, key, authority = sys.argv[sys.argv.index("--tls") + 1:][:4]
        options["ssl"] = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority)
        options["ssl"].load_cert_chain(certificate, key)
        options["ssl"].verify_mode = ssl.CERT_REQUIRED
    if "--unix" in sys.argv:
        await asyncio.start_unix_server(serve, sys.argv[sys.argv.index("--unix") + 1], limit=1 << 24)
    # Beside TLS the control side stays reachable in the open, on the next port.
    await asyncio.start_server(serve, "127.0.0.1", port, limit=1 << 24)
    if options:
        await asyncio.start_server(serve, "127.0.0.1", int(tls_port), limit=1 << 24, **options)
    await asyncio.Event().wait()


asyncio.run(main())
