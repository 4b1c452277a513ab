"""Reads the result cache of omni2-native from shared memory.

    from omni2cache import Cache
    cache = Cache()
    print(cache.get("time", "get_current_time", {"timezone": "UTC"}))

One `Cache` belongs to one thread at a time. Lookups never block; attaching takes at most
`timeout` seconds, at the start and when the daemon has replaced its segment.
"""

import ctypes
import hashlib
import json
import os
import pathlib
from typing import Any, Dict, Iterable, List, Optional

__all__ = ["Cache", "CacheError", "key", "native_key", "canonical"]

MISS, TOO_SMALL = -1, -2
_LAZY, _SILENT = 1, 2

_STATISTICS = (
    "hits", "misses", "stale_hits", "stores", "replacements", "evictions", "expirations",
    "invalidations", "refused_outdated", "refused_too_large", "refused_no_space", "relocations",
    "index_moves", "second_chances", "reader_hits", "reader_misses", "reader_expired",
    "reader_invalid", "attaches", "attaches_refused", "recovered", "recovery_dropped", "entries",
    "entries_max", "bytes_used", "bytes_reserved", "bytes_max", "readers")
_COUNTERS = ("hits", "misses", "expired", "invalid", "retries", "corrupt")


class _Options(ctypes.Structure):
    _fields_ = [("socket_path", ctypes.c_char_p), ("timeout_ms", ctypes.c_uint32),
                ("flags", ctypes.c_uint32)]


class _Meta(ctypes.Structure):
    _fields_ = [("length", ctypes.c_uint32), ("crc32c", ctypes.c_uint32),
                ("server", ctypes.c_uint16), ("tool", ctypes.c_uint16),
                ("reserved", ctypes.c_uint32), ("born", ctypes.c_uint64),
                ("expires", ctypes.c_uint64), ("time_left", ctypes.c_uint64)]


class _Out(ctypes.Structure):
    _fields_ = [("buffer", ctypes.c_void_p), ("capacity", ctypes.c_size_t),
                ("result", ctypes.c_long), ("meta", _Meta)]


class _Counters(ctypes.Structure):
    _fields_ = [("own", ctypes.c_uint64 * len(_COUNTERS)),
                ("published", ctypes.c_uint64 * len(_STATISTICS)),
                ("segment_id", ctypes.c_uint64), ("epoch", ctypes.c_uint64),
                ("heartbeat_age", ctypes.c_uint64)]


def _load() -> ctypes.CDLL:
    """The library inside the wheel, else the system's."""
    packed = pathlib.Path(__file__).with_name("libomni2cache.so.0")
    path = os.environ.get("OMNI2_CACHE_LIBRARY") or (
        str(packed) if packed.exists() else "libomni2cache.so.0")
    # The lookups are shorter than releasing and taking the interpreter lock would be; opening
    # may wait, so it does release it.
    library = ctypes.PyDLL(path)
    handle = ctypes.c_void_p
    library.omni2_cache_open = ctypes.CDLL(path).omni2_cache_open
    library.omni2_cache_open.argtypes = [ctypes.POINTER(_Options), ctypes.POINTER(handle)]
    library.omni2_cache_open_descriptor.argtypes = [ctypes.c_int, ctypes.POINTER(handle)]
    library.omni2_cache_get.argtypes = [
        handle, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.POINTER(_Meta)]
    library.omni2_cache_get.restype = ctypes.c_long
    library.omni2_cache_get_many.argtypes = [
        handle, ctypes.c_char_p, ctypes.c_uint, ctypes.POINTER(_Out)]
    library.omni2_cache_get_many.restype = ctypes.c_uint
    library.omni2_cache_contains.argtypes = [handle, ctypes.c_char_p, ctypes.POINTER(_Meta)]
    library.omni2_cache_stats.argtypes = [handle, ctypes.POINTER(_Counters)]
    library.omni2_cache_status.argtypes = [handle]
    library.omni2_cache_strerror.argtypes = [ctypes.c_int]
    library.omni2_cache_strerror.restype = ctypes.c_char_p
    library.omni2_cache_close.argtypes = [handle]
    library.omni2_cache_close.restype = None
    library.omni2_cache_canonical.argtypes = [
        ctypes.c_char_p, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_size_t]
    library.omni2_cache_canonical.restype = ctypes.c_long
    return library


_library = _load()


class CacheError(Exception):
    """The cache cannot be used; `code` is one of `enum omni2_cache_result` in omni2_cache.h."""

    def __init__(self, code: int):
        self.code = code
        super().__init__(_library.omni2_cache_strerror(code).decode())


def canonical(arguments: Any) -> str:
    """Arguments in the form that keys are made of."""
    return json.dumps(arguments, sort_keys=True)


