"""The protocol byte by byte, in both eras: one request in, what came back out, nothing hidden."""
import json
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx2

MODERN = "2026-07-28"
META = "io.modelcontextprotocol/"
BOTH = "application/json, text/event-stream"


@dataclass
class Answer:
    status: int
    headers: httpx2.Headers
    # The answer itself, and what was said on its stream before it.
    message: dict | None = None
    before: list[dict] = field(default_factory=list)
    text: str = ""

    @property
    def result(self) -> dict:
        assert self.message and "result" in self.message, (self.status, self.message or self.text)
        return self.message["result"]

    @property
    def error(self) -> dict:
        assert self.message and "error" in self.message, (self.status, self.message or self.text)
        return self.message["error"]

    @property
    def is_stream(self) -> bool:
        return self.headers.get("content-type", "").startswith("text/event-stream")


def events(lines) -> list[dict]:
    """`{"id", "data"}` of each event as it arrives."""
    event: dict = {}
    for line in lines:
        if line == "":
            if event:
                yield event
            event = {}
        elif not line.startswith(":"):
            name, _, value = line.partition(":")
            event[name] = value.removeprefix(" ")


class Wire:
    """A client of one era that does nothing by itself but keep its session's id."""

    def __init__(self, url: str, era: str, headers: dict, capabilities: dict | None = None,
                 version: str = "2025-11-25"):
        self.url, self.era, self.own, self.version = url, era, headers, version
        self.capabilities = capabilities if capabilities is not None else {
            "elicitation": {"form": {}, "url": {}}, "sampling": {"tools": {}}, "roots": {"listChanged": True}}
        self.session: str | None = None
        self.last_id = 0
        self.http = httpx2.Client(trust_env=False, timeout=40)
        if era == "handshake":
            self.initialize()

    def initialize(self) -> Answer:
        answer = self.request("initialize", {"protocolVersion": self.version, "capabilities": self.capabilities,
                                             "clientInfo": {"name": "wire", "version": "1"}})
        self.session = answer.headers["mcp-session-id"]
        self.notify("notifications/initialized")
        return answer

    # Messages

    def envelope(self, params: dict | None, log_level: str | None = None) -> dict:
        """The params with what the stateless era wants in `_meta`."""
        params = dict(params or {})
        meta = {META + "protocolVersion": MODERN, META + "clientCapabilities": self.capabilities,
                META + "clientInfo": {"name": "wire", "version": "1"}}
        if log_level:
            meta[META + "logLevel"] = log_level
        params["_meta"] = {**meta, **params.get("_meta", {})}
        return params

    def headers(self, method: str | None = None, params: dict | None = None) -> dict:
        sent = {"Accept": BOTH, "Content-Type": "application/json", **self.own}
        if self.era == "modern":
            sent |= {"MCP-Protocol-Version": MODERN, "Mcp-Method": method or ""}
            name = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri",
                    "tasks/get": "taskId"}.get(method or "")
            if name and name in (params or {}):
                sent["Mcp-Name"] = params[name]
        elif self.session:
            sent |= {"Mcp-Session-Id": self.session, "MCP-Protocol-Version": self.version}
        return sent

    def message(self, method: str, params: dict | None, log_level: str | None = None) -> dict:
        self.last_id += 1
        if self.era == "modern":
            params = self.envelope(params, log_level)
        return {"jsonrpc": "2.0", "id": self.last_id, "method": method, **({} if params is None else {"params": params})}

    def request(self, method: str, params: dict | None = None, *, headers: dict | None = None,
                log_level: str | None = None, answering: Callable[[dict], dict] | None = None,
                during: Callable[[dict], None] | None = None) -> Answer:
        """One request. `answering` makes the answer to what the server asks; `during` sees each event.

        A header whose value is None is left out.
        """
        message = self.message(method, params, log_level)
        sent = {**self.headers(method, message.get("params")), **(headers or {})}
        return self.post(message, {name: value for name, value in sent.items() if value is not None},
                         answering, during)

    def post(self, message, headers: dict, answering=None, during=None) -> Answer:
        body = message if isinstance(message, bytes) else json.dumps(message).encode()
        with self.http.stream("POST", self.url, content=body, headers=headers) as response:
            answer = Answer(response.status_code, response.headers)
            if not answer.is_stream:
                answer.text = response.read().decode()
                if answer.headers.get("content-type") == "application/json" and answer.text:
                    value = json.loads(answer.text)
                    answer.message = value if isinstance(value, dict) and "jsonrpc" in value else None
                return answer
            for event in events(response.iter_lines()):
                if not event.get("data"):
                    continue
                said = json.loads(event["data"])
                if "method" in said:
                    answer.before.append(said)
                    if during:
                        during(said)
                    if "id" in said and answering:
                        self.answer(said["id"], answering(said))
                else:
                    assert answer.message is None, "two answers"
                    answer.message = said
            return answer

    def notify(self, method: str, params: dict | None = None) -> Answer:
        return self.post({"jsonrpc": "2.0", "method": method, **({"params": params} if params else {})},
                         self.headers(method, params))

    def answer(self, identifier, result: dict) -> None:
        with httpx2.Client(trust_env=False, timeout=10) as http:
            done = http.post(self.url, json={"jsonrpc": "2.0", "id": identifier, **result},
                             headers=self.headers())
            assert done.status_code == 202, done.text

    def call(self, tool: str, arguments: dict | None = None, **more) -> Answer:
        params = {"name": tool, "arguments": arguments or {}}
        for extra in ("inputResponses", "requestState", "_meta"):
            if extra in more:
                params[extra] = more.pop(extra)
        return self.request("tools/call", params, **more)

    def close(self) -> None:
        self.http.close()
