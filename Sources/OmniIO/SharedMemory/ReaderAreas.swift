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
    private let areasMax: Int

    init(areasMax: Int) { self.areasMax = areasMax }

    var count: Int { areas.count }

    /// A new area for a process; its descriptor stays ours. Nothing when all are in use by living
    /// processes or there is no memory: the reader then reads without leaving traces.
    mutating func open(for process: Int32, descriptors: Int) -> Int32? {
        if areas.count >= areasMax {
            guard let gone = areas.firstIndex(where: { omni2_process_is_gone($0.process) != 0 })
            else { return nil }
            areas.remove(at: gone)
        }
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
        var touched = false
        for area in areas {
            let byte =
                unsafe area.segment.base + OMNI2_HEADER_BYTES
                + Int(descriptor)
            if unsafe omni2_touch_take(byte) != 0 { touched = true }
        }
        return touched
    }

    /// The descriptor changes hands: what readers said of the old entry is not said of the new.
    mutating func forget(_ descriptor: UInt32) {
        guard !areas.isEmpty else { return }
        _ = consumeTouch(descriptor)
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
        areas.removeAll { omni2_process_is_gone($0.process) != 0 }
        return growth
    }
}
