/// Base64 of RFC 4648: the standard alphabet with padding, and the URL-safe one without.
public enum Base64 {
    public enum Alphabet: Sendable { case standard, urlSafe }

    /// Appends the encoding of `bytes`; `urlSafe` leaves the padding out.
    public static func encode(
        _ bytes: RawSpan, as alphabet: Alphabet = .standard, into writer: inout ByteWriter
    ) {
        for offset in stride(from: 0, to: bytes.byteCount, by: 3) {
            let left = bytes.byteCount - offset
            let group = group(bytes, at: offset)
            for digit in 0..<min(left + 1, 4) {
                writer.append(character(group >> (18 - 6 * UInt32(digit)) & 63, alphabet))
            }
            if left < 3, alphabet == .standard {
                writer.append(repeating: padding, count: 3 - left)
            }
        }
    }

    /// Appends the decoding of `range`. False, with nothing appended, if it is not canonical
    /// Base64: a foreign character, padding that is missing (`standard`) or misplaced, or
    /// left-over bits that are not zero. A writer that is full shows that itself.
    public static func decode(
        _ bytes: RawSpan, _ range: ByteRange, as alphabet: Alphabet = .standard,
        into writer: inout ByteWriter
    ) -> Bool {
        guard isEncoded(bytes, range, as: alphabet) else { return false }
        var group: UInt32 = 0
        var bits: UInt32 = 0
        for offset in range.range {
            // Only padding has no value, and it stands at the end.
            guard let value = value(of: bytes[offset], alphabet) else { break }
            group = group << 6 | value
            bits += 6
            if bits >= 8 {
                bits -= 8
                writer.append(UInt8(truncatingIfNeeded: group >> bits))
            }
        }
        return true
    }

    /// Whether `range` is canonical Base64: what `decode` accepts.
    public static func isEncoded(
        _ bytes: RawSpan, _ range: ByteRange, as alphabet: Alphabet = .standard
    ) -> Bool {
        var end = range.end
        if alphabet == .standard {
            guard range.count.isMultiple(of: 4) else { return false }
            for _ in 0..<2 where end > range.offset && bytes[end - 1] == padding { end -= 1 }
        }
        var last: UInt32 = 0
        for offset in range.offset..<end {
            guard let value = value(of: bytes[offset], alphabet) else { return false }
            last = value
        }
        // The last character of an incomplete group has 2 or 4 bits too many, all zero.
        switch (end - range.offset) & 3 {
        case 0: return true
        case 1: return false
        case 2: return last & 15 == 0
        default: return last & 3 == 0
        }
    }

    /// The 28 characters of a digest of 20 bytes.
    static func encodeDigest(_ digest: RawSpan, into output: inout MutableSpan<UInt8>) {
        for index in 0..<27 {
            let group = group(digest, at: index / 4 * 3)
            output[index] = character(group >> (18 - 6 * UInt32(index & 3)) & 63, .standard)
        }
        output[27] = padding
    }

    private static let padding = UInt8(ascii: "=")

    /// Up to three bytes as 24 bits; those beyond the end are zero.
    private static func group(_ bytes: RawSpan, at offset: Int) -> UInt32 {
        var group: UInt32 = 0
        for index in offset..<offset + 3 {
            group = group << 8 | (index < bytes.byteCount ? UInt32(bytes[index]) : 0)
        }
        return group
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
