"""Tests/servers/model_server.py as a process."""
import sys
from pathlib import Path

import httpx2

from .processes import SERVERS, Child, free_port


class Model:
    def __init__(self, directory: Path):
        self.port = free_port()
        self.child = Child([sys.executable, SERVERS / "model_server.py", self.port], directory / "model.log")
        self.child.answers(self.port)

    def configuration(self, provider: str, **more) -> dict:
        return {"Chat": {"Provider": provider, "Model": "scripted-1", "URL": f"http://127.0.0.1:{self.port}",
                         "Prices": "scripted=3/15/0.3", **more}}

    def _control(self, method: str, path: str, **more):
        return httpx2.request(method, f"http://127.0.0.1:{self.port}/control/{path}", timeout=10, **more).json()

    def script(self, *turns: dict) -> None:
        self._control("POST", "script", json=list(turns))

    @property
    def requests(self) -> list[dict]:
        return self._control("GET", "requests")

    @property
    def ended(self) -> int:
        return self._control("GET", "ended")
