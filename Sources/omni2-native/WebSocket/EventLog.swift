import OmniCore
import OmniIO

/// The published events as finished WebSocket frames, written once, whoever receives them.
///
/// Sequence numbers rise by one. When bytes or entries run out the oldest events go: `oldest` moves
/// on, and a reader behind it must be brought back by a snapshot. A second ring holds the same
/// events compressed, each made when the first receiver that agreed on compression wants it.
final class EventLog {
    /// In a box, so that the table of them is small.
    private final class Note {
        let facts: EventFacts
        init(_ facts: EventFacts) { self.facts = facts }
    }

    /// The first sequence number is 1, so that 0 means "nothing seen yet".
    static let first: UInt64 = 1
    /// Shorter events gain less than their receivers' inflating costs.
    static let compressedBytesMin = 256

    /// In a memfd, beside notes by which a successor finds its way: `EventChronicle`.
    private let plain: FrameRing
    private let chronicle: EventChronicle
    /// Never larger than `plain`, event by event: so it never loses one that `plain` still has.
    private let compressed: FrameRing
    private var notes: ContiguousArray<Note?>
    private let deflater: Deflater
    /// The number of the first event; 0 when a predecessor had it.
    private var beginning: UInt64

    /// `entriesMax` is rounded up to a power of two, 64 at least.
    convenience init(bytesMax: Int, entriesMax: Int) throws(SystemError) {
        try self.init(
            EventLogSegment(
                frameBytes: bytesMax, noteBytes: entriesMax * EventChronicle.bytesEach, epoch: 0),
            entriesMax: entriesMax)
    }

    /// Begins with the events of `recovered`, whose frames are in the segment, or with the number
    /// `first`.
    init(
        _ segment: EventLogSegment, recovered: [EventChronicle.Note] = [],
        first: UInt64 = EventLog.first, entriesMax: Int
    ) throws(SystemError) {
        var count = 64
        while count < entriesMax { count *= 2 }
        chronicle = EventChronicle(segment)
        beginning = recovered.isEmpty ? first : 0
        plain = FrameRing(segment.frames, entriesMax: count, first: first)
        notes = ContiguousArray(repeating: nil, count: count)
        for note in recovered {
            plain.restore(
                note.sequence, at: note.position, bytes: Int(note.byteCount),
                header: Int(note.headerByteCount))
            notes[plain.index(of: note.sequence)] = Note(note.facts)
        }
        if recovered.isEmpty { chronicle.forget(before: first) }
        compressed = try FrameRing(
            bytesMax: segment.frames.byteCount, entriesMax: count, first: plain.next)
        deflater = try Deflater(windowBits: 15)
    }

    /// Numbers of events count within it.
    var epoch: UInt64 { chronicle.segment[.epoch] }
    /// The memory, for a successor.
    var descriptor: Int32 { chronicle.segment.descriptor }

    /// Forgets everything; the next event is `sequence`, of all when it is the first.
    func restart(at sequence: UInt64, isFirst: Bool = false) {
        plain.restart(at: sequence)
        beginning = isFirst ? sequence : 0
        compressed.restart(at: sequence)
        chronicle.forget(before: sequence)
    }

    /// The next event's sequence number.
    @inline(__always)
    var next: UInt64 { plain.next }
    /// The oldest event still held; equal to `next` when the log is empty.
    @inline(__always)
    var oldest: UInt64 { plain.oldest }
    /// Nothing has been lost since the first event: whoever has seen none can have all.
    var isWhole: Bool { oldest == beginning }

    /// The event with which whoever has seen `sequence` goes on: 0 is from the beginning, whatever
    /// number that had. Nil when the log does not reach back so far, or not forth.
    func cursor(after sequence: UInt64) -> UInt64? {
        if sequence == 0, isWhole { return oldest }
        return sequence < next && sequence + 1 >= oldest ? sequence + 1 : nil
    }

    /// The largest payload that `append` takes: a quarter of the ring, so that one event never
    /// pushes all others out.
    var payloadBytesMax: Int { plain.byteCount / 4 - 10 }
    var entriesMax: Int { notes.count }
    var bytesHeld: Int { plain.bytesHeld }

