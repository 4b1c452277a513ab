/// What a JSON value may be: checked before a route sees a body, and written into the OpenAPI
/// document. One value for both, so that the document cannot promise what the daemon does not do.
public indirect enum JSONSchema: Hashable, Sendable {
    /// Anything, but for texts that no database stores (those with a NUL).
    case any
    case boolean
    case integer(ClosedRange<Int64>)
    case number(ClosedRange<Double>)
    /// Characters, counted as Unicode scalars.
    case text(TextForm, ClosedRange<Int>)
    /// One of these texts.
    case word([String])
    case list(JSONSchema, ClosedRange<Int>)
    /// An object whose values are all of one kind.
    case map(JSONSchema)
    /// Named members. An open object may have others.
    case object([Member], isOpen: Bool)
    case nullable(JSONSchema)
    case either([JSONSchema])
    /// Shown as `schema`, with a sentence.
    case described(JSONSchema, String)

    public enum TextForm: Hashable, Sendable {
        case free
        /// No control characters.
        case printable
        /// As a header may carry it: ASCII without spaces.
        case visibleASCII

        var pattern: String? {
            switch self {
            case .free: nil
            case .printable: "^[^\\u0000-\\u001f\\u007f]*$"
            case .visibleASCII: "^[!-~]*$"
            }
        }

        func allows(_ scalar: Unicode.Scalar) -> Bool {
            switch self {
            case .free: scalar.value != 0
            case .printable: scalar.value >= 0x20 && scalar.value != 0x7F
            case .visibleASCII: (0x21...0x7E).contains(scalar.value)
            }
        }
    }

    public struct Member: Hashable, Sendable {
        public let name: String
        public let schema: JSONSchema
        public let isRequired: Bool

        public init(_ name: String, _ schema: JSONSchema, isRequired: Bool) {
            self.name = name
            self.schema = schema
            self.isRequired = isRequired
        }

        public static func required(_ name: String, _ schema: JSONSchema) -> Member {
            Member(name, schema, isRequired: true)
        }

        public static func optional(_ name: String, _ schema: JSONSchema) -> Member {
            Member(name, schema, isRequired: false)
        }
    }

    /// Where it went wrong, and what would be right.
    public struct Mismatch: Error, Hashable, Sendable, CustomStringConvertible {
        /// `members[2].name`; empty for the value itself.
        public var path: String
        public let expected: String

        public var description: String {
            path.isEmpty ? "the body must be \(expected)" : "\(path) must be \(expected)"
        }
    }

    // MARK: Shorthand

    /// A row's id.
    public static let id = JSONSchema.integer(1...Int64(Int32.max))
    public static let shortText = JSONSchema.text(.printable, 0...255)
    public static let longText = JSONSchema.text(.free, 0...10_000)
    public static let count = JSONSchema.integer(0...Int64.max)
    public static let time = JSONSchema.described(
        .text(.printable, 0...40), "ISO 8601, UTC, microseconds.")

    public static func object(_ members: Member...) -> JSONSchema {
        .object(members, isOpen: false)
    }

    public static func reply(_ members: Member...) -> JSONSchema {
        .object([.required("success", .boolean)] + members, isOpen: true)
    }

    // MARK: Checking

    public func check(_ value: JSONValue) throws(Mismatch) {
        switch self {
        case .described(let schema, _): try schema.check(value)
        case .nullable(let schema): if !value.isNull { try schema.check(value) }
        case .either(let schemas):
            guard schemas.contains(where: { $0.allows(value) }) else { throw mismatch }
        case .list(let element, let counts): try check(list: value, element, counts)
        case .map(let schema):
            guard let object = value.object else { throw mismatch }
            for member in object.members { try Self.check(member, schema) }
        case .object(let members, let isOpen): try check(object: value, members, isOpen)
        default: guard isScalar(value) else { throw mismatch }
        }
    }

    public func allows(_ value: JSONValue) -> Bool {
        do throws(Mismatch) {
            try check(value)
            return true
        } catch {
            return false
        }
    }

    private func isScalar(_ value: JSONValue) -> Bool {
        switch self {
        case .any: return Self.isStorable(value)
        case .boolean: return value.bool != nil
        case .integer(let range): return value.int.map(range.contains) ?? false
        case .number(let range): return value.double.map(range.contains) ?? false
        case .word(let words): return value.string.map(words.contains) ?? false
        case .text(let form, let counts):
            guard let text = value.string, counts.contains(text.unicodeScalars.count) else {
                return false
            }
            return text.unicodeScalars.allSatisfy(form.allows)
        default: return false
        }
    }

    private static func isStorable(_ value: JSONValue) -> Bool {
        switch value {
        case .string(let text): !text.utf8.contains(0)
        case .array(let elements): elements.allSatisfy(isStorable)
        case .object(let object):
            object.members.allSatisfy { !$0.name.utf8.contains(0) && isStorable($0.value) }
        default: true
        }
    }

    private func check(
        list value: JSONValue, _ element: JSONSchema, _ counts: ClosedRange<Int>
    ) throws(Mismatch) {
        guard let elements = value.array, counts.contains(elements.count) else { throw mismatch }
        for (index, one) in elements.enumerated() {
            do throws(Mismatch) { try element.check(one) } catch {
                throw Mismatch(
                    path: "[\(index)]" + Self.below(error.path), expected: error.expected)
            }
        }
    }

    private func check(
        object value: JSONValue, _ members: [Member], _ isOpen: Bool
    ) throws(Mismatch) {
        guard let object = value.object else { throw mismatch }
        for member in members where member.isRequired && object[member.name] == nil {
            throw Mismatch(path: member.name, expected: "there: \(member.schema.words)")
        }
        for (name, one) in object.members {
            if let member = members.first(where: { $0.name == name }) {
                try Self.check((name, one), member.schema)
            } else if !isOpen {
                throw Mismatch(
                    path: String(name.prefix(60)),
                    expected:
                        "left out: it is none of \(members.map(\.name).joined(separator: ", "))")
            }
        }
    }

    private static func check(
        _ member: (name: String, value: JSONValue), _ schema: JSONSchema
    ) throws(Mismatch) {
        guard !member.name.utf8.contains(0) else {
            throw Mismatch(path: "", expected: "without NUL characters in names")
        }
        do throws(Mismatch) { try schema.check(member.value) } catch {
            throw Mismatch(
                path: String(member.name.prefix(60)) + below(error.path), expected: error.expected)
        }
    }

    private static func below(_ path: String) -> String {
        path.isEmpty || path.hasPrefix("[") ? path : "." + path
    }

    // MARK: Words

    private var mismatch: Mismatch { Mismatch(path: "", expected: words) }

    private var words: String {
        switch self {
        case .any: "JSON without NUL characters"
        case .boolean: "true or false"
        case .integer(let range):
            "a whole number \(Self.bounds(range.lowerBound, range.upperBound))"
        case .number(let range): "a number from \(range.lowerBound) to \(range.upperBound)"
        case .text(let form, let counts):
            "a text of \(Self.bounds(Int64(counts.lowerBound), Int64(counts.upperBound))) "
                + (form == .free ? "characters" : "printable characters")
        case .word(let words): "one of \(words.joined(separator: ", "))"
        case .list(let element, let counts):
            "a list of at most \(counts.upperBound), each \(element.words)"
        case .map: "an object"
        case .object: "an object"
        case .nullable(let schema): schema.words + " or null"
        case .either(let schemas): schemas.map(\.words).joined(separator: ", or ")
        case .described(let schema, _): schema.words
        }
    }

    private static func bounds(_ low: Int64, _ high: Int64) -> String {
        high == .max ? "from \(low)" : "from \(low) to \(high)"
    }
}

