// Eight bytes of a string at once: the one measured trick of the scanner (8 bytes per step instead
// of one is about 5× on long strings). Each function answers with a mask whose lowest set bit marks
// the first interesting byte; higher bits may be wrong, so only the lowest is ever used.

enum JSONWords {
    static let ones: UInt64 = 0x0101_0101_0101_0101
    static let highs: UInt64 = 0x8080_8080_8080_8080

    @inline(__always)
    static func load(_ bytes: RawSpan, at offset: Int) -> UInt64 {
        UInt64(littleEndian: bytes.word(at: offset))
    }

    /// Quote, backslash, control character or a byte outside ASCII.
    @inline(__always)
    static func specialInString(_ word: UInt64) -> UInt64 {
        let control = (word &- ones &* 0x20) & ~word
        return (word | control | equals(word, 0x22) | equals(word, 0x5C)) & highs
    }

    /// Quote or backslash: enough once the text is known to be valid.
    @inline(__always)
    static func endOrEscape(_ word: UInt64) -> UInt64 {
        (equals(word, 0x22) | equals(word, 0x5C)) & highs
    }

    /// Quote or any bracket: what matters while a container is skipped.
    @inline(__always)
    static func quoteOrBracket(_ word: UInt64) -> UInt64 {
        // Setting bit 5 folds '[' onto '{' and ']' onto '}'.
        let folded = word | ones &* 0x20
        return (equals(word, 0x22) | equals(folded, 0x7B) | equals(folded, 0x7D)) & highs
    }

    @inline(__always)
    private static func equals(_ word: UInt64, _ byte: UInt64) -> UInt64 {
        let difference = word ^ (ones &* byte)
        return (difference &- ones) & ~difference
    }

    @inline(__always)
    static func firstByte(_ mask: UInt64) -> Int { mask.trailingZeroBitCount &>> 3 }
}
