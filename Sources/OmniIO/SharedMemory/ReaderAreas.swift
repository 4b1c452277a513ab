internal import CShims.Cache

/// What siblings tell the writer: one small writable memfd per reader, with a byte per descriptor
/// ("I used it") and a few counters. A hostile reader can distort recency and counts, bounded;
/// the bytes are read as yes or no and index nothing.
@safe
struct ReaderAreas {
    private struct Area {
        var segment: SharedSegment
        var process: Int32
        /// Counters at the last look; only growth is believed.
        var seen: [UInt64]
    }
    private var areas: [Area] = []
    /// What readers that are gone had used: a shell's one lookup counts as well.
    private var leftovers: [Bool]
    private let areasMax: Int

    init(areasMax: Int, descriptors: Int) {
        self.areasMax = areasMax
        leftovers = Array(repeating: false, count: descriptors)
    }

    var count: Int { areas.count }
    var isFull: Bool { areas.count >= areasMax }

    /// A new area for a process; its descriptor stays ours. Nothing for a process that we cannot
    /// see (another process namespace), when all areas are in use by living processes, and when
    /// there is no memory: the reader then reads without leaving traces.
    mutating func open(for process: Int32) -> Int32? {
        guard process > 0, !isFull else { return nil }
        let descriptors = leftovers.count
        let bytes = OMNI2_HEADER_BYTES + descriptors
        // A reader works without an area, so a failure here needs no report.
        guard let segment = try? SharedSegment(name: "omni2-reader", bytes: bytes),
            (try? segment.reserve(offset: 0, count: bytes)) != nil
        else { return nil }
        let area = unsafe segment.base.assumingMemoryBound(to: omni2_reader_area.self)
        unsafe area.pointee.magic = omni2_reader_magic()
        unsafe area.pointee.descriptor_count = UInt64(descriptors)
        areas.append(
            Area(
                segment: segment, process: process,
                seen: Array(repeating: 0, count: Int(OMNI2_COUNTERS.rawValue))))
        return segment.descriptor
    }

    /// Whether any reader used the descriptor since the last time this was asked.
    mutating func consumeTouch(_ descriptor: UInt32) -> Bool {
        var touched = leftovers[Int(descriptor)]
        leftovers[Int(descriptor)] = false
        for area in areas where unsafe omni2_touch_take(touches(area) + Int(descriptor)) != 0 {
            touched = true
        }
        return touched
    }

    private func touches(_ area: Area) -> UnsafeMutableRawPointer {
        unsafe area.segment.base + OMNI2_HEADER_BYTES
    }

    /// The descriptor changes hands: what readers said of the old entry is not said of the new.
    mutating func forget(_ descriptor: UInt32) {
        _ = consumeTouch(descriptor)
    }

    private mutating func dropDeparted() {
        for area in areas where omni2_process_is_gone(area.process) != 0 {
            // Most of a million bytes are zero: eight at a time. The last page is whole.
            for start in stride(from: 0, to: leftovers.count, by: 8) {
                let eight = unsafe (touches(area) + start).assumingMemoryBound(to: UInt64.self)
                guard unsafe omni2_load_relaxed(eight) != 0 else { continue }
                for descriptor in start..<min(start + 8, leftovers.count)
                where unsafe omni2_touch_take(touches(area) + descriptor) != 0 {
                    leftovers[descriptor] = true
                }
            }
        }
        areas.removeAll { omni2_process_is_gone($0.process) != 0 }
    }

    /// Growth of each counter since the last call, summed over the readers; drops the areas of
    /// processes that are gone, after a last look.
    mutating func collect() -> [UInt64] {
        var growth = [UInt64](repeating: 0, count: Int(OMNI2_COUNTERS.rawValue))
        for index in areas.indices {
            let area = unsafe areas[index].segment.base.assumingMemoryBound(
                to: omni2_reader_area.self)
            for which in growth.indices {
                let value = unsafe omni2_area_counter(area, UInt32(which))
                let seen = areas[index].seen[which]
                // A lie must not wrap the sum: at most 2^32 per look.
                if value > seen { growth[which] &+= min(value - seen, 1 << 32) }
                areas[index].seen[which] = max(value, seen)
            }
        }
        dropDeparted()
        return growth
    }
}
