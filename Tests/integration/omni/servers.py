"""The MCP servers that the daemon is tested with: our own for faults, and real ones from PyPI."""
import subprocess
import sys
from pathlib import Path

import httpx2

from .processes import LEGACY, SERVERS, VENV, Child, free_port


class HTTPServer:
    """Tests/servers/http_server.py as a process that can be killed and started again on its port."""

    def __init__(self, directory: Path, name: str = "counting", *options: str, address: str = "127.0.0.1"):
        self.name = name
        self.address = address
        self.port = free_port()
        self.options = options
        self.log = directory / f"server-{name}-{self.port}.log"
        self.child: Child | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"http://{self.address}:{self.port}/mcp"

    def start(self) -> None:
        self.child = Child([VENV / "python", SERVERS / "http_server.py", self.port,
                            "--name", self.name, *self.options,
                            *(["--host", "0.0.0.0"] if self.address != "127.0.0.1" else [])], self.log)
        self.child.answers(self.port)

    @property
    def is_running(self) -> bool:
        return self.child.process.poll() is None

    def kill(self) -> None:
        self.child.kill()

    def control(self, method: str, path: str) -> dict:
        answer = httpx2.request(method, f"http://127.0.0.1:{self.port}/control/{path}", timeout=10)
        answer.raise_for_status()
        return answer.json()

    def mode(self, mode: str) -> None:
        self.control("POST", f"mode?is={mode}")

    def reset(self) -> None:
        self.control("POST", "reset")

    def calls(self, tool: str) -> int:
        """How often the tool really ran."""
        return self.control("GET", "state")["calls"].get(tool, 0)

    def requests(self, rpc: str | None = None) -> list[dict]:
        """The MCP messages that came in, or those of one method."""
        seen = self.control("GET", "state")["requests"]
        return [one for one in seen if rpc is None or one["rpc"] == rpc]

    def entry(self, **omni2) -> dict:
        """Its entry in an `mcpServers` file."""
        entry = {"type": "http", "url": self.url}
        return {**entry, "omni2": omni2} if omni2 else entry


def stdio_entry(*options: object, **omni2) -> dict:
    """An entry for Tests/servers/stdio_server.py."""
    entry = {"command": sys.executable,
             "args": [str(SERVERS / "stdio_server.py"), *map(str, options)]}
    return {**entry, "omni2": omni2} if omni2 else entry


def time_entry() -> dict:
    return {"command": str(VENV / "mcp-server-time"), "args": ["--local-timezone", "UTC"]}


def git_entry(repository: Path) -> dict:
    return {"command": str(VENV / "mcp-server-git"), "args": ["--repository", str(repository)]}


def sqlite_entry(file: Path) -> dict:
    """A real server of the handshake era, built on the 1.x SDK."""
    return {"command": str(LEGACY / "mcp-server-sqlite"), "args": ["--db-path", str(file)]}


def make_repository(directory: Path) -> Path:
    """A git repository with two commits, always with the same ids."""
    identity = {"GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@example.org",
                "GIT_COMMITTER_NAME": "A", "GIT_COMMITTER_EMAIL": "a@example.org",
                "GIT_AUTHOR_DATE": "2026-01-01T00:00:00Z", "GIT_COMMITTER_DATE": "2026-01-01T00:00:00Z",
                "GIT_CONFIG_GLOBAL": "/dev/null", "PATH": "/usr/bin:/bin"}

    def git(*arguments: str) -> None:
        subprocess.run(["git", "-C", str(directory), *arguments], check=True, env=identity,
                       capture_output=True)

    directory.mkdir()
    git("init", "--initial-branch", "main")
    for number in (1, 2):
        (directory / "file.txt").write_text(f"line {number}\n")
        git("add", "file.txt")
        git("commit", "--message", f"Commit {number}")
    return directory


class Puppet:
    """Tests/servers/puppet.py: misbehaves on request and records everything. Starts in an instant."""

    def __init__(self, directory: Path, eras: str = "both", *options: str):
        self.port = free_port()
        self.eras, self.options = eras, options
        self.log = directory / f"puppet-{self.port}.log"
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/mcp"

    def start(self) -> None:
        self.child = Child([sys.executable, SERVERS / "puppet.py", self.port, self.eras, *self.options], self.log)
        self.child.answers(self.port)

    def kill(self) -> None:
        self.child.kill()

    def do(self, what: str) -> None:
        httpx2.post(f"http://127.0.0.1:{self.port}/control/do?{what}", timeout=10).raise_for_status()

    def seen(self, rpc: str | None = None, tool: str | None = None) -> list[dict]:
        """The messages that came in, or those of one method, or the calls of one tool."""
        records = httpx2.get(f"http://127.0.0.1:{self.port}/control/seen", timeout=10).json()
        return [one for one in records if (rpc is None or one["rpc"] == rpc)
                and (tool is None or one["message"].get("params", {}).get("name") == tool)]

    def entry(self, **omni2) -> dict:
        return {"type": "http", "url": self.url, "omni2": omni2}
