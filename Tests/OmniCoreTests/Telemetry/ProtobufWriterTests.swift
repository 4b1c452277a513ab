import Testing

@testable import OmniCore

@Suite("Protocol Buffers")
struct ProtobufWriterTests {
    /// A member as the wire has it: its field, and its bytes where it has a length.
    private struct Member: Equatable {
        let field: Int
        let bytes: [UInt8]
    }

    private func varint(_ bytes: [UInt8], _ position: inout Int) -> Int {
        var value = 0
        var shift = 0
        while true {
            let byte = bytes[position]
            position += 1
            value |= Int(byte & 0x7F) << shift
            shift += 7
            if byte & 0x80 == 0 { return value }
        }
    }

    /// Of what has only members with a length.
    private func members(_ bytes: [UInt8]) -> [Member] {
        var found: [Member] = []
        var position = 0
        while position < bytes.count {
            let tag = varint(bytes, &position)
            let count = varint(bytes, &position)
            #expect(tag & 7 == 2)
            found.append(
                Member(field: tag >> 3, bytes: Array(bytes[position..<(position + count)])))
            position += count
        }
        return found
    }

    /// Wherever the length needs another byte, and whatever room was left for it.
    @Test(arguments: [0, 1, 126, 127, 128, 129, 16_383, 16_384, 2_097_152])
    func messagesSayHowLongTheyAre(_ count: Int) {
        for expected in [0, 100, 300, 20_000, 3_000_000] {
            var writer = ProtobufWriter()
            writer.text(1, "before")
            let text = String(repeating: "x", count: count)
            writer.message(2, expecting: expected) { $0.text(3, text) }
            writer.text(4, "behind")
            let found = members(writer.bytes)
            #expect(found.map(\.field) == [1, 2, 4])
            #expect(found[2].bytes == Array("behind".utf8))
            #expect(
                members(found[1].bytes)
                    == (count == 0 ? [] : [Member(field: 3, bytes: Array(text.utf8))]))
        }
    }

    @Test(arguments: [0, 1, 123, 124, 125, 126, 127, 128, 16_380, 16_384])
    func attributesSayHowLongTheyAre(_ count: Int) {
        var writer = ProtobufWriter()
        let text = String(repeating: "ä", count: count)
        writer.keyValue(9, "name", text)
        writer.text(1, "behind")
        let found = members(writer.bytes)
        #expect(found.map(\.field) == [9, 1])
        let pair = members(found[0].bytes)
        #expect(pair[0] == Member(field: 1, bytes: Array("name".utf8)))
        #expect(members(pair[1].bytes) == [Member(field: 1, bytes: Array(text.utf8))])
    }

    @Test(arguments: [0, 1, 127, 128, 300, Int.max, -1, Int.min])
    func numbersSayHowLongTheyAre(_ number: Int) {
        var writer = ProtobufWriter()
        writer.keyValue(9, "number", number)
        writer.keyValue(9, "truth", true)
        let found = members(writer.bytes).map { members($0.bytes) }
        #expect(found.map { $0[0].bytes } == [Array("number".utf8), Array("truth".utf8)])
        var position = 1
        #expect(found[0][1].bytes[0] == 3 << 3)
        #expect(varint(found[0][1].bytes, &position) == number)
        #expect(position == found[0][1].bytes.count)
        #expect(found[1][1].bytes == [2 << 3, 1])
    }
}
