"""Tests on a booted Debian host: see host.py for how, test_*.py for what."""
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from host import CACHE, Host, machine_lacks, make_layer, make_root_file_system

ROOT = Path(__file__).resolve().parents[2]


def pytest_configure(config):
    lacking = machine_lacks()
    if lacking:
        pytest.exit(f"these tests need {lacking}", returncode=1)


@pytest.fixture(scope="session")
def root_file_system():
    return make_root_file_system(CACHE)


@pytest.fixture(scope="session")
def packages():
    """The directory with the Debian packages of this checkout; PACKAGES= names one that is there."""
    given = os.environ.get("PACKAGES")
    if given:
        return Path(given)
    out = ROOT / "dist"
    for old in out.glob("*.deb"):
        old.unlink()
    # What is there already is not compiled again; test_reproducible.py shows that it is the same.
    subprocess.run(["make", "--no-print-directory", "build"], cwd=ROOT, check=True,
                   stdin=subprocess.DEVNULL)
    subprocess.run([ROOT / "packaging/build-deb", out], check=True, stdin=subprocess.DEVNULL,
                   env={**os.environ, "PROGRAMS": str(ROOT / ".build/release")})
    return out


@pytest.fixture(scope="session")
def installed_image(root_file_system, packages, tmp_path_factory):
    """A file system on which the package is installed, made once; each test boots its own copy."""
    layer = tmp_path_factory.mktemp("installed")
    with Host(root_file_system, network="host", keep=layer) as host:
        host.install(packages)
        host.run("systemctl stop 'omni2*.socket' omni2-native.service; rm -rf /var/lib/omni2")
    return [root_file_system, layer]


@pytest.fixture
def bare(root_file_system):
    """A fresh host with nothing of ours on it."""
    with Host(root_file_system) as host:
        yield host


@pytest.fixture
def host(installed_image):
    """A fresh host with the package installed, its sockets listening, its daemon not running."""
    with Host(installed_image) as host:
        yield host


@pytest.fixture(scope="session")
def server_from_pypi():
    """A directory to put at /opt/mcp-time: a stdio server as its users install it."""
    pin = next(line for line in (ROOT / "Tests/integration/requirements.txt").read_text().splitlines()
               if line.startswith("mcp-server-time=="))
    place = CACHE / pin.replace("==", "-")
    if not place.is_dir():
        building = place.with_suffix(".new")
        shutil.rmtree(building, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-compile",
                        "--target", building / "lib", pin], check=True, stdin=subprocess.DEVNULL)
        program = building / "bin/mcp-server-time"
        program.parent.mkdir()
        program.write_text("#!/bin/sh\n"
                           "PYTHONPATH=/opt/mcp-time/lib exec python3 -m mcp_server_time \"$@\"\n")
        program.chmod(0o755)
        building.rename(place)
    return place


@pytest.fixture(scope="session")
def database_layer(root_file_system):
    return make_layer(CACHE, root_file_system, "postgresql")


@pytest.fixture(scope="session")
def tools_layer(root_file_system):
    return make_layer(CACHE, root_file_system, "tools")


@pytest.fixture
def installed_with_tools(root_file_system, tools_layer, packages):
    """As `host`, with strace and sqlite3 on it."""
    with Host([root_file_system, tools_layer]) as host:
        host.install(packages)
        yield host


@pytest.fixture(scope="session")
def proxies_layer(root_file_system):
    return make_layer(CACHE, root_file_system, "proxies")
