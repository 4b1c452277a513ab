internal import CShims.Cache

/// Making one long extent out of free pieces: a window of neighbouring extents is chosen and
/// emptied, by moving its entries elsewhere (descriptors make that possible) or, where too many
/// would have to move, by dropping them. Either way the work is bounded by the size asked for.
extension CacheWriter {
    /// Entries moved for one value at most; about half a microsecond each.
    private static let relocationsMax = 256

    /// Extents that lie next to each other, and what emptying them costs.
    private struct Window {
        var nodes: [UInt32]
        var units: Int
        var unitsHeld = 0
        var entries = 0
    }

    /// Moves the entries around a long free extent elsewhere. True if `units` are free in one piece.
    func joinFreeSpace(units: UInt32, sparing spared: UInt32) -> Bool {
        for start in allocator.longestFree(limit: 4) {
            guard let window = window(around: start, units: units, sparing: spared),
                window.entries <= Self.relocationsMax, window.unitsHeld <= Int(units)
            else { continue }
            // Only one is tried: moving changes which nodes there are.
            return moveAway(window.nodes)
        }
        return false
    }

    /// Drops whatever lies around the least recently used entry, `units` at most beside it.
    func clearSpace(units: UInt32, sparing spared: UInt32) -> Bool {
        var candidate = recencyList.head
        for _ in 0..<16 where candidate != SlotLinks.none {
            let node = slots[Int(candidate)].node
            if candidate != spared, node != ExtentAllocator.none,
                let window = window(around: node, units: units, sparing: spared)
            {
                let owners = window.nodes.map { allocator.owner(of: $0) }
                for owner in owners where owner != ExtentAllocator.none {
                    drop(owner)
                    count(OMNI2_STAT_EVICTIONS)
                }
                return true
            }
            candidate = recency.next(candidate)
        }
        return false
    }

    /// Grows from `start` to whichever side costs less until it spans `units`; nothing if the edge
    /// of memory or `spared` is in the way on both sides.
    private func window(
        around start: UInt32, units: UInt32, sparing spared: UInt32
    ) -> Window? {
        var window = Window(nodes: [start], units: Int(allocator.count(of: start)))
        if !allocator.isFree(start) {
            window.unitsHeld = window.units
            window.entries = 1
        }
        var (low, high) = (start, start)
        while window.units < Int(units) {
            let sides = [allocator.below(low), allocator.above(high)].filter {
                $0 != ExtentAllocator.none && allocator.owner(of: $0) != spared
            }
            guard let pick = sides.min(by: { cost($0) < cost($1) }) else { return nil }
            if pick == allocator.below(low) { low = pick } else { high = pick }
            window.nodes.append(pick)
            window.units += Int(allocator.count(of: pick))
            window.unitsHeld += Int(cost(pick))
            if !allocator.isFree(pick) { window.entries += 1 }
        }
        return window
    }

    private func cost(_ node: UInt32) -> UInt32 {
        allocator.isFree(node) ? 0 : allocator.count(of: node)
    }

    /// Empties neighbouring extents. What is or becomes free is withheld until all have moved, so
    /// that nobody moves to where somebody just left.
    func moveAway(_ nodes: [UInt32]) -> Bool {
        let owners = nodes.map { allocator.owner(of: $0) }
        for node in nodes where allocator.isFree(node) { allocator.withhold(node) }
        var moved = 0
        while moved < owners.count {
            let owner = owners[moved]
            guard owner == ExtentAllocator.none || relocate(owner) else { break }
            moved += 1
        }
        for (index, node) in nodes.enumerated()
        where index < moved || owners[index] == ExtentAllocator.none {
            allocator.free(node)
        }
        return moved == owners.count
    }

    /// Copies an entry elsewhere under a new stamp: a reader in the middle of the old copy notices.
    /// The old extent is scrubbed and stays withheld.
    private func relocate(_ slot: UInt32) -> Bool {
        let found = descriptor(slot)
        // A new stamp would bring an invalidated entry back to life.
        guard !isInvalid(found) else { return false }
        let oldNode = slots[Int(slot)].node
        let units = allocator.count(of: oldNode)
        guard let node = allocator.allocate(units, owner: slot) else { return false }
        let length = omni2_location_length(found.location)
        let unit = allocator.unit(of: node)
        unsafe omni2_writer_move(shared, unit, allocator.unit(of: oldNode), length)
        var key = omni2_key(word: found.key)
        let stamp = takeStamp()
        unsafe omni2_writer_drop(shared, slot)
        unsafe omni2_writer_publish(
            shared, slot, &key, omni2_location(unit, length), found.expires, found.meta, stamp)
        slots[Int(slot)].node = node
        unsafe omni2_writer_scrub(shared, allocator.unit(of: oldNode), units)
        allocator.disown(oldNode)
        count(OMNI2_STAT_RELOCATIONS)
        return true
    }
}
