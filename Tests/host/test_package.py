"""The package on a host with nothing else of ours: comes, works at once, goes without a trace."""
import re
import subprocess
from pathlib import Path

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
    times = []
    for _ in range(5):
        host.run("systemctl stop omni2-native.service", check=False)
        status, seconds = host.out(
            "curl -s -o /dev/null -w '%{http_code} %{time_total}' http://127.0.0.1:8090/health/live"
        ).split()
        assert status == "200"
        times.append(float(seconds))
    # The best of them is ours; what else runs on this machine is in the others.
    assert min(times) < 0.3, times
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


def test_records_of_the_coordinator_have_their_fields(host):
    host.run("omni2ctl mcp add gone --url http://127.0.0.1:9/mcp")
    host.wait_for(lambda: any(x.get("MCP") == "gone" for x in host.journal("SERVICE=Coordinator")), 20,
                  "the coordinator has not spoken")
    record = next(x for x in host.journal("SERVICE=Coordinator") if x.get("MCP") == "gone")
    for field in ("PRIORITY", "MESSAGE", "MESSAGE_ID", "CODE_FILE", "CODE_LINE", "ERROR"):
        assert record.get(field), field
    assert record["SYSLOG_IDENTIFIER"] == "omni2-native"
    assert record["_SYSTEMD_UNIT"] == "omni2-native.service"
    assert "Coordinator" in host.out("journalctl -F SERVICE").split()


def test_level_changes_while_running(host):
    """systemctl asks over the bus: org.freedesktop.LogControl1."""
    host.run("curl -s http://127.0.0.1:8090/health/live")
    host.wait_for(lambda: host.run("systemctl service-log-level omni2-native.service",
                                   check=False).stdout.strip() == "info", 10, "not on the bus")
    host.run("systemctl service-log-level omni2-native.service debug")
    assert host.out("systemctl service-log-level omni2-native.service") == "debug"
    assert host.out("systemctl service-log-target omni2-native.service") == "journal"
    host.run("curl -s http://127.0.0.1:8090/health/live")
    host.run("systemctl service-log-level omni2-native.service info")
    said = [x["MESSAGE"] for x in host.journal("SERVICE=Main")]
    assert any(x.startswith("[Log] Level= is debug now, was info") for x in said)
    host.run("useradd stranger")
    command = ("busctl set-property org.omni2.Native1 /org/freedesktop/LogControl1 "
               "org.freedesktop.LogControl1 LogLevel s debug")
    assert host.run(command, check=False, user="stranger").returncode != 0
    assert host.out("systemctl service-log-level omni2-native.service") == "info"


def test_memory_pressure_is_watched(host):
    host.write("/etc/omni2/omni2.conf.d/test.conf", "[Log]\nLevel=debug\n")
    host.run("curl -s http://127.0.0.1:8090/health/live")
    said = [x for x in host.journal("SERVICE=Main") if x["MESSAGE"] == "watching memory pressure"]
    assert [x["FILE"] for x in said] == [
        "/sys/fs/cgroup/omni2.slice/omni2-native.service/memory.pressure"]


def test_siblings_read_the_cache(host):
    """The tool, the library and the Python module of the packages, against the running daemon."""
    host.write("/opt/eater/eater.py", (Path(__file__).parent / "eater.py").read_text(), mode=0o755)
    host.run("omni2ctl mcp add eater --command /opt/eater/eater.py --cache-policy listed "
             "--cache-tools who --scope shared")
    host.wait_for(lambda: host.run("omni2ctl mcp check eater", check=False).returncode == 0, 20,
                  "the server is not there")
    pid = host.out("omni2ctl tools call eater who")
    host.run("useradd -G omni2-cache sibling; useradd stranger")
    read = host.run("omni2-cache get eater who '{}'", user="sibling").stdout
    assert pid in read
    assert host.run("omni2-cache get eater who '{}'", user="stranger", check=False).returncode == 3
    host.write("/opt/read.py", "from omni2cache import Cache\n"
               "print(Cache().get('eater', 'who', {}).decode())\n")
    assert host.run("python3 /opt/read.py", user="sibling").stdout.strip() == read.strip()
    assert host.out("ldconfig -p | grep -c libomni2cache.so.0") == "1"
    assert host.out("grep -h ^Libs /usr/lib/*/pkgconfig/omni2cache.pc") == "Libs: -L${libdir} -lomni2cache"


def test_manual_pages_exist(host):
    for page in ("man8/omni2-native.8", "man5/omni2.conf.5", "man1/omni2ctl.1", "man7/omni2-cache.7",
                 "man1/omni2-cache.1"):
        assert host.path(f"/usr/share/man/{page}.gz").is_file()


def test_units_are_without_complaint(host):
    units = " ".join(["omni2-native.service", *SOCKETS, "omni2-mcp@x.service", "omni2-mcp@x.socket"])
    done = host.run(f"systemd-analyze verify --man=no {units}", check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_binaries_need_debian_libraries_only(host):
    assert host.run("command -v swift", check=False).returncode != 0
    for binary in ("omni2-native", "omni2ctl", "omni2-cache"):
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
        host.run("omni2ctl mcp add cat --command /bin/cat; omni2ctl cache stats")
        host.run("rm -r /etc/systemd/system/omni2-native.socket.d")
        host.run("apt-get purge --yes --quiet=2 omni2-native libomni2cache0 libomni2cache-dev "
                 "python3-omni2cache", timeout=120)
        host.run("rm -rf /root/packages")
        assert files(host) - before == set()
        assert host.out("systemctl list-unit-files --no-legend | awk '{print $1}'") == units
        assert host.out("pgrep -c omni2 || true") == "0"
        assert host.out("getent passwd omni2; getent group omni2 omni2-admin omni2-cache; true") == ""
        loaded = host.out("systemctl list-units --all --plain --no-legend").splitlines()
        assert [x for x in loaded if "omni2" in x] == []
        assert host.out("ls /dev/shm") == ""


def test_lintian_has_no_error_and_no_warning(packages):
    debs = [x for x in packages.glob("*.deb") if "dbgsym" not in x.name]
    done = subprocess.run(["lintian", "--fail-on", "error,warning", *debs], capture_output=True,
                          text=True)
    assert done.returncode == 0, done.stdout
