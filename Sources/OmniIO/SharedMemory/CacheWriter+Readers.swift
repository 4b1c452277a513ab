internal import CShims.Cache
public import OmniCore

/// Upkeep, what siblings report, and what operators ask.
extension CacheWriter {
    /// Once a second: heartbeat, readers' counters, and up to `limit` dead entries reclaimed and
    /// scrubbed. Returns true if more are waiting, so that the caller may come back earlier.
    @discardableResult
    public func sweep(at now: MonotonicTime, limit: Int = 256) -> Bool {
        beat(at: now)
        let reclaimed = reclaim(at: latest, limit: limit)
        collectFromReaders()
        publishGauges()
        return reclaimed == limit
    }

    /// Adds what readers counted since the last time, and lets go of those that are gone.
    func collectFromReaders() {
        let growth = readers.collect()
        let sums: [(omni2_statistic, omni2_counter)] = [
            (OMNI2_STAT_READER_HITS, OMNI2_COUNT_HITS),
            (OMNI2_STAT_READER_MISSES, OMNI2_COUNT_MISSES),
            (OMNI2_STAT_READER_EXPIRED, OMNI2_COUNT_EXPIRED),
            (OMNI2_STAT_READER_INVALID, OMNI2_COUNT_INVALID),
        ]
        for (statistic, counter) in sums where growth[Int(counter.rawValue)] > 0 {
            count(statistic, growth[Int(counter.rawValue)])
        }
    }

    /// Everything that is counted. Siblings' counts are as of the last `sweep`.
    public var statistics: CacheStatistics {
        var copy = CacheStatistics()
        copy.hits = counters[OMNI2_STAT_HITS]
        copy.misses = counters[OMNI2_STAT_MISSES]
        copy.staleHits = counters[OMNI2_STAT_STALE_HITS]
        copy.stores = counters[OMNI2_STAT_STORES]
        copy.replacements = counters[OMNI2_STAT_REPLACEMENTS]
        copy.evictions = counters[OMNI2_STAT_EVICTIONS]
        copy.expirations = counters[OMNI2_STAT_EXPIRATIONS]
        copy.invalidations = counters[OMNI2_STAT_INVALIDATIONS]
        copy.refusedOutdated = counters[OMNI2_STAT_REFUSED_OUTDATED]
        copy.refusedTooLarge = counters[OMNI2_STAT_REFUSED_TOO_LARGE]
        copy.refusedNoSpace = counters[OMNI2_STAT_REFUSED_NO_SPACE]
        copy.relocations = counters[OMNI2_STAT_RELOCATIONS]
        copy.indexMoves = counters[OMNI2_STAT_INDEX_MOVES]
        copy.secondChances = counters[OMNI2_STAT_SECOND_CHANCES]
        copy.readerHits = counters[OMNI2_STAT_READER_HITS]
        copy.readerMisses = counters[OMNI2_STAT_READER_MISSES]
        copy.readerExpired = counters[OMNI2_STAT_READER_EXPIRED]
        copy.readerInvalid = counters[OMNI2_STAT_READER_INVALID]
        copy.attaches = counters[OMNI2_STAT_ATTACHES]
        copy.attachesRefused = counters[OMNI2_STAT_ATTACHES_REFUSED]
        copy.recovered = counters[OMNI2_STAT_RECOVERED]
        copy.recoveryDropped = counters[OMNI2_STAT_RECOVERY_DROPPED]
        copy.entries = entriesValid
        copy.entriesMax = configuration.entriesMax
        copy.bytesUsed = bytesUsed
        copy.bytesReserved = bytesReserved
        copy.bytesMax = configuration.bytesMax
        copy.readers = readers.count
        return copy
    }

    /// Valid entries, most recently used first, of one server, one of its tools, or all.
    public func entries(
        server: String? = nil, tool: String? = nil, limit: Int, at now: MonotonicTime
    ) -> [CacheEntry] {
        let now = max(latest, now.nanoseconds)
        var found: [CacheEntry] = []
        var slot = recencyList.tail
        while slot != SlotLinks.none, found.count < limit {
            if let entry = entry(slot, at: now), server == nil || entry.server == server,
                tool == nil || entry.tool == tool
            {
                found.append(entry)
            }
            slot = recency.previous(slot)
        }
        return found
    }

    /// One entry and a copy of its value, without using it: neither order nor counters change. Nil
    /// where a lookup would miss.
    public func entry(
        _ key: CacheKey, at now: MonotonicTime
    ) -> (facts: CacheEntry, value: [UInt8])? {
        guard let slot = find(key), let facts = entry(slot, at: max(latest, now.nanoseconds)) else {
            return nil
        }
        return (facts, unsafe [UInt8](bytes(descriptor(slot))))
    }

    /// Servers with entries or fills, also those whose entries have all gone.
    public var serverNames: [String] { names.servers.compactMap { $0 } }

    private func entry(_ slot: UInt32, at now: UInt64) -> CacheEntry? {
        let found = descriptor(slot)
        guard !isInvalid(found), now < found.expires else { return nil }
        let origin = origin(found)
        return CacheEntry(
            key: CacheKey(words: found.key),
            server: names.servers[Int(origin.server)] ?? "",
            tool: names.tools[Int(origin.tool)]?.name ?? "",
            bytes: Int(omni2_location_length(found.location)),
            hits: Int(slots[Int(slot)].hits),
            storedAt: MonotonicTime(nanoseconds: slots[Int(slot)].storedAt),
            expiresAt: MonotonicTime(nanoseconds: found.expires))
    }

    /// The names behind an entry's numbers; empty if they changed hands since.
    public func names(of origin: CacheOrigin) -> (server: String, tool: String) {
        (
            names.servers[Int(origin.server)] ?? "",
            names.tools[Int(origin.tool)]?.name ?? ""
        )
    }
}

/// One entry as operators see it.
public struct CacheEntry: Equatable, Sendable {
    public let key: CacheKey
    public let server: String
    public let tool: String
    public let bytes: Int
    /// The daemon's own hits since the value was put.
    public let hits: Int
    public let storedAt: MonotonicTime
    public let expiresAt: MonotonicTime
}
