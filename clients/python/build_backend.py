"""Builds the wheel with nothing but the standard library and a C compiler.

The wheel carries libomni2cache compiled from clients/c, so that it works on hosts where only the
daemon is installed. No build dependency means that building needs no network either.
"""

import base64
import hashlib
import os
import pathlib
import subprocess
import sysconfig
import tarfile
import tempfile
import zipfile

HERE = pathlib.Path(__file__).resolve().parent
NAME, VERSION = "omni2cache", "0.1.0"
INFO = f"{NAME}-{VERSION}.dist-info"
SUMMARY = "Reads the result cache of omni2-native from shared memory"
C_SOURCES = ["omni2cache.c", "omni2cache.map"]


def _c_folder():
    """The C sources: beside us in a source archive, in clients/c in the repository."""
    packed = HERE / "c"
    return packed if packed.is_dir() else HERE.parent / "c"


def _compile(target):
    folder = _c_folder()
    compiler = os.environ.get("CC", "cc")
    subprocess.run(
        [compiler, "-O2", "-g0", "-std=c11", "-fPIC", "-shared", "-fvisibility=hidden",
         f"-I{folder / 'include'}", f"-Wl,--version-script={folder / 'omni2cache.map'}",
         "-Wl,-soname,libomni2cache.so.0", "-o", str(target), str(folder / "omni2cache.c")],
        check=True)


def _tag():
    platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    return f"py3-none-{platform}"


def _metadata():
    return f"Metadata-Version: 2.1\nName: {NAME}\nVersion: {VERSION}\nSummary: {SUMMARY}\n"


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    tag = _tag()
    files = {f"{NAME}/{path.name}": path.read_bytes()
             for path in sorted((HERE / NAME).glob("*.py"))}
    files[f"{NAME}/py.typed"] = b""
    with tempfile.TemporaryDirectory() as work:
        library = pathlib.Path(work) / "libomni2cache.so.0"
        _compile(library)
        files[f"{NAME}/libomni2cache.so.0"] = library.read_bytes()
    files[f"{INFO}/METADATA"] = _metadata().encode()
    files[f"{INFO}/WHEEL"] = (
        f"Wheel-Version: 1.0\nGenerator: omni2cache\nRoot-Is-Purelib: false\nTag: {tag}\n"
    ).encode()
    record = ""
    for name, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        record += f"{name},sha256={digest},{len(content)}\n"
    files[f"{INFO}/RECORD"] = (record + f"{INFO}/RECORD,,\n").encode()
    wheel = f"{NAME}-{VERSION}-{tag}.whl"
    with zipfile.ZipFile(os.path.join(wheel_directory, wheel), "w", zipfile.ZIP_DEFLATED) as z:
        for name, content in files.items():
            z.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), content)
    return wheel


def build_sdist(sdist_directory, config_settings=None):
    root = f"{NAME}-{VERSION}"
    archive = f"{root}.tar.gz"
    folder = _c_folder()
    with tarfile.open(os.path.join(sdist_directory, archive), "w:gz", dereference=True) as tar:
        for name in ["pyproject.toml", "build_backend.py", "README.md", NAME]:
            tar.add(HERE / name, f"{root}/{name}",
                    filter=lambda item: None if "__pycache__" in item.name else item)
        for name in C_SOURCES + ["include"]:
            tar.add(folder / name, f"{root}/c/{name}")
    return archive