// MARK: JSON Schema 2020-12

extension JSONSchema {
    public var json: JSONValue {
        switch self {
        case .any: return [:]
        case .boolean: return ["type": "boolean"]
        case .integer(let range):
            var value: JSONValue = ["type": "integer"]
            if range.lowerBound > .min { value["minimum"] = .int(range.lowerBound) }
            if range.upperBound < .max { value["maximum"] = .int(range.upperBound) }
            return value
        case .number(let range):
            return [
                "type": "number", "minimum": .double(range.lowerBound),
                "maximum": .double(range.upperBound),
            ]
        case .text(let form, let counts): return Self.textSchema(form, counts)
        case .word(let words): return ["type": "string", "enum": JSONValue(words)]
        case .list(let element, let counts):
            var value: JSONValue = ["type": "array", "items": element.json]
            if counts.lowerBound > 0 { value["minItems"] = JSONValue(counts.lowerBound) }
            if counts.upperBound < .max { value["maxItems"] = JSONValue(counts.upperBound) }
            return value
        case .map(let schema): return ["type": "object", "additionalProperties": schema.json]
        case .object(let members, let isOpen): return Self.objectSchema(members, isOpen)
        case .nullable(let schema): return ["anyOf": .array([schema.json, ["type": "null"]])]
        case .either(let schemas): return ["anyOf": .array(schemas.map(\.json))]
        case .described(let schema, let text):
            var value = schema.json
            value["description"] = .string(text)
            return value
        }
    }

    private static func textSchema(_ form: TextForm, _ counts: ClosedRange<Int>) -> JSONValue {
        var value: JSONValue = ["type": "string"]
        if counts.lowerBound > 0 { value["minLength"] = JSONValue(counts.lowerBound) }
        if counts.upperBound < .max { value["maxLength"] = JSONValue(counts.upperBound) }
        if let pattern = form.pattern { value["pattern"] = .string(pattern) }
        return value
    }

    private static func objectSchema(_ members: [Member], _ isOpen: Bool) -> JSONValue {
        var properties = JSONObject()
        for member in members { properties[member.name] = member.schema.json }
        var value: JSONValue = ["type": "object", "properties": .object(properties)]
        let required = members.filter(\.isRequired).map(\.name)
        if !required.isEmpty { value["required"] = JSONValue(required) }
        if !isOpen { value["additionalProperties"] = false }
        return value
    }
}
