/// One spelling for all spellings of the same JSON value, for cache keys.
///
/// Works from ranges and keeps its sorting space between calls: a warm canonicaliser allocates only
/// for escaped names and for numbers that are not plain integers. Input must be validated; the
/// recursion is as deep as the text, which the validator bounds.
public struct JSONCanonicalizer: Sendable {
    public enum Form: Sendable {
        /// Byte for byte `json.dumps(value, sort_keys=True)` of Python 3: the original's key input.
        case python
        /// RFC 8785: numbers become doubles, names are sorted by UTF-16 units.
        case rfc8785
        /// RFC 8785, but a number a double cannot hold keeps its text. Two big integers that differ
        /// must never share a cache entry, because the server is sent the text and not the double.
        case lossless
    }

    private struct Entry: Sendable {
        var name: ByteRange
        var value: ByteRange
        var isEscaped: Bool
    }

    /// A stack: each open object owns the part above where it began.
    private var entries: [Entry] = []

    public init() {}

    public mutating func append(
        _ value: ByteRange, in bytes: RawSpan, as form: Form, to text: inout [UInt8]
    ) {
        switch JSONScanner.kind(of: value, in: bytes) {
        case .null, .bool: text.append(value, of: bytes)
        case .number: appendNumber(value, in: bytes, as: form, to: &text)
        case .string: appendString(value, in: bytes, as: form, to: &text)
        case .array: appendArray(value, in: bytes, as: form, to: &text)
        case .object: appendObject(value, in: bytes, as: form, without: [], to: &text)
        }
    }

    /// The object without the members called one of `names` at its top level.
    mutating func appendObject(
        _ object: ByteRange, in bytes: RawSpan, as form: Form, without names: [StaticString],
        to text: inout [UInt8]
    ) {
        let base = entries.count
        var members = JSONMembers(of: object, in: bytes)
        while let member = members.next(in: bytes) {
            if names.contains(where: { member.isNamed($0, in: bytes) }) { continue }
            entries.append(
                Entry(
                    name: member.name, value: member.value,
                    isEscaped: JSONText.isEscaped(member.name, in: bytes)))
        }
        sort(from: base, in: bytes, as: form)
        text.append(UInt8(ascii: "{"))
        var isFirst = true
        let end = entries.count
        for index in base..<end {
            // Equal names stand in the order they were written: the last one wins.
            if index + 1 < end, order(entries[index], entries[index + 1], bytes, form) == 0 {
                continue
            }
            if !isFirst { text.append(form == .python ? ", " : ",") }
            isFirst = false
            let entry = entries[index]
            appendString(entry.name, in: bytes, as: form, to: &text)
            text.append(form == .python ? ": " : ":")
            append(entry.value, in: bytes, as: form, to: &text)
        }
        text.append(UInt8(ascii: "}"))
        entries.removeSubrange(base...)
    }

    private mutating func appendArray(
        _ array: ByteRange, in bytes: RawSpan, as form: Form, to text: inout [UInt8]
    ) {
        text.append(UInt8(ascii: "["))
        var elements = JSONElements(of: array, in: bytes)
        var isFirst = true
        while let element = elements.next(in: bytes) {
            if !isFirst { text.append(form == .python ? ", " : ",") }
            isFirst = false
            append(element, in: bytes, as: form, to: &text)
        }
        text.append(UInt8(ascii: "]"))
    }

    // MARK: Numbers

    private func appendNumber(
        _ value: ByteRange, in bytes: RawSpan, as form: Form, to text: inout [UInt8]
    ) {
        let isInteger = JSONNumber.isInteger(value, in: bytes)
        if isInteger, form == .python || value.count <= 15 {
            // Both languages read -0 without a fraction as the integer 0.
            let isZero =
                value.count == 2 && bytes[value.offset + 1] == UInt8(ascii: "0")
                && bytes[value.offset] == UInt8(ascii: "-")
            return isZero ? text.append(UInt8(ascii: "0")) : text.append(value, of: bytes)
        }
        guard let double = JSONNumber.double(value, in: bytes) else {
            return text.append(value, of: bytes)
        }
        switch form {
        case .python:
            guard double.isFinite else { return text.append(double < 0 ? "-Infinity" : "Infinity") }
            ShortestDecimal(double).appendPython(to: &text)
        case .rfc8785:
            // Beyond a double RFC 8785 has no form at all; the text itself is the next best.
            guard double.isFinite else { return text.append(value, of: bytes) }
            ShortestDecimal(double).appendECMAScript(to: &text)
        case .lossless:
            guard Self.isExact(value, as: double, in: bytes) else {
                return text.append(value, of: bytes)
            }
            ShortestDecimal(double).appendECMAScript(to: &text)
        }
    }

    /// Up to 15 significant digits in a double's normal range no two decimals share a double.
    private static func isExact(
        _ value: ByteRange, as double: Double, in bytes: RawSpan
    ) -> Bool {
        let significant = JSONNumber.significantDigits(value, in: bytes)
        if significant == 0 { return true }
        return significant <= 15 && double.magnitude > 1e-290 && double.magnitude < 1e290
    }

    // MARK: Strings

