// Reading a span as bytes. Every access is checked against the span's bounds; the word
// "unsafe" below is about types (a load may invent any value), which is harmless for integers.

extension RawSpan {
    @inlinable @inline(__always)
    public subscript(_ offset: Int) -> UInt8 {
        unsafe unsafeLoad(fromByteOffset: offset, as: UInt8.self)
    }

    /// Eight bytes in memory order of this machine; the last one is at `offset + 7`.
    @inlinable @inline(__always)
    func word(at offset: Int) -> UInt64 {
        unsafe unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self)
    }

    /// Whether the bytes of `range` are exactly `text`.
    public func equals(_ range: ByteRange, _ text: StaticString) -> Bool {
        text.withUTF8Buffer { expected in
            guard expected.count == range.count else { return false }
            for index in 0..<range.count {
                if unsafe self[range.offset + index] != expected[index] { return false }
            }
            return true
        }
    }

    /// Whether the bytes of `range` are `text`, where ASCII letters match in either case.
    public func equalsIgnoringCase(_ range: ByteRange, _ text: StaticString) -> Bool {
        text.withUTF8Buffer { expected in
            guard expected.count == range.count else { return false }
            for index in 0..<range.count {
                let other = unsafe expected[index]
                let byte = self[range.offset + index]
                if byte != other, byte.lowercasedASCII != other.lowercasedASCII { return false }
            }
            return true
        }
    }

    /// Whether two ranges hold the same bytes, where ASCII letters match in either case.
    func equalsIgnoringCase(_ first: ByteRange, _ second: ByteRange) -> Bool {
        guard first.count == second.count else { return false }
        for index in 0..<first.count
        where self[first.offset + index].lowercasedASCII
            != self[second.offset + index].lowercasedASCII
        {
            return false
        }
        return true
    }

    /// Offset of the first `byte` at or after `start` and before `end`; nil if there is none.
    public func firstOffset(of byte: UInt8, from start: Int, to end: Int) -> Int? {
        let pattern = 0x0101_0101_0101_0101 &* UInt64(byte)
        var offset = start
        while offset + 8 <= end {
            // A byte of `difference` is zero where the byte matches; the carry-free test below
            // marks the lowest such byte for certain, and only the lowest is used.
            let difference = word(at: offset) ^ pattern
            let marks =
                (difference &- 0x0101_0101_0101_0101) & ~difference & 0x8080_8080_8080_8080
            if marks != 0 {
                return offset + UInt64(littleEndian: marks).trailingZeroBitCount / 8
            }
            offset += 8
        }
        while offset < end {
            if self[offset] == byte { return offset }
            offset += 1
        }
        return nil
    }

    /// The bytes as text; malformed UTF-8 is replaced by U+FFFD. Allocates: not for the hot path.
    public func string(_ range: ByteRange) -> String {
        unsafe extracting(range.range).withUnsafeBytes { bytes in
            unsafe String(decoding: bytes, as: UTF8.self)
        }
    }

    /// The whole span as text; see `string(_:)`.
    public func string() -> String { string(ByteRange(offset: 0, count: byteCount)) }

    /// A copy of the bytes of `range`.
    public func array(_ range: ByteRange) -> [UInt8] {
        unsafe extracting(range.range).withUnsafeBytes { bytes in unsafe [UInt8](bytes) }
    }

    /// Decimal digits only, no sign, no blanks. Nil if empty, malformed or above `Int.max`.
    public func decimal(_ range: ByteRange) -> Int? {
        guard !range.isEmpty else { return nil }
        var value = 0
        for offset in range.range {
            let digit = self[offset] &- UInt8(ascii: "0")
            guard digit <= 9 else { return nil }
            let (product, overflow) = value.multipliedReportingOverflow(by: 10)
            let (sum, carried) = product.addingReportingOverflow(Int(digit))
            if overflow || carried { return nil }
            value = sum
        }
        return value
    }

    /// `range` without blanks (space, tab) at either end.
    func trimmingBlanks(_ range: ByteRange) -> ByteRange {
        var lower = range.offset
        var upper = range.end
        while lower < upper, self[lower].isBlank { lower += 1 }
        while upper > lower, self[upper - 1].isBlank { upper -= 1 }
        return ByteRange(from: lower, to: upper)
    }
}

extension UInt8 {
    static let carriageReturn = UInt8(ascii: "\r")
    static let lineFeed = UInt8(ascii: "\n")
    static let space = UInt8(ascii: " ")
    static let tab = UInt8(ascii: "\t")

    @inline(__always)
    var lowercasedASCII: UInt8 { self &- 0x41 < 26 ? self | 0x20 : self }

    var isBlank: Bool { self == .space || self == .tab }

    var isDigit: Bool { self &- UInt8(ascii: "0") < 10 }

    /// The value of a hexadecimal digit in either case.
    var hexValue: UInt8? {
        switch self {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): self - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): self - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): self - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
