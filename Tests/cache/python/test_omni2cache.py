"""The Python module against a running writer (CacheTestWriter serve), and against what is not one.

Environment: CACHE_TEST_WRITER is the program, OMNI2_CACHE_TOOL the omni2-cache tool.
"""

import ctypes
import fcntl
import json
import mmap
import os
import random
import socket
import subprocess
import tempfile
import threading
import time
import unittest

import omni2cache
from omni2cache import Cache, CacheError

WRITER = os.environ["CACHE_TEST_WRITER"]
TOOL = os.environ["OMNI2_CACHE_TOOL"]

VECTORS = [
    ("test-mcp", "test_tool", {"param": "value"},
     "480143310df718733e1b94983c8cad30b6afe1416da0a640762b3ccb00f4c5af"),
    ("m", "t", {}, "1d6fd72185560e2ba1c2adc6d9433dc71fd7bdbbaa2859dab65ade1506b05ee8"),
    ("m", "t", {"b": 1, "a": [1, 2.5, True, None, "é"]},
     "37b9b5631e0303483ebfb56f4255544ab660164bc6c1838026ece135919ebb6e"),
    ("m", "t", {"z": {"y": 2, "x": 1}},
     "7bd55805c7bec3441005a323c7a2d17fa7b2e15970edff4b51161a2f592e8e80"),
    ("m", "t", {"n": 1.0}, "64ea59c37e9add25c9cbfb9371dbf9e8cb94370c59cdcf45b6929a63839dd8f2"),
    ("m", "t", {"s": "a/b\"\\\n\u2028\U0001f600"},
     "71b588c47a3a1acd0458e3d9cd32945708cc07f371f5d47d903346f6c8a8e12d"),
    ("a:b", "c", {}, "2cb3f3a932d8634ad6ee49d411eafa2ba8e3b85b6e0784865f766a5c901aac71"),
    ("a", "b:c", {}, "2cb3f3a932d8634ad6ee49d411eafa2ba8e3b85b6e0784865f766a5c901aac71"),
]


