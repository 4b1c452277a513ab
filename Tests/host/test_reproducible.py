"""Two builds of one tree are the same bytes, also where they were made at different places."""
import hashlib
import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def digests(directory):
    return {x.name: hashlib.sha256(x.read_bytes()).hexdigest() for x in directory.glob("*.deb")}


def test_packages_are_reproducible(packages, tmp_path):
    """The first ones hold the programs that `make build` left in the checkout; these are compiled anew,
    in another directory, by another umask and at another time."""
    environment = {**os.environ, "SCRATCH": str(tmp_path / "elsewhere")}
    environment.pop("PROGRAMS", None)
    subprocess.run([ROOT / "packaging/build-deb", tmp_path / "out"], check=True, umask=0o077,
                   stdin=subprocess.DEVNULL, env=environment)
    assert digests(tmp_path / "out") == digests(packages)
    assert len(digests(packages)) >= 4
