/// Comma-separated header values (RFC 9110 §5.6.1): empty elements are ignored.
enum HTTPList {
    /// The element that begins at or after `position`, trimmed; nil at the end of `value`.
    /// Commas inside quoted strings do not separate.
    static func next(
        _ bytes: RawSpan, _ value: ByteRange, position: inout Int, separator: UInt8 = 0x2C
    ) -> ByteRange? {
        while position < value.end {
            let start = position
            var isQuoted = false
            while position < value.end {
                let byte = bytes[position]
                if byte == UInt8(ascii: "\"") {
                    isQuoted.toggle()
                } else if isQuoted, byte == UInt8(ascii: "\\") {
                    position += 1
                } else if byte == separator, !isQuoted {
                    break
                }
                position += 1
            }
            let end = min(position, value.end)
            position = end + 1
            let element = bytes.trimmingBlanks(ByteRange(from: start, to: end))
            if !element.isEmpty { return element }
        }
        return nil
    }

    static func contains(_ token: StaticString, _ bytes: RawSpan, _ value: ByteRange) -> Bool {
        var position = value.offset
        while let element = next(bytes, value, position: &position) {
            if bytes.equalsIgnoringCase(element, token) { return true }
        }
        return false
    }
}