    /// Writes one text frame and returns its sequence number.
    func append(_ payload: RawSpan, facts: EventFacts) -> UInt64 {
        precondition(payload.byteCount <= payloadBytesMax, "the publisher checks the size")
        let headerCount = WebSocketWriter.headerCount(payloadCount: payload.byteCount)
        let total = headerCount + payload.byteCount
        let oldest = plain.oldest
        let window = unsafe plain.reserve(total)
        if plain.oldest != oldest { chronicle.forget(before: plain.oldest) }
        // The window stays mapped for the life of the log; the writer only borrows it.
        var writer = unsafe ByteWriter(borrowing: window)
        WebSocketWriter.frame(.text, payload, into: &writer)
        let sequence = plain.commit(total, header: headerCount)
        notes[plain.index(of: sequence)] = Note(facts)
        chronicle.note(
            EventChronicle.Note(
                sequence: sequence, position: plain.position(of: sequence),
                byteCount: UInt32(total), headerByteCount: UInt32(headerCount), facts: facts))
        return sequence
    }

    func contains(_ sequence: UInt64) -> Bool { plain.contains(sequence) }

    func facts(of sequence: UInt64) -> EventFacts? { notes[plain.index(of: sequence)]?.facts }

    /// The event itself, without its frame header.
    func payload(_ sequence: UInt64) -> UnsafeRawBufferPointer {
        unsafe plain.payload(of: sequence)
    }

    /// The frames `first...last`: contiguous, thanks to the mirror. Valid until the next `append`.
    @inline(__always)
    func frames(
        _ first: UInt64, through last: UInt64, compressed isCompressed: Bool
    ) -> UnsafeRawBufferPointer {
        unsafe (isCompressed ? compressed : plain).frames(first, through: last)
    }

    /// Where a flight of `frames` ended after `count` bytes: the frame that was cut and what is left
    /// of it. Nil when the log has lost it since.
    func cut(
        _ first: UInt64, through last: UInt64, compressed isCompressed: Bool, after count: Int
    ) -> (sequence: UInt64, rest: UnsafeRawBufferPointer)? {
        let ring = isCompressed ? compressed : plain
        guard ring.contains(first), ring.contains(last) else { return nil }
        var left = count
        for sequence in first...last {
            let size = ring.byteCount(of: sequence)
            if left < size {
                return unsafe (
                    sequence,
                    UnsafeRawBufferPointer(
                        rebasing: ring.frames(sequence, through: sequence)[left...])
                )
            }
            left -= size
        }
        return nil
    }

    // MARK: Compression

    /// Makes sure that the compressed ring has the events. False for those before its beginning: their
    /// receiver gets them as they are, which the protocol allows at any time.
    func compress(_ first: UInt64, through last: UInt64) -> Bool {
        // Nobody wanted what came before: it is not made after the fact.
        if first > compressed.next { compressed.restart(at: first) }
        if first < compressed.oldest { return false }
        while compressed.next <= last { compressNext() }
        return true
    }

    private func compressNext() {
        let sequence = compressed.next
        let frame = unsafe plain.frames(sequence, through: sequence)
        let payload = unsafe plain.payload(of: sequence)
        let room = unsafe compressed.reserve(frame.count)
        if payload.count >= Self.compressedBytesMin,
            let header = unsafe deflate(payload, into: room)
        {
            compressed.commit(header.total, header: header.header)
        } else {
            unsafe room.copyMemory(from: frame)
            compressed.commit(frame.count, header: frame.count - payload.count)
        }
    }

    /// The compressed frame is written behind the longest header it may need, then moved down.
    private func deflate(
        _ payload: UnsafeRawBufferPointer, into room: UnsafeMutableRawBufferPointer
    ) -> (total: Int, header: Int)? {
        let longest = room.count - payload.count
        let body = unsafe UnsafeMutableRawBufferPointer(rebasing: room[longest...])
        guard let count = unsafe deflater.message(payload.bytes, into: body) else { return nil }
        let header = WebSocketWriter.headerCount(payloadCount: count)
        if header < longest, let base = room.baseAddress {
            unsafe memmoveDown(base + header, base + longest, count)
        }
        var writer = unsafe ByteWriter(borrowing: room)
        WebSocketWriter.header(.text, payloadCount: count, isCompressed: true, into: &writer)
        return (header + count, header)
    }

    private func memmoveDown(
        _ target: UnsafeMutableRawPointer, _ source: UnsafeMutableRawPointer, _ count: Int
    ) {
        // `copyMemory` allows the two to overlap.
        unsafe target.copyMemory(from: source, byteCount: count)
    }
}
