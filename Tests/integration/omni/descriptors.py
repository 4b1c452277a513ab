"""Plays systemd's descriptor store: takes what a daemon hands over, and passes it to the next one."""
import os
import socket
import sys
from pathlib import Path

from .waiting import eventually

# Between fork and exec the process id is known that $LISTEN_PID has to name.
STARTER = """
import fcntl, os, sys
high = [fcntl.fcntl(int(text), fcntl.F_DUPFD, 100) for text in sys.argv[1].split(",") if text]
for number, one in enumerate(high):
    os.dup2(one, 3 + number)
    os.close(one)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(high)), LISTEN_FDNAMES=sys.argv[2])
os.execv(sys.argv[3], sys.argv[3:])
"""


class DescriptorStore:
    """A notify socket with what came over it: messages, and the descriptors that are stored."""

    def __init__(self, directory: Path):
        self.path = directory / "notify.sock"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.path))
        self.socket.setblocking(False)
        self.messages: list[dict[str, str]] = []
        self.stored: dict[str, list[int]] = {}

    def receive(self) -> None:
        while True:
            try:
                text, descriptors, _, _ = socket.recv_fds(self.socket, 65536, 253)
            except BlockingIOError:
                return
            message = dict(line.split("=", 1) for line in text.decode().splitlines())
            self.messages.append(message)
            name = message.get("FDNAME", "stored")
            if "FDSTORE" in message:
                for descriptor in descriptors:
                    self.put(name, descriptor)
            elif "FDSTOREREMOVE" in message:
                for descriptor in self.stored.pop(name, []):
                    os.close(descriptor)

    def put(self, name: str, descriptor: int) -> None:
        """As systemd does: the same file is kept once."""
        own = os.fstat(descriptor)
        for other in self.stored.get(name, []):
            if (os.fstat(other).st_dev, os.fstat(other).st_ino) == (own.st_dev, own.st_ino):
                os.close(descriptor)
                return
        self.stored.setdefault(name, []).append(descriptor)

    def until(self, *names: str) -> None:
        """Waits until something is stored under each of the names."""

        def holds() -> bool:
            self.receive()
            return set(names) <= set(self.stored)

        eventually(holds, 10, f"{names} are stored")

    def starter(self) -> tuple[list, dict]:
        """What to put before a command so that it is started with everything that is stored, and how."""
        self.receive()
        passed = [(name, one) for name, some in self.stored.items() for one in some]
        numbers = ",".join(str(one) for _, one in passed)
        names = ":".join(name for name, _ in passed)
        return ([sys.executable, "-c", STARTER, numbers, names], {"pass_fds": [one for _, one in passed]})

    def close(self) -> None:
        for descriptors in self.stored.values():
            for descriptor in descriptors:
                os.close(descriptor)
        self.socket.close()