class Writer:
    """CacheTestWriter serve, spoken to line by line."""

    def __init__(self, *arguments):
        self.folder = tempfile.TemporaryDirectory()
        self.path = os.path.join(self.folder.name, "cache.sock")
        self.process = subprocess.Popen(
            [WRITER, "serve", self.path, *map(str, arguments)], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "ready\n"

    def ask(self, *words):
        self.process.stdin.write("\t".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().rstrip("\n")

    def put(self, server, tool, arguments, value, *ttl):
        return self.ask("put", server, tool, omni2cache.canonical(arguments), value, *ttl)

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
        self.folder.cleanup()


class KeyTests(unittest.TestCase):
    def test_vectors_of_the_original(self):
        for server, tool, arguments, wanted in VECTORS:
            self.assertEqual(omni2cache.key(server, tool, arguments).hex(), wanted)

    def test_shell_tool_derives_the_same_keys(self):
        for server, tool, arguments, wanted in VECTORS:
            text = json.dumps(arguments, ensure_ascii=False)
            done = subprocess.run([TOOL, "key", server, tool, "-"], input=text.encode(),
                                  capture_output=True, check=True)
            self.assertEqual(done.stdout.decode().strip(), wanted)

    def test_native_keys_do_not_collide(self):
        self.assertNotEqual(omni2cache.native_key("shared", "", "a:b", "c", {}),
                            omni2cache.native_key("shared", "", "a", "b:c", {}))

    def canonical_in_c(self, text):
        data = text.encode("utf-8")
        out = ctypes.create_string_buffer(len(data) * 8 + 64)
        count = omni2cache._library.omni2_cache_canonical(data, len(data), out, len(out))
        return out.raw[:count].decode("ascii") if count >= 0 else None

    def test_canonical_form_in_c_equals_pythons(self):
        seed = int(os.environ.get("OMNI_SEED", "7"))
        generator = random.Random(seed)
        for round in range(4000):
            value = self.random_value(generator, 0)
            text = json.dumps(value, ensure_ascii=generator.random() < 0.5,
                              indent=generator.choice([None, None, 1]))
            self.assertEqual(self.canonical_in_c(text), json.dumps(value, sort_keys=True),
                             f"seed {seed}, round {round}")

    def test_floats_in_c_equal_pythons(self):
        generator = random.Random(11)
        values = [2.0 ** e for e in range(-1074, 1024)] + [10.0 ** e for e in range(-323, 309)]
        values += [generator.uniform(-1, 1) * 10.0 ** generator.randint(-300, 300)
                   for _ in range(4000)]
        for value in values:
            self.assertEqual(self.canonical_in_c(repr(value)), json.dumps(value), repr(value))

    def random_value(self, generator, depth):
        kind = generator.randrange(8 if depth < 4 else 5)
        if kind == 0:
            return generator.choice([True, False, None])
        if kind == 1:
            return generator.randint(-10 ** generator.randint(1, 30), 10 ** 30)
        if kind == 2:
            return generator.uniform(-1, 1) * 10.0 ** generator.randint(-20, 20)
        if kind in (3, 4):
            return self.random_text(generator)
        if kind == 5:
            return [self.random_value(generator, depth + 1)
                    for _ in range(generator.randrange(4))]
        return {self.random_text(generator): self.random_value(generator, depth + 1)
                for _ in range(generator.randrange(5))}

    def random_text(self, generator):
        alphabet = "ab\"\\/\n\t\x01\x7fé\u2028\uffff\U0001f600\U0010ffff "
        return "".join(generator.choice(alphabet) for _ in range(generator.randrange(6)))


class RunningWriterTests(unittest.TestCase):
    def setUp(self):
        self.writer = Writer()

    def tearDown(self):
        self.writer.close()

    def test_three_lines(self):
        self.assertEqual(self.writer.put("time", "now", {"tz": "UTC"}, "noon"), "stored")
        os.environ["OMNI2_CACHE_SOCKET"] = self.writer.path
        try:
            cache = Cache()
            self.assertEqual(cache.get("time", "now", {"tz": "UTC"}), b"noon")
        finally:
            del os.environ["OMNI2_CACHE_SOCKET"]

    def test_empty_large_and_missing_values(self):
        self.writer.put("s", "t", {"n": 0}, "")
        self.writer.put("s", "t", {"n": 1}, "x" * 300000)
        cache = Cache(self.writer.path)
        self.assertEqual(cache.get("s", "t", {"n": 0}), b"")
        self.assertEqual(cache.get("s", "t", {"n": 1}), b"x" * 300000)
        self.assertIsNone(cache.get("s", "t", {"n": 2}))
        self.assertEqual(self.writer.put("s", "t", {"n": 3}, "y" * (1 << 20)), "stored")
        self.assertEqual(self.writer.put("s", "t", {"n": 4}, "y" * ((1 << 20) + 1)), "tooLarge")

    def test_many(self):
        for n in range(40):
            self.writer.put("s", "t", {"n": n}, f"value {n}" * (n * 40))
        cache = Cache(self.writer.path)
        keys = [omni2cache.key("s", "t", {"n": n}) for n in range(50)]
        wanted = [(f"value {n}" * (n * 40)).encode() for n in range(40)] + [None] * 10
        self.assertEqual(cache.get_many(keys), wanted)

    def test_expiry_and_time_left(self):
        self.writer.put("s", "t", {}, "short", 300)
        cache = Cache(self.writer.path)
        key = omni2cache.key("s", "t", {})
        self.assertTrue(0 < cache.ttl(key) <= 0.3)
        deadline = time.monotonic() + 5
        while cache.get_key(key) is not None:
            self.assertLess(time.monotonic(), deadline)
        self.assertIsNone(cache.ttl(key))
        self.assertGreaterEqual(cache.stats()["expired"], 1)

    def test_invalidation_is_seen_at_once(self):
        cache = Cache(self.writer.path)
        for round in range(50):
            self.writer.put("s", "t", {}, f"round {round}")
            self.assertEqual(cache.get("s", "t"), f"round {round}".encode())
            self.assertEqual(self.writer.ask("invalidate", "s", "t"), "1")
            self.assertIsNone(cache.get("s", "t"))

    def test_statistics_are_exact(self):
        self.writer.put("s", "t", {}, "value")
        first, second = Cache(self.writer.path), Cache(self.writer.path)
        for _ in range(100):
            first.get("s", "t")
        for _ in range(30):
            second.get("s", "none")
        for _ in range(7):
            self.writer.ask("get", "s", "t", "{}")
        self.writer.ask("sweep")
        self.assertEqual(self.writer.ask("statistics"), "7 0 100 30 0 0 1 1 2")
        self.assertEqual(first.stats()["hits"], 100)
        daemon = second.stats()["daemon"]
        self.assertEqual((daemon["hits"], daemon["reader_hits"], daemon["reader_misses"],
                          daemon["readers"]), (7, 100, 30, 2))

    def test_successor_is_found_inside_the_same_call(self):
        self.writer.put("s", "t", {}, "kept")
        cache = Cache(self.writer.path)
        before = cache.stats()["segment"]
        self.assertEqual(self.writer.ask("succeed"), "ok")
        # The writer answers on its one thread; the lookup waits for it within its deadline.
        self.assertEqual(cache.get("s", "t"), b"kept")
        self.assertNotEqual(cache.stats()["segment"], before)
        self.assertIsNone(cache.problem)

    def test_values_stay_readable_after_the_writer_died(self):
        self.writer.put("s", "t", {}, "still here")
        cache = Cache(self.writer.path)
        self.writer.process.kill()
        self.writer.process.wait()
        self.assertEqual(cache.get("s", "t"), b"still here")

    def test_retired_without_successor_is_a_bounded_miss(self):
        self.writer.put("s", "t", {}, "value")
        cache = Cache(self.writer.path)
        self.writer.ask("retire")
        start = time.monotonic()
        for _ in range(1000):
            self.assertIsNone(cache.get("s", "t"))
        self.assertLess(time.monotonic() - start, 2.0)
        self.assertIsNotNone(cache.problem)

    def test_shell_tool(self):
        self.writer.put("s", "t", {"a": 1}, "from the shell")
        environment = dict(os.environ, OMNI2_CACHE_SOCKET=self.writer.path)
        run = lambda *words: subprocess.run([TOOL, *words], env=environment, capture_output=True)
        found = run("get", "s", "t", '{"a":1}')
        self.assertEqual((found.returncode, found.stdout), (0, b"from the shell"))
        self.assertEqual(run("get", "s", "t", "{}").returncode, 1)
        self.assertEqual(run("get", omni2cache.key("s", "t", {"a": 1}).hex()).stdout,
                         b"from the shell")
        self.assertEqual(run("contains", "s", "t", '{"a":1}').returncode, 0)
        self.assertEqual(run("get", "s", "t", "{").returncode, 2)
        self.assertIn(b"entries 1\n", run("stats").stdout)
        self.assertEqual(subprocess.run([TOOL, "-s", "/nowhere", "stats"],
                                        capture_output=True).returncode, 3)

    def test_use_by_a_process_that_is_gone_still_counts(self):
        writer = Writer(2)
        self.addCleanup(writer.close)
        for name in "ab":
            writer.put("s", name, {}, name)
        done = subprocess.run([TOOL, "-s", writer.path, "get", "s", "a"], capture_output=True)
        self.assertEqual(done.stdout, b"a")
        writer.ask("sweep")
        self.assertEqual(writer.ask("statistics").split()[2], "1")
        writer.put("s", "c", {}, "c")
        cache = Cache(writer.path)
        self.assertEqual([cache.get("s", name) for name in "abc"], [b"a", None, b"c"])

    def test_many_threads_each_with_a_handle(self):
        for n in range(20):
            self.writer.put("s", "t", {"n": n}, f"value {n}")
        problems = []

        def read():
            cache = Cache(self.writer.path)
            for n in range(2000):
                if cache.get("s", "t", {"n": n % 20}) != f"value {n % 20}".encode():
                    problems.append(n)

        threads = [threading.Thread(target=read) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(problems, [])

    def descriptors(self):
        """What a WELCOME brings: the segment, and the area."""
        import struct
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
            connection.connect(self.writer.path)
            connection.send(struct.pack("<QIIQQ", 0x4f4c4c4548324d4f, 1, 1, 2, 0))
            _, descriptors, _, _ = socket.recv_fds(connection, 64, 2)
        for descriptor in descriptors:
            self.addCleanup(os.close, descriptor)
        return descriptors

    def test_segment_can_only_be_read(self):
        segment, area = self.descriptors()
        with self.assertRaises(PermissionError):
            mmap.mmap(segment, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE)
        mapping = mmap.mmap(segment, 4096, prot=mmap.PROT_READ)
        self.assertEqual(mapping[:8], b"OMNSHMC1")
        mapping.close()
        for attempt in (lambda: os.write(segment, b"x"), lambda: os.ftruncate(segment, 0),
                        lambda: fcntl.fcntl(segment, 1033, 8),  # F_ADD_SEALS, F_SEAL_WRITE
                        lambda: os.ftruncate(area, 0), lambda: os.ftruncate(area, 1 << 20)):
            self.assertRaises(OSError, attempt)

    @unittest.skipUnless(os.geteuid() == 0, "needs another user")
    def test_another_user_cannot_open_it_for_writing(self):
        segment, _ = self.descriptors()
        program = f"import os; os.open('/proc/self/fd/{segment}', os.O_RDWR)"
        done = subprocess.run(["/usr/bin/python3", "-c", program], pass_fds=[segment],
                              user=65534, group=65534, extra_groups=[], capture_output=True)
        self.assertIn(b"PermissionError", done.stderr)

    def test_no_descriptor_is_kept(self):
        before = len(os.listdir("/proc/self/fd"))
        caches = [Cache(self.writer.path) for _ in range(10)]
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)
        for cache in caches:
            cache.close()
        with self.assertRaises(ValueError):
            caches[0].get("s", "t")


class UnreachableTests(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.path = os.path.join(self.folder.name, "cache.sock")

    def tearDown(self):
        self.folder.cleanup()

    def code(self, **options):
        start = time.monotonic()
        with self.assertRaises(CacheError) as caught:
            Cache(self.path, **options)
        self.assertLess(time.monotonic() - start, 1.0)
        return caught.exception.code

    def listen(self, kind=socket.SOCK_SEQPACKET, backlog=8):
        server = socket.socket(socket.AF_UNIX, kind)
        server.bind(self.path)
        server.listen(backlog)
        self.addCleanup(server.close)
        return server

    def test_no_socket(self):
        self.assertEqual(self.code(), -21)

    def test_hung_socket_costs_the_deadline(self):
        self.listen()
        self.assertEqual(self.code(), -22)

    def test_full_backlog_costs_the_deadline(self):
        self.listen(backlog=0)
        first = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        first.connect(self.path)
        self.addCleanup(first.close)
        self.assertEqual(self.code(), -22)

    def test_socket_of_another_kind(self):
        self.listen(socket.SOCK_STREAM)
        self.assertEqual(self.code(), -21)

    def answer(self, message, descriptors=()):
        server = self.listen()

        def run():
            connection, _ = server.accept()
            connection.recv(64)
            socket.send_fds(connection, [message], list(descriptors))
            connection.close()

        thread = threading.Thread(target=run)
        thread.start()
        self.addCleanup(thread.join)

    WELCOME = 0x454d4f434c45574f

    def welcome(self, status):
        import struct
        return struct.pack("<QIIIIIIQQII", self.WELCOME, 1, status, 1, 0, 0, 0, 0, 0, 0, 0)

    def test_another_protocol(self):
        self.answer(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        self.assertEqual(self.code(), -23)

    def test_refusals_say_why(self):
        self.answer(self.welcome(3))
        self.assertEqual(self.code(), -25)

    def test_welcome_without_descriptor(self):
        self.answer(self.welcome(0))
        self.assertEqual(self.code(), -23)

    def test_descriptor_of_a_plain_file(self):
        with tempfile.TemporaryFile() as file:
            file.write(b"x" * 8192)
            file.flush()
            self.answer(self.welcome(0), [file.fileno()])
            self.assertEqual(self.code(), -26)

    def test_lazy_handle_attaches_later(self):
        cache = Cache(self.path, lazy=True)
        self.assertIsNone(cache.get("s", "t"))
        self.assertEqual(cache.problem.code, -21)


if __name__ == "__main__":
    unittest.main()
