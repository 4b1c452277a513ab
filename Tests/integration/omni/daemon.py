"""omni2-native as a process with a state directory, a port and a token of its own."""
import json
import os
import re
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from websockets.asyncio.client import connect

from .events import Events
from .processes import ROOT, Child, free_port, is_alive
from .waiting import eventually

BINARY = Path(os.environ.get("OMNI2_BINARY", ROOT / ".build" / "release" / "omni2-native"))

# Fast enough for a test, with the ladder's shape kept: each step longer than the one before.
IMPATIENT = {
    "Coordinator": {"IntervalSec": "250ms", "BackoffSec": "200ms 400ms 800ms"},
    "CircuitBreaker": {"FailureThreshold": "5", "TimeoutSec": "1s", "HalfOpenMaxCalls": "3",
                       "MaxFailureCycles": "50"},
}


def ini(configuration: dict[str, dict]) -> str:
    """Configuration text; a list becomes one line per value."""
    lines = []
    for section, keys in configuration.items():
        lines.append(f"[{section}]")
        for key, value in keys.items():
            for one in value if isinstance(value, list) else [value]:
                lines.append(f"{key}={one}")
        lines.append("")
    return "\n".join(lines)


def merged(*configurations: dict[str, dict]) -> dict[str, dict]:
    result: dict[str, dict] = {}
    for configuration in configurations:
        for section, keys in configuration.items():
            result.setdefault(section, {}).update(keys)
    return result


def environment_without_surroundings(**more: str) -> dict[str, str]:
    """Our environment less what would make the daemon behave differently on another machine."""
    unwanted = re.compile(r"^(OMNI2_|LISTEN_|NOTIFY_SOCKET$|JOURNAL_STREAM$|INVOCATION_ID$|WATCHDOG_"
                          r"|CREDENTIALS_DIRECTORY$|(https?|all|no)_proxy$)", re.IGNORECASE)
    kept = {name: value for name, value in os.environ.items() if not unwanted.match(name)}
    return {**kept, **more}


