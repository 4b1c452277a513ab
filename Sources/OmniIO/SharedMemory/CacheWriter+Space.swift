internal import CShims.Cache

/// Making room. In this order: entries nobody may read any more, memory the kernel still gives,
/// and the least recently used entries; `CacheWriter+Compaction` where that leaves only pieces.
extension CacheWriter {
    static let unitBytes = 64
    /// Deferred evictions per eviction: a reader that touches everything cannot stall the writer.
    private static let secondChancesMax = 32

    // MARK: - Descriptors

    /// A free descriptor; evicts if all are in use.
    func takeSlot(at now: UInt64) -> UInt32? {
        if spareSlots.isEmpty { reclaim(at: now, limit: 1) }
        if spareSlots.isEmpty { _ = evict(sparing: ExtentAllocator.none) }
        return spareSlots.popLast()
    }

    // MARK: - Extents

    /// An extent for `slot`, evicting others (never `slot` itself) until one fits.
    func makeRoom(units: UInt32, for slot: UInt32) -> UInt32? {
        while true {
            if let node = allocator.allocate(units, owner: slot) { return node }
            if reclaim(at: latest, limit: 1, sparing: slot) > 0 { continue }
            if grow() { continue }
            // Plenty is free, but in pieces: evicting further in order of use would empty the cache
            // before two large enough neighbours happened to go.
            if allocator.unitsFree >= 2 * Int(units),
                joinFreeSpace(units: units, sparing: slot)
                    || clearSpace(units: units, sparing: slot),
                let node = allocator.allocate(units, owner: slot)
            {
                return node
            }
            guard evict(sparing: slot) else { return nil }
        }
    }

    /// Drops the least recently used entry that no reader has asked for since it was last
    /// considered. False if there is none but `spared`.
    func evict(sparing spared: UInt32) -> Bool {
        var chances = Self.secondChancesMax
        var candidate = recencyList.head
        while candidate != SlotLinks.none {
            let next = recency.next(candidate)
            if candidate == spared {
                candidate = next
                continue
            }
            if chances > 0, next != SlotLinks.none, readers.consumeTouch(candidate) {
                chances -= 1
                recency.remove(candidate, from: &recencyList)
                recency.append(candidate, to: &recencyList)
                count(OMNI2_STAT_SECOND_CHANCES)
                candidate = recencyList.head
                continue
            }
            drop(candidate)
            count(OMNI2_STAT_EVICTIONS)
            return true
        }
        return false
    }

    /// Frees up to `limit` entries that were invalidated or whose time is over. Returns how many.
    @discardableResult
    func reclaim(at now: UInt64, limit: Int, sparing spared: UInt32? = nil) -> Int {
        var freed = 0
        while freed < limit {
            if !deadList.isEmpty, deadList.head != spared {
                drop(deadList.head)
            } else if let slot = expiry.due(at: now), slot != spared {
                drop(slot)
                count(OMNI2_STAT_EXPIRATIONS)
            } else {
                break
            }
            freed += 1
        }
        return freed
    }
}
