"""A real Debian host to test on: systemd as process 1, journald, dpkg, booted in half a second.

A root file system is built once by mmdebstrap from the machine's own package sources and cached.
Each Host boots it under a throw-away overlay in systemd-nspawn and is gone with its `with` block, or
with this process, however that ends. It needs root and the packages systemd-container and mmdebstrap.

What nspawn needs beyond its defaults, so that hardening acts as on a bare machine: a cgroup2 tree
inside even where the machine is hybrid, a cgroup of its own to start in, no registration with an
outer service manager, and neither its capability bound nor its system call filter, which would hide
what the unit's own do. It is a test fixture, not a security boundary.
"""
import contextlib
import ctypes
import fcntl
import hashlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

CACHE = Path(os.environ.get("OMNI2_HOST_CACHE", "/var/cache/omni2-native-tests"))
PACKAGES = """systemd systemd-sysv dbus libpam-systemd libnss-systemd adduser ca-certificates iproute2
procps curl python3 netcat-openbsd less libcurl4 libhiredis0.14 libpq5 libsqlite3-0 libssl3 liburing2 tzdata
zlib1g""".split()
# Further packages that lie in layers of their own, made once and kept beside the root.
LAYERS = {"postgresql": ["postgresql-15"], "tools": ["strace", "sqlite3"],
          "proxies": ["nginx-light", "caddy"]}
# Units that would do background work, or touch the outer kernel, during a test.
MASKED = """apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer
e2scrub_reap.service fstrim.timer systemd-modules-load.service sys-kernel-debug.mount
sys-kernel-tracing.mount sys-kernel-config.mount dev-hugepages.mount
sys-fs-fuse-connections.mount""".split()
# Everything but what could alter the machine's clock, modules or ports.
DROPPED = "CAP_SYS_TIME,CAP_SYS_MODULE,CAP_SYS_RAWIO,CAP_MAC_ADMIN,CAP_MAC_OVERRIDE"
ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8",
    "SYSTEMD_PAGER": "cat", "SYSTEMD_COLORS": "0", "DEBIAN_FRONTEND": "noninteractive",
}


def machine_lacks():
    """What is missing on this machine, or None."""
    if os.geteuid() != 0:
        return "root"
    packages = {"systemd-nspawn": "systemd-container", "mmdebstrap": "mmdebstrap",
                "ip": "iproute2", "lintian": "lintian", "systemd-analyze": "systemd",
                "dpkg-buildpackage": "dpkg-dev", "dh": "debhelper"}
    missing = [package for tool, package in packages.items() if not shutil.which(tool)]
    return "the packages " + " ".join(missing) if missing else None


# The root file system