class Daemon:
    def __init__(self, directory: Path, configuration: dict[str, dict] | None = None,
                 servers: dict[str, dict] | None = None, environment: dict[str, str] | None = None,
                 address: str = "127.0.0.1"):
        self.directory = directory
        self.address = address
        self.port = free_port()
        self.state = directory / "state"
        self.runtime = directory / "run"
        self.log = directory / "omni2-native.log"
        self.token_file = directory / "admin-token"
        self.file = directory / "omni2.conf"
        for path in (self.state, self.runtime):
            path.mkdir(parents=True, exist_ok=True)
            path.chmod(0o700)
        self.environment = environment_without_surroundings(
            STATE_DIRECTORY=str(self.state), RUNTIME_DIRECTORY=str(self.runtime), **(environment or {}))
        own = {"HTTP": {"Listen": f"{address}:{self.port}"},
               "Access": {"AdminTokenFile": str(self.token_file)}}
        self.configuration = merged(own, configuration or {})
        if servers is not None:
            self.import_servers(servers)
        self.child: Child | None = None
        self.was_killed = False

    def import_servers(self, servers: dict[str, dict]) -> None:
        """Writes the `mcpServers` file that is read at the next start."""
        file = self.directory / "servers.json"
        file.write_text(json.dumps({"mcpServers": servers}, indent=2))
        self.configuration = merged(self.configuration, {"MCP": {"ImportFile": str(file)}})

    # Life

    def start(self, ready: bool = True, starter: tuple[list, dict] = ([], {})) -> "Daemon":
        """Returns when the daemon is live and, unless told otherwise, ready: it answers before it is.

        `starter` comes before the command, with options of its own (see DescriptorStore).
        """
        self.file.write_text(ini(self.configuration))
        self.was_killed = False
        words, options = starter
        self.child = Child([*words, BINARY, "--config", self.file], self.log, env=self.environment,
                           cwd=self.directory, **options)
        eventually(self.is_live, 15, "/health/live answers")
        if ready:
            eventually(self.is_ready, 20, "ready")
        return self

    def is_live(self) -> bool:
        if self.child.process.poll() is not None:
            raise RuntimeError(f"omni2-native ended with {self.child.process.returncode}:\n{self.output()}")
        try:
            return self.get("/health/live", token=None).status_code == 200
        except httpx2.TransportError:
            return False

    def is_ready(self) -> bool:
        return self.get("/health/ready", token=None).status_code == 200

    def stop(self, within: float = 30) -> None:
        """SIGTERM, and a clean exit in time: what systemd would ask for."""
        status = self.child.terminate(within)
        assert status == 0, f"exit status {status} upon SIGTERM"

    def kill(self) -> None:
        self.was_killed = True
        self.child.kill()

    def restart(self) -> None:
        self.stop()
        self.start()

    @property
    def pid(self) -> int:
        return self.child.pid

    @property
    def is_running(self) -> bool:
        return self.child is not None and self.child.process.poll() is None

    def children(self) -> list[int]:
        """The processes that the daemon started and that live."""
        found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(self.pid)], capture_output=True, text=True)
        return [int(pid) for pid in found.stdout.split() if is_alive(int(pid))]

    def output(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def lines(self, service: str | None = None) -> list[str]:
        """Log lines, or those of one service."""
        lines = self.output().splitlines()
        return [line for line in lines if service is None or f"service={service}" in line.split()]

    def logged(self, pattern: str, within: float = 10) -> str:
        """Waits for a log line that matches."""

        def found() -> str | None:
            return next((line for line in self.lines() if re.search(pattern, line)), None)

        return eventually(found, within, f"log line /{pattern}/")

    # HTTP

    @property
    def url(self) -> str:
        return f"http://{self.address}:{self.port}"

    @property
    def token(self) -> str:
        return self.token_file.read_text().strip()

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    def request(self, method: str, path: str, token: str | None = "", **more) -> httpx2.Response:
        """One request; `token=None` sends none, the default is the administrator's."""
        headers = dict(more.pop("headers", {}))
        if token is not None:
            headers["Authorization"] = f"Bearer {token or self.token}"
        with httpx2.Client(trust_env=False, timeout=more.pop("timeout", 30)) as client:
            return client.request(method, self.url + path, headers=headers, **more)

    def get(self, path: str, **more) -> httpx2.Response:
        return self.request("GET", path, **more)

    def post(self, path: str, json=None, **more) -> httpx2.Response:
        return self.request("POST", path, json=json, **more)

    def call(self, server: str, tool: str, arguments: dict | None = None, **more) -> httpx2.Response:
        """A tool call over REST."""
        body = {"server": server, "tool": tool, "arguments": arguments or {}}
        return self.post("/api/v1/mcp/tools/call", json=body, **more)

    def servers(self) -> dict[str, dict]:
        """The registry as REST tells it, by name."""
        answer = self.get("/api/v1/mcp/tools/servers")
        assert answer.status_code == 200, answer.text
        return {server["name"]: server for server in answer.json()["data"]["servers"]}

    def tools(self) -> dict[str, list[str]]:
        """Names of the tools that are offered, by server."""
        answer = self.get("/api/v1/mcp/tools/list")
        if answer.status_code == 404:
            raise RuntimeError(answer.text)  # no use in waiting
        assert answer.status_code == 200, answer.text
        return {server: [tool["name"] for tool in tools]
                for server, tools in answer.json()["data"]["servers"].items()}

    def has_loaded(self, *names: str, within: float = 30) -> None:
        """Waits until each server's tools are offered."""
        eventually(lambda: set(names) <= {name for name, tools in self.tools().items() if tools},
                   within, f"{', '.join(names)} loaded")

    # MCP

    @asynccontextmanager
    async def mcp(self, path: str = "/mcp", mode: str = "legacy", token: str | None = "", **more) -> AsyncIterator[Client]:
        """The official SDK's client, connected."""
        headers = {} if token is None else {"Authorization": f"Bearer {token or self.token}"}
        async with httpx2.AsyncClient(headers=headers, trust_env=False, timeout=60) as http:
            transport = streamable_http_client(self.url + path, http_client=http)
            async with Client(transport, mode=mode, **more) as client:
                yield client

    def rpc(self, method: str | None, params: dict | None = None, identifier=1, session: str | None = None,
            path: str = "/mcp", headers: dict | None = None, **more) -> httpx2.Response:
        """One JSON-RPC message to the gateway, as bare as possible."""
        body = {"jsonrpc": "2.0", "method": method}
        if identifier is not None:
            body["id"] = identifier
        if params is not None:
            body["params"] = params
        sent = {"Accept": "application/json, text/event-stream", **(headers or {})}
        if session:
            sent |= {"Mcp-Session-Id": session, "MCP-Protocol-Version": "2025-06-18"}
        return self.post(path, json=body, headers=sent, **more)

    def initialize(self, version: str = "2025-06-18", path: str = "/mcp", **more) -> httpx2.Response:
        return self.rpc("initialize", {"protocolVersion": version, "capabilities": {},
                                       "clientInfo": {"name": "test", "version": "1"}}, path=path, **more)

    # WebSocket

    @asynccontextmanager
    async def events(self, path: str = "/ws", token: str | None = "", **more) -> AsyncIterator[Events]:
        """A connected WebSocket, with everything it has received in order."""
        headers = {} if token is None else {"Authorization": f"Bearer {token or self.token}"}
        headers |= more.pop("headers", {})
        async with connect(f"ws://{self.address}:{self.port}{path}", additional_headers=headers, proxy=None,
                           close_timeout=5, **more) as socket:
            async with Events.listening(socket) as events:
                yield events


def message(answer: httpx2.Response) -> dict:
    """The JSON-RPC message of an answer, whichever of the two forms it came in."""
    if answer.headers.get("content-type", "").startswith("text/event-stream"):
        data = [line[5:].strip() for line in answer.text.splitlines() if line.startswith("data:")]
        messages = [json.loads(one) for one in data if one]
        return next(one for one in messages if "id" in one and ("result" in one or "error" in one))
    return answer.json()


def check_configuration(directory: Path, text: str, *options: str, environment: dict | None = None) -> subprocess.CompletedProcess:
    """Runs `omni2-native --check` on a configuration text."""
    file = directory / "omni2.conf"
    file.write_text(text)
    return subprocess.run([BINARY, "--config", file, "--check", *options], capture_output=True, text=True,
                          timeout=20, stdin=subprocess.DEVNULL,
                          env=environment_without_surroundings(**{
                              "STATE_DIRECTORY": str(directory), "RUNTIME_DIRECTORY": str(directory),
                              **(environment or {})}))
