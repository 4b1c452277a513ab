"""An MCP server over Streamable HTTP without a library, so that it can do anything a test wants.

It speaks the handshake era strictly: an unknown session is 404, a wrong or missing version header
400. Which tool is called decides how it behaves; what it saw is told by GET /control.

    --sessionless      mints no session id
    --no-stream        answers GET with 405
    --version V        answers initialize with this revision, whatever the client wants
    --page N           items per page of every list
    --cycle            every page names the same next cursor
    --authorization A  refuses requests without this header value
    --expired-400      an unknown session is 400 with a sentence, as some servers do
    --event-stream     the form of 2024-11-05: GET /sse and POST /messages
    --modern           the stateless era of 2026-07-28 alone, envelope and headers checked strictly
"""
import argparse
import json
import queue
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOOLS = ["echo", "sse", "split", "slow", "hang", "big", "resume", "asks", "grow", "expire",
         "refuse", "html", "wrong_id", "cut", "reset", "progress_late"]


class State:
    def __init__(self):
        self.lock = threading.Lock()
        self.sessions = {}
        self.streams = []
        self.records = []
        self.answers = queue.Queue()
        self.tools = list(TOOLS)
        self.resumable = {}
        self.initializations = 0


state = State()
options = None


def tool(name):
    item = {"name": name, "inputSchema": {"type": "object"}}
    if name == "echo":
        item["annotations"] = {"readOnlyHint": True, "idempotentHint": True, "openWorldHint": False}
    if name == "hang":
        item["annotations"] = {"destructiveHint": False}
    return item


def lists():
    return {
        "tools/list": ("tools", [tool(name) for name in state.tools]),
        "prompts/list": ("prompts", [{"name": f"prompt{n}"} for n in range(3)]),
        "resources/list": ("resources", [{"uri": f"test://{n}", "name": str(n)} for n in range(3)]),
        "resources/templates/list": (
            "resourceTemplates", [{"uriTemplate": "test://{n}", "name": "any"}]),
    }


def page(method, params):
    member, items = lists()[method]
    if not options.page:
        return {member: items}
    start = int((params or {}).get("cursor") or 0)
    result = {member: items[start:start + options.page]}
    if options.cycle:
        result["nextCursor"] = "0"
    elif start + options.page < len(items):
        result["nextCursor"] = str(start + options.page)
    return result


