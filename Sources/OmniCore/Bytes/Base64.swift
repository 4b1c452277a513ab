/// Base64 of RFC 4648: the standard alphabet with padding, and the URL-safe one without.
public enum Base64 {
    public enum Alphabet: Sendable { case standard, urlSafe }

    /// Appends the encoding of `bytes`; `urlSafe` leaves the padding out.
    public static func encode(
        _ bytes: RawSpan, as alphabet: Alphabet = .standard, into writer: inout ByteWriter
    ) {
        let count = bytes.byteCount
        var offset = 0
        while offset < count {
            let left = count - offset
            let second = left > 1 ? bytes[offset + 1] : 0
            let third = left > 2 ? bytes[offset + 2] : 0
            let group = UInt32(bytes[offset]) << 16 | UInt32(second) << 8 | UInt32(third)
            for digit in 0..<min(left + 1, 4) {
                writer.append(character(group >> (18 - 6 * UInt32(digit)) & 63, alphabet))
            }
            if left < 3, alphabet == .standard {
                writer.append(repeating: UInt8(ascii: "="), count: 3 - left)
            }
            offset += 3
        }
    }

    /// Appends the decoding of `range`. False, with nothing appended, if it is not canonical
    /// Base64: a foreign character, padding that is missing (`standard`) or misplaced, or
    /// left-over bits that are not zero. A writer that is full shows that itself.
    public static func decode(
        _ bytes: RawSpan, _ range: ByteRange, as alphabet: Alphabet = .standard,
        into writer: inout ByteWriter
    ) -> Bool {
        var end = range.end
        if alphabet == .standard {
            guard range.count.isMultiple(of: 4) else { return false }
            for _ in 0..<2 where end > range.offset && bytes[end - 1] == UInt8(ascii: "=") {
                end -= 1
            }
        }
        let start = writer.count
        var group: UInt32 = 0
        var bits = 0
        for offset in range.offset..<end {
            guard let value = value(of: bytes[offset], alphabet) else {
                writer.takeBack(to: start)
                return false
            }
            group = group << 6 | value
            bits += 6
            if bits >= 8 {
                bits -= 8
                writer.append(UInt8(truncatingIfNeeded: group >> UInt32(bits)))
            }
        }
        // Six left-over bits are one lonely character; others must be padding zeros.
        guard bits < 6, group & (1 << UInt32(bits) - 1) == 0 else {
            writer.takeBack(to: start)
            return false
        }
        return true
    }

    private static func character(_ value: UInt32, _ alphabet: Alphabet) -> UInt8 {
        let value = UInt8(value)
        switch value {
        case 0..<26: return UInt8(ascii: "A") + value
        case 26..<52: return UInt8(ascii: "a") + value - 26
        case 52..<62: return UInt8(ascii: "0") + value - 52
        case 62: return alphabet == .standard ? UInt8(ascii: "+") : UInt8(ascii: "-")
        default: return alphabet == .standard ? UInt8(ascii: "/") : UInt8(ascii: "_")
        }
    }

    private static func value(of byte: UInt8, _ alphabet: Alphabet) -> UInt32? {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): UInt32(byte - UInt8(ascii: "A"))
        case UInt8(ascii: "a")...UInt8(ascii: "z"): UInt32(byte - UInt8(ascii: "a") + 26)
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(byte - UInt8(ascii: "0") + 52)
        case UInt8(ascii: "+") where alphabet == .standard,
            UInt8(ascii: "-") where alphabet == .urlSafe:
            62
        case UInt8(ascii: "/") where alphabet == .standard,
            UInt8(ascii: "_") where alphabet == .urlSafe:
            63
        default: nil
        }
    }
}
