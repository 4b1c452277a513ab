"""omni2ctl config and doctor: is the configuration right, is the host fit, is the daemon well?"""
import json
import subprocess
from pathlib import Path

import pytest

from omni.control import PROGRAM, run
from omni.daemon import BINARY
from omni.processes import free_port
from omni.servers import stdio_entry


class TestConfiguration:
    @pytest.fixture
    def beside(self, tmp_path: Path) -> Path:
        """omni2ctl in a directory with the daemon's program."""
        for program, name in ((PROGRAM, "omni2ctl"), (BINARY, "omni2-native")):
            (tmp_path / name).symlink_to(program)
        return tmp_path

    def check(self, beside: Path, text: str, *more) -> subprocess.CompletedProcess:
        file = beside / "omni2.conf"
        file.write_text(text)
        return run("config", "check", file, *more, program=beside / "omni2ctl",
                   STATE_DIRECTORY=str(beside), RUNTIME_DIRECTORY=str(beside))

    def test_fine_and_wrong(self, beside):
        assert self.check(beside, "[HTTP]\nListen=127.0.0.1:1234\n").returncode == 0
        wrong = self.check(beside, "[HTTP]\nListen=somewhere\n")
        assert wrong.returncode == 78 and "Listen" in wrong.stderr

    def test_json(self, beside):
        fine = self.check(beside, "", "--json")
        assert fine.returncode == 0 and json.loads(fine.stdout) == {"ok": True, "problems": []}
        wrong = self.check(beside, "[HTTP]\nListen=somewhere\n[Frob]\n", "--json")
        assert wrong.returncode == 78 and wrong.stderr == ""
        told = json.loads(wrong.stdout)
        assert told["ok"] is False and any("Listen" in line for line in told["problems"])

    def test_without_the_daemons_program(self, tmp_path):
        (tmp_path / "omni2ctl").symlink_to(PROGRAM)
        ended = run("config", "check", program=tmp_path / "omni2ctl", PATH=str(tmp_path))
        assert ended.returncode == 1 and "not installed" in ended.stderr


class TestShow:
    def test_what_is_in_force_and_where_it_comes_from(self, control):
        ctl = control({"Cache": {"MaxEntries": "77"}}, environment={"OMNI2_CACHE_TTL_SEC": "90"})
        text = ctl.ok("config", "show")
        assert f"MaxEntries=77  # {ctl.one.file}:" in text and "\n[Cache]\n" in text
        assert "#IntervalSec=30" in text
        changed = ctl.ok("config", "show", "cache", "--changed").splitlines()
        assert changed[0] == "[Cache]" and changed[1].startswith("MaxEntries=77  # ")
        settings = ctl.json("config", "show", "Cache")["settings"]
        assert {one["section"] for one in settings} == {"Cache"}
        entry = next(one for one in settings if one["key"] == "MaxEntries")
        assert entry["value"] == "77" and entry["is_default"] is False and entry["default"] == "1000"

    def test_it_is_what_runs_and_not_what_the_file_says(self, control):
        ctl = control({"Cache": {"MaxEntries": "77"}})
        ctl.one.file.write_text(ctl.one.file.read_text().replace("=77", "=78"))
        assert "MaxEntries=77" in ctl.ok("config", "show", "Cache")

    def test_secrets_are_masked(self, control):
        ctl = control({"Access": {"JWTSecret": "a-very-secret-text-of-some-length"}})
        assert "very-secret" not in ctl.ok("config", "show") + ctl.ok("config", "show", "--json")
        assert "JWTSecret=" in ctl.ok("config", "show", "Access", "--changed")

    def test_an_unknown_section(self, control):
        assert "there are Main, HTTP" in control().refused("config", "show", "Kitchen")


class Diagnosis:
    def __init__(self, ended: subprocess.CompletedProcess):
        self.status = ended.returncode
        self.value = json.loads(ended.stdout)
        self.checks = {(one["area"], one["name"]): one for one in self.value["checks"]}

    def __getitem__(self, key: tuple[str, str]) -> dict:
        return self.checks[key]


@pytest.fixture
def doctor():
    def run_doctor(ctl, *words, **more) -> Diagnosis:
        return Diagnosis(ctl("doctor", "--json", "--config", ctl.one.file, *words,
                             STATE_DIRECTORY=str(ctl.one.state), **more))

    return run_doctor