def announce(message):
    for stream in list(state.streams):
        stream.put(message)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 0
    disable_nagle_algorithm = True

    def log_message(self, *arguments):
        pass

    # Plain parts

    def record(self, body=b""):
        try:
            message = json.loads(body) if body else None
        except ValueError:
            message = "not JSON"
        with state.lock:
            state.records.append({
                "http": self.command, "path": self.path, "message": message,
                "connection": self.client_address[1],
                "headers": {name.lower(): value for name, value in self.headers.items()}})
        return message

    def respond(self, status, body=b"", content_type="application/json", headers=()):
        self.send_response(status)
        if body:
            self.send_header("Content-Type", content_type)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def respond_json(self, value, status=200, headers=()):
        self.respond(status, json.dumps(value).encode(), headers=headers)

    def begin_stream(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def chunk(self, data):
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def event(self, value, identifier=None, name="message"):
        data = json.dumps(value) if not isinstance(value, str) else value
        lines = [f"event: {name}"]
        if identifier is not None:
            lines.append(f"id: {identifier}")
        lines.append(f"data: {data}")
        self.chunk(("\n".join(lines) + "\n\n").encode())

    def end_stream(self):
        self.chunk(b"")

    def refused(self):
        if options.authorization and self.headers.get("Authorization") != options.authorization:
            self.respond(401, b'{"error":"unauthorized"}')
            return True
        return False

    # GET

    def do_GET(self):
        if self.path == "/control":
            with state.lock:
                body = {"records": state.records, "initializations": state.initializations,
                        "sessions": len(state.sessions), "streams": len(state.streams)}
            return self.respond_json(body)
        self.record()
        if self.refused():
            return
        if options.event_stream:
            return self.serve_event_stream()
        last = self.headers.get("Last-Event-ID")
        if last in state.resumable:
            self.begin_stream()
            self.event(state.resumable.pop(last), identifier=last + "-end")
            return self.end_stream()
        if options.no_stream:
            return self.respond(405)
        if not options.sessionless and self.headers.get("Mcp-Session-Id") not in state.sessions:
            return self.respond(404)
        self.serve_stream()

    def serve_stream(self):
        stream = queue.Queue()
        state.streams.append(stream)
        self.begin_stream()
        self.chunk(b": welcome\n\n")
        try:
            while True:
                message = stream.get()
                if message is None:
                    break
                self.event(message)
            self.end_stream()
        except OSError:
            pass
        finally:
            state.streams.remove(stream)

    def serve_event_stream(self):
        if self.path != "/sse":
            return self.respond(404)
        stream = queue.Queue()
        key = uuid.uuid4().hex
        state.sessions[key] = stream
        self.begin_stream()
        self.event(f"/messages?session={key}", name="endpoint")
        try:
            while True:
                message = stream.get()
                if message is None:
                    break
                self.event(message)
            self.end_stream()
        except OSError:
            pass
        finally:
            state.sessions.pop(key, None)

    # DELETE

    def do_DELETE(self):
        self.record()
        state.sessions.pop(self.headers.get("Mcp-Session-Id"), None)
        self.respond(200)

    # POST

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        message = self.record(body)
        if self.refused():
            return
        if options.event_stream:
            return self.post_event_stream(message)
        if self.path != "/mcp":
            return self.respond(404)
        if options.modern:
            return self.post_modern(message)
        if not isinstance(message, dict):
            return self.respond(400, b'{"error":"not a message"}')
        if message.get("method") == "initialize":
            return self.initialize(message)
        session = self.headers.get("Mcp-Session-Id")
        if not options.sessionless:
            if session not in state.sessions:
                if options.expired_400:
                    return self.respond(400, b"Bad Request: No valid session ID provided",
                                        "text/plain")
                return self.respond_json({"jsonrpc": "2.0", "id": None, "error": {
                    "code": -32600, "message": "Session not found"}}, 404)
            if self.headers.get("MCP-Protocol-Version") != state.sessions[session]:
                return self.respond(400, b'{"error":"wrong protocol version"}')
        if "id" not in message or "method" not in message:
            if "method" not in message:
                state.answers.put(message)
            return self.respond(202)
        self.answer(message)

    def initialize(self, message):
        state.initializations += 1
        version = options.version or message["params"]["protocolVersion"]
        headers = []
        if not options.sessionless:
            session = uuid.uuid4().hex
            state.sessions[session] = version
            headers = [("Mcp-Session-Id", session)]
        self.respond_json(self.result(message, self.greeting(version)), headers=headers)

    def greeting(self, version):
        return {
            "protocolVersion": version,
            "capabilities": {"tools": {"listChanged": True}, "prompts": {}, "resources": {}},
            "serverInfo": {"name": "upstream_http", "version": "1.2.3"},
            "instructions": "be gentle"}

    def result(self, message, result):
        return {"jsonrpc": "2.0", "id": message["id"], "result": result}

    def post_event_stream(self, message):
        key = self.path.partition("session=")[2]
        stream = state.sessions.get(key)
        if stream is None:
            return self.respond(404)
        self.respond(202)
        method = message.get("method")
        if "id" not in message:
            return
        if method == "initialize":
            stream.put(self.result(message, self.greeting("2024-11-05")))
        elif method in lists():
            stream.put(self.result(message, page(method, message.get("params"))))
        elif method == "tools/call" and message["params"]["name"] == "cut":
            stream.put(None)
        elif method == "tools/call":
            stream.put(self.result(message, self.echo(message)))
        else:
            stream.put(self.result(message, {}))

    def post_modern(self, message):
        params = message.get("params", {})
        meta = params.get("_meta", {})
        prefix = "io.modelcontextprotocol/"

        def refuse(code, text, status=400):
            self.respond_json({"jsonrpc": "2.0", "id": message.get("id"),
                               "error": {"code": code, "message": text}}, status)

        method = message["method"]
        if prefix + "protocolVersion" not in meta or prefix + "clientCapabilities" not in meta:
            return refuse(-32602, "no envelope")
        name = params.get("uri" if method == "resources/read" else "name")
        if (self.headers.get("MCP-Protocol-Version") != meta[prefix + "protocolVersion"]
                or self.headers.get("Mcp-Method") != method
                or method in ("tools/call", "prompts/get", "resources/read")
                and self.headers.get("Mcp-Name") != name
                or self.headers.get("Mcp-Session-Id")):
            return refuse(-32020, "header mismatch")
        if name == "marked":
            region = params["arguments"].get("region")
            expected = None if region is None else "=?base64?w7w=?=" if region == "\u00fc" else region
            if self.headers.get("Mcp-Param-Region") != expected:
                return refuse(-32020, "header mismatch")
        if method == "server/discover":
            return self.respond_json(self.result(message, {
                "resultType": "complete", "supportedVersions": ["2026-07-28"],
                "capabilities": {"tools": {"listChanged": True}}, "instructions": "modern",
                "ttlMs": 0, "cacheScope": "private",
                "_meta": {prefix + "serverInfo": {"name": "modern", "version": "7"}}}))
        if method == "subscriptions/listen":
            return self.serve_stream()
        if method == "tools/list":
            items = [tool(name) for name in state.tools]
            for extra, kind in (("marked", "string"), ("badly_marked", "object")):
                items.append({"name": extra, "inputSchema": {"type": "object", "properties": {
                    "region": {"type": kind, "x-mcp-header": "Region"}}}})
            return self.respond_json(self.result(message, {
                "resultType": "complete", "tools": items, "ttlMs": 0, "cacheScope": "private"}))
        if method == "tools/call":
            return getattr(self, "call_" + name, self.call_echo)(message)
        refuse(-32601, "Method not found", 404)

    def echo(self, message):
        return {"content": [{"type": "text", "text": json.dumps(message["params"])}]}

    def answer(self, message):
        method = message["method"]
        if method in lists():
            return self.respond_json(self.result(message, page(method, message.get("params"))))
        if method != "tools/call":
            if method == "ping":
                return self.respond_json(self.result(message, {}))
            return self.respond_json({"jsonrpc": "2.0", "id": message["id"], "error": {
                "code": -32601, "message": "Method not found", "data": {"method": method}}})
        name = message["params"]["name"]
        getattr(self, "call_" + name, self.call_echo)(message)

    # Tools

    def call_echo(self, message):
        self.respond_json(self.result(message, self.echo(message)))

    def progress(self, message, value):
        token = message["params"].get("_meta", {}).get("progressToken")
        return {"jsonrpc": "2.0", "method": "notifications/progress",
                "params": {"progressToken": token, "progress": value}}

    def call_sse(self, message):
        self.begin_stream()
        for value in (1, 2):
            self.event(self.progress(message, value))
        self.event(self.result(message, self.echo(message)))
        self.end_stream()

    def call_progress_late(self, message):
        self.begin_stream()
        self.event(self.result(message, self.echo(message)))
        self.event(self.progress(message, 3))
        self.event(self.result(message, {"content": [], "late": True}))
        self.end_stream()

    def call_split(self, message):
        text = json.dumps(self.result(message, self.echo(message)))
        middle = text.index(",") + 1
        data = f": hello\r\n\r\nretry: 100\r\nid: 7\r\nevent: message\r\ndata: {text[:middle]}\r\n" \
               f"data:{text[middle:]}\r\n\r\n".encode()
        self.begin_stream()
        for index in range(len(data)):
            self.chunk(data[index:index + 1])
        self.end_stream()

    def call_slow(self, message):
        time.sleep(message["params"]["arguments"]["seconds"])
        self.call_echo(message)

    def call_hang(self, message):
        time.sleep(30)
        self.close_connection = True

    def call_big(self, message):
        text = "x" * message["params"]["arguments"]["bytes"]
        self.respond_json(self.result(message, {"content": [{"type": "text", "text": text}]}))

    def call_resume(self, message):
        """Ends the stream before the answer; the rest is there for who asks with the last id."""
        identifier = uuid.uuid4().hex
        self.begin_stream()
        self.chunk(f"retry: 60\nid: {identifier}\ndata:\n\n".encode())
        state.resumable[identifier] = self.result(message, self.echo(message))
        self.end_stream()

    def call_cut(self, message):
        self.begin_stream()
        self.event(self.progress(message, 1))
        self.end_stream()

    def call_asks(self, message):
        self.begin_stream()
        self.event({"jsonrpc": "2.0", "id": "p1", "method": "ping"})
        self.event({"jsonrpc": "2.0", "id": 2, "method": "sampling/createMessage", "params": {}})
        answers = [state.answers.get(timeout=10), state.answers.get(timeout=10)]
        self.event(self.result(message, {"content": [], "answers": answers}))
        self.end_stream()

    def call_grow(self, message):
        state.tools.append(f"new{len(state.tools)}")
        announce({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})
        self.call_echo(message)

    def call_expire(self, message):
        self.call_echo(message)
        state.sessions.clear()

    def call_refuse(self, message):
        self.respond_json({"jsonrpc": "2.0", "id": message["id"], "error": {
            "code": -32042, "message": "no \u00fc", "data": [1, 2]}}, 400)

    def call_html(self, message):
        self.respond(502, b"<html>\nbad gateway</html>", "text/html")

    def call_wrong_id(self, message):
        self.respond_json({"jsonrpc": "2.0", "id": 987654, "result": {}})

    def call_reset(self, message):
        self.close_connection = True
        self.connection.close()


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """A client that leaves is what many tests are about."""


def main():
    global options
    parser = argparse.ArgumentParser()
    parser.add_argument("--sessionless", action="store_true")
    parser.add_argument("--no-stream", action="store_true")
    parser.add_argument("--version")
    parser.add_argument("--page", type=int, default=0)
    parser.add_argument("--cycle", action="store_true")
    parser.add_argument("--authorization")
    parser.add_argument("--expired-400", action="store_true")
    parser.add_argument("--event-stream", action="store_true")
    parser.add_argument("--modern", action="store_true")
    options = parser.parse_args()
    server = Server(("127.0.0.1", 0), Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()


main()
