"""Thousands of dashboards: the load generator and the clients that come back, as processes."""
import queue
import subprocess
import threading
import time
from pathlib import Path

from websockets.sync.client import connect

from .processes import ROOT

SOURCES = ROOT / "bench" / "fanout"


class Tools:
    """The C programs of the benchmark, built once."""

    def __init__(self, folder: Path):
        self.load = folder / "load"
        self.storm = folder / "storm"
        for name in ("load", "storm"):
            subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", folder / name,
                            SOURCES / f"{name}.c"], check=True)

    def loaded(self, one, count: int, *phases: str, size: int = 250, stopped: int = 0,
               timeout: float = 80) -> dict[str, dict]:
        """Subscribers of one set of connections through some phases of load: figures by phase. `stopped`: how many
        of them a phase may stop."""
        done = subprocess.run(
            [self.load, "-p", str(one.port), "-k", one.token, "-m", "omni2", "-P", str(one.pid), "-n", str(count),
             "-b", str(size), "-s", str(stopped)],
            input="\n".join(phases), capture_output=True, text=True, timeout=timeout)
        assert done.returncode == 0, done.stderr
        results = {}
        for line in done.stdout.splitlines():
            pairs = dict(pair.split("=", 1) for pair in line.split())
            phase = pairs.pop("phase")
            results[phase] = {key: float(value) for key, value in pairs.items()}
        return results


class Storm:
    """Some of the clients that come back, in a process of their own."""

    def __init__(self, tools: Tools, one, count: int, *, life_ms: int = 1000, away_ms: int = 200,
                 long_away_ms: int = 4000, seed: int = 1):
        self.process = subprocess.Popen(
            [tools.storm, "-p", str(one.port), "-k", one.token, "-n", str(count), "-a", "16", "-l", str(life_ms),
             "-w", str(away_ms), "-W", str(long_away_ms), "-x", str(seed)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self.process.stdout:
            self.lines.put(line.strip())
        self.lines.put("")

    def line(self, within: float) -> str:
        try:
            line = self.lines.get(timeout=within)
        except queue.Empty:
            raise AssertionError(f"the clients said nothing within {within} s") from None
        assert line, f"the clients ended: {self.process.stderr.read()}"
        return line

    def ready(self, within: float = 60) -> None:
        """All have been connected once."""
        assert self.line(within) == "ready"

    def tell(self, order: str) -> None:
        self.process.stdin.write(order + "\n")
        self.process.stdin.flush()

    def result(self, within: float = 45) -> dict[str, int]:
        pairs = dict(pair.split("=") for pair in self.line(within).split())
        self.process.wait(10)
        return {key: int(value) for key, value in pairs.items()}

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


class Publisher:
    """Puts events on the bus, numbered from 1, and knows the number of the last."""

    def __init__(self, one, kind: str = "storm", padding: int = 100):
        self.connection = connect(f"ws://127.0.0.1:{one.port}/ws", additional_headers=one.headers, proxy=None)
        self.kind, self.padding, self.count = kind, "x" * padding, 0

    def __enter__(self):
        self.socket = self.connection.__enter__()
        return self

    def __exit__(self, *problem) -> None:
        self.connection.__exit__(*problem)

    def publish(self, times: int = 1) -> int:
        for _ in range(times):
            self.count += 1
            self.socket.send(f'{{"action":"publish","type":"{self.kind}",'
                             f'"data":{{"n":{self.count},"pad":"{self.padding}"}}}}')
        return self.count

    def drain(self) -> None:
        """Reads the answers, so that the daemon need not keep them."""
        self.socket.send('{"action":"ping"}')
        while self.socket.recv(timeout=30) != "pong":
            pass

    def run(self, seconds: float, per_second: float, burst_every: float = 0, burst: int = 0) -> None:
        """Events at a steady rate, and now and then many in a row: more than a log may hold."""
        end, next_burst = time.monotonic() + seconds, time.monotonic() + burst_every
        while time.monotonic() < end:
            self.publish()
            if burst and time.monotonic() >= next_burst:
                next_burst += burst_every
                for _ in range(burst // 8):
                    self.publish(8)
                    time.sleep(0.02)
            self.drain()
            time.sleep(1 / per_second)


def resident_bytes(pid: int) -> int:
    """The process's resident set, all of it."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096