def key(server: str, tool: str, arguments: Any) -> bytes:
    """The key of a call whose result is shared by all callers."""
    text = f"{server}:{tool}:{canonical(arguments)}"
    return hashlib.sha256(text.encode("utf-8")).digest()


def native_key(scope: str, epoch: str, server: str, tool: str, arguments: Any) -> bytes:
    """The native key; `scope` is "shared", "role:…" or "user:…"."""
    digest = hashlib.sha256()
    for part in ("omni2-cache-1", scope, epoch, server, tool, canonical(arguments)):
        data = part.encode("utf-8")
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.digest()


class Cache:
    """A handle to the daemon's cache."""

    def __init__(self, socket_path: Optional[str] = None, *, timeout: float = 0.2,
                 lazy: bool = False, silent: bool = False):
        self._handle = ctypes.c_void_p()
        self._closed = True
        options = _Options(
            os.fsencode(socket_path) if socket_path is not None else None,
            max(1, int(timeout * 1000)), (_LAZY if lazy else 0) | (_SILENT if silent else 0))
        result = _library.omni2_cache_open(ctypes.byref(options), ctypes.byref(self._handle))
        if result != 0:
            raise CacheError(result)
        self._closed = False
        self._meta = _Meta()
        self._grow(65536)

    @classmethod
    def from_descriptor(cls, descriptor: int) -> "Cache":
        """Over a segment that came another way. The descriptor stays the caller's."""
        cache = cls.__new__(cls)
        cache._handle = ctypes.c_void_p()
        cache._closed = True
        result = _library.omni2_cache_open_descriptor(descriptor, ctypes.byref(cache._handle))
        if result != 0:
            raise CacheError(result)
        cache._closed = False
        cache._meta = _Meta()
        cache._grow(65536)
        return cache

    def _grow(self, capacity: int) -> None:
        self._buffer = ctypes.create_string_buffer(capacity)
        self._view = memoryview(self._buffer)

    def get(self, server: str, tool: str, arguments: Any = None) -> Optional[bytes]:
        """The result of a call, or None if it is not in the cache."""
        return self.get_key(key(server, tool, {} if arguments is None else arguments))

    def get_key(self, key: bytes) -> Optional[bytes]:
        self._check(key)
        while True:
            length = _library.omni2_cache_get(
                self._handle, key, self._buffer, len(self._buffer), self._meta)
            if length >= 0:
                return self._view[:length].tobytes()
            if length != TOO_SMALL:
                return None
            self._grow(self._meta.length + 65536)

    def get_many(self, keys: Iterable[bytes], *, capacity: int = 4096) -> List[Optional[bytes]]:
        """Several at once; values longer than `capacity` are then fetched one by one."""
        keys = list(keys)
        for each in keys:
            self._check(each)
        buffer = ctypes.create_string_buffer(max(1, capacity * len(keys)))
        start = ctypes.addressof(buffer)
        outs = (_Out * len(keys))()
        for index, out in enumerate(outs):
            out.buffer, out.capacity = start + index * capacity, capacity
        _library.omni2_cache_get_many(self._handle, b"".join(keys), len(keys), outs)
        view = memoryview(buffer)
        values: List[Optional[bytes]] = []
        for index, out in enumerate(outs):
            if out.result >= 0:
                values.append(view[index * capacity:index * capacity + out.result].tobytes())
            else:
                values.append(self.get_key(keys[index]) if out.result == TOO_SMALL else None)
        return values

    def contains(self, key: bytes) -> bool:
        return self.ttl(key) is not None

    def ttl(self, key: bytes) -> Optional[float]:
        """Seconds until the entry expires, or None if it is not in the cache."""
        self._check(key)
        if _library.omni2_cache_contains(self._handle, key, self._meta) != 0:
            return None
        return self._meta.time_left / 1e9

    @property
    def problem(self) -> Optional[CacheError]:
        """None while attached to a live segment, else why everything misses."""
        self._check()
        code = _library.omni2_cache_status(self._handle)
        return None if code == 0 else CacheError(code)

    def stats(self) -> Dict[str, Any]:
        """This handle's counters, and under "daemon" those the daemon publishes."""
        self._check()
        counters = _Counters()
        _library.omni2_cache_stats(self._handle, ctypes.byref(counters))
        result: Dict[str, Any] = dict(zip(_COUNTERS, counters.own))
        result["daemon"] = dict(zip(_STATISTICS, counters.published))
        result["segment"] = f"{counters.segment_id:016x}"
        result["epoch"] = counters.epoch
        result["heartbeat_age"] = counters.heartbeat_age / 1e9
        return result

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            _library.omni2_cache_close(self._handle)

    def _check(self, key: Optional[bytes] = None) -> None:
        if self._closed:
            raise ValueError("the cache is closed")
        if key is not None and len(key) != 32:
            raise ValueError("a key has 32 bytes")

    def __enter__(self) -> "Cache":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_closed"):
            self.close()
