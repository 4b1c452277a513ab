import OmniCore
import OmniIO

/// What must be known of each frame in the log, written beside it in the same memfd: so that the log
/// can be read again by whoever comes after us, even when we were killed in the middle of a word.
///
/// Notes are a ring of records: `length 4 | checksum of the rest 4 | sequence 8 | position 8 |
/// bytes 4 | header bytes 4 | facts`. A note is valid from the moment `notesEnd` covers it. When
/// notes run out before frames do, the oldest events are lost to a successor, not to clients.
final class EventChronicle {
    struct Note {
        let sequence: UInt64
        let position: UInt64
        let byteCount: UInt32
        let headerByteCount: UInt32
        let facts: EventFacts
    }

    /// Of one event on average; what its frame takes is not in it.
    static let bytesEach = 128
    private static let headByteCount = 8

    let segment: EventLogSegment
    private var start: UInt64
    private var end: UInt64
    private var state = StateWriter()

    init(_ segment: EventLogSegment) {
        self.segment = segment
        start = segment[.notesStart]
        end = segment[.notesEnd]
    }

    /// Frames before `oldest` are about to be written over.
    func forget(before oldest: UInt64) { segment[.oldest] = oldest }

    /// A frame is complete in the log.
    func note(_ note: Note) {
        state.clear()
        state.put(note.sequence)
        state.put(note.position)
        state.put(note.byteCount)
        state.put(note.headerByteCount)
        note.facts.write(to: &state)
        let length = state.bytes.count + Self.headByteCount
        // Facts longer than the whole ring: the event is not for a successor.
        guard length <= segment.notes.byteCount else {
            return clear(through: note.sequence)
        }
        makeRoom(length)
        let window = unsafe segment.notes.window(at: end, count: length)
        unsafe window.storeBytes(of: UInt32(length).littleEndian, as: UInt32.self)
        unsafe window.storeBytes(
            of: Checksum.of(state.bytes).littleEndian, toByteOffset: 4, as: UInt32.self)
        unsafe UnsafeMutableRawBufferPointer(rebasing: window[Self.headByteCount...])
            .copyBytes(from: state.bytes)
        end += UInt64(length)
        segment[.notesEnd] = end
    }

    private func makeRoom(_ length: Int) {
        let limit = UInt64(segment.notes.byteCount)
        guard end + UInt64(length) - start > limit else { return }
        while start < end, end + UInt64(length) - start > limit {
            start += UInt64(unsafe Self.length(segment.notes.window(at: start, count: 4)))
        }
        segment[.notesStart] = start
    }

    private func clear(through sequence: UInt64) {
        start = end
        segment[.oldest] = sequence + 1
        segment[.notesStart] = start
    }

    @unsafe
    private static func length(_ bytes: UnsafeMutableRawBufferPointer) -> UInt32 {
        unsafe UInt32(littleEndian: bytes.loadUnaligned(as: UInt32.self))
    }

    // MARK: Reading what a predecessor left

    /// The events whose frames are whole, in order; nil when anything is not as we write it.
    func recovered() -> [Note]? {
        guard end >= start, end - start <= UInt64(segment.notes.byteCount) else { return nil }
        let bytes = unsafe Array(segment.notes.window(at: start, count: Int(end - start)))
        var notes: [Note] = []
        var position = 0
        while position < bytes.count {
            guard let (note, length) = Self.read(bytes[position...]) else { return nil }
            position += length
            if let last = notes.last, note.sequence != last.sequence + 1 { return nil }
            if note.sequence >= segment[.oldest] { notes.append(note) }
        }
        return areWhole(notes) ? notes : nil
    }

    private static func read(_ bytes: ArraySlice<UInt8>) -> (Note, Int)? {
        do throws(StateError) {
            var head = StateReader(bytes)
            let length = Int(try head.word())
            let checksum = try head.word()
            guard length > headByteCount, length <= bytes.count else { return nil }
            let rest = bytes.dropFirst(headByteCount).prefix(length - headByteCount)
            guard Checksum.of(rest) == checksum else { return nil }
            var state = StateReader(rest)
            let note = Note(
                sequence: try state.long(), position: try state.long(),
                byteCount: try state.word(), headerByteCount: try state.word(),
                facts: try EventFacts(from: &state))
            return state.isAtEnd ? (note, length) : nil
        } catch {
            // What cannot be read is what the caller wants to know.
            return nil
        }
    }

    /// Frames follow each other without a gap, fit into their ring, and say themselves how long
    /// they are.
    private func areWhole(_ notes: [Note]) -> Bool {
        guard let first = notes.first, let last = notes.last else { return true }
        let (span, overflow) = (last.position &+ UInt64(last.byteCount))
            .subtractingReportingOverflow(first.position)
        guard !overflow, span <= UInt64(segment.frames.byteCount) else { return false }
        var position = first.position
        for note in notes {
            guard note.position == position, note.headerByteCount < note.byteCount,
                WebSocketWriter.headerCount(
                    payloadCount: Int(note.byteCount - note.headerByteCount))
                    == Int(note.headerByteCount),
                unsafe segment.frames.window(at: position, count: 1)[0] == 0x81
            else { return false }
            position += UInt64(note.byteCount)
        }
        return true
    }
}
