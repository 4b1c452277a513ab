internal import CShims.Cache
public import OmniCore

/// Other bounds, or another layout: a new segment takes the old one's entries over.
///
/// Readers of the old segment find it retired at their next lookup and attach to the new one
/// inside the same call. The old memory is given back once nobody can be in the middle of it.
extension CacheWriter {
    /// Makes a segment of `configuration` with the entries of `old` that a lookup would return,
    /// in the same order of use, and retires `old`. If the new bounds are tighter, the least
    /// recently used entries stay behind. Fills that began in `old` are refused here.
    public convenience init(
        succeeding old: CacheWriter, configuration: CacheConfiguration, at now: MonotonicTime
    ) throws(SystemError) {
        try self.init(configuration: configuration, at: now)
        var slot = old.recencyList.head
        while slot != SlotLinks.none {
            take(slot, from: old, at: advance(to: now))
            slot = old.recency.next(slot)
        }
        for which in 0..<OMNI2_STAT_ENTRIES.rawValue {
            let statistic = omni2_statistic(which)
            unsafe counters.set(statistic, old.counters[statistic], in: shared)
        }
        publishGauges()
        old.retire()
    }

    private func take(_ slot: UInt32, from old: CacheWriter, at now: UInt64) {
        let found = old.descriptor(slot)
        let origin = old.origin(found)
        guard !old.isInvalid(found), now < found.expires,
            let server = old.names.servers[Int(origin.server)],
            let tool = old.names.tools[Int(origin.tool)]?.name
        else { return }
        unsafe insert(
            NewEntry(
                key: CacheKey(words: found.key), value: old.bytes(found),
                origin: originFor(server: server, tool: tool),
                life: found.expires - now, now: now))
    }

    /// Gives a retired segment's memory back, under readers that never came again. Call it when
    /// they have had twice the 15 s after which they distrust a silent writer.
    public func discard() throws(SystemError) {
        retire()
        let offset = Int(geometry.value_offset)
        try segment.release(offset: offset, count: segment.bytes - offset)
    }
}
