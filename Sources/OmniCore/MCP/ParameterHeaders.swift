/// The `Mcp-Param-…` headers of the stateless era: arguments that a tool's schema wants repeated in
/// a header (`x-mcp-header`), so that something in front of the server can route by them.
///
/// Read once per listed tool; a tool whose marks break the rules must not be offered at all.
public struct ParameterHeaders: Hashable, Sendable {
    public struct Header: Hashable, Sendable {
        /// The whole header name, `Mcp-Param-…`.
        public var name: String
        /// Member names from the arguments down to the value.
        public var path: [String]
    }

    public enum SchemaError: UInt8, Error, Hashable, Sendable {
        /// Not a text of header name characters.
        case badName
        /// Two marks with the same name; header names compare without case.
        case duplicateName
        /// The value is not a string, an integer or a boolean.
        case badType
        /// The mark stands where no chain of `properties` leads.
        case unreachable
    }

    public private(set) var headers: [Header] = []

    public init() {}

    /// - Throws: the first rule that is broken; the tool is then left out of the list.
    public init(inputSchema: JSONValue) throws(SchemaError) {
        var marks = 0
        try collect(inputSchema, path: [])
        Self.count(inputSchema, into: &marks)
        if marks != headers.count { throw .unreachable }
        let names = headers.map { $0.name.lowercased() }
        if Set(names).count != names.count { throw .duplicateName }
    }

    /// Name and value of each header a call with these arguments has to carry.
    public func values(
        arguments: ByteRange?, in bytes: RawSpan
    ) -> [(name: String, value: String)] {
        headers.compactMap { header in
            text(of: header, arguments: arguments, in: bytes).map {
                (header.name, ModernHeaders.encode($0))
            }
        }
    }

    /// Whether the headers a client sent say what its arguments say.
    ///
    /// - Parameter sent: the value of a header by its name; nil where it is absent.
    public func agree(
        arguments: ByteRange?, in bytes: RawSpan, sent: (String) -> String?
    ) -> Bool {
        headers.allSatisfy { header in
            let expected = text(of: header, arguments: arguments, in: bytes)
            guard let value = sent(header.name) else { return expected == nil }
            return expected != nil && ModernHeaders.decode(value) == expected
        }
    }

    /// nil when the argument is absent, null or of another type.
    private func text(of header: Header, arguments: ByteRange?, in bytes: RawSpan) -> String? {
        var value = arguments
        for name in header.path {
            guard let object = value else { return nil }
            value = JSONScanner.member(named: name, of: object, in: bytes)
        }
        guard let value else { return nil }
        switch JSONScanner.kind(of: value, in: bytes) {
        case .string: return JSONScanner.string(value, in: bytes)
        case .bool: return JSONScanner.bool(value, in: bytes) == true ? "true" : "false"
        case .number: return JSONNumber.isInteger(value, in: bytes) ? bytes.string(value) : nil
        default: return nil
        }
    }

    /// As deep as the schema, which the JSON reader's depth limit bounds.
    private mutating func collect(
        _ schema: JSONValue, path: [String]
    ) throws(SchemaError) {
        if let mark = schema["x-mcp-header"] {
            guard !path.isEmpty else { throw .unreachable }
            guard let name = mark.string, Self.isHeaderName(name) else { throw .badName }
            guard let type = schema["type"]?.string,
                ["string", "integer", "boolean"].contains(type)
            else { throw .badType }
            headers.append(Header(name: "Mcp-Param-" + name, path: path))
        }
        for property in schema["properties"]?.object?.members ?? [] {
            try collect(property.value, path: path + [property.name])
        }
    }

    /// All marks anywhere, so that one out of reach shows.
    private static func count(_ schema: JSONValue, into marks: inout Int) {
        switch schema {
        case .array(let elements): for element in elements { count(element, into: &marks) }
        case .object(let object):
            for member in object.members {
                switch member.name {
                case "x-mcp-header": marks += 1
                // Data, not schema: a value that looks like a mark is none.
                case "default", "examples", "const", "enum": break
                case "properties":
                    // A property may itself be called x-mcp-header.
                    for property in member.value.object?.members ?? [] {
                        count(property.value, into: &marks)
                    }
                default: count(member.value, into: &marks)
                }
            }
        default: break
        }
    }

    private static func isHeaderName(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.count <= 64
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
                    true
                default: false
                }
            }
    }
}
