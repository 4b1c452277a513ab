"""What can be said of the units without booting anything."""
import shutil
import subprocess
from pathlib import Path

import pytest

UNITS = Path(__file__).resolve().parents[2] / "systemd"


@pytest.mark.parametrize("unit, most", [("omni2-native.service", 10), ("omni2-mcp@.service", 20)])
def test_exposure_stays_small(unit, most):
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--no-pager", f"--threshold={most}",
         UNITS / unit], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_every_socket_has_its_own_descriptor_name():
    names = {}
    for socket in UNITS.glob("omni2-native*.socket"):
        for line in socket.read_text().splitlines():
            if line.startswith("FileDescriptorName="):
                names[socket.name] = line.partition("=")[2]
    assert names == {"omni2-native.socket": "http", "omni2-native-admin.socket": "admin",
                     "omni2-native-cache.socket": "cache"}


def test_catalog_compiles(tmp_path):
    catalog = tmp_path / "usr/lib/systemd/catalog"
    catalog.mkdir(parents=True)
    shutil.copy(UNITS / "omni2-native.catalog", catalog)
    subprocess.run(["journalctl", f"--root={tmp_path}", "--update-catalog"], check=True)
    listed = subprocess.run(["journalctl", f"--root={tmp_path}", "--list-catalog"], check=True,
                            capture_output=True, text=True).stdout
    assert len(listed.splitlines()) == (UNITS / "omni2-native.catalog").read_text().count("\n-- ")
