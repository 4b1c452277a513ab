internal import CShims.Cache
public import OmniCore

/// Storing. The order of a put: room, bytes, stamp, descriptor, slot; a replacement ends the old
/// life (`born` = 0) between bytes and descriptor. See the header for why that is enough.
extension CacheWriter {
    /// Call before asking the upstream; `put` refuses the answer if the origin was invalidated
    /// meanwhile. Gives the names their numbers if they have none.
    public func beginFill(server: String, tool: String) -> FillToken {
        FillToken(
            origin: originFor(server: server, tool: tool), stamp: nextStamp,
            segment: identifier)
    }

    /// False once the origin was invalidated: `put` would refuse the answer.
    public func isCurrent(_ token: FillToken) -> Bool {
        token.segment == identifier && invalidStamp(token.origin) < token.stamp
    }

    /// Stores a value under `key` for `ttl` (nothing: the configured one).
    public func put(
        _ key: CacheKey, _ value: Span<UInt8>, ttl: Duration? = nil, token: FillToken,
        at now: MonotonicTime
    ) -> PutOutcome {
        unsafe value.withUnsafeBytes {
            unsafe put(key, $0, ttl: ttl, token: token, at: now)
        }
    }

    @unsafe public func put(
        _ key: CacheKey, _ value: UnsafeRawBufferPointer, ttl: Duration? = nil, token: FillToken,
        at now: MonotonicTime
    ) -> PutOutcome {
        let now = advance(to: now)
        guard value.count <= configuration.valueBytesMax else {
            count(OMNI2_STAT_REFUSED_TOO_LARGE)
            return .tooLarge
        }
        guard isCurrent(token) else {
            count(OMNI2_STAT_REFUSED_OUTDATED)
            return .outdated
        }
        reclaim(at: now, limit: 2)
        defer { publishGauges() }
        let life = UInt64(max(1, (ttl ?? configuration.ttl).nanosecondsClamped))
        let fresh = unsafe NewEntry(
            key: key, value: value, origin: token.origin, life: life, now: now)
        if let slot = find(key) {
            let old = descriptor(slot)
            if !isInvalid(old), now < old.expires, unsafe replace(slot, old, by: fresh) {
                count(OMNI2_STAT_REPLACEMENTS)
                return .replaced
            }
            drop(slot)
        }
        guard unsafe insert(fresh) else {
            count(OMNI2_STAT_REFUSED_NO_SPACE)
            return .noSpace
        }
        count(OMNI2_STAT_STORES)
        return .stored
    }

    /// What is about to become an entry.
    @unsafe struct NewEntry {
        var key: CacheKey
        var value: UnsafeRawBufferPointer
        var origin: CacheOrigin
        var life: UInt64
        var now: UInt64
        /// Entries of equal life wait for their end together; nil stands for `life`.
        var queueLife: UInt64?

        var expires: UInt64 {
            let (sum, overflow) = unsafe now.addingReportingOverflow(life)
            return overflow ? .max : sum
        }
    }

    /// New value for a valid entry, in place. False: no room without giving up the entry itself.
    private func replace(
        _ slot: UInt32, _ old: omni2_descriptor, by fresh: NewEntry
    ) -> Bool {
        guard let node = unsafe placeValue(fresh.value, for: slot) else { return false }
        let oldNode = slots[Int(slot)].node
        leaveLists(slot, old)
        let stamp = takeStamp()
        unsafe omni2_writer_drop(shared, slot)
        unsafe publish(fresh, in: slot, at: node, stamp: stamp)
        freeExtent(oldNode)
        return true
    }

    private func insert(_ fresh: NewEntry) -> Bool {
        guard let slot = takeSlot(at: unsafe fresh.now) else { return false }
        guard let node = unsafe placeValue(fresh.value, for: slot) else {
            spareSlots.append(slot)
            return false
        }
        unsafe enter(fresh, in: slot, at: node)
        recency.append(slot, to: &recencyList)
        return true
    }