def make_root_file_system(directory):
    """Builds it below the directory, unless what is there was made from the same recipe."""
    directory.mkdir(parents=True, exist_ok=True)
    with open(directory / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        sources, options = package_sources(), package_options()
        recipe = json.dumps([PACKAGES, MASKED, options, [Path(s).read_text() for s in sources]])
        mark = hashlib.sha256(recipe.encode()).hexdigest()[:16]
        root = directory / f"root-{mark}"
        if root.is_dir():
            os.utime(root)
            return root
        remove_unused(directory, "root-*")
        building = directory / f"root-{mark}.new"
        shutil.rmtree(building, ignore_errors=True)
        subprocess.run(
            ["mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", "--format=directory",
             "--skip=cleanup/apt/lists", "--include=" + ",".join(PACKAGES),
             *("--aptopt=" + option for option in options),
             "--customize-hook=for unit in %s; do ln -sf /dev/null $1/etc/systemd/system/$unit; done"
             % " ".join(MASKED),
             "--customize-hook=rm -f $1/etc/hostname $1/etc/resolv.conf; : >$1/etc/machine-id",
             "--customize-hook=printf '127.0.0.1 localhost\\n::1 localhost\\n' >$1/etc/hosts",
             "--customize-hook=mkdir -p $1/var/log/journal",
             release(), building, *sources],
            check=True, stdin=subprocess.DEVNULL, timeout=900)
        building.rename(root)
        return root


def remove_unused(directory, pattern):
    """Those that no run has used for three days: another checkout may be at work with its own."""
    for old in directory.glob(pattern):
        if time.time() - old.stat().st_mtime > 3 * 86_400:
            shutil.rmtree(old)


def make_layer(directory, root, name):
    """A layer to put over the root file system, with the packages of LAYERS[name] installed."""
    with open(directory / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        mark = hashlib.sha256(f"{root.name} {LAYERS[name]}".encode()).hexdigest()[:16]
        layer = directory / f"layer-{name}-{mark}"
        if layer.is_dir():
            os.utime(layer)
            return layer
        remove_unused(directory, f"layer-{name}-*")
        building = directory / f"layer-{name}-{mark}.new"
        shutil.rmtree(building, ignore_errors=True)
        building.mkdir()
        with Host(root, network="host", keep=building) as host:
            # The machine's ports are shared here: whatever listens would collide.
            host.run("printf '#!/bin/sh\\nexit 101\\n' >/usr/sbin/policy-rc.d; "
                     "chmod +x /usr/sbin/policy-rc.d")
            host.run("apt-get install --yes --quiet=2 --no-install-recommends "
                     + " ".join(LAYERS[name]), timeout=400)
            host.run("rm /usr/sbin/policy-rc.d; apt-get clean")
        building.rename(layer)
        return layer


def release():
    return re.search(r"^VERSION_CODENAME=(.*)$", Path("/etc/os-release").read_text(), re.M).group(1)


def package_sources():
    """The machine's own enabled sources of its release, signed by Debian."""
    places = [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))]
    found = []
    for place in places:
        if not place.is_file() or place.suffix not in (".list", ".sources"):
            continue
        text = "\n".join(x for x in place.read_text().splitlines() if not x.lstrip().startswith("#"))
        signed = re.search(r"signed-by[:=]\s*(\S+)", text, re.I)
        foreign = signed and "debian-archive" not in signed.group(1)
        if re.search(rf"\b{release()}\b", text) and not foreign:
            found.append(str(place))
    return found


def package_options():
    """How the machine's apt reaches its mirror."""
    wanted = re.compile(r"Acquire::(https?|Check-|ForceIPv|Retries|AllowInsecure)", re.I)
    text = subprocess.run(["apt-config", "dump", "--format", '%F "%v";%n'], check=True,
                          capture_output=True, text=True).stdout
    return [x for x in text.splitlines() if wanted.match(x) and '""' not in x] + [
        'APT::Install-Recommends "false";', 'Dpkg::Use-Pty "0";']


# One host

