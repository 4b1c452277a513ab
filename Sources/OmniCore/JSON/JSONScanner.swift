/// Validates a JSON text and finds its members by range, without building a tree.
///
/// The order of use: `validate` once where bytes enter the process, then look things up by range as
/// often as needed. Look-ups assume validated text; on anything else they stay inside the buffer,
/// end, and answer nonsense. Nothing here allocates except the readers that return a `String`.
///
/// A value's range has no white space around it; a string's range includes its quotes.
public enum JSONScanner {
    /// Nesting that is enough for any message we know and far from any stack or table of ours.
    public static let depthMax = 64

    /// The range of the one value the text holds.
    ///
    /// - Throws: `JSONError` with the offset of the first byte that cannot stand there. `depthMax`
    ///   is clamped to 128.
    public static func validate(
        _ bytes: RawSpan, depthMax: Int = JSONScanner.depthMax
    ) throws(JSONError) -> ByteRange {
        try validate(bytes, in: ByteRange(offset: 0, count: bytes.byteCount), depthMax: depthMax)
    }

    public static func validate(
        _ bytes: RawSpan, in range: ByteRange, depthMax: Int = JSONScanner.depthMax
    ) throws(JSONError) -> ByteRange {
        var validator = JSONValidator(range, depthMax: depthMax)
        return try validator.validate(bytes)
    }

    /// The object that the text holds; nil when it holds another value or is not JSON.
    public static func object(in bytes: RawSpan) -> ByteRange? {
        do throws(JSONError) {
            let value = try validate(bytes)
            return kind(of: value, in: bytes) == .object ? value : nil
        } catch {
            // Where the mistake is does not matter to who asks this.
            return nil
        }
    }

    public static func kind(of value: ByteRange, in bytes: RawSpan) -> JSONKind {
        guard value.count > 0 else { return .null }
        switch bytes[value.offset] {
        case UInt8(ascii: "{"): return .object
        case UInt8(ascii: "["): return .array
        case UInt8(ascii: "\""): return .string
        case UInt8(ascii: "t"), UInt8(ascii: "f"): return .bool
        case UInt8(ascii: "n"): return .null
        default: return .number
        }
    }

    // MARK: Finding

    /// The value of the last member called `name`; nil when there is none or `object` is not one.
    public static func member(
        _ name: StaticString, of object: ByteRange, in bytes: RawSpan
    ) -> ByteRange? {
        var members = JSONMembers(of: object, in: bytes)
        var found: ByteRange?
        while let member = members.next(in: bytes) {
            if member.isNamed(name, in: bytes) { found = member.value }
        }
        return found
    }

    /// As above, for a name that is only known while running.
    public static func member(
        named name: String, of object: ByteRange, in bytes: RawSpan
    ) -> ByteRange? {
        var members = JSONMembers(of: object, in: bytes)
        var found: ByteRange?
        while let member = members.next(in: bytes) {
            if equals(member.name, name, in: bytes) { found = member.value }
        }
        return found
    }

    public static func element(
        _ index: Int, of array: ByteRange, in bytes: RawSpan
    ) -> ByteRange? {
        var elements = JSONElements(of: array, in: bytes)
        var position = 0
        while let element = elements.next(in: bytes) {
            if position == index { return element }
            position += 1
        }
        return nil
    }

    /// How many members or elements a container has; 0 for anything else.
    public static func count(of container: ByteRange, in bytes: RawSpan) -> Int {
        var count = 0
        if kind(of: container, in: bytes) == .object {
            var members = JSONMembers(of: container, in: bytes)
            while members.next(in: bytes) != nil { count += 1 }
        } else {
            var elements = JSONElements(of: container, in: bytes)
            while elements.next(in: bytes) != nil { count += 1 }
        }
        return count
    }

    // MARK: Reading

    /// The decoded text; nil when the value is not a string. Allocates.
    public static func string(_ value: ByteRange?, in bytes: RawSpan) -> String? {
        guard let value, let content = content(of: value, in: bytes) else { return nil }
        if !JSONText.isEscaped(content, in: bytes) {
            // The buffer pointer is used inside the closure only.
            return unsafe bytes.extracting(content.range).withUnsafeBytes {
                unsafe String(decoding: $0, as: UTF8.self)
            }
        }
        var text: [UInt8] = []
        text.reserveCapacity(value.count)
        JSONText.decode(value, in: bytes, to: &text)
        return String(decoding: text, as: UTF8.self)
    }

