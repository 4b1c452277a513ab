import OmniIO

/// Finished frames one after the other in a ring of bytes, each known by its sequence number.
///
/// The memory is mapped twice in a row, so that any run of frames is one window. When bytes or
/// places run out the oldest frames go. Memory is taken at start.
final class FrameRing {
    private struct Entry {
        /// Where the frame begins, counted over the life of the ring.
        var position: UInt64 = 0
        var byteCount: UInt32 = 0
        var headerByteCount: UInt32 = 0

        var end: UInt64 { position + UInt64(byteCount) }
    }

    private let memory: MirroredMemory
    private var entries: ContiguousArray<Entry>
    private let mask: UInt64
    private(set) var oldest: UInt64
    private(set) var next: UInt64
    /// Where the next frame will begin.
    private var end: UInt64 = 0

    /// `entriesMax` is a power of two.
    convenience init(bytesMax: Int, entriesMax: Int, first: UInt64) throws(SystemError) {
        self.init(try MirroredMemory(byteCount: bytesMax), entriesMax: entriesMax, first: first)
    }

    init(_ memory: MirroredMemory, entriesMax: Int, first: UInt64) {
        self.memory = memory
        entries = ContiguousArray(repeating: Entry(), count: entriesMax)
        mask = UInt64(entriesMax - 1)
        oldest = first
        next = first
    }

    var byteCount: Int { memory.byteCount }
    var bytesHeld: Int { next == oldest ? 0 : Int(end - entries[index(of: oldest)].position) }
    var entriesMax: Int { entries.count }

    func contains(_ sequence: UInt64) -> Bool { sequence >= oldest && sequence < next }

    /// The place of an event in tables as long as the ring.
    @inline(__always)
    func index(of sequence: UInt64) -> Int { Int(sequence & mask) }

    /// Room for the next frame, at most `bytes`, which `commit` puts into the ring.
    func reserve(_ bytes: Int) -> UnsafeMutableRawBufferPointer {
        if next - oldest == UInt64(entries.count) { oldest += 1 }
        while oldest < next,
            end + UInt64(bytes) - entries[index(of: oldest)].position > UInt64(memory.byteCount)
        {
            oldest += 1
        }
        return unsafe memory.window(at: end, count: bytes)
    }

    @discardableResult
    func commit(_ bytes: Int, header: Int) -> UInt64 {
        entries[index(of: next)] = Entry(
            position: end, byteCount: UInt32(bytes), headerByteCount: UInt32(header))
        end += UInt64(bytes)
        next += 1
        return next - 1
    }

    /// A frame that a predecessor wrote, the next one behind those before it.
    func restore(_ sequence: UInt64, at position: UInt64, bytes: Int, header: Int) {
        if next == oldest {
            oldest = sequence
            next = sequence
        }
        if next - oldest == UInt64(entries.count) { oldest += 1 }
        end = position
        commit(bytes, header: header)
    }

    /// Where a frame begins, counted over the life of the ring.
    func position(of sequence: UInt64) -> UInt64 { entries[index(of: sequence)].position }

    /// Forgets everything; the next frame is that of `sequence`.
    func restart(at sequence: UInt64) {
        oldest = sequence
        next = sequence
    }

    /// The frames `first...last`. Valid until the next `reserve`.
    @inline(__always)
    func frames(_ first: UInt64, through last: UInt64) -> UnsafeRawBufferPointer {
        let start = entries[index(of: first)].position
        let count = Int(entries[index(of: last)].end - start)
        return unsafe UnsafeRawBufferPointer(memory.window(at: start, count: count))
    }

    func byteCount(of sequence: UInt64) -> Int { Int(entries[index(of: sequence)].byteCount) }

    /// A frame without its header.
    func payload(of sequence: UInt64) -> UnsafeRawBufferPointer {
        let entry = entries[index(of: sequence)]
        return unsafe UnsafeRawBufferPointer(
            memory.window(
                at: entry.position + UInt64(entry.headerByteCount),
                count: Int(entry.byteCount - entry.headerByteCount)))
    }
}
