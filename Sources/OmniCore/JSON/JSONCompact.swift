extension Array where Element == UInt8 {
    /// Appends a validated value without the white space between its parts: what it says, member by
    /// member and letter by letter, on one line.
    mutating func appendCompact(_ value: ByteRange, of bytes: RawSpan) {
        var start = value.offset
        var index = value.offset
        while index < value.end {
            switch bytes[index] {
            case UInt8(ascii: "\""): index = JSONSkip.string(bytes, from: index, to: value.end)
            case 0x20, 0x0A, 0x0D, 0x09:
                append(ByteRange(offset: start, count: index - start), of: bytes)
                index += 1
                start = index
            default: index += 1
            }
        }
        append(ByteRange(offset: start, count: value.end - start), of: bytes)
    }
}

extension JSONWriter {
    /// A value out of another buffer, without the white space between its parts.
    public mutating func member(
        _ name: StaticString, compact value: ByteRange, of source: RawSpan
    ) {
        self.name(name)
        write { $0.appendCompact(value, of: source) }
    }
}