    private func appendString(
        _ value: ByteRange, in bytes: RawSpan, as form: Form, to text: inout [UInt8]
    ) {
        let isEscaped = JSONText.isEscaped(value, in: bytes)
        if form != .python && !isEscaped { return text.append(value, of: bytes) }
        if isEscaped {
            var decoded: [UInt8] = []
            JSONText.decode(value, in: bytes, to: &decoded)
            if form == .python {
                unsafe Self.appendPython(
                    decoded.span.bytes, ByteRange(offset: 0, count: decoded.count), to: &text)
            } else {
                unsafe JSONText.appendQuoted(decoded.span.bytes, to: &text)
            }
        } else if let content = JSONScanner.content(of: value, in: bytes) {
            Self.appendPython(bytes, content, to: &text)
        }
    }

    /// Python's default: everything outside printable ASCII as UTF-16 escapes.
    private static func appendPython(
        _ bytes: RawSpan, _ content: ByteRange, to text: inout [UInt8]
    ) {
        text.append(UInt8(ascii: "\""))
        var index = content.offset
        while index < content.end {
            let byte = bytes[index]
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"), 0..<0x20:
                JSONText.appendEscape(of: byte, to: &text)
                index += 1
            case 0x20..<0x7F:
                text.append(byte)
                index += 1
            default:
                let scalar = JSONText.scalar(bytes, at: &index, end: content.end)
                for unit in UTF16.encode(scalar) ?? UTF16.encodedReplacementCharacter {
                    text.append(UInt8(ascii: "\\"))
                    JSONText.appendHexUnit(unit, to: &text)
                }
            }
        }
        text.append(UInt8(ascii: "\""))
    }

    // MARK: Order

    /// Heap sort: in place, without allocation, and no input makes it slow. Most objects come in
    /// order already, which one pass finds out.
    private mutating func sort(from base: Int, in bytes: RawSpan, as form: Form) {
        let count = entries.count - base
        guard count > 1 else { return }
        var isSorted = true
        for index in base + 1..<entries.count
        where !precedes(entries[index - 1], entries[index], bytes, form) {
            isSorted = false
            break
        }
        if isSorted { return }
        for root in stride(from: count / 2 - 1, through: 0, by: -1) {
            siftDown(root, count: count, base: base, bytes, form)
        }
        for last in stride(from: count - 1, to: 0, by: -1) {
            entries.swapAt(base, base + last)
            siftDown(0, count: last, base: base, bytes, form)
        }
    }

    private mutating func siftDown(
        _ root: Int, count: Int, base: Int, _ bytes: RawSpan, _ form: Form
    ) {
        var root = root
        while true {
            var child = 2 * root + 1
            guard child < count else { return }
            if child + 1 < count,
                precedes(entries[base + child], entries[base + child + 1], bytes, form)
            {
                child += 1
            }
            guard precedes(entries[base + root], entries[base + child], bytes, form) else { return }
            entries.swapAt(base + root, base + child)
            root = child
        }
    }

    private func precedes(
        _ left: Entry, _ right: Entry, _ bytes: RawSpan, _ form: Form
    ) -> Bool {
        let order = order(left, right, bytes, form)
        return order != 0 ? order < 0 : left.name.offset < right.name.offset
    }

    private func order(_ left: Entry, _ right: Entry, _ bytes: RawSpan, _ form: Form) -> Int {
        if !left.isEscaped && !right.isEscaped {
            // The closing quotes are left out: they would sort after a space.
            let leftName = ByteRange(offset: left.name.offset + 1, count: left.name.count - 2)
            let rightName = ByteRange(offset: right.name.offset + 1, count: right.name.count - 2)
            return Self.order(bytes, leftName, bytes, rightName, form)
        }
        var leftName: [UInt8] = []
        var rightName: [UInt8] = []
        JSONText.decode(left.name, in: bytes, to: &leftName)
        JSONText.decode(right.name, in: bytes, to: &rightName)
        return unsafe Self.order(
            leftName.span.bytes, ByteRange(offset: 0, count: leftName.count),
            rightName.span.bytes, ByteRange(offset: 0, count: rightName.count), form)
    }

    /// UTF-8 bytes sort as code points do. UTF-16 differs in one case: the surrogates of characters
    /// above U+FFFF (lead byte F0 and up) sort below U+E000…U+FFFF (lead bytes EE and EF).
    private static func order(
        _ left: RawSpan, _ leftRange: ByteRange, _ right: RawSpan, _ rightRange: ByteRange,
        _ form: Form
    ) -> Int {
        for index in 0..<min(leftRange.count, rightRange.count) {
            let leftByte = left[leftRange.offset + index]
            let rightByte = right[rightRange.offset + index]
            if leftByte == rightByte { continue }
            if form != .python, leftByte >= 0xEE, rightByte >= 0xEE,
                (leftByte >= 0xF0) != (rightByte >= 0xF0)
            {
                return leftByte >= 0xF0 ? -1 : 1
            }
            return leftByte < rightByte ? -1 : 1
        }
        return leftRange.count - rightRange.count
    }
}

extension UTF16 {
    static let encodedReplacementCharacter = UTF16.encode("\u{FFFD}")!
}
