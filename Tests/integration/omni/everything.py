"""everything-server: the official conformance suite's own fixture, from the source archive of `mcp`.

Its archive is fetched by pip into the test environment when it is first wanted; nothing of it is ours.
"""
import fcntl
import subprocess
import tarfile
from importlib.metadata import version
from pathlib import Path

from .processes import ROOT, VENV, Child, free_port

FOLDER = ROOT / ".build" / "everything-server"


def sources() -> Path:
    """The folder with the package, fetched once for all test processes."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    release = version("mcp")
    package = FOLDER / f"mcp-{release}" / "examples" / "servers" / "everything-server"
    with open(FOLDER / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        archive = FOLDER / f"mcp-{release}.tar.gz"
        if not archive.exists():
            subprocess.run([VENV / "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:",
                            "--dest", FOLDER, f"mcp=={release}"], check=True)
        if not package.exists():
            with tarfile.open(archive) as contents:
                contents.extractall(FOLDER)
    return package


class EverythingServer:
    def __init__(self, directory: Path):
        self.port = free_port()
        self.log = directory / f"everything-{self.port}.log"
        self.child = Child([VENV / "python", "-m", "mcp_everything_server", "--port", self.port,
                            "--log-level", "WARNING"], self.log, cwd=sources())
        self.child.answers(self.port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/mcp"

    def entry(self, **omni2) -> dict:
        return {"type": "http", "url": self.url, "omni2": omni2}

    def kill(self) -> None:
        self.child.kill()
