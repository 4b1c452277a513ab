import OmniCore
import Testing

@Suite("Bytes: UTF8Validator")
struct UTF8ValidatorTests {
    enum Verdict { case valid, invalid, incomplete }

    private func verdict(_ bytes: [UInt8], cut: Cut) -> Verdict {
        var validator = UTF8Validator()
        for piece in cut.pieces(of: bytes) {
            let range = ByteRange(offset: 0, count: piece.count)
            if unsafe !validator.consume(piece.span.bytes, range) { return .invalid }
        }
        return validator.isComplete ? .valid : .incomplete
    }

    @Test(
        arguments: [
            "", "a", "Hello-µ@ßöäüàá-UTF-8!!", "κόσμε", "\u{0}", "\u{7F}\u{80}\u{7FF}\u{800}",
            "\u{D7FF}\u{E000}\u{FFFD}\u{FFFF}\u{10000}\u{10FFFF}", "👩‍👩‍👧‍👦 日本語 — naïve",
        ], Cut.all)
    func textIsValidHoweverItIsCut(text: String, cut: Cut) {
        #expect(verdict([UInt8](text.utf8), cut: cut) == .valid)
    }

    @Test(
        arguments: [
            [0x80], [0xBF], [0xC0, 0x80], [0xC1, 0xBF], [0xC2, 0x00], [0xC2, 0xC2],
            [0xE0, 0x80, 0x80], [0xE0, 0x9F, 0xBF], [0xED, 0xA0, 0x80], [0xED, 0xBF, 0xBF],
            [0xE1, 0x80, 0x7F], [0xF0, 0x80, 0x80, 0x80], [0xF0, 0x8F, 0xBF, 0xBF],
            [0xF4, 0x90, 0x80, 0x80], [0xF5, 0x80, 0x80, 0x80], [0xF8, 0x88, 0x80, 0x80, 0x80],
            [0xFC], [0xFE], [0xFF], [0x68, 0x69, 0xED, 0xA0, 0x80],
        ] as [[UInt8]])
    func nonsenseIsInvalidHoweverItIsCut(bytes: [UInt8]) {
        for cut in Cut.all {
            #expect(verdict(bytes, cut: cut) == .invalid)
            // And behind a long run of ASCII, where the fast path looks for it.
            #expect(verdict([UInt8](repeating: 0x61, count: 75) + bytes, cut: cut) == .invalid)
        }
    }

    @Test(
        arguments: [[0xC2], [0xE2, 0x82], [0xF0, 0x9F, 0x98], [0x61, 0xF4, 0x8F, 0xBF]] as [[UInt8]]
    )
    func aCharacterCutShortIsIncomplete(bytes: [UInt8]) {
        for cut in Cut.all { #expect(verdict(bytes, cut: cut) == .incomplete) }
    }

    @Test func nonsenseIsNoticedAtItsFirstImpossibleByte() {
        var validator = UTF8Validator()
        let bytes: [UInt8] = [0xF4, 0x90]
        #expect(unsafe validator.consume(bytes.span.bytes, ByteRange(offset: 0, count: 1)))
        #expect(unsafe !validator.consume(bytes.span.bytes, ByteRange(offset: 1, count: 1)))
    }

    /// Every two- and three-byte beginning, against the standard library.
    @Test func itAgreesWithTheStandardLibrary() {
        for first in UInt8(0x7F)...0xFF {
            for second in stride(from: UInt8(0x70), through: 0xF0, by: 1) {
                for tail: [UInt8] in [[], [0x80], [0x80, 0x80], [0xBF, 0xBF, 0x41], [0x41]] {
                    let bytes = [first, second] + tail
                    let isValid = String(validating: bytes, as: UTF8.self) != nil
                    #expect((verdict(bytes, cut: .whole) == .valid) == isValid, "\(bytes)")
                }
            }
        }
    }
}
