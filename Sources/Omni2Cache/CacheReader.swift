internal import COmni2Cache

/// Reads omni2-native's result cache from shared memory.
///
///     let cache = try CacheReader()
///     if let answer = try cache.get(server: "time", tool: "get_current_time", arguments: "{}") { … }
///
/// A lookup takes tens of nanoseconds, never blocks and never disturbs the daemon. Attaching (at
/// the start, and when the daemon replaced its segment) waits for at most `timeout`; while the
/// daemon is away everything is a miss. One thread at a time; make one per thread.
@safe
public final class CacheReader {
    private let handle: OpaquePointer
    private var scratch: [UInt8]

    /// Attaches to the running daemon; nil stands for `$OMNI2_CACHE_SOCKET` or the default path.
    ///
    /// With `lazily`, a missing daemon is not an error: lookups miss and attach once it is there.
    public init(
        socketPath: String? = nil, timeout: Duration = .milliseconds(200), lazily: Bool = false
    ) throws(CacheReaderError) {
        var options = unsafe omni2_cache_opts()
        unsafe options.timeout_ms = Self.milliseconds(timeout)
        unsafe options.flags = lazily ? UInt32(OMNI2_OPEN_LAZY) : 0
        var opened: OpaquePointer?
        let result: Int32
        if let socketPath {
            result = unsafe socketPath.withCString { path in
                unsafe options.socket_path = unsafe path
                return unsafe omni2_cache_open(&options, &opened)
            }
        } else {
            result = unsafe omni2_cache_open(&options, &opened)
        }
        guard let opened = unsafe opened else { throw CacheReaderError(code: result) }
        unsafe handle = unsafe opened
        scratch = Array(repeating: 0, count: 16384)
    }

    /// Over a segment's descriptor that came another way; it stays the caller's.
    public init(descriptor: Int32) throws(CacheReaderError) {
        var opened: OpaquePointer?
        let result = unsafe omni2_cache_open_descriptor(descriptor, &opened)
        guard let opened = unsafe opened else { throw CacheReaderError(code: result) }
        unsafe handle = unsafe opened
        scratch = Array(repeating: 0, count: 16384)
    }

    deinit { unsafe omni2_cache_close(handle) }

    /// The value, copied; nil if it is not in the cache.
    public func get(_ key: CacheReaderKey) -> [UInt8]? {
        while true {
            var meta = omni2_cache_meta()
            let result = get(key, &meta)
            if result >= 0 { return Array(scratch[..<result]) }
            guard result == Int(OMNI2_TOO_SMALL.rawValue) else { return nil }
            scratch = Array(repeating: 0, count: Int(meta.length) + 4096)
        }
    }

    /// The value lent to `body`, without an allocation; nil if it is not in the cache.
    public func withValue<Result>(
        _ key: CacheReaderKey, _ body: (Span<UInt8>) throws -> Result
    ) rethrows -> Result? {
        while true {
            var meta = omni2_cache_meta()
            let result = get(key, &meta)
            if result >= 0 {
                return try unsafe scratch.withUnsafeBufferPointer {
                    try unsafe body(UnsafeBufferPointer(rebasing: $0[..<result]).span)
                }
            }
            guard result == Int(OMNI2_TOO_SMALL.rawValue) else { return nil }
            scratch = Array(repeating: 0, count: Int(meta.length) + 4096)
        }
    }

    /// By what the call was: the original's shared key. `arguments` is any JSON text.
    public func get(server: String, tool: String, arguments: String) throws(CacheReaderError)
        -> [UInt8]?
    {
        get(try CacheReaderKey(server: server, tool: tool, arguments: arguments))
    }

    /// How long the entry will live; nil if it is not in the cache.
    public func timeLeft(_ key: CacheReaderKey) -> Duration? {
        var meta = omni2_cache_meta()
        let result = unsafe key.withBytes { unsafe omni2_cache_contains(handle, $0, &meta) }
        return result == OMNI2_OK.rawValue ? .nanoseconds(Int64(clamping: meta.time_left)) : nil
    }

    public func contains(_ key: CacheReaderKey) -> Bool { timeLeft(key) != nil }

    /// Nil while attached to a live segment, else why everything misses.
    public var problem: CacheReaderError? {
        let status = unsafe omni2_cache_status(handle)
        return status == OMNI2_OK.rawValue ? nil : CacheReaderError(code: status)
    }

    public var statistics: CacheReaderStatistics {
        var counters = omni2_cache_counters()
        _ = unsafe omni2_cache_stats(handle, &counters)
        return CacheReaderStatistics(counters)
    }

    private static func milliseconds(_ duration: Duration) -> UInt32 {
        let (seconds, attoseconds) = duration.components
        let whole = seconds.multipliedReportingOverflow(by: 1000)
        guard !whole.overflow else { return .max }
        return UInt32(clamping: whole.partialValue + attoseconds / 1_000_000_000_000_000)
    }

    private func get(_ key: CacheReaderKey, _ meta: inout omni2_cache_meta) -> Int {
        unsafe scratch.withUnsafeMutableBytes { buffer in
            unsafe key.withBytes {
                unsafe omni2_cache_get(handle, $0, buffer.baseAddress, buffer.count, &meta)
            }
        }
    }
}

/// Why the cache cannot be used, with the sentence the C library has for it.
public struct CacheReaderError: Error, Hashable, Sendable, CustomStringConvertible {
    /// One of `enum omni2_cache_result` in `omni2_cache.h`.
    public let code: Int32

    init(code: Int32) { self.code = code }

    public var description: String { unsafe String(cString: omni2_cache_strerror(code)) }
}

/// This handle's counts, and the daemon's as published in the segment.
public struct CacheReaderStatistics: Sendable {
    public let hits: UInt64
    public let misses: UInt64
    public let expired: UInt64
    public let invalidated: UInt64
    public let entries: UInt64
    public let entriesMax: UInt64
    public let bytesUsed: UInt64
    public let daemonHits: UInt64
    public let daemonMisses: UInt64
    public let evictions: UInt64

    init(_ counters: omni2_cache_counters) {
        var counters = counters
        hits = counters.hits
        misses = counters.misses
        expired = counters.expired
        invalidated = counters.invalid
        let published = unsafe withUnsafeBytes(of: &counters.published) {
            unsafe Array($0.bindMemory(to: UInt64.self))
        }
        entries = published[Int(OMNI2_STAT_ENTRIES.rawValue)]
        entriesMax = published[Int(OMNI2_STAT_ENTRIES_MAX.rawValue)]
        bytesUsed = published[Int(OMNI2_STAT_BYTES_USED.rawValue)]
        daemonHits = published[Int(OMNI2_STAT_HITS.rawValue)]
        daemonMisses = published[Int(OMNI2_STAT_MISSES.rawValue)]
        evictions = published[Int(OMNI2_STAT_EVICTIONS.rawValue)]
    }
}
