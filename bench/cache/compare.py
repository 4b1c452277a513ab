"""Runs every backend and prints one table; see `run`."""

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

BENCH, WRITER = sys.argv[1], sys.argv[2]
HERE = os.path.dirname(os.path.abspath(__file__))
SIZES = [(1000, 200), (1000, 4096), (100_000, 200), (100_000, 4096), (1_000_000, 200),
         (1_000_000, 4096)]
if os.environ.get("SIZES"):
    SIZES = [tuple(map(int, size.split("x"))) for size in os.environ["SIZES"].split()]
elif os.environ.get("QUICK"):
    SIZES = [(1000, 200), (1000, 4096), (100_000, 200)]
# Each of these holds the whole set in memory; 4 GiB sets are for the file-like ones only.
SMALL_ONLY = {"sqlite": 1 << 30, "dict": 1 << 29}


def parse(text):
    return {words[0]: (float(words[1]), int(words[2]) if len(words) > 2 else 0)
            for words in (line.split() for line in text.splitlines()) if len(words) > 1}


def run(*words, **options):
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, **options)
    if done.returncode != 0:
        print(f"{words}: {done.stderr.strip()}", file=sys.stderr)
    return done.stdout


def high(end):
    """The same socket on a descriptor that leaves 3 free."""
    moved = socket.socket(fileno=fcntl.fcntl(end.fileno(), fcntl.F_DUPFD, 20))
    end.close()
    return moved


def shared_memory(entries, size, *mode):
    """A writer process fills a segment and hands it over; with "churn" it goes on writing."""
    ours, theirs = (high(end) for end in
                    socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET))
    os.dup2(theirs.fileno(), 3)
    writer = subprocess.Popen(
        ["taskset", "-c", "1", WRITER, "fill", str(entries), str(size), *mode], pass_fds=[3])
    theirs.close()
    os.close(3)
    message, descriptors, _, _ = socket.recv_fds(ours, 256, 1)
    # "filled <ns per put> <own get> <own set> <own mixed> <entries>"
    own = message.decode().split()
    segment = fcntl.fcntl(descriptors[0], fcntl.F_DUPFD, 20)
    os.close(descriptors[0])
    os.dup2(segment, 3)
    os.close(segment)
    figures = parse(run(BENCH, "shm", entries, size, *mode, pass_fds=[3]))
    os.close(3)
    ours.close()
    writer.wait()
    names = ("fill", "own get", "set", "mixed")
    figures.update({name: (float(figure), 0) for name, figure in zip(names, own[1:5])})
    return figures


def behind_socket(name, arguments, entries, size, folder):
    path = os.path.join(folder, name + ".sock")
    server = subprocess.Popen(["taskset", "-c", "1", *arguments(path)],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 10
        while not os.path.exists(path) and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.1)
        return parse(run(BENCH, name, entries, size, path))
    finally:
        server.send_signal(signal.SIGKILL)
        server.wait()


def redis(path):
    return ["redis-server", "--port", "0", "--unixsocket", path, "--save", "", "--appendonly",
            "no"]


def memcached(path):
    return ["memcached", "-u", "root", "-s", path, "-m", "12000", "-t", "1"]


def rows(entries, size):
    total = entries * (size + 100)
    folder = tempfile.mkdtemp(dir="/dev/shm")
    try:
        yield "shm", shared_memory(entries, size)
        yield "shm, writer", shared_memory(entries, size, "churn")
        yield "lmdb", parse(run(BENCH, "lmdb", entries, size, os.path.join(folder, "lmdb")))
        for name in os.listdir(folder):
            os.unlink(os.path.join(folder, name))
        if total < SMALL_ONLY["sqlite"]:
            yield "sqlite", parse(run(BENCH, "sqlite", entries, size))
        yield "redis", behind_socket("redis", redis, entries, size, folder)
        yield "memcached", behind_socket("memcached", memcached, entries, size, folder)
        if total < SMALL_ONLY["dict"]:
            figures = {}
            for line in run(sys.executable, os.path.join(HERE, "dict.py"), entries,
                            size).splitlines():
                name, operation, figure = line.split()
                figures.setdefault(name, {})[operation] = (float(figure), 0)
            yield from figures.items()
    finally:
        shutil.rmtree(folder)


OPERATIONS = ["get", "get16", "miss", "own get", "set", "mixed"]


def main():
    checks = []
    print("ns per lookup, median (p99 of single calls); x: times the shared cache's get")
    for entries, size in SIZES:
        print(f"\n{entries} entries of {size} bytes")
        print(f"{'':12}" + "".join(f"{name:>18}" for name in OPERATIONS) + f"{'x':>9}")
        table = {}
        for name, figures in rows(entries, size):
            table[name] = figures
            cells = ""
            for operation in OPERATIONS:
                figure, p99 = figures.get(operation, (None, 0))
                text = "-" if figure is None else f"{figure:.0f}" + (f" ({p99})" if p99 else "")
                cells += f"{text:>18}"
            ratio = ""
            if "get" in figures and "get" in table["shm"]:
                ratio = f"{figures['get'][0] / table['shm']['get'][0]:.2f}"
            print(f"{name:12}{cells}{ratio:>9}", flush=True)
        checks += judge(entries, size, table)
    print("\nacceptance")
    for text, holds in checks:
        print(f"  {'yes' if holds else 'NO '}  {text}")
    held = sum(holds for _, holds in checks)
    print(f"{held} passed, {len(checks) - held} failed")
    return held < len(checks)


def judge(entries, size, table):
    """The figures the cache promises, each as a sentence and whether it held in this run."""
    def figure(row, operation="get"):
        return table.get(row, {}).get(operation, (float("nan"), 0))[0]

    get, where = figure("shm"), f"{entries} x {size} B"
    bound = 0.6 if (entries, size) == (1000, 200) else 1.0
    checks = [(f"{where}: get {get / figure('lmdb'):.2f} of LMDB's (at most {bound})",
               get <= bound * figure("lmdb"))]
    if (entries, size) == (100_000, 200):
        part = figure("shm", "get16") / get
        checks.append((f"{where}: batched get {part:.2f} of single (at most 0.33)", part <= 1 / 3))
    busy = figure("shm, writer") / get
    checks.append((f"{where}: get beside a writer at full speed {busy:.2f} times quiet "
                   "(at most 2.5)", busy <= 2.5))
    if (entries, size) == (1000, 200):
        for name in ("redis", "memcached"):
            times = figure(name) / get
            checks.append((f"{where}: {times:.0f} times {name} (at least 100)", times >= 100))
    return checks


if __name__ == "__main__":
    sys.exit(main())
