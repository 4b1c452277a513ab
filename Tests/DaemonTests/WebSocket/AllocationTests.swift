import CAllocations
import OmniCore
import OmniIO
import Testing

@testable import omni2_native

/// The hot path takes no memory: counted by a malloc of the test program, thread by thread.
@Suite("Allocations")
struct AllocationTests {
    /// How often `body` asked for memory.
    private static func allocations(_ body: () -> Void) -> UInt64 {
        let before = omni2_allocation_count()
        body()
        return omni2_allocation_count() - before
    }

    @Test func theCounterCounts() {
        var kept: [Int] = []
        let count = Self.allocations { kept.append(1) }
        #expect(count >= 1)
        #expect(kept == [1])
    }

    @Test(arguments: [
        (WebSocketOpcode.text, #"{"action":"ping"}"#), (.text, "ping"), (.binary, "data"),
        (.ping, "are you there"), (.pong, ""),
    ])
    func aThousandFramesThroughParserAndHub(_ opcode: WebSocketOpcode, _ text: String) throws {
        let fixture = try HubFixture()
        fixture.connect()
        fixture.turn(2)
        fixture.io.keepsBytes = false
        let conversation = try #require(fixture.conversations.first)
        let connection = try #require(conversation.connection)
        let frame = Self.masked(opcode, Array(text.utf8))
        let arriving = UnsafeMutableRawBufferPointer.allocate(
            byteCount: frame.count, alignment: 16)
        defer { unsafe arriving.deallocate() }
        func receive(_ count: Int) {
            for _ in 0..<count {
                unsafe arriving.copyBytes(from: frame)
                unsafe conversation.received(arriving, on: connection)
                fixture.turn()
            }
        }
        receive(10)
        let sends = fixture.io.sendCount
        #expect(Self.allocations { receive(1000) } == 0)
        let isAnswered = opcode == .ping || opcode == .text
        #expect(fixture.io.sendCount - sends == (isAnswered ? 1000 : 0))
    }

    @Test func aThousandEventsToAThousandSubscribers() throws {
        let fixture = try HubFixture()
        for _ in 0..<1000 { fixture.connect() }
        fixture.turn(3)
        fixture.io.keepsBytes = false
        let payload = Array(#"{"type":"note","data":{"text":"as long as an event may be"}}"#.utf8)
        func publish() {
            payload.withRawSpan { _ = fixture.hub.publish($0, facts: HubFixture.facts) }
        }
        for _ in 0..<10 {
            publish()
            fixture.turn()
        }
        let delivered = fixture.hub.fanout.statistics.deliveries
        var forPublishing: UInt64 = 0
        var forDelivering: UInt64 = 0
        for _ in 0..<1000 {
            forPublishing += Self.allocations { publish() }
            forDelivering += Self.allocations { fixture.turn() }
        }
        #expect(fixture.hub.fanout.statistics.deliveries - delivered == 1_000_000)
        #expect(forDelivering == 0)
        // One box per event for what filters may ask later; nothing per subscriber.
        #expect(forPublishing <= 2000)
    }

    /// What all hold together, the row in the hub's table included, is in the end 256 bytes each with
    /// what malloc itself needs; receive and send buffers are lent, and given back.
    @Test(arguments: [false, true])
    func anIdleConnectionHoldsLittle(_ hasSpoken: Bool) throws {
        let fixture = try HubFixture()
        for _ in 0..<1000 { fixture.connect() }
        fixture.turn(3)
        let arrivals = (0..<4000).map { _ in fixture.arrive().1 }
        fixture.io.keepsBytes = false
        let before = omni2_allocated_bytes()
        fixture.door.completed(arrivals.span)
        fixture.turn(3)
        if hasSpoken {
            for conversation in fixture.conversations { try Self.speakInPieces(conversation) }
            fixture.turn(3)
        }
        let held = Int(omni2_allocated_bytes() - before) / arrivals.count
        #expect(fixture.hub.count == 5000)
        let row = MemoryLayout<SubscriberRows.Row>.stride
        #expect(held + row <= 224, "\(held) bytes and a row of \(row)")
    }

    /// A message in two fragments, each cut in its header: all that is kept meanwhile goes again.
    private static func speakInPieces(_ conversation: WebSocketConversation) throws {
        let connection = try #require(conversation.connection)
        var writer = ByteWriter(capacity: 64)
        for (opcode, isFinal) in [(WebSocketOpcode.text, false), (.continuation, true)] {
            Array("half of it".utf8).withRawSpan {
                WebSocketWriter.frame(
                    opcode, $0, isFinal: isFinal, mask: ByteMask(9, 8, 7, 6), into: &writer)
            }
        }
        var bytes = writer.array()
        for cut in [0..<3, 3..<12, 12..<18, 18..<bytes.count] {
            unsafe bytes.withUnsafeMutableBytes {
                unsafe conversation.received(
                    UnsafeMutableRawBufferPointer(rebasing: $0[cut]), on: connection)
            }
        }
    }

    private static func masked(_ opcode: WebSocketOpcode, _ payload: [UInt8]) -> [UInt8] {
        var writer = ByteWriter(capacity: payload.count + 14)
        payload.withRawSpan {
            WebSocketWriter.frame(opcode, $0, mask: ByteMask(1, 2, 3, 4), into: &writer)
        }
        return writer.array()
    }
}
