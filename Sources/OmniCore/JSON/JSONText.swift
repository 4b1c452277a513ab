/// The inside of JSON strings: escapes out and in.
public enum JSONText {
    static func isEscaped(_ content: ByteRange, in bytes: RawSpan) -> Bool {
        bytes.firstOffset(of: UInt8(ascii: "\\"), from: content.offset, to: content.end) != nil
    }

    /// Appends the decoded UTF-8 of a validated string (its range includes the quotes).
    static func decode(_ value: ByteRange, in bytes: RawSpan, to text: inout [UInt8]) {
        guard let content = JSONScanner.content(of: value, in: bytes) else { return }
        var index = content.offset
        while index < content.end {
            var plainEnd = index
            while plainEnd < content.end, bytes[plainEnd] != UInt8(ascii: "\\") { plainEnd += 1 }
            text.append(ByteRange(offset: index, count: plainEnd - index), of: bytes)
            index = plainEnd
            if index < content.end {
                let scalar = escapedScalar(bytes, at: &index, end: content.end)
                text.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
            }
        }
    }

    /// The character behind the escape at `index`, which moves past it.
    static func escapedScalar(
        _ bytes: RawSpan, at index: inout Int, end: Int
    ) -> Unicode.Scalar {
        guard index + 1 < end else {
            index = end
            return "\u{FFFD}"
        }
        let letter = bytes[index + 1]
        index += 2
        switch letter {
        case UInt8(ascii: "b"): return "\u{8}"
        case UInt8(ascii: "f"): return "\u{C}"
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "u"):
            let unit = hexUnit(bytes, at: &index, end: end)
            guard unit & 0xFC00 == 0xD800 else { return Unicode.Scalar(unit) ?? "\u{FFFD}" }
            index = min(index + 2, end)
            let low = hexUnit(bytes, at: &index, end: end)
            let value = 0x10000 + ((unit & 0x3FF) << 10 | low & 0x3FF)
            return Unicode.Scalar(value) ?? "\u{FFFD}"
        default: return Unicode.Scalar(letter)
        }
    }

    private static func hexUnit(_ bytes: RawSpan, at index: inout Int, end: Int) -> UInt32 {
        var unit: UInt32 = 0
        for _ in 0..<4 where index < end {
            unit = unit << 4 | UInt32(bytes[index].hexValue ?? 0)
            index += 1
        }
        return unit
    }

    /// The character of well-formed UTF-8 at `index`, which moves past it.
    static func scalar(_ bytes: RawSpan, at index: inout Int, end: Int) -> Unicode.Scalar {
        let lead = bytes[index]
        let following = lead < 0x80 ? 0 : lead < 0xE0 ? 1 : lead < 0xF0 ? 2 : 3
        var value = following == 0 ? UInt32(lead) : UInt32(lead) & (0x3F >> UInt32(following))
        index += 1
        for _ in 0..<following where index < end {
            value = value << 6 | UInt32(bytes[index] & 0x3F)
            index += 1
        }
        return Unicode.Scalar(value) ?? "\u{FFFD}"
    }

    // MARK: Escaping

    /// Appends `text` as a JSON string with quotes: the shortest escapes, everything else as it is.
    public static func appendQuoted(_ text: String, to json: inout [UInt8]) {
        json.append(UInt8(ascii: "\""))
        var text = text
        text.withUTF8 { pointer in
            // Used inside the closure only.
            let span = unsafe RawSpan(_unsafeElements: pointer)
            appendEscaped(span, to: &json)
        }
        json.append(UInt8(ascii: "\""))
    }

    /// Appends well-formed UTF-8 as a JSON string with quotes.
    public static func appendQuoted(_ text: RawSpan, to json: inout [UInt8]) {
        json.append(UInt8(ascii: "\""))
        appendEscaped(text, to: &json)
        json.append(UInt8(ascii: "\""))
    }

    static func appendEscaped(_ text: RawSpan, to json: inout [UInt8]) {
        var start = 0
        var index = 0
        while index < text.byteCount {
            let byte = text[index]
            if byte >= 0x20, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\") {
                index += 1
                continue
            }
            json.append(ByteRange(offset: start, count: index - start), of: text)
            appendEscape(of: byte, to: &json)
            index += 1
            start = index
        }
        json.append(ByteRange(offset: start, count: index - start), of: text)
    }

    /// The escape of a quote, a backslash or a control character.
    static func appendEscape(of byte: UInt8, to json: inout [UInt8]) {
        json.append(UInt8(ascii: "\\"))
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"): json.append(byte)
        case 0x08: json.append(UInt8(ascii: "b"))
        case 0x09: json.append(UInt8(ascii: "t"))
        case 0x0A: json.append(UInt8(ascii: "n"))
        case 0x0C: json.append(UInt8(ascii: "f"))
        case 0x0D: json.append(UInt8(ascii: "r"))
        default: appendHexUnit(UInt16(byte), to: &json)
        }
    }

    /// `u` and four lower-case digits; the backslash is already there.
    static func appendHexUnit(_ unit: UInt16, to json: inout [UInt8]) {
        json.append(UInt8(ascii: "u"))
        for shift in stride(from: 12, through: 0, by: -4) {
            let digit = UInt8(truncatingIfNeeded: unit >> UInt16(shift)) & 0xF
            json.append(digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10)
        }
    }
}

extension UTF8 {
    static let encodedReplacementCharacter = UTF8.encode("\u{FFFD}")!
}
