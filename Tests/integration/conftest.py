"""Fixtures of the acceptance tests: a daemon of one's own, and the neighbours it needs."""
import importlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from omni.control import Control
from omni.daemon import BINARY, Daemon
from omni.databases import Postgres, Redis
from omni.model import Model
from omni.processes import ROOT, is_alive
from omni.servers import HTTPServer, Puppet, make_repository, stdio_entry

LOG_TAIL = 120


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


def pytest_collection_modifyitems(items) -> None:
    """Tests that need the daemon fail at once, and clearly, where it was not built."""
    if not BINARY.exists():
        reason = f"{BINARY} is missing: run `make build`, or set OMNI2_BINARY"
        if any("daemon" in getattr(item, "fixturenames", ()) for item in items):
            raise pytest.UsageError(reason)


@pytest.fixture
def daemon(tmp_path: Path, request) -> Iterator[Callable[..., Daemon]]:
    """Starts daemons: `daemon(configuration, servers=…)`.

    At the end each that still runs is asked to stop, must leave with status 0 within 30 seconds,
    and must take its children with it.
    """
    daemons: list[Daemon] = []

    def start(configuration: dict | None = None, *, servers: dict | None = None,
              environment: dict | None = None, begin: bool = True, ready: bool = True) -> Daemon:
        directory = tmp_path / f"daemon{len(daemons)}"
        directory.mkdir()
        one = Daemon(directory, configuration, servers, environment)
        daemons.append(one)
        request.node.omni_daemons = daemons
        return one.start(ready) if begin else one

    yield start
    problems = []
    for one in daemons:
        if one.child is None or one.was_killed:
            continue
        if not one.is_running:
            if one.child.process.returncode != 0:
                problems.append(f"omni2-native ended with {one.child.process.returncode}")
            continue
        children = one.children()
        try:
            one.stop()
        except Exception as problem:
            problems.append(f"did not stop cleanly: {problem!r}")
            one.kill()
        problems += [f"left its child {pid} behind" for pid in children if is_alive(pid)]
    if problems:
        log = daemons[-1].output().splitlines()[-LOG_TAIL:]
        pytest.fail("\n".join([*problems, "--- log", *log]))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Shows the daemon's log beside a failure."""
    report = yield
    if report.failed:
        for number, one in enumerate(getattr(item, "omni_daemons", [])):
            tail = one.output().splitlines()[-LOG_TAIL:]
            report.sections.append((f"omni2-native log {number}", "\n".join(tail)))
    return report


def pytest_terminal_summary(terminalreporter) -> None:
    """Shows what tests measured: `record_property("figures", text)`."""
    lines = [f"{report.nodeid.split('::')[-1]}: {text}" for report in terminalreporter.getreports("passed")
             for name, text in report.user_properties if name == "figures"]
    if lines:
        terminalreporter.section("figures")
        for line in lines:
            terminalreporter.write_line(line)


@pytest.fixture
def http_server(tmp_path: Path) -> Iterator[Callable[..., HTTPServer]]:
    """Starts counting HTTP servers: `http_server(name, *options)`."""
    servers: list[HTTPServer] = []

    def start(name: str = "counting", *options: str) -> HTTPServer:
        servers.append(HTTPServer(tmp_path, name, *options))
        return servers[-1]

    yield start
    for server in servers:
        server.kill()


@pytest.fixture
def puppets(tmp_path: Path) -> Iterator[Callable[..., Puppet]]:
    """Starts servers that misbehave on request: `puppets(eras, *options)`."""
    made: list[Puppet] = []

    def make(eras: str = "both", *options: str) -> Puppet:
        made.append(Puppet(tmp_path, eras, *options))
        return made[-1]

    yield make
    for puppet in made:
        puppet.kill()


@pytest.fixture
def model(tmp_path: Path) -> Iterator[Model]:
    """A language model's service that says what a test has scripted."""
    one = Model(tmp_path)
    yield one
    one.child.kill()


@pytest.fixture(scope="session")
def counting_process(tmp_path_factory) -> Iterator[HTTPServer]:
    server = HTTPServer(tmp_path_factory.mktemp("counting"))
    yield server
    server.kill()


@pytest.fixture
def counting(counting_process: HTTPServer) -> HTTPServer:
    """The counting server that the tests share, as good as new: its start costs a second."""
    if not counting_process.is_running:
        counting_process.start()
    counting_process.mode("ok")
    counting_process.reset()
    return counting_process


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return make_repository(tmp_path / "repository")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Postgres]:
    """One private PostgreSQL cluster per file, made but not started."""
    cluster = Postgres()
    yield cluster
    cluster.remove()


@pytest.fixture
def postgres(cluster: Postgres) -> Iterator[Postgres]:
    """The cluster, running, with an empty database."""
    cluster.restart()
    cluster.psql("DROP SCHEMA IF EXISTS omni2, auth_service, omni2_dashboard CASCADE")
    yield cluster


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    server = Redis(tmp_path)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def cache_tools(tmp_path_factory) -> Path:
    """The C library and the command-line reader of the cache, built from the repository."""
    out = tmp_path_factory.mktemp("omni2-cache")
    subprocess.run(["make", "--no-print-directory", "-C", ROOT / "clients" / "c", f"OUT={out}"], check=True,
                   capture_output=True)
    return out


@pytest.fixture(scope="session")
def omni2cache(cache_tools: Path):
    """The Python module, from the repository."""
    os.environ["OMNI2_CACHE_LIBRARY"] = str(next(cache_tools.glob("libomni2cache.so.0*")))
    sys.path.insert(0, str(ROOT / "clients" / "python"))
    return importlib.import_module("omni2cache")


@pytest.fixture
def control(daemon):
    """Starts a daemon with an administrators' socket and gives omni2ctl for it: `control(servers=…)`."""

    def start(configuration: dict | None = None, **more) -> Control:
        one = daemon(configuration, begin=False, **more)
        socket = str(one.runtime / "admin.sock")
        one.configuration["HTTP"]["Listen"] = [f"127.0.0.1:{one.port}", socket]
        return Control(one.start())

    return start


@pytest.fixture
def raw(control) -> Control:
    """With one stdio server that has loaded."""
    ctl = control(servers={"raw": stdio_entry()})
    ctl.one.has_loaded("raw")
    return ctl
