internal import CShims.Cache
public import OmniCore

/// Continuing a segment whose writer is gone.
///
/// The successor behaves like a reader: it keeps exactly the entries a reader would have returned
/// (and those past their life that may still be answered stale), judged by the same words. What it
/// stores until it is done are zeros into version words and slots, so dying in the middle and
/// starting over is harmless. It drops entries or refuses the segment; it never traps over what
/// it finds.
extension CacheWriter {
    /// Takes over a segment from the descriptor store. Consumes the descriptor, also on failure.
    ///
    /// - `otherBounds`, `otherClock`, `notLive`, `notASegment`: begin a new segment instead.
    public convenience init(
        recovering descriptor: Int32, configuration: CacheConfiguration, at now: MonotonicTime
    ) throws(CacheRecoveryError) {
        let configuration = configuration.bounded
        let segment: SharedSegment
        do throws(SystemError) {
            segment = try SharedSegment(adopting: descriptor)
        } catch {
            throw error.call.description == "mmap" ? .system(error) : .notASegment
        }
        guard segment.bytes >= OMNI2_HEADER_BYTES else { throw .notASegment }
        var geometry = omni2_geometry()
        unsafe withUnsafeMutableBytes(of: &geometry) {
            unsafe $0.copyMemory(
                from: UnsafeRawBufferPointer(start: segment.base, count: $0.count))
        }
        guard unsafe omni2_geometry_check(&geometry, UInt64(segment.bytes)) == 0 else {
            throw .notASegment
        }
        guard configuration.matches(geometry) else { throw .otherBounds }
        self.init(continuing: segment, geometry: geometry, configuration: configuration)
        guard unsafe omni2_writer_state(shared) == OMNI2_STATE_LIVE.rawValue else {
            throw .notLive
        }
        let control = unsafe shared.pointee.control.pointee
        // A heartbeat from the future: another boot, or another time namespace.
        guard control.heartbeat <= now.nanoseconds &+ Self.orphanedAfter else {
            throw .otherClock
        }
        do throws(SystemError) {
            // Pages that were never touched read as zeros, but they must exist before we write.
            try segment.reserve(offset: 0, count: geometry.namesOffset)
        } catch {
            throw .system(error)
        }
        rebuild(at: advance(to: now))
        beginLife(at: now)
    }

    private func rebuild(at now: UInt64) {
        loadStamps()
        loadNames()
        for which in 0..<OMNI2_STAT_ENTRIES.rawValue {
            let statistic = omni2_statistic(which)
            unsafe counters.set(
                statistic, shared.pointee.statistics[Int(which)], in: shared)
        }
        let named = cleanIndex()
        let kept = judge((0..<UInt32(slots.count)).filter { named[Int($0)] }, at: now)
        let keep = Set(kept)
        var dropped = 0
        for slot in (0..<UInt32(slots.count)).reversed() where !keep.contains(slot) {
            if descriptor(slot).born != 0 {
                unnameAndDrop(slot)
                dropped += 1
            }
            spareSlots.append(slot)
        }
        rebuildSpace(around: kept)
        adopt(kept, at: now)
        unsafe counters.set(OMNI2_STAT_RECOVERED, UInt64(kept.count), in: shared)
        unsafe counters.set(OMNI2_STAT_RECOVERY_DROPPED, UInt64(dropped), in: shared)
    }

    /// Those of the named descriptors that a reader would have returned, by place in memory.
    private func judge(_ named: [UInt32], at now: UInt64) -> [UInt32] {
        let kept = withoutOverlap(named.filter { isKept($0, at: now) })
        let bytes = kept.reduce(0) { $0 + Int(omni2_location_length(descriptor($1).location)) }
        // The order of publication already proves that values are complete; checking gigabytes
        // again would keep everybody waiting.
        return bytes > Self.verifiedBytesMax ? kept : kept.filter { isIntact($0) }
    }

    // MARK: - Stamps and names

