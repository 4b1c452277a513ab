import OmniCore
import Testing

@Suite("WebSocket: writer")
struct WebSocketWriterTests {
    @Test(
        arguments: [
            (0, [0x82, 0]), (1, [0x82, 1]), (125, [0x82, 125]), (126, [0x82, 126, 0, 126]),
            (127, [0x82, 126, 0, 127]), (65_535, [0x82, 126, 0xFF, 0xFF]),
            (65_536, [0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
            (1 << 20, [0x82, 127, 0, 0, 0, 0, 0, 0x10, 0, 0]),
        ] as [(Int, [UInt8])])
    func lengthsAreWrittenInTheirShortestForm(count: Int, header: [UInt8]) {
        let payload = [UInt8](repeating: 7, count: count)
        var writer = ByteWriter(capacity: count + 10)
        unsafe WebSocketWriter.frame(.binary, payload.span.bytes, into: &writer)
        #expect(writer.array() == header + payload)
        #expect(WebSocketWriter.headerCount(payloadCount: count) == header.count)
    }

    @Test func theExamplesOfTheStandardAreWritten() {
        var writer = ByteWriter(capacity: 64)
        let hello = [UInt8]("Hello".utf8)
        let span = unsafe hello.span.bytes
        WebSocketWriter.frame(.text, span, into: &writer)
        #expect(writer.array() == [0x81, 0x05] + hello)
        writer.clear()
        WebSocketWriter.frame(.text, span, mask: ByteMask(0x37, 0xFA, 0x21, 0x3D), into: &writer)
        #expect(
            writer.array() == [
                0x81, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58,
            ])
    }

    @Test func aFrameThatDoesNotFitIsNotBegun() {
        for capacity in 0..<7 {
            var writer = ByteWriter(capacity: capacity)
            let hello = [UInt8]("Hello".utf8)
            unsafe WebSocketWriter.frame(.text, hello.span.bytes, into: &writer)
            #expect(writer.isEmpty == true)
            #expect(writer.hasOverflowed == true)
        }
    }

    @Test func closeFramesCarryCodeAndReason() {
        var writer = ByteWriter(capacity: 64)
        WebSocketWriter.close(.goingAway, reason: "restart", into: &writer)
        #expect(writer.array() == [0x88, 9, 0x03, 0xE9] + [UInt8]("restart".utf8))
        writer.clear()
        WebSocketWriter.close(.none, reason: "unsaid", into: &writer)
        #expect(writer.array() == [0x88, 0])
    }

    @Test func aControlFrameThatIsTooLongTraps() async {
        await #expect(processExitsWith: .failure) {
            var writer = ByteWriter(capacity: 256)
            let payload = [UInt8](repeating: 0, count: 126)
            unsafe WebSocketWriter.frame(.ping, payload.span.bytes, into: &writer)
        }
    }
}
