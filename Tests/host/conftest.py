"""Tests on a booted Debian host: see host.py for how, test_*.py for what."""
import os
import subprocess
from pathlib import Path

import pytest

from host import CACHE, Host, machine_lacks, make_root_file_system

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
    subprocess.run([ROOT / "packaging/build-deb", out], check=True, stdin=subprocess.DEVNULL)
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
