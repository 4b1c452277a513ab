/// Decides whether a text is JSON by RFC 8259, strictly, in one pass and without recursion.
///
/// Stricter than the grammar in two places where the grammar leaves interoperability open: bytes
/// must be well-formed UTF-8, and an escaped surrogate must have its other half. Duplicate names
/// pass (readers here take the last one, as Python and JavaScript do).
struct JSONValidator {
    /// One bit per open container, the innermost lowest: 1 is an object.
    private var containers: UInt128 = 0
    private var depth = 0
    private let depthMax: Int
    private var index: Int
    private let end: Int

    /// What one `UInt128` can remember.
    static let depthLimit = 128

    init(_ range: ByteRange, depthMax: Int) {
        self.depthMax = min(depthMax, Self.depthLimit)
        index = range.offset
        end = range.end
    }

    /// The range of the one value, without the white space around it.
    mutating func validate(_ bytes: RawSpan) throws(JSONError) -> ByteRange {
        precondition(index >= 0 && end <= bytes.byteCount, "the text lies inside its buffer")
        skipWhiteSpace(bytes)
        let start = index
        try value(bytes)
        while depth > 0 { try next(bytes) }
        let range = ByteRange(offset: start, count: index - start)
        skipWhiteSpace(bytes)
        if index != end { throw JSONError(offset: index, expected: .endOfInput) }
        return range
    }

    /// Inside a container, after a value: the comma and what follows it, or the end.
    @inline(__always)
    private mutating func next(_ bytes: RawSpan) throws(JSONError) {
        skipWhiteSpace(bytes)
        let isObject = containers & 1 == 1
        guard index < end else {
            throw JSONError(
                offset: index, expected: isObject ? .commaOrObjectEnd : .commaOrArrayEnd)
        }
        let byte = bytes[index]
        if byte == UInt8(ascii: ",") {
            index += 1
            skipWhiteSpace(bytes)
            if isObject { try name(bytes, or: .memberName) }
            try value(bytes)
        } else if byte == (isObject ? UInt8(ascii: "}") : UInt8(ascii: "]")) {
            index += 1
            close()
        } else {
            throw JSONError(
                offset: index, expected: isObject ? .commaOrObjectEnd : .commaOrArrayEnd)
        }
    }

    /// A scalar completely, or the opening of containers down to the first scalar.
    private mutating func value(_ bytes: RawSpan) throws(JSONError) {
        while true {
            guard index < end else { throw JSONError(offset: index, expected: .value) }
            switch bytes[index] {
            case UInt8(ascii: "\""): return try string(bytes)
            case UInt8(ascii: "{"):
                try open(isObject: true)
                skipWhiteSpace(bytes)
                if index < end, bytes[index] == UInt8(ascii: "}") {
                    index += 1
                    return close()
                }
                try name(bytes, or: .memberNameOrEnd)
            case UInt8(ascii: "["):
                try open(isObject: false)
                skipWhiteSpace(bytes)
                if index < end, bytes[index] == UInt8(ascii: "]") {
                    index += 1
                    return close()
                }
            case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"):
                return try number(bytes)
            case UInt8(ascii: "t"): return try literal("true", bytes)
            case UInt8(ascii: "f"): return try literal("false", bytes)
            case UInt8(ascii: "n"): return try literal("null", bytes)
            default: throw JSONError(offset: index, expected: .value)
            }
        }
    }

    private mutating func open(isObject: Bool) throws(JSONError) {
        guard depth < depthMax else { throw JSONError(offset: index, expected: .lessDepth) }
        index += 1
        depth += 1
        containers = containers << 1 | (isObject ? 1 : 0)
    }

    private mutating func close() {
        depth -= 1
        containers >>= 1
    }

    @inline(__always)
    private mutating func name(
        _ bytes: RawSpan, or expected: JSONError.Expected
    ) throws(JSONError) {
        guard index < end, bytes[index] == UInt8(ascii: "\"") else {
            throw JSONError(offset: index, expected: expected)
        }
        try string(bytes)
        skipWhiteSpace(bytes)
        guard index < end, bytes[index] == UInt8(ascii: ":") else {
            throw JSONError(offset: index, expected: .colon)
        }
        index += 1
        skipWhiteSpace(bytes)
    }

    @inline(__always)
    private mutating func skipWhiteSpace(_ bytes: RawSpan) {
        while index < end {
            switch bytes[index] {
            case 0x20, 0x0A, 0x0D, 0x09: index += 1
            default: return
            }
        }
    }

