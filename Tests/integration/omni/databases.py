"""PostgreSQL and Redis of a test's own, on free loopback ports, with their data in its directory."""
import json
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import threading
from pathlib import Path

import psycopg

from .processes import Child, free_port
from .waiting import eventually

PASSWORD = "correct horse"


def newest_binaries() -> Path:
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    assert versions, "PostgreSQL is not installed: run tools/setup"
    return versions[-1]


class Postgres:
    """A private cluster. It runs as the `postgres` user where we are root, which it refuses to be."""

    def __init__(self, address: str = "127.0.0.1"):
        self.address = address
        self.binaries = newest_binaries()
        self.directory = Path(tempfile.mkdtemp(prefix="omni2-postgres."))
        self.port = free_port()
        self.child: Child | None = None
        self.identity = {}
        if os.geteuid() == 0:
            owner = pwd.getpwnam("postgres")
            os.chown(self.directory, owner.pw_uid, owner.pw_gid)
            self.identity = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
        (self.directory / "password").write_text(PASSWORD)
        os.chmod(self.directory / "password", 0o644)
        subprocess.run(
            [self.binaries / "initdb", "--pgdata", self.directory / "data", "--username", "omni",
             "--pwfile", self.directory / "password", "--auth", "scram-sha-256", "--encoding", "UTF8",
             "--no-locale", "--no-sync"],
            check=True, capture_output=True, cwd="/", **self.identity)
        if address != "127.0.0.1":
            with (self.directory / "data" / "pg_hba.conf").open("a") as rules:
                rules.write(f"host all all {address}/24 scram-sha-256\n")

    @property
    def url(self) -> str:
        return self.url_of("omni")

    def url_of(self, database: str) -> str:
        return f"postgresql://omni:{PASSWORD.replace(' ', '%20')}@{self.address}:{self.port}/{database}"

    def start(self) -> None:
        self.child = Child(
            [self.binaries / "postgres", "-D", self.directory / "data", "-p", self.port,
             "-c", f"listen_addresses={self.address}", "-c", f"unix_socket_directories={self.directory}",
             "-c", "fsync=off", "-c", "max_connections=40", "-c", "shared_buffers=16MB"],
            self.directory.with_suffix(".log"), cwd="/", **self.identity)
        eventually(self.accepts, 30, "PostgreSQL accepts connections")
        with psycopg.connect(self.url_of("postgres"), autocommit=True) as connection:
            known = connection.execute("SELECT 1 FROM pg_database WHERE datname = 'omni'").fetchone()
            if not known:
                connection.execute("CREATE DATABASE omni")

    def accepts(self) -> bool:
        if self.child.process.poll() is not None:
            raise RuntimeError(self.child.output())
        try:
            psycopg.connect(self.url_of("postgres"), connect_timeout=2).close()
            return True
        except psycopg.OperationalError:
            return False

    def stop(self) -> None:
        """Fast shutdown: open connections are cut."""
        if self.child and self.child.process.poll() is None:
            self.child.process.send_signal(2)
            self.child.process.wait(30)

    def restart(self) -> None:
        self.stop()
        self.start()

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.with_suffix(".log").unlink(missing_ok=True)

    def psql(self, statement: str) -> str:
        """Runs one statement as an operator would and returns the bare rows."""
        answer = subprocess.run(
            [self.binaries / "psql", "--no-psqlrc", "--tuples-only", "--no-align", "--quiet",
             "-v", "ON_ERROR_STOP=1", "--command", statement, self.url],
            check=False, capture_output=True, text=True)
        assert answer.returncode == 0, f"psql: {answer.stderr}"
        return answer.stdout.strip()

    def rows(self, statement: str, *parameters) -> list[tuple]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            return connection.execute(statement, parameters).fetchall()


class Redis:
    """A private Redis without persistence."""

    def __init__(self, directory: Path, address: str = "127.0.0.1"):
        self.port = free_port()
        self.directory = directory
        self.address = address
        self.child: Child | None = None

    @property
    def url(self) -> str:
        return f"redis://{self.address}:{self.port}/0"

    def start(self) -> None:
        self.child = Child(
            ["redis-server", "--port", self.port, "--bind", *{"127.0.0.1", self.address}, "--save", "",
             "--appendonly", "no", "--protected-mode", "no", "--dir", self.directory],
            self.directory / "redis.log")
        self.child.answers(self.port)

    def cli(self, *words: object):
        """What redis-cli prints for one command, as JSON."""
        answer = subprocess.run(["redis-cli", "-p", str(self.port), "--json", *map(str, words)],
                                check=True, capture_output=True, text=True)
        return json.loads(answer.stdout)

    def listen(self, *channels: str) -> "Listening":
        return Listening(self.port, channels)

    def kill(self) -> None:
        self.child.kill()

    def stop(self) -> None:
        if self.child:
            self.child.terminate()


class Listening:
    """A subscriber: what was said on some channels, as it comes."""

    def __init__(self, port: int, patterns: tuple[str, ...]):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.file = self.socket.makefile("rb")
        self.said: list[list] = []
        self.socket.sendall(("PSUBSCRIBE " + " ".join(patterns) + "\r\n").encode())
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()
        eventually(lambda: len(self.said) >= len(patterns), 10, "subscribed")

    def _read(self) -> None:
        try:
            while True:
                self.said.append(self._value())
        except (OSError, ValueError):
            pass  # closed

    def _value(self):
        line = self.file.readline()
        if not line:
            raise OSError("closed")
        kind, rest = chr(line[0]), line[1:].strip()
        if kind == "*":
            return [self._value() for _ in range(int(rest))]
        return self.file.read(int(rest) + 2)[:-2].decode() if kind == "$" else rest.decode()

    def messages(self, channel: str) -> list[dict]:
        return [json.loads(part[3]) for part in list(self.said)
                if part[0] == "pmessage" and part[2] == channel]

    def __enter__(self) -> "Listening":
        return self

    def __exit__(self, *_) -> None:
        self.socket.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.socket.close()