class Host:
    """A booted host, from entering the `with` block to leaving it.

    layers: directories of the file system, the lowest first. network: "private" (an address of its
    own that this machine reaches, nothing else), or "host" (this machine's, for installing packages).
    enforces_memory: memory limits act inside, at the price of what only cgroup2 can do, where this
    machine has its memory controller in the older hierarchy.
    keep: a directory that receives what the host wrote, to serve as the top layer of others.
    """

    def __init__(self, layers, network="private", keep=None, enforces_memory=False):
        self.layers = [Path(x) for x in (layers if isinstance(layers, list) else [layers])]
        self.network = network
        self.keep = keep
        self.is_hybrid = enforces_memory and not has_unified_memory()
        self.address = None
        self.name = None
        self.process = None
        self.leader = None
        self.cgroups = []

    def __enter__(self):
        self.directory = Path(tempfile.mkdtemp(prefix="omni2-host-"))
        self.name = "h" + self.directory.name.rsplit("-", 1)[1].lower().replace("_", "0")
        try:
            self.boot()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *_):
        if self.keep and self.leader:
            # An orderly end, so that what was written is whole.
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.leader, signal.SIGRTMIN + 4)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(20)
        if self.process and self.process.poll() is None:
            # Process 1 of a namespace takes all others along.
            with contextlib.suppress(ProcessLookupError, TypeError):
                os.kill(self.leader, signal.SIGKILL)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(5)
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for cgroup in self.cgroups:
            remove_cgroup(cgroup)
        if self.keep:
            for entry in (self.directory / "upper").iterdir():
                shutil.move(entry, Path(self.keep) / entry.name)
        shutil.rmtree(self.directory, ignore_errors=True)

    def boot(self):
        upper, work, root = (self.directory / x for x in ("upper", "work", "root"))
        for directory in (upper, work, root):
            directory.mkdir()
        lower = ":".join(str(x) for x in reversed(self.layers))
        command = ["systemd-nspawn", "--quiet", f"--directory={root}",
                   f"--machine={self.name}", f"--hostname={self.name}", "--register=no",
                   "--keep-unit", "--console=pipe", "--link-journal=no", "--timezone=off",
                   "--resolv-conf=" + ("copy-host" if self.network == "host" else "off"),
                   "--capability=all", f"--drop-capability={DROPPED}", "--system-call-filter=@known",
                   "--kill-signal=SIGRTMIN+4"]
        environment = dict(
            os.environ, SYSTEMD_NSPAWN_UNIFIED_HIERARCHY="0" if self.is_hybrid else "1")
        if self.network == "private":
            command.append("--private-network")
            environment["SYSTEMD_NSPAWN_API_VFS_WRITABLE"] = "network"
        if self.is_hybrid:
            (upper / "init-with-controllers").write_text(INIT_WITH_CONTROLLERS)
            (upper / "init-with-controllers").chmod(0o755)
            command.append("/init-with-controllers")
        else:
            command.insert(1, "--boot")
        # The mounts are in a namespace of their own and end with it.
        script = (f"mount -t overlay overlay -o lowerdir={lower},upperdir={upper},workdir={work} {root}"
                  " && mkdir -p /run/systemd/nspawn && mount -t tmpfs tmpfs /run/systemd/nspawn"
                  f" && exec {shlex.join(command)}")
        self.cgroups = [place / f"omni2-{self.name}" for place in own_cgroups(self.is_hybrid)]
        self.console = open(self.directory / "console", "w+")
        self.process = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "slave", "sh", "-c", script],
            stdin=subprocess.DEVNULL, stdout=self.console, stderr=self.console, env=environment,
            cwd="/", preexec_fn=self.before_boot)
        self.leader = self.wait_for(lambda: namespace_init(self.process.pid), 20, "no process 1")
        if self.network == "private":
            self.connect()
        self.wait_for(self.has_booted, 60, "not booted")

    def before_boot(self):
        # Never outlive this process.
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
        for cgroup in self.cgroups:
            cgroup.mkdir(exist_ok=True)
            for knob in ("cpuset.cpus", "cpuset.mems"):
                # A new one of the older hierarchy is empty and takes nobody.
                if (cgroup / knob).exists() and not (cgroup / knob).read_text().strip():
                    (cgroup / knob).write_text((cgroup.parent / knob).read_text())
            (cgroup / "cgroup.procs").write_text("0")

    def has_booted(self):
        state = self.run("systemctl is-system-running", check=False).stdout.strip()
        return state in ("running", "degraded")

    def wait_for(self, condition, seconds, complaint):
        """Asks until the answer is true; nothing announces these events across the border."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.process.poll() is not None:
                break
            answer = condition()
            if answer:
                return answer
            time.sleep(0.03)
        raise AssertionError(f"{complaint}: {(self.directory / 'console').read_text()[-2000:]}")

    def connect(self):
        """A pair of interfaces, an address on either side."""
        with open("/tmp/omni2-host-network.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            used = subprocess.run(["ip", "-o", "-4", "addr"], check=True, capture_output=True,
                                  text=True).stdout
            number = next(n for n in range(4096) if f" {addresses(n)[0]}/" not in used)
            ours, self.address = addresses(number)
            pid = str(self.leader)
            inside = ["nsenter", "-t", pid, "-n"]
            for step in (["ip", "link", "add", f"omni2h{number}", "type", "veth", "peer", "name",
                          "host0", "netns", pid],
                         ["ip", "addr", "add", f"{ours}/30", "dev", f"omni2h{number}"],
                         ["ip", "link", "set", f"omni2h{number}", "up"],
                         [*inside, "ip", "addr", "add", f"{self.address}/30", "dev", "host0"],
                         [*inside, "ip", "link", "set", "host0", "up"]):
                subprocess.run(step, check=True)

    # What tests do with it

    def run(self, script, check=True, timeout=60, user=None):
        """Runs a shell script inside and returns the completed process, output as text."""
        command = ["nsenter", "--target", str(self.leader), "--mount", "--uts", "--ipc", "--net",
                   "--pid", "--cgroup", "--root", "--wd", "--"]
        if user:
            command += ["runuser", "-u", user, "--"]
        done = subprocess.run([*command, "sh", "-c", script], env=ENVIRONMENT, text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout,
                              preexec_fn=self.join)
        if check and done.returncode != 0:
            raise AssertionError(f"{script}: status {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def join(self):
        """Into a cgroup below the host's own, so that its journal knows who speaks."""
        for cgroup in self.cgroups:
            payload = cgroup / "payload"
            if (payload / "init.scope").is_dir():
                (payload / "tests").mkdir(exist_ok=True)
                (payload / "tests" / "cgroup.procs").write_text("0")

    def out(self, script, **options):
        return self.run(script, **options).stdout.strip()

    def path(self, path):
        """A path of the host as this machine sees it."""
        return Path(f"/proc/{self.leader}/root{path}")

    def write(self, path, text, mode=0o644):
        place = self.path(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        place.chmod(mode)

    def install(self, packages):
        target = self.path("/root/packages")
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(packages, target, ignore=lambda _, names: [x for x in names if "dbgsym" in x])
        return self.run("apt-get install --yes --quiet=2 --no-install-recommends --reinstall "
                        "-o Dpkg::Options::=--force-confold /root/packages/*.deb", timeout=300).stdout

    def copy(self, source, target):
        """A directory of this machine, as root's."""
        shutil.copytree(source, self.path(target), symlinks=True, dirs_exist_ok=True)
        self.run(f"chown -R root:root {target}")

    def journal(self, *matches):
        """Records as dictionaries, oldest first."""
        text = self.out("journalctl --sync; journalctl --quiet --no-pager -o json "
                        + shlex.join(matches))
        return [json.loads(line) for line in text.splitlines()]

    def property(self, unit, name):
        return self.out(f"systemctl show --value -p {name} {unit}")


def namespace_init(pid):
    """The process below `pid` that is number 1 of its namespace."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError, IndexError):
            stat = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            if int(stat[1]) != pid:
                continue
            ids = re.search(r"^NSpid:(.*)$", (entry / "status").read_text(), re.M).group(1).split()
            if len(ids) > 1 and ids[-1] == "1":
                return int(entry.name)
    return None


def addresses(number):
    base = f"10.214.{number // 64}."
    return base + str(number % 64 * 4 + 1), base + str(number % 64 * 4 + 2)


# Stands before systemd where the older hierarchies are used: nspawn mounts them read-only.
INIT_WITH_CONTROLLERS = """#!/bin/sh
for controller in memory pids cpu cpuacct devices blkio freezer; do
    [ -d /sys/fs/cgroup/$controller ] &&
        mount -o remount,bind,rw,nosuid,nodev,noexec /sys/fs/cgroup/$controller
done
exec /lib/systemd/systemd "$@"
"""


def cgroup_mounts():
    """Where each hierarchy is mounted, by its controllers; "" is cgroup2."""
    mounts = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, right = line.split(" - ", 1)
        kind, _, options = right.split(" ", 2)
        if kind == "cgroup2":
            mounts.setdefault("", left.split()[4])
        elif kind == "cgroup":
            own = [x for x in options.split(",") if x not in ("rw", "xattr", "clone_children")]
            mounts.setdefault(",".join(own), left.split()[4])
    return {name: Path(place) for name, place in mounts.items()}


def has_unified_memory():
    place = cgroup_mounts().get("")
    return place and "memory" in (place / "cgroup.controllers").read_text().split()


def own_cgroups(with_controllers):
    """Below which cgroups a host gets its own: cgroup2 and, on a hybrid machine, systemd's own
    hierarchy; with_controllers: those of the older kind, too, where this process is itself."""
    own = {}
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        own[controllers] = path.lstrip("/")
    places = []
    for name, mount in cgroup_mounts().items():
        if name in ("", "name=systemd"):
            places.append(mount)
        elif with_controllers:
            places.append(mount / own.get(name, ""))
    return places


def remove_cgroup(cgroup):
    end = time.monotonic() + 5
    with contextlib.suppress(OSError):
        (cgroup / "cgroup.kill").write_text("1")
    while cgroup.is_dir() and time.monotonic() < end:
        for directory, _, _ in os.walk(cgroup, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(directory)
        time.sleep(0.02)
