import OmniCore
import OmniIO

/// The published events as finished WebSocket frames, one after the other in a ring of bytes.
///
/// An event is written once, whoever receives it. Sequence numbers rise by one; an entry says where
/// its frame lies. When bytes or entries run out the oldest events go: `oldest` moves on, and a
/// reader behind it must be brought back by a snapshot. Memory is taken at start.
final class EventLog {
    private struct Entry {
        /// Where the frame begins, counted over the life of the log.
        var position: UInt64 = 0
        var byteCount: UInt32 = 0
        /// Of `byteCount`, the frame's header.
        var headerByteCount: UInt32 = 0
        /// What filters made later may ask about it.
        var facts: EventFacts?

        var end: UInt64 { position + UInt64(byteCount) }
    }

    /// The first sequence number is 1, so that 0 means "nothing seen yet".
    static let first: UInt64 = 1

    private let memory: MirroredMemory
    private var entries: [Entry]
    private let mask: UInt64
    /// The next event's sequence number.
    private(set) var next = EventLog.first
    /// The oldest event still held; equal to `next` when the log is empty.
    private(set) var oldest = EventLog.first
    /// Where the next frame will begin.
    private var end: UInt64 = 0

    /// `entriesMax` is rounded up to a power of two, 64 at least.
    init(bytesMax: Int, entriesMax: Int) throws(SystemError) {
        memory = try MirroredMemory(byteCount: bytesMax)
        var count = 64
        while count < entriesMax { count *= 2 }
        entries = Array(repeating: Entry(), count: count)
        mask = UInt64(count - 1)
    }

    /// The largest payload that `append` takes: a quarter of the ring, so that one event never
    /// pushes all others out.
    var payloadBytesMax: Int { memory.byteCount / 4 - 10 }
    var entriesMax: Int { entries.count }
    var bytesHeld: Int { next == oldest ? 0 : Int(end - entries[index(of: oldest)].position) }

    /// The place of an event in tables as long as the log.
    @inline(__always)
    func index(of sequence: UInt64) -> Int { Int(sequence & mask) }

    /// Writes one text frame and returns its sequence number.
    func append(_ payload: RawSpan, facts: EventFacts) -> UInt64 {
        precondition(payload.byteCount <= payloadBytesMax, "the publisher checks the size")
        let headerCount = WebSocketWriter.headerCount(payloadCount: payload.byteCount)
        let total = headerCount + payload.byteCount
        makeRoom(total)
        // The window stays mapped for the life of the log; the writer only borrows it.
        var writer = unsafe ByteWriter(borrowing: memory.window(at: end, count: total))
        WebSocketWriter.frame(.text, payload, into: &writer)
        let sequence = next
        entries[index(of: sequence)] = Entry(
            position: end, byteCount: UInt32(total), headerByteCount: UInt32(headerCount),
            facts: facts)
        end += UInt64(total)
        next += 1
        return sequence
    }

    func contains(_ sequence: UInt64) -> Bool { sequence >= oldest && sequence < next }

    func facts(of sequence: UInt64) -> EventFacts? { entries[index(of: sequence)].facts }

    /// The frames `first...last`: contiguous, thanks to the mirror. Valid until the next `append`.
    @inline(__always)
    func frames(_ first: UInt64, through last: UInt64) -> UnsafeRawBufferPointer {
        let start = entries[index(of: first)].position
        let count = Int(entries[index(of: last)].end - start)
        return unsafe UnsafeRawBufferPointer(memory.window(at: start, count: count))
    }

    /// How many bytes the frames `first...last` have.
    @inline(__always)
    func byteCountHeld(_ first: UInt64, through last: UInt64) -> Int {
        Int(entries[index(of: last)].end - entries[index(of: first)].position)
    }

    /// The event itself, without its frame header.
    func payload(_ sequence: UInt64) -> UnsafeRawBufferPointer {
        let entry = entries[index(of: sequence)]
        return unsafe UnsafeRawBufferPointer(
            memory.window(
                at: entry.position + UInt64(entry.headerByteCount),
                count: Int(entry.byteCount - entry.headerByteCount)))
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
