internal import CShims.Cache

/// The counters the segment publishes in its header, as the writer holds them.
public struct CacheStatistics: Equatable, Sendable {
    /// The daemon's own lookups; `misses` includes expired and invalidated entries.
    public var hits: UInt64 = 0
    public var misses: UInt64 = 0
    public var staleHits: UInt64 = 0
    public var stores: UInt64 = 0
    public var replacements: UInt64 = 0
    public var evictions: UInt64 = 0
    public var expirations: UInt64 = 0
    public var invalidations: UInt64 = 0
    public var refusedOutdated: UInt64 = 0
    public var refusedTooLarge: UInt64 = 0
    public var refusedNoSpace: UInt64 = 0
    public var relocations: UInt64 = 0
    public var indexMoves: UInt64 = 0
    public var secondChances: UInt64 = 0
    /// Summed over the readers that were given an area.
    public var readerHits: UInt64 = 0
    public var readerMisses: UInt64 = 0
    public var readerExpired: UInt64 = 0
    public var readerInvalid: UInt64 = 0
    public var attaches: UInt64 = 0
    public var attachesRefused: UInt64 = 0
    public var recovered: UInt64 = 0
    public var recoveryDropped: UInt64 = 0
    public var entries = 0
    public var entriesMax = 0
    /// Value memory in use, and taken from the kernel.
    public var bytesUsed = 0
    public var bytesReserved = 0
    public var bytesMax = 0
    public var readers = 0

    /// Hits of everybody in percent of everybody's lookups; 0 without lookups.
    public var hitRatePercent: Double {
        let found = hits + readerHits
        let total = found + misses + readerMisses
        return total == 0 ? 0 : Double(found) * 100 / Double(total)
    }
}

/// Counters by their number in the layout; each change is published at once.
struct CacheCounters {
    private var values = [UInt64](repeating: 0, count: Int(OMNI2_STAT_COUNT.rawValue))

    subscript(_ which: omni2_statistic) -> UInt64 { values[Int(which.rawValue)] }

    mutating func set(
        _ which: omni2_statistic, _ value: UInt64, in shared: UnsafePointer<omni2_writer>
    ) {
        values[Int(which.rawValue)] = value
        unsafe omni2_writer_set_statistic(shared, which.rawValue, value)
    }
}
