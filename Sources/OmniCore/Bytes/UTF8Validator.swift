/// Validates UTF-8 that arrives in pieces: which byte may come next is kept between them.
///
/// It fails at the first byte that no valid text could have at that place (RFC 3629: no
/// overlong forms, no surrogates, nothing above U+10FFFF), so a peer that sends nonsense is
/// noticed before its message ends.
public struct UTF8Validator: Hashable, Sendable {
    /// Continuation bytes still owed by the character that has begun.
    var owed: UInt8 = 0
    /// Bounds of the next continuation byte; narrower than 80…BF only after E0, ED, F0 and F4.
    var lowest: UInt8 = 0x80
    var highest: UInt8 = 0xBF

    public init() {}

    /// Whether everything so far is whole characters. At the end of a text this must hold.
    public var isComplete: Bool { owed == 0 }

    /// False at the first byte that cannot belong to valid UTF-8; the validator is then spent.
    public mutating func consume(_ bytes: RawSpan, _ range: ByteRange) -> Bool {
        var offset = range.offset
        let end = range.end
        while offset < end {
            if owed == 0 {
                let byte = bytes[offset]
                if byte < 0x80 {
                    offset = Self.skipASCII(bytes, from: offset, to: end)
                    continue
                }
                let count = Self.countOfPlainCharacter(bytes, at: offset, to: end)
                if count > 0 {
                    offset += count
                    continue
                }
                guard begin(with: byte) else { return false }
            } else {
                let byte = bytes[offset]
                guard byte >= lowest, byte <= highest else { return false }
                lowest = 0x80
                highest = 0xBF
                owed -= 1
            }
            offset += 1
        }
        return true
    }

    /// Takes the first byte of a character that is not ASCII.
    @inline(__always)
    private mutating func begin(with byte: UInt8) -> Bool {
        switch byte {
        case 0xC2...0xDF: owed = 1
        case 0xE0...0xEF:
            owed = 2
            if byte == 0xE0 { lowest = 0xA0 }
            if byte == 0xED { highest = 0x9F }
        case 0xF0...0xF4:
            owed = 3
            if byte == 0xF0 { lowest = 0x90 }
            if byte == 0xF4 { highest = 0x8F }
        default: return false
        }
        return true
    }

    /// 2 or 3 if a character of so many bytes lies whole at `offset` and its first byte alone
    /// bounds the others; else 0, for the general path (1050 bytes of Japanese: 560 ns, not 1760).
    @inline(__always)
    private static func countOfPlainCharacter(
        _ bytes: RawSpan, at offset: Int, to end: Int
    ) -> Int {
        let first = bytes[offset]
        switch first {
        case 0xC2...0xDF:
            return offset + 2 <= end && isContinuation(bytes[offset + 1]) ? 2 : 0
        case 0xE1...0xEC, 0xEE, 0xEF:
            return offset + 3 <= end && isContinuation(bytes[offset + 1])
                && isContinuation(bytes[offset + 2]) ? 3 : 0
        default: return 0
        }
    }

    @inline(__always)
    private static func isContinuation(_ byte: UInt8) -> Bool { byte & 0xC0 == 0x80 }

    /// Offset of the first byte that is not ASCII, or `end`.
    @inline(__always)
    private static func skipASCII(_ bytes: RawSpan, from start: Int, to end: Int) -> Int {
        let high: UInt64 = 0x8080_8080_8080_8080
        var offset = start
        while offset + 32 <= end {
            let words =
                bytes.word(at: offset) | bytes.word(at: offset + 8)
                | bytes.word(at: offset + 16) | bytes.word(at: offset + 24)
            if words & high != 0 { break }
            offset += 32
        }
        while offset + 8 <= end {
            let marks = bytes.word(at: offset) & high
            if marks != 0 {
                return offset + UInt64(littleEndian: marks).trailingZeroBitCount / 8
            }
            offset += 8
        }
        while offset < end, bytes[offset] < 0x80 { offset += 1 }
        return offset
    }
}