    /// For what was used before everything that is here: takes what is free, evicts nobody.
    func insertOldest(_ fresh: NewEntry) -> Bool {
        guard let slot = spareSlots.last else { return false }
        var node = ExtentAllocator.none
        if unsafe fresh.value.count > 0 {
            let units = unsafe Self.units(fresh.value)
            var extent = allocator.allocate(units, owner: slot)
            while extent == nil, grow() { extent = allocator.allocate(units, owner: slot) }
            guard let extent else { return false }
            node = extent
            unsafe fill(node, with: fresh.value)
        }
        spareSlots.removeLast()
        unsafe enter(fresh, in: slot, at: node)
        recency.prepend(slot, to: &recencyList)
        return true
    }

    private func enter(_ fresh: NewEntry, in slot: UInt32, at node: UInt32) {
        var words = unsafe fresh.key.shared
        let hash = unsafe omni2_writer_hash(shared, &words)
        let position = indexPosition(for: hash)
        unsafe publish(fresh, in: slot, at: node, stamp: takeStamp())
        unsafe omni2_writer_set_slot(shared, position, omni2_slot(omni2_tag(hash), slot))
    }

    private func publish(
        _ fresh: NewEntry, in slot: UInt32, at node: UInt32, stamp: UInt64
    ) {
        var words = unsafe fresh.key.shared
        let unit = node == ExtentAllocator.none ? 0 : allocator.unit(of: node)
        let origin = unsafe fresh.origin
        let crc = unsafe omni2_crc32c(fresh.value.baseAddress, fresh.value.count)
        unsafe omni2_writer_publish(
            shared, slot, &words, omni2_location(unit, UInt32(fresh.value.count)), fresh.expires,
            omni2_meta(crc, origin.server, origin.tool), stamp)
        let reclaimAt = unsafe reclaimTime(fresh.expires)
        slots[Int(slot)] = unsafe Slot(
            node: node,
            expiryClass: expiry.add(
                slot, expires: reclaimAt, life: fresh.queueLife ?? fresh.life),
            hits: 0, storedAt: fresh.now)
        membership.append(slot, to: &toolLists[Int(origin.tool)])
        toolEntries[Int(origin.tool)] += 1
        entriesValid += 1
    }

    /// Finds room for the bytes and copies them there. `none` for an empty value.
    private func placeValue(_ value: UnsafeRawBufferPointer, for slot: UInt32) -> UInt32? {
        guard value.count > 0 else { return ExtentAllocator.none }
        guard let node = makeRoom(units: unsafe Self.units(value), for: slot) else { return nil }
        unsafe fill(node, with: value)
        return node
    }

    private static func units(_ value: UnsafeRawBufferPointer) -> UInt32 {
        UInt32((value.count + unitBytes - 1) / unitBytes)
    }

    private func fill(_ node: UInt32, with value: UnsafeRawBufferPointer) {
        unsafe omni2_writer_fill(
            shared, allocator.unit(of: node), value.baseAddress, UInt32(value.count))
    }

    // MARK: - Leaving

    /// Ends an entry: slot, then version word, then its memory.
    func drop(_ slot: UInt32) {
        let old = descriptor(slot)
        if let position = indexPosition(of: slot, old) {
            unsafe omni2_writer_set_slot(shared, position, 0)
        }
        unsafe omni2_writer_drop(shared, slot)
        leaveLists(slot, old)
        recency.remove(slot, from: &recencyList)
        freeExtent(slots[Int(slot)].node)
        slots[Int(slot)].node = ExtentAllocator.none
        readers.forget(slot)
        spareSlots.append(slot)
    }

    /// Out of the expiry queue and the list of its tool (or of the dead); keeps its place in use.
    private func leaveLists(_ slot: UInt32, _ old: omni2_descriptor) {
        expiry.remove(slot, queue: slots[Int(slot)].expiryClass)
        if isInvalid(old) {
            membership.remove(slot, from: &deadList)
        } else {
            let tool = Int(omni2_meta_tool(old.meta))
            membership.remove(slot, from: &toolLists[tool])
            toolEntries[tool] -= 1
            entriesValid -= 1
        }
    }

    /// Scrubbed before it can be reused: a result may be a secret, and readers see every byte.
    func freeExtent(_ node: UInt32) {
        guard node != ExtentAllocator.none else { return }
        unsafe omni2_writer_scrub(shared, allocator.unit(of: node), allocator.count(of: node))
        allocator.free(node)
    }

