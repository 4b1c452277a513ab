/// Percent-encoding of RFC 3986, and the form encoding of queries, where "+" is a space.
public enum PercentEncoding {
    public enum Kind: Sendable { case path, query }

    /// Appends the decoded bytes of `range`. False, with nothing appended, if a "%" is not
    /// followed by two hexadecimal digits or spells NUL, which no name or path may contain.
    public static func decode(
        _ bytes: RawSpan, _ range: ByteRange, as kind: Kind, into writer: inout ByteWriter
    ) -> Bool {
        let start = writer.count
        var reader = Reader(range, kind)
        while !reader.isAtEnd {
            guard let byte = reader.next(bytes) else {
                writer.takeBack(to: start)
                return false
            }
            writer.append(byte)
        }
        return true
    }

    /// The decoded text, or nil if it is malformed or not UTF-8. Allocates.
    public static func decoded(_ bytes: RawSpan, _ range: ByteRange, as kind: Kind) -> String? {
        var writer = ByteWriter(capacity: range.count)
        guard decode(bytes, range, as: kind, into: &writer) else { return nil }
        var text = UTF8Validator()
        let isText = writer.withBytes { span in
            text.consume(span, ByteRange(offset: 0, count: span.byteCount))
        }
        return isText && text.isComplete ? writer.string() : nil
    }

    /// Whether `range` decodes to `text`, without decoding it anywhere.
    public static func equals(
        _ bytes: RawSpan, _ range: ByteRange, as kind: Kind, _ text: StaticString
    ) -> Bool {
        var reader = Reader(range, kind)
        return text.withUTF8Buffer { expected in
            for index in 0..<expected.count {
                guard let byte = reader.next(bytes), unsafe byte == expected[index] else {
                    return false
                }
            }
            return reader.isAtEnd
        }
    }

    /// Reads one decoded byte after the other.
    private struct Reader {
        private var offset: Int
        private let end: Int
        private let kind: Kind

        init(_ range: ByteRange, _ kind: Kind) {
            offset = range.offset
            end = range.end
            self.kind = kind
        }

        var isAtEnd: Bool { offset == end }

        mutating func next(_ bytes: RawSpan) -> UInt8? {
            guard offset < end else { return nil }
            let byte = bytes[offset]
            if byte == UInt8(ascii: "+"), kind == .query {
                offset += 1
                return .space
            }
            guard byte == UInt8(ascii: "%") else {
                offset += 1
                return byte
            }
            guard end - offset >= 3, let high = bytes[offset + 1].hexValue,
                let low = bytes[offset + 2].hexValue, high | low != 0
            else { return nil }
            offset += 3
            return high << 4 | low
        }
    }
}