class TestDoctor:
    def test_all_is_well(self, raw, doctor):
        found = doctor(raw)
        assert found.status == 0 and found.value["ok"] is True and found.value["failed"] == 0, found.value
        for area, name in (("Host", "Kernel"), ("Host", "io_uring"), ("Sockets", "Administration"),
                           ("Sockets", "Shared cache"), ("Configuration", "Files"), ("Daemon", "Reachable"),
                           ("Daemon", "Ready"), ("Daemon", "Database"), ("Daemon", "Disk space"),
                           ("Daemon", "Cache"), ("Servers", "raw")):
            assert found[area, name]["status"] == "ok", found[area, name]
            assert found[area, name]["advice"] is None
        for name in ("Open files", "Locked memory", "Listen backlog", "Files of the host", "Clock"):
            assert found["Host", name]["status"] in ("ok", "warn", "skip")
        assert found["Daemon", "Redis"]["status"] == "skip"
        # Whatever is not well says what to do.
        assert all(one["advice"] for one in found.value["checks"] if one["status"] in ("warn", "fail"))

    def test_for_a_person(self, raw):
        ended = raw("doctor", "--config", raw.one.file, STATE_DIRECTORY=str(raw.one.state))
        assert ended.returncode == 0
        assert "\n  ok    Kernel " not in ended.stdout.splitlines()[0] and "Host\n" in ended.stdout
        assert "  ok    raw " in ended.stdout
        assert ended.stdout.splitlines()[-1] == "All is well." or "warning" in ended.stdout.splitlines()[-1]

    def test_a_limit_that_is_too_low(self, raw, doctor):
        program = ["/bin/bash", "-c", 'ulimit -n 512; exec "$0" "$@"', str(PROGRAM), "doctor", "--json"]
        ended = subprocess.run(program, capture_output=True, text=True, timeout=60,
                               env={**raw.environment, "PATH": "/usr/bin:/bin"})
        found = Diagnosis(ended)
        assert found.status == 1 and found["Host", "Open files"]["status"] == "fail"
        assert "LimitNOFILE=" in found["Host", "Open files"]["advice"]

    def test_without_a_daemon(self, tmp_path):
        ended = run("doctor", "--json", RUNTIME_DIRECTORY=str(tmp_path), STATE_DIRECTORY=str(tmp_path))
        found = Diagnosis(ended)
        assert found.status == 1 and found["Host", "Kernel"]["status"] == "ok"
        assert found["Sockets", "Administration"]["status"] == "fail"
        assert "systemctl enable --now omni2-native.socket" in found["Sockets", "Administration"]["advice"]
        assert found["Daemon", "Reachable"]["status"] == "fail"

    def test_a_sick_server_and_a_disabled_one(self, raw, doctor):
        raw.ok("mcp", "add", "gone", "--url", f"http://127.0.0.1:{free_port()}/mcp")
        raw.ok("mcp", "disable", "raw")
        found = doctor(raw)
        assert found.status == 1 and found["Servers", "gone"]["status"] == "fail"
        assert "omni2ctl mcp show gone" in found["Servers", "gone"]["advice"]
        assert found["Servers", "raw"]["status"] == "skip"

    def test_a_wrong_configuration(self, raw, tmp_path):
        file = tmp_path / "wrong.conf"
        file.write_text("[Cache]\nMaxEntries=many\nFrob=1\n")
        found = Diagnosis(raw("doctor", "--json", "--config", file, STATE_DIRECTORY=str(raw.one.state)))
        assert found.status == 1 and found["Configuration", "Files"]["status"] == "fail"
        assert "wrong.conf:2" in found["Configuration", "Files"]["message"]

    def test_a_database_that_is_gone(self, control, postgres, doctor):
        ctl = control({"Database": {"URL": postgres.url}})
        assert doctor(ctl)["Daemon", "Database"]["message"] == "postgresql"
        postgres.stop()
        ctl.one.logged("database is not available", within=30)
        found = doctor(ctl)
        assert found.status == 1 and found["Daemon", "Database"]["status"] == "fail"
        postgres.restart()

    def test_redis(self, control, redis, doctor):
        ctl = control({"Redis": {"URL": redis.url}})
        found = doctor(ctl)
        assert found["Daemon", "Redis"]["status"] == "ok", found["Daemon", "Redis"]

    def test_a_socket_for_everybody(self, raw, doctor):
        (raw.one.runtime / "admin.sock").chmod(0o666)
        found = doctor(raw)
        assert found.status == 1 and "everybody" in found["Sockets", "Administration"]["message"]

    def test_the_shared_segment_is_read_where_its_reader_is_installed(self, control, doctor, cache_tools):
        path = f"{cache_tools}:/usr/bin:/bin"
        mine = control({"Cache": {"SameUser": "yes"}})
        assert "its segment can be read" in doctor(mine, PATH=path)["Sockets", "Shared cache"]["message"]
        strict = control({"Cache": {"SameUser": "no"}})
        found = doctor(strict, PATH=path)["Sockets", "Shared cache"]
        assert found["status"] == "warn" and "omni2-cache" in found["advice"]

    def test_another_host_is_not_looked_into(self, raw):
        ended = run("doctor", "--json", "--host", raw.one.url, OMNI2_TOKEN=raw.one.token)
        found = Diagnosis(ended)
        assert found.status == 0 and {area for area, _ in found.checks} == {"Daemon", "Servers"}
        ended = run("doctor", "--json", "--host", raw.one.url, OMNI2_TOKEN="wrong" * 8)
        assert ended.returncode == 1 and "does not know this token" in ended.stdout

    @pytest.fixture
    def systemd(self, tmp_path):
        """Runs doctor where systemd seems to be, and its systemctl says what it is told to."""
        folder = tmp_path / "bin"
        folder.mkdir()
        (folder / "systemctl").write_text(
            '#!/bin/sh\ncase "$1" in list-units) cat "$0.failed"; exit 0;; esac\ncat "$0.$2" 2>/dev/null || cat "$0.other"\n')
        (folder / "systemctl").chmod(0o755)

        def run_doctor(failed: str = "", **units: dict) -> Diagnosis:
            (folder / "systemctl.failed").write_text(failed)
            said = {"other": {"LoadState": "loaded", "ActiveState": "active", "UnitFileState": "enabled"},
                    **{f"omni2-native{name.replace('_', '-')}": value for name, value in units.items() if name != "other"}}
            said |= {"other": units["other"]} if "other" in units else {}
            for name, facts in said.items():
                unit = name if name == "other" else f"{name.replace('-socket', '.socket').replace('-service', '.service')}"
                (folder / f"systemctl.{unit}").write_text("".join(f"{key}={value}\n" for key, value in facts.items()))
            text = ('mount -t tmpfs none /run && mkdir -p /run/systemd/system && exec "$0" doctor --json')
            return Diagnosis(subprocess.run(
                ["unshare", "--mount", "/bin/sh", "-c", text, PROGRAM], capture_output=True, text=True, timeout=60,
                env={"PATH": f"{folder}:/usr/sbin:/usr/bin:/sbin:/bin", "RUNTIME_DIRECTORY": str(tmp_path),
                     "STATE_DIRECTORY": str(tmp_path)}))

        return run_doctor

    def test_units_that_are_fine(self, systemd):
        found = systemd()
        names = ["omni2-native.service", "omni2-native.socket", "omni2-native-admin.socket", "omni2-native-cache.socket"]
        assert [found["systemd", name]["status"] for name in names] == ["ok"] * 4

    def test_units_that_are_not(self, systemd):
        found = systemd(
            failed="omni2-mcp@docs.service loaded failed failed A server\n",
            _service={"LoadState": "loaded", "ActiveState": "failed", "Result": "exit-code"},
            _socket={"LoadState": "loaded", "ActiveState": "inactive", "UnitFileState": "disabled"},
            _admin_socket={"LoadState": "loaded", "ActiveState": "active", "UnitFileState": "disabled"},
            _cache_socket={"LoadState": "not-found", "ActiveState": "inactive"})
        service = found["systemd", "omni2-native.service"]
        assert service["status"] == "fail" and "exit-code" in service["message"] and "journalctl" in service["advice"]
        assert found["systemd", "omni2-native.socket"]["advice"] == "systemctl enable --now omni2-native.socket"
        admin = found["systemd", "omni2-native-admin.socket"]
        assert admin["status"] == "warn" and admin["advice"] == "systemctl enable omni2-native-admin.socket"
        assert found["systemd", "omni2-native-cache.socket"]["status"] == "warn"
        assert found["systemd", "omni2-mcp@docs.service"]["status"] == "fail"

    def test_units_that_are_not_installed(self, systemd):
        found = systemd(other={"LoadState": "not-found", "ActiveState": "inactive"})
        assert found["systemd", "Units"]["status"] == "warn" and "make install" in found["systemd", "Units"]["advice"]

    def test_a_file_that_is_not_there(self, raw):
        found = Diagnosis(raw("doctor", "--json", "--config", "/nowhere"))
        assert "/nowhere" in found["Configuration", "Files"]["message"] and found.status == 1
