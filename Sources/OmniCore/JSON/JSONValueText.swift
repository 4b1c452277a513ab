// JSONValue from text and to text.

/// What `JSONValue` accepts; beyond it a typed error names the offset.
public struct JSONLimits: Hashable, Sendable {
    /// The whole text.
    public var bytesMax: Int
    /// Nested containers, at most 128.
    public var depthMax: Int
    /// All values of the tree together: a small text of many brackets becomes a big tree.
    public var valuesMax: Int

    public init(
        bytesMax: Int = 4 << 20, depthMax: Int = JSONScanner.depthMax, valuesMax: Int = 1 << 18
    ) {
        self.bytesMax = bytesMax
        self.depthMax = depthMax
        self.valuesMax = valuesMax
    }
}

extension JSONValue {
    /// - Throws: the first thing that is not JSON or is beyond `limits`, with its offset.
    public init(parsing bytes: RawSpan, limits: JSONLimits = JSONLimits()) throws(JSONError) {
        guard bytes.byteCount <= limits.bytesMax else {
            throw JSONError(offset: limits.bytesMax, expected: .fewerBytes)
        }
        let root = try JSONScanner.validate(bytes, depthMax: limits.depthMax)
        var remaining = limits.valuesMax
        self = try Self.tree(root, in: bytes, remaining: &remaining)
    }

    public init(parsing bytes: [UInt8], limits: JSONLimits = JSONLimits()) throws(JSONError) {
        try unsafe self.init(parsing: bytes.span.bytes, limits: limits)
    }

    public init(parsing text: String, limits: JSONLimits = JSONLimits()) throws(JSONError) {
        try self.init(parsing: Array(text.utf8), limits: limits)
    }

    /// A part of a text that was validated before.
    ///
    /// - Throws: only `fewerValues`.
    public init(
        reading value: ByteRange, in bytes: RawSpan, limits: JSONLimits = JSONLimits()
    ) throws(JSONError) {
        var remaining = limits.valuesMax
        self = try Self.tree(value, in: bytes, remaining: &remaining)
    }

    /// Recursion is bounded by the validator's depth limit.
    private static func tree(
        _ range: ByteRange, in bytes: RawSpan, remaining: inout Int
    ) throws(JSONError) -> JSONValue {
        guard remaining > 0 else { throw JSONError(offset: range.offset, expected: .fewerValues) }
        remaining -= 1
        switch JSONScanner.kind(of: range, in: bytes) {
        case .null: return .null
        case .bool: return .bool(bytes[range.offset] == UInt8(ascii: "t"))
        case .string: return .string(JSONScanner.string(range, in: bytes) ?? "")
        case .number: return number(range, in: bytes)
        case .array:
            var elements: [JSONValue] = []
            var cursor = JSONElements(of: range, in: bytes)
            while let element = cursor.next(in: bytes) {
                elements.append(try tree(element, in: bytes, remaining: &remaining))
            }
            return .array(elements)
        case .object:
            var members: [(name: String, value: JSONValue)] = []
            var cursor = JSONMembers(of: range, in: bytes)
            while let member = cursor.next(in: bytes) {
                let name = JSONScanner.string(member.name, in: bytes) ?? ""
                members.append((name, try tree(member.value, in: bytes, remaining: &remaining)))
            }
            return .object(JSONObject(members))
        }
    }

    private static func number(_ range: ByteRange, in bytes: RawSpan) -> JSONValue {
        if let int = JSONNumber.int(range, in: bytes) {
            let isNegativeZero = int == 0 && bytes[range.offset] == UInt8(ascii: "-")
            return isNegativeZero ? .double(-0.0) : .int(int)
        }
        let text = bytes.string(range)
        if JSONNumber.isInteger(range, in: bytes) { return .number(text) }
        // A double's own digits are 17 at most; more of them say something it cannot hold.
        guard JSONNumber.significantDigits(range, in: bytes) <= 17 else { return .number(text) }
        guard let double = Double(text), double.isFinite else { return .number(text) }
        return .double(double)
    }

    public var bytes: [UInt8] {
        var json: [UInt8] = []
        append(to: &json)
        return json
    }

    /// The compact text.
    public var text: String { String(decoding: bytes, as: UTF8.self) }

    public func append(to json: inout [UInt8]) {
        switch self {
        case .null: json.append("null")
        case .bool(let flag): json.append(flag ? "true" : "false")
        case .int(let number): JSONNumber.append(number, to: &json)
        case .double(let number): JSONNumber.append(number, to: &json)
        case .number(let text): json.append(contentsOf: text.utf8)
        case .string(let text): JSONText.appendQuoted(text, to: &json)
        case .array(let elements):
            json.append(UInt8(ascii: "["))
            for (index, element) in elements.enumerated() {
                if index > 0 { json.append(UInt8(ascii: ",")) }
                element.append(to: &json)
            }
            json.append(UInt8(ascii: "]"))
        case .object(let object):
            json.append(UInt8(ascii: "{"))
            for (index, member) in object.members.enumerated() {
                if index > 0 { json.append(UInt8(ascii: ",")) }
                JSONText.appendQuoted(member.name, to: &json)
                json.append(UInt8(ascii: ":"))
                member.value.append(to: &json)
            }
            json.append(UInt8(ascii: "}"))
        }
    }
}

extension JSONValue: CustomStringConvertible {
    public var description: String { text }
}