    private mutating func literal(
        _ text: StaticString, _ bytes: RawSpan
    ) throws(JSONError) {
        let range = ByteRange(offset: index, count: min(text.utf8CodeUnitCount, end - index))
        guard bytes.equals(range, text) else {
            throw JSONError(offset: index, expected: .value)
        }
        index = range.end
    }

    // MARK: Numbers

    private mutating func number(_ bytes: RawSpan) throws(JSONError) {
        if bytes[index] == UInt8(ascii: "-") { index += 1 }
        if index < end, bytes[index] == UInt8(ascii: "0") {
            index += 1
        } else {
            try digits(bytes)
        }
        if index < end, bytes[index] == UInt8(ascii: ".") {
            index += 1
            try digits(bytes)
        }
        if index < end, bytes[index] | 0x20 == UInt8(ascii: "e") {
            index += 1
            if index < end, bytes[index] == UInt8(ascii: "+") || bytes[index] == UInt8(ascii: "-") {
                index += 1
            }
            try digits(bytes)
        }
    }

    private mutating func digits(_ bytes: RawSpan) throws(JSONError) {
        let start = index
        while index < end, bytes[index] &- UInt8(ascii: "0") < 10 { index += 1 }
        if index == start { throw JSONError(offset: index, expected: .digit) }
    }

    // MARK: Strings

    private mutating func string(_ bytes: RawSpan) throws(JSONError) {
        index += 1
        while true {
            while index <= end - 8 {
                let special = JSONWords.specialInString(JSONWords.load(bytes, at: index))
                if special != 0 {
                    index += JSONWords.firstByte(special)
                    break
                }
                index += 8
            }
            guard index < end else { throw JSONError(offset: index, expected: .stringEnd) }
            let byte = bytes[index]
            switch byte {
            case UInt8(ascii: "\""):
                index += 1
                return
            case UInt8(ascii: "\\"): try escape(bytes)
            case 0..<0x20: throw JSONError(offset: index, expected: .printableCharacter)
            case 0x80...: try multiByteCharacter(bytes, lead: byte)
            default: index += 1
            }
        }
    }

    private mutating func escape(_ bytes: RawSpan) throws(JSONError) {
        let start = index
        index += 1
        guard index < end else { throw JSONError(offset: index, expected: .escape) }
        switch bytes[index] {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"),
            UInt8(ascii: "f"), UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
            index += 1
        case UInt8(ascii: "u"):
            index += 1
            let unit = try hexUnit(bytes)
            if unit & 0xFC00 == 0xDC00 { throw JSONError(offset: start, expected: .surrogatePair) }
            guard unit & 0xFC00 == 0xD800 else { return }
            guard index + 1 < end, bytes[index] == UInt8(ascii: "\\"),
                bytes[index + 1] == UInt8(ascii: "u")
            else { throw JSONError(offset: start, expected: .surrogatePair) }
            index += 2
            guard try hexUnit(bytes) & 0xFC00 == 0xDC00 else {
                throw JSONError(offset: start, expected: .surrogatePair)
            }
        default: throw JSONError(offset: index, expected: .escape)
        }
    }

    private mutating func hexUnit(_ bytes: RawSpan) throws(JSONError) -> UInt16 {
        var unit: UInt16 = 0
        for _ in 0..<4 {
            guard index < end, let digit = bytes[index].hexValue else {
                throw JSONError(offset: index, expected: .hexDigit)
            }
            unit = unit << 4 | UInt16(digit)
            index += 1
        }
        return unit
    }

    /// RFC 3629: no overlong form, no surrogate, nothing above U+10FFFF.
    private mutating func multiByteCharacter(
        _ bytes: RawSpan, lead: UInt8
    ) throws(JSONError) {
        var lowest: UInt8 = 0x80
        var highest: UInt8 = 0xBF
        let following: Int
        switch lead {
        case 0xC2...0xDF: following = 1
        case 0xE0...0xEF:
            following = 2
            if lead == 0xE0 { lowest = 0xA0 }
            if lead == 0xED { highest = 0x9F }
        case 0xF0...0xF4:
            following = 3
            if lead == 0xF0 { lowest = 0x90 }
            if lead == 0xF4 { highest = 0x8F }
        default: throw JSONError(offset: index, expected: .wellFormedUTF8)
        }
        let start = index
        index += 1
        for _ in 0..<following {
            guard index < end, bytes[index] >= lowest, bytes[index] <= highest else {
                throw JSONError(offset: start, expected: .wellFormedUTF8)
            }
            lowest = 0x80
            highest = 0xBF
            index += 1
        }
    }
}