    private func loadStamps() {
        let control = unsafe shared.pointee.control.pointee
        invalidAll = control.invalid_all
        var highest = max(control.stamp, control.invalid_all &+ 1)
        for server in serverStamps.indices {
            serverStamps[server] = unsafe shared.pointee.server_stamps[server]
            highest = max(highest, serverStamps[server] &+ 1)
        }
        for tool in toolStamps.indices {
            toolStamps[tool] = unsafe shared.pointee.tool_stamps[tool]
            highest = max(highest, toolStamps[tool] &+ 1)
        }
        for slot in slots.indices {
            highest = max(highest, descriptor(UInt32(slot)).born &+ 1)
        }
        nextStamp = highest
    }

    private func loadNames() {
        for server in 0..<configuration.serversMax {
            guard
                let (name, _) = unsafe readName(
                    omni2_writer_server_name(shared, UInt32(server))),
                names.server(named: name) == nil
            else { continue }
            names.name(server: UInt16(server), name)
        }
        for tool in 0..<configuration.toolsMax {
            guard
                let (name, parent) = unsafe readName(
                    omni2_writer_tool_name(shared, UInt32(tool))),
                parent < UInt32(configuration.serversMax),
                names.servers[Int(parent)] != nil,
                names.tool(named: name, of: UInt16(parent)) == nil
            else { continue }
            names.name(tool: UInt16(tool), name, of: UInt16(parent))
        }
    }

    /// Nothing for an unused record, one that was being written, and a name that was cut.
    private func readName(
        _ record: UnsafeMutablePointer<omni2_name>
    ) -> (name: String, parent: UInt32)? {
        let length = unsafe Int(record.pointee.length)
        let room = unsafe MemoryLayout.size(ofValue: record.pointee.text)
        guard unsafe record.pointee.born != 0, length <= room else { return nil }
        let text = unsafe UnsafeBufferPointer(start: omni2_name_text(record), count: length)
        return unsafe (String(decoding: text, as: UTF8.self), record.pointee.parent)
    }

    // MARK: - Judging

    /// Clears slots that name nothing or the wrong bucket, and second mentions. Returns which
    /// descriptors are named: the others no reader could find.
    private func cleanIndex() -> [Bool] {
        var named = [Bool](repeating: false, count: slots.count)
        let positions = (geometry.index_mask + 1) * UInt64(OMNI2_BUCKET_SLOTS)
        for position in 0..<positions {
            let slot = unsafe omni2_writer_slot(shared, position)
            guard slot != 0 else { continue }
            let number = Int(slot & 0xffff_ffff)
            if number < slots.count, !named[number], isRightPlace(position, for: slot) {
                named[number] = true
            } else {
                unsafe omni2_writer_set_slot(shared, position, 0)
            }
        }
        return named
    }

    private func isRightPlace(_ position: UInt64, for slot: UInt64) -> Bool {
        let found = descriptor(UInt32(truncatingIfNeeded: slot))
        guard found.born != 0 else { return false }
        var key = omni2_key(word: found.key)
        let hash = unsafe omni2_writer_hash(shared, &key)
        let first = omni2_bucket_first(hash, geometry.index_mask)
        let other = omni2_bucket_other(first, omni2_tag(hash), geometry.index_mask)
        let bucket = position / UInt64(OMNI2_BUCKET_SLOTS)
        return omni2_tag(hash) == UInt32(truncatingIfNeeded: slot >> 32)
            && (bucket == first || bucket == other)
    }

    private func isKept(_ slot: UInt32, at now: UInt64) -> Bool {
        let found = descriptor(slot)
        let origin = origin(found)
        let length = Int(omni2_location_length(found.location))
        let units = UInt64((length + Self.unitBytes - 1) / Self.unitBytes)
        guard found.born != 0,
            Int(origin.server) < configuration.serversMax,
            Int(origin.tool) < configuration.toolsMax,
            UInt64(omni2_location_unit(found.location)) + units <= geometry.value_units,
            names.tools[Int(origin.tool)]?.server == origin.server,
            !isInvalid(found), now < reclaimTime(found.expires)
        else { return false }
        return true
    }

