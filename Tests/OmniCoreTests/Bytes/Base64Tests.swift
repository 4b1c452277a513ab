import OmniCore
import Testing

@Suite("Bytes: Base64 and Hex")
struct Base64Tests {
    private func encode(_ text: String, _ alphabet: Base64.Alphabet = .standard) -> String {
        var writer = ByteWriter(capacity: 256)
        unsafe Base64.encode([UInt8](text.utf8).span.bytes, as: alphabet, into: &writer)
        return writer.string()
    }

    private func decode(_ text: String, _ alphabet: Base64.Alphabet = .standard) -> [UInt8]? {
        var writer = ByteWriter(capacity: 256)
        let bytes = [UInt8](text.utf8)
        let range = ByteRange(offset: 0, count: bytes.count)
        guard unsafe Base64.decode(bytes.span.bytes, range, as: alphabet, into: &writer) else {
            #expect(writer.isEmpty == true)
            return nil
        }
        return writer.array()
    }

    @Test(arguments: [
        ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="),
        ("fooba", "Zm9vYmE="), ("foobar", "Zm9vYmFy"), ("\u{FB}\u{FF}?>~", "w7vDvz8+fg=="),
    ])
    func theExamplesOfTheStandardRoundTrip(text: String, encoded: String) {
        #expect(encode(text) == encoded)
        #expect(decode(encoded) == [UInt8](text.utf8))
    }

    @Test func theURLSafeAlphabetHasNoPadding() {
        #expect(encode("\u{FB}\u{FF}?>~", .urlSafe) == "w7vDvz8-fg")
        #expect(decode("w7vDvz8-fg", .urlSafe) == [UInt8]("\u{FB}\u{FF}?>~".utf8))
        #expect(decode("w7vDvz8+fg", .urlSafe) == nil)
    }

    @Test(arguments: ["Zg", "Zg=", "Z===", "====", "Zm8", "Zh==", "Zm9=", "Zm 9v", "Zm9v=", "Z=9v"])
    func whatIsNotCanonicalIsRefused(text: String) {
        #expect(decode(text) == nil)
    }

    @Test func hexRoundTripsAndRefusesOddCounts() {
        var writer = ByteWriter(capacity: 16)
        let bytes: [UInt8] = [0x00, 0x7F, 0xAB, 0xFF]
        unsafe Hex.encode(bytes.span.bytes, into: &writer)
        #expect(writer.string() == "007fabff")
        for (text, decoded) in [("007FabFF", bytes), ("", []), ("0", nil), ("0g", nil)] {
            var output = ByteWriter(capacity: 16)
            let input = [UInt8](text.utf8)
            let range = ByteRange(offset: 0, count: input.count)
            let isHex = unsafe Hex.decode(input.span.bytes, range, into: &output)
            #expect(isHex == (decoded != nil))
            #expect(output.array() == decoded ?? [])
        }
    }

    @Test func aFullWriterShowsThatTheResultIsIncomplete() {
        var writer = ByteWriter(capacity: 3)
        let input = [UInt8]("Zm9vYmFy".utf8)
        _ = unsafe Base64.decode(input.span.bytes, ByteRange(offset: 0, count: 8), into: &writer)
        #expect(writer.hasOverflowed == true)
    }
}