    // MARK: - Index

    /// Where in the index a descriptor is named.
    func indexPosition(of slot: UInt32, _ found: omni2_descriptor) -> UInt64? {
        var words = omni2_key(word: found.key)
        let hash = unsafe omni2_writer_hash(shared, &words)
        let wanted = omni2_slot(omni2_tag(hash), slot)
        return position(in: hash) { $0 == wanted }
    }

    /// A free slot for a key of this hash: in its first bucket, where lookups begin, unless that
    /// is nearly full; then in the emptier of its two; else by moving one entry to its other
    /// bucket; else by evicting the oldest of the sixteen.
    private func indexPosition(for hash: UInt64) -> UInt64 {
        let mask = unsafe shared.pointee.index_mask
        let first = omni2_bucket_first(hash, mask)
        let other = omni2_bucket_other(first, omni2_tag(hash), mask)
        let room = freeSlots(in: first)
        if room.count > Self.slotsKept { return room.position }
        let otherRoom = freeSlots(in: other)
        if room.count > 0 || otherRoom.count > 0 {
            return room.count >= otherRoom.count ? room.position : otherRoom.position
        }
        for bucket in [first, other] {
            if let position = moveOne(outOf: bucket) { return position }
        }
        return evictOldest(of: [first, other])
    }

    /// Free slots of a bucket that are left to keys for which it is the second.
    private static let slotsKept = 2

    private func freeSlots(in bucket: UInt64) -> (count: Int, position: UInt64) {
        let start = bucket * UInt64(OMNI2_BUCKET_SLOTS)
        var found = (count: 0, position: start)
        for position in start..<start + UInt64(OMNI2_BUCKET_SLOTS)
        where unsafe omni2_writer_slot(shared, position) == 0 {
            if found.count == 0 { found.position = position }
            found.count += 1
        }
        return found
    }

    /// Written to its new place before it leaves the old one: a reader finds it at least once.
    private func moveOne(outOf bucket: UInt64) -> UInt64? {
        let start = bucket * UInt64(OMNI2_BUCKET_SLOTS)
        let mask = unsafe shared.pointee.index_mask
        for position in start..<start + UInt64(OMNI2_BUCKET_SLOTS) {
            let slot = unsafe omni2_writer_slot(shared, position)
            let target = freeSlots(
                in: omni2_bucket_other(bucket, UInt32(truncatingIfNeeded: slot >> 32), mask))
            guard target.count > 0 else { continue }
            unsafe omni2_writer_set_slot(shared, target.position, slot)
            unsafe omni2_writer_set_slot(shared, position, 0)
            count(OMNI2_STAT_INDEX_MOVES)
            return position
        }
        return nil
    }

    private func evictOldest(of buckets: [UInt64]) -> UInt64 {
        var oldest = (born: UInt64.max, slot: UInt32(0), position: UInt64(0))
        for bucket in buckets {
            let start = bucket * UInt64(OMNI2_BUCKET_SLOTS)
            for position in start..<start + UInt64(OMNI2_BUCKET_SLOTS) {
                let slot = UInt32(
                    truncatingIfNeeded: unsafe omni2_writer_slot(shared, position))
                let born = descriptor(slot).born
                if born < oldest.born { oldest = (born, slot, position) }
            }
        }
        drop(oldest.slot)
        count(OMNI2_STAT_EVICTIONS)
        return oldest.position
    }

    /// The position among a hash's sixteen whose content satisfies `match`.
    private func position(in hash: UInt64, where match: (UInt64) -> Bool) -> UInt64? {
        let mask = unsafe shared.pointee.index_mask
        var bucket = omni2_bucket_first(hash, mask)
        for _ in 0..<2 {
            let start = bucket * UInt64(OMNI2_BUCKET_SLOTS)
            for position in start..<start + UInt64(OMNI2_BUCKET_SLOTS)
            where match(unsafe omni2_writer_slot(shared, position)) {
                return position
            }
            bucket = omni2_bucket_other(bucket, omni2_tag(hash), mask)
        }
        return nil
    }
}