    /// Of two entries that claim the same bytes or the same key at most one can be what was put.
    private func withoutOverlap(_ kept: [UInt32]) -> [UInt32] {
        var end: UInt64 = 0
        var keys: Set<CacheKey> = []
        let ascending = kept.map { (slot: $0, found: descriptor($0)) }.sorted {
            omni2_location_unit($0.found.location) < omni2_location_unit($1.found.location)
        }
        return ascending.compactMap { slot, found in
            guard keys.insert(CacheKey(words: found.key)).inserted else { return nil }
            let length = omni2_location_length(found.location)
            guard length > 0 else { return slot }
            let unit = UInt64(omni2_location_unit(found.location))
            guard unit >= end else { return nil }
            end = unit + (UInt64(length) + 63) / 64
            return slot
        }
    }

    private func unnameAndDrop(_ slot: UInt32) {
        if let position = indexPosition(of: slot, descriptor(slot)) {
            unsafe omni2_writer_set_slot(shared, position, 0)
        }
        unsafe omni2_writer_drop(shared, slot)
    }

    // MARK: - Space and order

    /// Rebuilds the allocator around the kept entries (ascending by place) and scrubs the rest.
    private func rebuildSpace(around kept: [UInt32]) {
        var extents: [(unit: UInt32, count: UInt32, owner: UInt32)] = []
        for slot in kept {
            let location = descriptor(slot).location
            let length = omni2_location_length(location)
            guard length > 0 else { continue }
            extents.append((omni2_location_unit(location), (length + 63) / 64, slot))
        }
        for extent in extents {
            let first = Int(extent.unit) / Self.unitsPerStep
            let last = Int(extent.unit + extent.count - 1) / Self.unitsPerStep
            for step in first...last { reservedSteps[step] = true }
        }
        for step in reservedSteps.indices {
            if reservedSteps[step] {
                stepsReserved += 1
                mergeLater(step: step)
                allocator.add(
                    unit: UInt32(step * Self.unitsPerStep), count: UInt32(Self.unitsPerStep))
            } else {
                // What the kernel will not take back is scrubbed when it is next used.
                try? segment.release(
                    offset: offset(ofStep: step), count: Self.stepBytes)
            }
        }
        let nodes = allocator.place(extents)
        for (extent, node) in zip(extents, nodes) { slots[Int(extent.owner)].node = node }
        scrubFreeSpace()
    }

    private func scrubFreeSpace() {
        allocator.forEachNode { node in
            guard node.owner == ExtentAllocator.none else { return }
            unsafe omni2_writer_scrub(shared, node.unit, node.count)
        }
    }

    private func isIntact(_ slot: UInt32) -> Bool {
        let found = descriptor(slot)
        let value = unsafe bytes(found)
        return unsafe omni2_crc32c(value.baseAddress, value.count) == omni2_meta_crc(found.meta)
    }

    /// Enters the kept entries into the private tables. How they were used is not known: the
    /// order of their stamps stands in for it.
    private func adopt(_ kept: [UInt32], at now: UInt64) {
        let found = kept.map { (slot: $0, descriptor: descriptor($0)) }
        for (slot, descriptor) in found.sorted(by: { $0.descriptor.born < $1.descriptor.born }) {
            recency.append(slot, to: &recencyList)
            let tool = Int(omni2_meta_tool(descriptor.meta))
            membership.append(slot, to: &toolLists[tool])
            toolEntries[tool] += 1
            entriesValid += 1
            slots[Int(slot)].storedAt = now
        }
        for (slot, descriptor) in found.sorted(by: { $0.descriptor.expires < $1.descriptor.expires }
        ) {
            slots[Int(slot)].expiryClass = expiry.add(
                slot, expires: reclaimTime(descriptor.expires), life: 0)
        }
    }

    /// Values are checked against their checksums up to this total.
    private static let verifiedBytesMax = 256 << 20
    private static let orphanedAfter: UInt64 = 15_000_000_000
}
