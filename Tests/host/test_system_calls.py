"""The unit's system call filter is what a working daemon uses, and what the table below explains."""
import importlib.machinery
import importlib.util
import re
from pathlib import Path

from host import Host

ROOT = Path(__file__).resolve().parents[2]
SERVICE = "omni2-native.service"

# Allowed, and not used by the life below: who uses it.
OTHERS = {
    "PostgreSQL, TLS and name resolution": "getpeername getsockname getsockopt poll ppoll recvfrom "
        "recvmsg recvmmsg sendto sendmmsg socketpair uname sysinfo access readv writev pipe2",
    "the database file and what is written beside it": "fallocate fdatasync fsync ftruncate link "
        "mkdir pread64 pwrite64 rename renameat2 unlink unlinkat fchmod lseek getcwd readlink "
        "readlinkat getdents64 statfs fstatfs flock",
    "memory, threads and signals of the run time": "brk clone clone3 madvise mremap prctl rt_sigaction "
        "rt_sigprocmask rt_sigtimedwait sigaltstack tgkill gettid exit_group mincore sched_getaffinity "
        "sched_setaffinity sched_getparam sched_getscheduler",
    "the same by another name on other kernels and libraries": "fstat stat lstat newfstatat statx "
        "open openat faccessat faccessat2 eventfd signalfd pipe epoll_create epoll_pwait epoll_wait "
        "select pselect6 accept dup dup3",
    "figures about itself": "getrusage",
    "sockets of its own, where the unit passes none": "bind listen chmod",
    "a large journal record, the cache": "memfd_create",
    "sd-bus": "sendmsg getrandom",
}


def tool():
    loader = importlib.machinery.SourceFileLoader("system_calls", str(ROOT / "tools/system-calls"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("system_calls", loader))
    loader.exec_module(module)
    return module


def allowed():
    unit = (ROOT / "systemd/omni2-native.service").read_text()
    names = " ".join(re.findall(r"^SystemCallFilter=(.*)$", unit, re.M)).split()
    assert not [x for x in names if x.startswith(("@", "~"))], "the list names each call"
    return set(names)


def life(host):
    """Everything the gateway does in an ordinary day, once."""
    host.write("/opt/eater/eater.py", (Path(__file__).parent / "eater.py").read_text(), mode=0o755)
    host.run("curl -s http://127.0.0.1:8090/health; curl -s http://127.0.0.1:8090/nothing")
    host.run("omni2ctl mcp add eater --command /opt/eater/eater.py --cache-policy listed "
             "--cache-tools who --scope shared")
    host.run("omni2ctl mcp add gone --url https://localhost:9/mcp")
    host.wait_for(lambda: host.run("omni2ctl tools call eater who", check=False).returncode == 0, 60,
                  "no server")
    host.run("omni2ctl status; omni2-cache get eater who '{}'; omni2ctl cache invalidate")
    host.write("/etc/omni2/omni2.conf.d/life.conf", "[Log]\nLevel=debug\n")
    pid = host.property(SERVICE, "MainPID")
    host.run(f"kill -HUP {pid}")
    host.run(f"systemctl service-log-level {SERVICE} info")
    host.run("curl -s -N --max-time 2 -H 'Upgrade: websocket' -H 'Connection: Upgrade' "
             "-H 'Sec-WebSocket-Version: 13' -H 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==' "
             "http://127.0.0.1:8090/ws", check=False)
    host.run("omni2ctl mcp remove eater; omni2ctl mcp remove gone")
    host.run(f"systemctl stop {SERVICE}", timeout=90)


def test_filter_is_what_a_life_needs(root_file_system, tools_layer, packages):
    with Host([root_file_system, tools_layer]) as host:
        host.install(packages)
        host.run(f"systemctl stop {SERVICE}")
        # Watched with strace, which the sandbox would not let be started.
        host.write(f"/etc/systemd/system/{SERVICE}.d/traced.conf", """[Service]
SystemCallFilter=
NoExecPaths=
ExecPaths=
WatchdogSec=0
TimeoutStartSec=120
ExecStart=
ExecStart=/usr/bin/strace -D -f -qq -s 0 -o /var/lib/omni2/trace /usr/bin/omni2-native
""")
        host.run("systemctl daemon-reload")
        life(host)
        trace = host.path("/var/lib/omni2/trace").read_text(errors="replace")
    # Until it executes the daemon it is strace that is seen.
    begin = trace.index("omni2-native") if "execve" in trace else 0
    calls = tool()
    used = calls.made(trace[begin:].splitlines()[1:]) - calls.always_allowed()
    explained = set(" ".join(OTHERS.values()).split())
    assert len(used) > 30, sorted(used)
    assert used - allowed() == set(), "used, and not allowed"
    assert allowed() - used - explained == set(), "allowed, and neither used nor explained"
    for name in ("execve", "execveat", "fork", "vfork", "ptrace", "mount", "setuid", "keyctl", "bpf"):
        assert name not in allowed()


def test_the_same_life_within_the_filter(host):
    life(host)
    assert host.property(SERVICE, "Result") == "success"
    refused = [x for x in host.journal("_SYSTEMD_UNIT=" + SERVICE)
               if "not permitted" in x["MESSAGE"].lower() or x.get("ERROR", "").startswith("EPERM")]
    assert refused == []
