import OmniCore
import OmniIO

/// The published events as finished WebSocket frames, one after the other in a ring of bytes.
///
/// An event is written once, whoever receives it. Sequence numbers rise by one; an entry says where
/// its frame lies. When bytes or entries run out the oldest events go: `oldest` moves on, and a
/// reader behind it must be brought back by a snapshot. Memory is taken at start.
final class EventLog {
    struct Entry {
        /// Where the frame begins, counted over the life of the log.
        var position: UInt64 = 0
        var byteCount: UInt32 = 0
        /// Of `byteCount`, the frame's header.
        var headerByteCount: UInt32 = 0
    }

    /// The first sequence number is 1, so that 0 means "nothing seen yet".
    static let first: UInt64 = 1

    private let memory: MirroredMemory
    private var entries: [Entry]
    private let mask: UInt64
    /// The next event's sequence number.
    private(set) var next: UInt64 = EventLog.first
    /// The oldest event still held; equal to `next` when the log is empty.
    private(set) var oldest: UInt64 = EventLog.first
    /// Where the next frame will begin.
    private(set) var end: UInt64 = 0

    /// `entriesMax` is a power of two.
    init(bytesMax: Int, entriesMax: Int) throws(SystemError) {
        precondition(entriesMax.nonzeroBitCount == 1, "the entry table is a power of two")
        memory = try MirroredMemory(byteCount: bytesMax)
        entries = Array(repeating: Entry(), count: entriesMax)
        mask = UInt64(entriesMax - 1)
    }

    /// The largest payload that `append` takes: a quarter of the ring, so that one event never
    /// pushes all others out.
    var payloadBytesMax: Int { memory.byteCount / 4 - WebSocketWriter.headerBytesMax }

    var entriesMax: Int { entries.count }
    var byteCapacity: Int { memory.byteCount }

    func index(of sequence: UInt64) -> Int { Int(sequence & mask) }

    func entry(_ sequence: UInt64) -> Entry {
        precondition(sequence >= oldest && sequence < next, "the event is not in the log")
        return entries[index(of: sequence)]
    }

    /// Writes one text frame and returns its sequence number.
    func append(_ payload: RawSpan) -> UInt64 {
        precondition(payload.byteCount <= payloadBytesMax, "the publisher checks the size")
        let headerCount = WebSocketWriter.headerByteCount(payload: payload.byteCount)
        let total = headerCount + payload.byteCount
        makeRoom(total)
        let frame = unsafe memory.window(at: end, count: total)
        unsafe WebSocketWriter.writeFrame(.text, payload, into: frame)
        let sequence = next
        entries[index(of: sequence)] = Entry(
            position: end, byteCount: UInt32(total), headerByteCount: UInt32(headerCount))
        end += UInt64(total)
        next += 1
        return sequence
    }

    /// The frame's bytes from `offset` on up to the end of event `last`: contiguous by the mirror.
    func window(from sequence: UInt64, offset: Int, through last: UInt64) -> UnsafeRawBufferPointer {
        let start = entry(sequence).position + UInt64(offset)
        let final = entry(last)
        let end = final.position + UInt64(final.byteCount)
        return unsafe UnsafeRawBufferPointer(memory.window(at: start, count: Int(end - start)))
    }

    /// The event itself, without its frame header.
    func payload(_ sequence: UInt64) -> UnsafeRawBufferPointer {
        let entry = entry(sequence)
        let start = entry.position + UInt64(entry.headerByteCount)
        let count = Int(entry.byteCount - entry.headerByteCount)
        return unsafe UnsafeRawBufferPointer(memory.window(at: start, count: count))
    }

    private func makeRoom(_ bytes: Int) {
        if next - oldest == UInt64(entries.count) { oldest += 1 }
        while oldest < next,
            end + UInt64(bytes) - entries[index(of: oldest)].position > UInt64(memory.byteCount)
        {
            oldest += 1
        }
    }
}
