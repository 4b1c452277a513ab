internal import CShims.Cache
public import OmniCore

/// Other bounds need another segment: it takes the old one's entries over while both are in use.
///
/// Works in slices, from the most recently used entry down, each put behind those that are there
/// already; so the order of use is kept, the new segment is useful from the first slice on, and
/// where its bounds are tighter what was least recently used stays behind. Meanwhile puts go to the
/// new segment alone, and what ends entries ends them in both. Readers of the old segment find it
/// retired at the end and attach to the new one inside the same lookup.
public final class CacheSuccession {
    public let old: CacheWriter
    public let new: CacheWriter
    /// The entry to take next.
    private var next: UInt32
    /// What siblings had counted when the old segment's counters were taken over.
    private var countersTaken = CacheCounters()
    private var isOver = false

    /// Values moved in a slice at most; one more may begin.
    private static let bytesPerSlice = 1 << 20

    /// `new` is empty. Fills that began in `old` are refused there.
    public init(of old: CacheWriter, by new: CacheWriter) {
        self.old = old
        self.new = new
        next = old.recencyList.tail
        takeCounters()
    }

    /// Takes up to `limit` entries. False when it is over: the old segment is retired then.
    public func step(at now: MonotonicTime, limit: Int = 256) -> Bool {
        if isOver { return false }
        old.beat(at: now)
        let now = new.advance(to: now)
        var bytes = 0
        var count = 0
        while next != SlotLinks.none, count < limit, bytes < Self.bytesPerSlice {
            guard let taken = new.take(next, of: old, at: now) else {
                next = SlotLinks.none
                break
            }
            next = old.recency.previous(next)
            bytes += taken
            count += 1
        }
        new.publishGauges()
        if next == SlotLinks.none { end() }
        return !isOver
    }

    /// Like the old segment's own; entries may only leave it through here.
    public func remove(_ key: CacheKey, at now: MonotonicTime) {
        if let slot = old.find(key), slot == next { next = old.recency.previous(slot) }
        old.remove(key, at: now)
    }

    private func end() {
        isOver = true
        old.collectFromReaders()
        takeCounters()
        old.retire()
    }

    /// The new segment goes on counting where the old one is.
    private func takeCounters() {
        for which in 0..<OMNI2_STAT_ENTRIES.rawValue {
            let statistic = omni2_statistic(which)
            new.count(statistic, old.counters[statistic] &- countersTaken[statistic])
        }
        countersTaken = old.counters
    }
}

extension CacheWriter {
    /// Copies an entry of another segment behind the least recently used one; evicts nobody.
    /// Returns the bytes copied (0 if nobody could have read the entry), nil if there is no room.
    fileprivate func take(_ slot: UInt32, of old: CacheWriter, at now: UInt64) -> Int? {
        let found = old.descriptor(slot)
        let origin = old.origin(found)
        let value = unsafe old.bytes(found)
        let key = CacheKey(words: found.key)
        guard !old.isInvalid(found), now < found.expires, find(key) == nil,
            value.count <= configuration.valueBytesMax,
            let server = old.names.servers[Int(origin.server)],
            let tool = old.names.tools[Int(origin.tool)]?.name
        else { return 0 }
        var entry = unsafe NewEntry(
            key: key, value: value, origin: originFor(server: server, tool: tool),
            life: found.expires - now, now: now)
        unsafe entry.queueLife = old.expiry.life(ofQueue: old.slots[Int(slot)].expiryClass)
        return unsafe insertOldest(entry) ? value.count : nil
    }

    /// Gives a retired segment's memory back, under readers that never came again. Call it when
    /// they have had twice the 15 s after which they distrust a silent writer.
    public func discard() throws(SystemError) {
        retire()
        let offset = Int(geometry.value_offset)
        try segment.release(offset: offset, count: segment.bytes - offset)
    }
}
