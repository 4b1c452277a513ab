"""omni2ctl as a person and a script use it: over a pipe, on a terminal, and while it goes on."""
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from pathlib import Path

from .daemon import BINARY, environment_without_surroundings
from .processes import ROOT

PROGRAM = Path(os.environ.get("OMNI2CTL_BINARY", BINARY.with_name("omni2ctl")))
MANUAL = ROOT / "docs" / "man" / "omni2ctl.1"


def run(*words, program: Path = PROGRAM, input: str | None = None, **environment) -> subprocess.CompletedProcess:
    given = {"input": input} if input is not None else {"stdin": subprocess.DEVNULL}
    return subprocess.run([program, *map(str, words)], capture_output=True, text=True, timeout=60,
                          env=environment_without_surroundings(**environment), **given)


class Control:
    """omni2ctl with the daemon's Unix socket."""

    def __init__(self, one):
        self.one = one

    @property
    def environment(self) -> dict[str, str]:
        return {"RUNTIME_DIRECTORY": str(self.one.runtime)}

    def __call__(self, *words, **more) -> subprocess.CompletedProcess:
        return run(*words, **{**self.environment, **more})

    def ok(self, *words, **more) -> str:
        ended = self(*words, **more)
        assert ended.returncode == 0, ended.stderr or ended.stdout
        return ended.stdout

    def json(self, *words):
        return json.loads(self.ok(*words, "--json"))

    def refused(self, *words, status: int = 1) -> str:
        ended = self(*words)
        assert ended.returncode == status, (ended.returncode, ended.stdout, ended.stderr)
        assert ended.stdout == "" and ended.stderr.startswith("omni2ctl: ")
        return ended.stderr

    def going(self, *words) -> "Going":
        return Going(words, self.environment)

    def terminal(self, *words, **more) -> "Terminal":
        options = {name: more.pop(name) for name in ("columns", "rows") if name in more}
        return Terminal(words, {"TERM": "xterm", **self.environment, **more}, **options)


class Going:
    """A command that prints as it goes: its lines, until it is ended."""

    def __init__(self, words, environment: dict[str, str]):
        self.process = subprocess.Popen(
            [PROGRAM, *map(str, words)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, env=environment_without_surroundings(**environment))
        self.streams = {"out": self.process.stdout, "err": self.process.stderr}
        self.texts = {"out": b"", "err": b""}
        self.open = ["out", "err"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        for stream in self.streams.values():
            stream.close()

    def until(self, pattern: str, on: str = "out", within: float = 20) -> re.Match:
        """The first match in what it has printed, awaited."""
        deadline = time.monotonic() + within
        while not (found := re.search(pattern, self.texts[on].decode(errors="replace"), re.MULTILINE)):
            left = deadline - time.monotonic()
            seen = {name: text[-2000:] for name, text in self.texts.items()}
            assert left > 0 and self.open, f"no /{pattern}/ on {on}; there is {seen}"
            ready, _, _ = select.select([self.streams[name] for name in self.open], [], [], left)
            for name in [name for name in self.open if self.streams[name] in ready]:
                part = os.read(self.streams[name].fileno(), 65536)
                self.texts[name] += part
                if not part:
                    self.open.remove(name)
        return found

    def events(self) -> list[dict]:
        """The lines of --json so far, whole ones."""
        return [json.loads(line) for line in self.texts["out"].decode().split("\n")[:-1]]

    def end(self, by: int = signal.SIGINT) -> int:
        self.process.send_signal(by)
        return self.process.wait(10)


class Terminal:
    """A command on a terminal of its own, with what a person would see and keys to press."""

    def __init__(self, words, environment: dict[str, str], columns: int = 100, rows: int = 200):
        self.ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.process = subprocess.Popen(
            [PROGRAM, *map(str, words)], stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
            # Its keys for "interrupt" are signals for whoever it controls.
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
            env=environment_without_surroundings(**environment))
        os.close(theirs)
        self.text = ""
        self.bytes = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        os.close(self.ours)

    def press(self, keys: str) -> None:
        os.write(self.ours, keys.encode())

    def read(self, within: float) -> bool:
        """More of what it drew; False at the end."""
        if not select.select([self.ours], [], [], max(0, within))[0]:
            return True
        try:
            part = os.read(self.ours, 65536)
        except OSError:  # the other side is closed
            return False
        self.bytes += part
        self.text = self.bytes.decode(errors="replace")
        return bool(part)

    def until(self, pattern: str, within: float = 20) -> re.Match:
        deadline = time.monotonic() + within
        while not (found := re.search(pattern, self.text, re.MULTILINE)):
            left = deadline - time.monotonic()
            assert left > 0 and self.read(left), f"no /{pattern}/ in {self.text[-4000:]!r}"
        return found

    def rest(self, within: float = 30) -> str:
        """Everything it shows until its end."""
        deadline = time.monotonic() + within
        while self.read(deadline - time.monotonic()):
            assert time.monotonic() < deadline, f"it goes on: {self.text[-2000:]!r}"
        self.process.wait(10)
        return self.text.replace("\r\n", "\n")


def on_terminal(control: Control, *words, **environment) -> str:
    """What a person at a terminal would see of a command that ends well."""
    with control.terminal(*words, **environment) as terminal:
        seen = terminal.rest()
        assert terminal.process.returncode == 0, seen
    return seen


def rows(table: str) -> dict[str, list[str]]:
    """The lines of a table by their first cell."""
    return {cells[0]: cells for cells in (line.split() for line in table.splitlines()) if cells}


def facts(text: str) -> dict[str, str]:
    return dict(re.findall(r"^ *([A-Z][\w -]*): (.*)$", text, re.MULTILINE))


def help_text(*words: str) -> str:
    ended = run(*words, "--help")
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def entries(text: str, title: str) -> dict[str, str]:
    """The entries under a title of the help, with their texts on one line."""
    found: dict[str, str] = {}
    for line in text.partition(f"\n{title}:\n")[2].partition("\n\n")[0].splitlines():
        if head := re.match(r"  (\S.*?)(?:  +(.*))?$", line):
            name = head[1]
            found[name] = head[2] or ""
        else:
            found[name] = f"{found[name]} {line.strip()}".strip()
    return found


def commands() -> list[tuple[list[str], str]]:
    """The words of every command, and how it is called."""
    return [([word for word in synopsis.split() if re.fullmatch("[a-z]+", word)], synopsis)
            for synopsis in entries(help_text(), "Commands")]
