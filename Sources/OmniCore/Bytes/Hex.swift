/// Hexadecimal text: lower case out, either case in.
public enum Hex {
    public static func encode(_ bytes: RawSpan, into writer: inout ByteWriter) {
        for offset in 0..<bytes.byteCount {
            writer.append(digit(bytes[offset] >> 4))
            writer.append(digit(bytes[offset] & 15))
        }
    }

    /// Appends the bytes that `range` spells. False, with nothing appended, for an odd count or
    /// a character that is no digit. A writer that is full shows that itself.
    public static func decode(
        _ bytes: RawSpan, _ range: ByteRange, into writer: inout ByteWriter
    ) -> Bool {
        guard range.count.isMultiple(of: 2) else { return false }
        let start = writer.count
        for offset in stride(from: range.offset, to: range.end, by: 2) {
            guard let high = bytes[offset].hexValue, let low = bytes[offset + 1].hexValue else {
                writer.takeBack(to: start)
                return false
            }
            writer.append(high << 4 | low)
        }
        return true
    }

    fileprivate static func digit(_ value: UInt8) -> UInt8 {
        value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10
    }
}

extension ByteWriter {
    /// The number in hexadecimal digits without leading zeros, as a chunk size is written.
    public mutating func append(hex value: Int) {
        let value = UInt(value)
        let digitCount = max(1, (UInt.bitWidth - value.leadingZeroBitCount + 3) / 4)
        for place in stride(from: (digitCount - 1) * 4, through: 0, by: -4) {
            let digit = UInt8(truncatingIfNeeded: value >> UInt(place)) & 15
            append(Hex.digit(digit))
        }
    }

    /// The number in hexadecimal digits, leading zeros included.
    public mutating func append(sixteenDigits value: UInt64) {
        guard makesRoom(for: 16) else { return }
        for place in stride(from: 60, through: 0, by: -4) {
            append(Hex.digit(UInt8(truncatingIfNeeded: value >> UInt64(place)) & 15))
        }
    }
}
