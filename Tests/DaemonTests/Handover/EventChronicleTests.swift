import OmniCore
import OmniIO
import Testing

@testable import omni2_native

/// A log that another process reads after the first one's end, wherever that was.
@Suite("The event log after its writer's end")
struct EventChronicleTests {
    private func segment(frames: Int = 64 << 10, notes: Int = 8 << 10) throws -> EventLogSegment {
        try EventLogSegment(frameBytes: frames, noteBytes: notes, epoch: 42)
    }

    private func append(_ log: EventLog, _ number: Int, bytes: Int) {
        let text = "{\"n\":\(number),\"x\":\"" + String(repeating: "x", count: bytes) + "\"}"
        _ = Array(text.utf8).withRawSpan {
            log.append($0, facts: EventFacts(type: "t\(number)", mcpName: "s\(number % 3)"))
        }
    }

    /// What a successor reads: the same memory, mapped anew.
    private func successor(of segment: EventLogSegment) throws -> EventLog {
        let adopted = try EventLogSegment(adopting: StateFile.duplicate(segment.descriptor))
        let notes = try #require(EventChronicle(adopted).recovered())
        return try EventLog(adopted, recovered: notes, first: adopted[.oldest], entriesMax: 1024)
    }

    @Test(arguments: [UInt64(1), 2, 3]) func everythingThatIsStillThereIsRead(
        _ seed: UInt64
    ) throws {
        var random = SplitMix64(seed: seed)
        let segment = try segment()
        let log = try EventLog(segment, first: 1_000_000, entriesMax: 1024)
        for number in 0..<2000 {
            append(log, number, bytes: Int.random(in: 0..<900, using: &random))
            guard number % 97 == 0 else { continue }
            let other = try successor(of: segment)
            #expect(other.next == log.next, "seed \(seed), event \(number)")
            #expect(other.oldest >= log.oldest && other.oldest < other.next)
            #expect(other.epoch == 42)
            for sequence in other.oldest..<other.next {
                #expect(other.facts(of: sequence) == log.facts(of: sequence))
                #expect(
                    unsafe Array(other.payload(sequence)) == Array(log.payload(sequence)),
                    "seed \(seed), event \(sequence)")
            }
        }
    }

    @Test func numbersGoOnThoughTheLogIsEmpty() throws {
        let segment = try segment()
        let log = try EventLog(segment, first: 77, entriesMax: 64)
        #expect(try successor(of: segment).next == 77)
        append(log, 1, bytes: 10)
        let other = try successor(of: segment)
        #expect(other.next == 78)
        append(other, 2, bytes: 10)
        #expect(other.next == 79)
    }

    /// The writer ends in the middle of a frame: the frames it was about to write over are not read.
    @Test func aFrameThatIsBeingWrittenOverIsNotRead() throws {
        let segment = try segment(frames: 4096, notes: 8 << 10)
        let log = try EventLog(segment, first: 1, entriesMax: 1024)
        for number in 0..<10 { append(log, number, bytes: 900) }
        let chronicle = EventChronicle(segment)
        chronicle.forget(before: log.oldest + 1)
        let other = try successor(of: segment)
        #expect(other.oldest == log.oldest + 1)
        #expect(other.next == log.next)
    }

    @Test(arguments: 0..<64) func damageIsFoundOut(_ step: Int) throws {
        let segment = try segment()
        let log = try EventLog(segment, first: 1, entriesMax: 1024)
        for number in 0..<20 { append(log, number, bytes: 50) }
        let end = Int(segment[.notesEnd])
        let window = unsafe segment.notes.window(at: 0, count: end)
        unsafe window[end * step / 64] ^= 0x20
        #expect(EventChronicle(segment).recovered() == nil)
    }

    @Test func aForeignFileIsNoSegment() throws {
        for bytes in [[], Array("OMNI2HND".utf8), [UInt8](repeating: 0, count: 8192)] {
            let file = try StateFile.make("foreign", bytes)
            #expect(throws: EventLogSegment.Failure.self) {
                try EventLogSegment(adopting: StateFile.duplicate(file.raw))
            }
        }
    }
}