    /// Appends the decoded bytes of a string; false (and nothing appended) when it is not one.
    @discardableResult
    public static func appendString(
        _ value: ByteRange, in bytes: RawSpan, to text: inout [UInt8]
    ) -> Bool {
        guard kind(of: value, in: bytes) == .string else { return false }
        JSONText.decode(value, in: bytes, to: &text)
        return true
    }

    /// The integer, when the value is written as one (no fraction, no exponent) and fits.
    public static func int(_ value: ByteRange?, in bytes: RawSpan) -> Int64? {
        guard let value, kind(of: value, in: bytes) == .number else { return nil }
        return JSONNumber.int(value, in: bytes)
    }

    /// The number, when it is one without a fraction, however it is written, and fits.
    public static func wholeNumber(_ value: ByteRange?, in bytes: RawSpan) -> Int64? {
        int(value, in: bytes) ?? double(value, in: bytes).flatMap { Int64(exactly: $0) }
    }

    /// The number as a double; infinite when it is beyond one. Allocates.
    public static func double(_ value: ByteRange?, in bytes: RawSpan) -> Double? {
        guard let value, kind(of: value, in: bytes) == .number else { return nil }
        return JSONNumber.double(value, in: bytes)
    }

    public static func bool(_ value: ByteRange?, in bytes: RawSpan) -> Bool? {
        guard let value, kind(of: value, in: bytes) == .bool else { return nil }
        return bytes[value.offset] == UInt8(ascii: "t")
    }

    public static func isNull(_ value: ByteRange, in bytes: RawSpan) -> Bool {
        kind(of: value, in: bytes) == .null
    }

    /// Whether `value` is a string whose decoded text is `text`. Does not allocate unless escaped.
    public static func equals(
        _ value: ByteRange?, _ text: StaticString, in bytes: RawSpan
    ) -> Bool {
        guard let value, let content = content(of: value, in: bytes) else { return false }
        if bytes.equals(content, text) { return true }
        // Escapes only make a text longer, so most names end here without being read through.
        guard content.count > text.utf8CodeUnitCount, JSONText.isEscaped(content, in: bytes) else {
            return false
        }
        var decoded: [UInt8] = []
        JSONText.decode(value, in: bytes, to: &decoded)
        return unsafe decoded.span.bytes.equals(ByteRange(offset: 0, count: decoded.count), text)
    }

    public static func equals(
        _ value: ByteRange?, _ text: String, in bytes: RawSpan
    ) -> Bool {
        guard let value, let content = content(of: value, in: bytes) else { return false }
        if JSONText.isEscaped(content, in: bytes) {
            return string(value, in: bytes)?.utf8.elementsEqual(text.utf8) ?? false
        }
        var index = content.offset
        for byte in text.utf8 {
            guard index < content.end, bytes[index] == byte else { return false }
            index += 1
        }
        return index == content.end
    }

    /// A string's bytes between the quotes, still escaped; nil when the value is not a string.
    public static func content(of value: ByteRange, in bytes: RawSpan) -> ByteRange? {
        guard value.count >= 2, bytes[value.offset] == UInt8(ascii: "\"") else { return nil }
        return ByteRange(offset: value.offset + 1, count: value.count - 2)
    }

    /// A copy of the value's bytes: the one place where a range leaves its buffer.
    public static func copy(_ value: ByteRange, from bytes: RawSpan) -> [UInt8] {
        var copy: [UInt8] = []
        copy.reserveCapacity(value.count)
        copy.append(value, of: bytes)
        return copy
    }
}

public enum JSONKind: UInt8, Hashable, Sendable {
    case null, bool, number, string, array, object
}

extension Array where Element == UInt8 {
    /// Appends the bytes of `range`.
    public mutating func append(_ range: ByteRange, of bytes: RawSpan) {
        precondition(range.end <= bytes.byteCount, "the range lies in its buffer")
        let part = bytes.extracting(range.offset..<range.end)
        // The buffer pointer is used inside the closure only.
        unsafe part.withUnsafeBytes { pointer in
            unsafe append(contentsOf: pointer)
        }
    }

    /// Appends the UTF-8 of fixed text.
    public mutating func append(_ text: StaticString) {
        // A StaticString's bytes live as long as the process and its count bounds them.
        unsafe append(
            contentsOf: UnsafeBufferPointer(
                start: text.utf8Start, count: text.utf8CodeUnitCount))
    }
}
