"""What the original has: a Python dictionary with times, and the same behind asyncio.Lock.

    dict.py ENTRIES BYTES [SOCKET]      prints lines "backend operation median-ns"

With a socket also the omni2cache module against a running writer.
"""

import asyncio
import collections
import hashlib
import os
import random
import statistics
import sys
import time

ENTRIES, BYTES = int(sys.argv[1]), int(sys.argv[2])
ROUND = 256


class Plain:
    """OrderedDict, least recently used, expiry on get."""

    def __init__(self, entries):
        self.entries, self.values = entries, collections.OrderedDict()

    def get(self, key):
        found = self.values.get(key)
        if found is None:
            return None
        if time.time() > found[1]:
            del self.values[key]
            return None
        self.values.move_to_end(key)
        return found[0]

    def set(self, key, value):
        if key not in self.values and len(self.values) >= self.entries:
            self.values.popitem(last=False)
        self.values[key] = (value, time.time() + 300)


class Awaited(Plain):
    """The original's shape: every call awaits a lock."""

    def __init__(self, entries):
        super().__init__(entries)
        self.lock = asyncio.Lock()

    async def get(self, key):
        async with self.lock:
            return super().get(key)


def median(run, rounds=300, seconds=1.0):
    times, end = [], time.monotonic() + seconds
    while len(times) < rounds and (time.monotonic() < end or len(times) < 9):
        names = random.choices(keys, k=ROUND)
        start = time.perf_counter_ns()
        run(names)
        times.append((time.perf_counter_ns() - start) / ROUND)
    return statistics.median(times)


def each(function):
    def run(names):
        for name in names:
            function(name)
    return run


def main():
    plain, awaited, value = Plain(ENTRIES), Awaited(ENTRIES), b"A" * BYTES
    for key in keys:
        plain.set(key, value)
        awaited.set(key, value)
    print(f"dict get {median(each(plain.get)):.1f}")
    print(f"dict miss {median(each(lambda key: plain.get(key + '!'))):.1f}")
    print(f"dict set {median(each(lambda key: plain.set(key, value))):.1f}")

    async def await_all(names):
        for name in names:
            await awaited.get(name)

    loop = asyncio.new_event_loop()
    print(f"dict+lock get {median(lambda names: loop.run_until_complete(await_all(names))):.1f}")
    loop.close()


if __name__ == "__main__":
    os.sched_setaffinity(0, {0})
    keys = [hashlib.sha256(str(index).encode()).hexdigest() for index in range(ENTRIES)]
    main()
