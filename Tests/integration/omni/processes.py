"""Child processes of a test: started in a session of their own, ended by id, never left behind."""
import os
import signal
import socket
import subprocess
from pathlib import Path

from .waiting import eventually

ROOT = Path(__file__).resolve().parents[3]
VENV = ROOT / ".build" / "venv" / "bin"
LEGACY = ROOT / ".build" / "venv-legacy" / "bin"
SERVERS = ROOT / "Tests" / "servers"


def free_port() -> int:
    """A loopback port that nobody has now. Somebody else may take it before its owner binds it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def memory_bytes(pid: int, what: str = "VmRSS") -> int:
    """A line of the process's status: `VmRSS`, `VmHWM`, or `RssAnon`, which it shares with nobody."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split(what + ":")[1].split()[0]) << 10


def is_alive(pid: int) -> bool:
    """Whether the process exists and is more than a zombie that awaits its parent."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


class Child:
    """One process with its output in a file."""

    def __init__(self, command: list, log: Path, **options):
        self.log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [str(part) for part in command], stdin=subprocess.DEVNULL, stdout=output,
                stderr=output, start_new_session=True, **options)

    @property
    def pid(self) -> int:
        return self.process.pid

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def answers(self, port: int, within: float = 20) -> None:
        """Waits until the process accepts connections on the port."""

        def connected() -> bool:
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.process.args} ended with {self.process.returncode}:\n{self.output()}")
            with socket.socket() as probe:
                probe.settimeout(1)
                return probe.connect_ex(("127.0.0.1", port)) == 0

        eventually(connected, within, f"{self.process.args[0]} accepts on {port}")

    def kill(self) -> None:
        """SIGKILL to the whole session: nothing of it gets to say goodbye."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)

    def terminate(self, within: float = 30) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(within)
