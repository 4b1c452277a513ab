internal import CShims.Cache
public import OmniCore

/// Making room. In this order: entries nobody may read any more, memory the kernel still gives,
/// small neighbours moved aside, and last the least recently used entry.
extension CacheWriter {
    static let unitBytes = 64
    /// Memory is taken from the kernel and given back in steps of this size.
    static let stepBytes = 2 << 20
    static let unitsPerStep = stepBytes / unitBytes
    /// Deferred evictions per eviction: a reader that touches everything cannot stall the writer.
    private static let secondChancesMax = 32
    /// Neighbours moved aside for one value at most.
    private static let relocationsMax = 16

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
            if allocator.unitsFree >= 2 * Int(units), joinFreeSpace(units: units, sparing: slot) {
                continue
            }
            guard evict(sparing: slot) else { return nil }
        }
    }

    /// Drops the least recently used entry that no reader has asked for since it was last
    /// considered. False if there is none but `spared`.
    private func evict(sparing spared: UInt32) -> Bool {
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

    /// Moves small entries away from between free extents until one of `units` exists.
    private func joinFreeSpace(units: UInt32, sparing spared: UInt32) -> Bool {
        for start in allocator.longestFree(limit: 4) {
            guard let movable = neighbours(of: start, units: units, sparing: spared) else {
                continue
            }
            // Each must find a place outside the window; stop at the first that does not.
            guard movable.allSatisfy({ relocate($0) }) else { continue }
            return true
        }
        return false
    }

    /// The entries to move so that the window around a free extent reaches `units`.
    private func neighbours(
        of start: UInt32, units: UInt32, sparing spared: UInt32
    ) -> [UInt32]? {
        var (low, high) = (start, start)
        var total = Int(allocator.count(of: start))
        var moved = 0
        var owners: [UInt32] = []
        while total < Int(units) {
            let (below, above) = (allocator.below(low), allocator.above(high))
            var pick = ExtentAllocator.none
            for side in [below, above] where side != ExtentAllocator.none {
                if pick == ExtentAllocator.none || cost(side) < cost(pick) { pick = side }
            }
            guard pick != ExtentAllocator.none else { return nil }
            if pick == below { low = pick } else { high = pick }
            total += Int(allocator.count(of: pick))
            guard !allocator.isFree(pick) else { continue }
            let owner = allocator.owner(of: pick)
            moved += Int(allocator.count(of: pick))
            owners.append(owner)
            guard owner != spared, owners.count <= Self.relocationsMax, moved <= Int(units) else {
                return nil
            }
        }
        return owners
    }

    private func cost(_ node: UInt32) -> UInt32 {
        allocator.isFree(node) ? 0 : allocator.count(of: node)
    }

    /// Copies an entry elsewhere under a new stamp: a reader in the middle of the old copy notices.
    private func relocate(_ slot: UInt32) -> Bool {
        let found = descriptor(slot)
        guard !isInvalid(found) else {
            drop(slot)
            return true
        }
        let oldNode = slots[Int(slot)].node
        guard let node = allocator.allocate(allocator.count(of: oldNode), owner: slot) else {
            return false
        }
        let length = omni2_location_length(found.location)
        let unit = allocator.unit(of: node)
        unsafe omni2_writer_move(shared, unit, allocator.unit(of: oldNode), length)
        var key = omni2_key(word: found.key)
        let stamp = takeStamp()
        unsafe omni2_writer_drop(shared, slot)
        unsafe omni2_writer_publish(
            shared, slot, &key, omni2_location(unit, length), found.expires, found.meta, stamp)
        slots[Int(slot)].node = node
        freeExtent(oldNode)
        count(OMNI2_STAT_RELOCATIONS)
        return true
    }

    // MARK: - Memory

    /// Takes the next step of memory, if configuration, cgroup and kernel allow.
    private func grow() -> Bool {
        guard let step = reservedSteps.firstIndex(of: false),
            memoryLimit.allows(Self.stepBytes, beyond: bytesReserved, at: latest)
        else { return false }
        let offset = Int(geometry.value_offset) + step * Self.stepBytes
        do throws(SystemError) {
            try segment.reserve(offset: offset, count: Self.stepBytes)
        } catch {
            // No memory is an ordinary answer here: the caller evicts instead.
            memoryLimit.refused(at: latest)
            return false
        }
        reservedSteps[step] = true
        stepsReserved += 1
        allocator.add(unit: UInt32(step * Self.unitsPerStep), count: UInt32(Self.unitsPerStep))
        return true
    }

    /// Answers memory pressure: evicts a quarter of the entries and gives whole free steps back.
    /// Returns the bytes returned to the kernel.
    @discardableResult
    public func relieveMemoryPressure(at now: MonotonicTime) -> Int {
        let now = advance(to: now)
        reclaim(at: now, limit: slots.count)
        for _ in 0..<(slots.count - spareSlots.count) / 4 {
            guard evict(sparing: ExtentAllocator.none) else { break }
        }
        let before = bytesReserved
        releaseFreeSteps()
        memoryLimit.refused(at: now)
        publishGauges()
        return before - bytesReserved
    }

    /// Steps that hold no value go back to the kernel.
    private func releaseFreeSteps() {
        for node in allocator.longestFree(limit: reservedSteps.count) {
            let start = Int(allocator.unit(of: node))
            let end = start + Int(allocator.count(of: node))
            let firstStep = (start + Self.unitsPerStep - 1) / Self.unitsPerStep
            let lastStep = end / Self.unitsPerStep
            guard firstStep < lastStep else { continue }
            allocator.withdraw(
                unit: UInt32(firstStep * Self.unitsPerStep),
                count: UInt32((lastStep - firstStep) * Self.unitsPerStep), from: node)
            for step in firstStep..<lastStep {
                giveBack(step)
            }
        }
    }

    private func giveBack(_ step: Int) {
        let offset = Int(geometry.value_offset) + step * Self.stepBytes
        do throws(SystemError) {
            try segment.release(offset: offset, count: Self.stepBytes)
            reservedSteps[step] = false
            stepsReserved -= 1
        } catch {
            // The kernel keeps the pages; we keep using them.
            allocator.add(
                unit: UInt32(step * Self.unitsPerStep), count: UInt32(Self.unitsPerStep))
        }
    }
}
