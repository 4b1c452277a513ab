"""Plays systemd's descriptor store: takes what a daemon hands over, and passes it to the next one."""
import os
import select
import socket
import sys
import threading
from pathlib import Path

from .waiting import eventually

# Between fork and exec the process id is known that $LISTEN_PID has to name.
STARTER = """
import fcntl, os, sys
high = [fcntl.fcntl(int(text), fcntl.F_DUPFD, 3000) for text in sys.argv[1].split(",") if text]
for number, one in enumerate(high):
    os.dup2(one, 3 + number)
    os.close(one)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(high)), LISTEN_FDNAMES=sys.argv[2])
os.execv(sys.argv[3], sys.argv[3:])
"""


class DescriptorStore:
    """A notify socket with what came over it: messages, and the descriptors that are stored.

    As systemd does it takes messages by itself, keeps the same file once, and closes what comes
    with a message that stores nothing (BARRIER).
    """

    def __init__(self, directory: Path):
        self.path = directory / "notify.sock"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.path))
        self.socket.setblocking(False)
        self.messages: list[dict[str, str]] = []
        self.stored: dict[str, list[int]] = {}
        self.lock = threading.RLock()
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self) -> None:
        while not self.ending.is_set():
            if select.select([self.socket], [], [], 0.2)[0]:
                self.receive()

    def receive(self) -> None:
        """Takes everything that has been sent by now."""
        with self.lock:
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
                    continue
                for descriptor in descriptors:
                    os.close(descriptor)
                if "FDSTOREREMOVE" in message:
                    self.drop(name)

    def put(self, name: str, descriptor: int) -> None:
        with self.lock:
            own = os.fstat(descriptor)
            for other in self.stored.get(name, []):
                if (os.fstat(other).st_dev, os.fstat(other).st_ino) == (own.st_dev, own.st_ino):
                    os.close(descriptor)
                    return
            self.stored.setdefault(name, []).append(descriptor)

    def drop(self, name: str) -> None:
        with self.lock:
            for descriptor in self.stored.pop(name, []):
                os.close(descriptor)

    def until(self, *names: str) -> None:
        """Waits until something is stored under each of the names."""

        def holds() -> bool:
            self.receive()
            return set(names) <= set(self.stored)

        eventually(holds, 10, f"{names} are stored")

    def starter(self) -> tuple[list, dict]:
        """What to put before a command so that it is started with everything that is stored, and how."""
        self.receive()
        with self.lock:
            passed = [(name, one) for name, some in self.stored.items() for one in some]
        numbers = ",".join(str(one) for _, one in passed)
        names = ":".join(name for name, _ in passed)
        return ([sys.executable, "-c", STARTER, numbers, names], {"pass_fds": [one for _, one in passed]})

    def close(self) -> None:
        self.ending.set()
        self.thread.join()
        for name in list(self.stored):
            self.drop(name)
        self.socket.close()
