"""The package on a host with nothing else of ours: comes, works at once, goes without a trace."""
import re
import subprocess

import pytest

SOCKETS = ["omni2-native.socket", "omni2-native-admin.socket", "omni2-native-cache.socket"]
PLACES = ["/etc", "/usr", "/lib", "/var", "/run/omni2", "/run/omni2-native", "/run/systemd/system",
          "/dev/shm"]
# What dpkg, apt and systemd keep for themselves, whatever is installed.
IGNORED = re.compile(
    r"/var/(log|cache|lib/(dpkg|apt|systemd)|tmp)\b|/etc/(passwd|group|shadow|gshadow|subuid|subgid)-?$"
    r"|/etc/ld\.so\.cache|/usr/lib/python3|/lib/python3")


def files(host):
    found = host.out(f"find {' '.join(PLACES)} -xdev 2>/dev/null; true").splitlines()
    return {x for x in found if not IGNORED.search(x)}


def test_first_request_starts_the_daemon(host):
    for socket in SOCKETS:
        assert host.property(socket, "ActiveState") == "active"
    assert host.property("omni2-native.service", "ActiveState") == "inactive"
    status, seconds = host.out(
        "curl -s -o /dev/null -w '%{http_code} %{time_total}' http://127.0.0.1:8090/health/live"
    ).split()
    assert status == "200"
    assert float(seconds) < 2, "the target on a quiet machine is 0.3"
    assert host.property("omni2-native.service", "ActiveState") == "active"
    assert host.property("omni2-native.service", "StatusText") != ""


def test_daemon_runs_as_its_own_user_without_capabilities(host):
    host.run("curl -s http://127.0.0.1:8090/health/live")
    pid = host.property("omni2-native.service", "MainPID")
    status = host.path(f"/proc/{pid}/status").read_text()
    assert re.search(r"^CapBnd:\s+0+$", status, re.M)
    assert re.search(r"^NoNewPrivs:\s+1$", status, re.M)
    assert re.search(r"^Seccomp:\s+2$", status, re.M)
    assert host.out(f"stat -c %U /proc/{pid}") == "omni2"


def test_admin_socket_is_for_its_group_alone(host):
    request = "curl -s -o /dev/null -w '%{http_code}' --unix-socket /run/omni2/admin.sock http://localhost/health/live"
    host.run("useradd stranger; useradd -G omni2-admin admin")
    assert host.out(request) == "200"
    assert host.out(request, user="admin") == "200"
    assert host.run(request, user="stranger", check=False).stdout == "000"


def test_records_carry_their_service(host):
    host.run("curl -s http://127.0.0.1:8090/health/live")
    records = host.journal("SERVICE=Main")
    assert records and all(x["SYSLOG_IDENTIFIER"] == "omni2-native" for x in records)
    assert all(x["_SYSTEMD_UNIT"] == "omni2-native.service" for x in records)
    explained = host.out("journalctl --sync; journalctl -x -u omni2-native --no-pager")
    assert "Consequence:" in explained


def test_units_are_without_complaint(host):
    units = " ".join(["omni2-native.service", *SOCKETS, "omni2-mcp@x.service", "omni2-mcp@x.socket"])
    done = host.run(f"systemd-analyze verify --man=no {units}", check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_binaries_need_debian_libraries_only(host):
    for binary in ("omni2-native", "omni2ctl"):
        listed = host.out(f"ldd /usr/bin/{binary}")
        assert "not found" not in listed and "swift" not in listed


def test_purge_leaves_nothing(root_file_system, packages):
    from host import Host
    with Host(root_file_system, network="host") as host:
        before = files(host)
        units = host.out("systemctl list-unit-files --no-legend | awk '{print $1}'")
        host.install(packages)
        # The machine's network is shared here, and so would be the port.
        host.write("/etc/systemd/system/omni2-native.socket.d/port.conf",
                   "[Socket]\nListenStream=\nListenStream=/run/omni2/http.sock\n")
        host.run("systemctl daemon-reload; systemctl restart omni2-native.socket")
        host.run("curl -sf --unix-socket /run/omni2/http.sock http://localhost/health/live")
        host.run("rm -r /etc/systemd/system/omni2-native.socket.d")
        host.run("apt-get purge --yes --quiet=2 omni2-native; apt-get autoremove --yes --quiet=2 --purge",
                 timeout=120)
        host.run("rm -rf /root/packages")
        assert files(host) - before == set()
        assert host.out("systemctl list-unit-files --no-legend | awk '{print $1}'") == units
        assert host.out("pgrep -c omni2-native || true") == "0"


@pytest.mark.skipif(subprocess.run(["which", "lintian"], capture_output=True).returncode != 0,
                    reason="no lintian here")
def test_lintian_has_no_error_and_no_warning(packages):
    debs = [x for x in packages.glob("*.deb") if "dbgsym" not in x.name]
    done = subprocess.run(["lintian", "--fail-on", "error,warning", *debs], capture_output=True,
                          text=True, preexec_fn=None)
    assert done.returncode == 0, done.stdout
