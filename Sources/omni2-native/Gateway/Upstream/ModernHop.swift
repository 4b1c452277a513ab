import OmniCore
import OmniIO

/// Towards a server of the stateless era: every request carries who asks, and HTTP headers repeat
/// what it asks for.
struct ModernHop {
    let version: ProtocolVersion
    private let envelope: [JSONSplice.Change]
    /// Arguments that travel as headers too, by tool.
    private var parameterHeaders: [String: [ModernParameterHeader]] = [:]

    init(_ version: ProtocolVersion, client: MCPPeer) {
        self.version = version
        envelope = ModernRequest.envelope(version: version, client: client, capabilities: [])
    }

    /// The changes to a request's `_meta`. What the caller says of the client stays.
    func envelope(over meta: ByteRange?, in bytes: RawSpan) -> [JSONSplice.Change] {
        guard let meta,
            JSONScanner.member(ModernMeta.clientCapabilities, of: meta, in: bytes) != nil
        else { return envelope }
        return [JSONSplice.Change(ModernMeta.protocolVersion, value: .string("\(version.text)"))]
    }

    /// The routing headers of a request with these params.
    func headers(_ method: MCPMethod, _ params: [UInt8]) -> [HTTPClientRequest.Header] {
        var headers = [HTTPClientRequest.Header("Mcp-Method", "\(method.name)")]
        let whole = ByteRange(offset: 0, count: params.count)
        let span = unsafe params.span.bytes
        let named: StaticString
        switch method.subject {
        case .name: named = "name"
        case .uri: named = "uri"
        case .taskID: named = "taskId"
        case .none: return headers
        }
        guard
            let name = JSONScanner.string(
                JSONScanner.member(named, of: whole, in: span), in: span)
        else { return headers }
        headers.append(.init("Mcp-Name", ModernHeaders.encode(name)))
        guard method == .callTool, let wanted = parameterHeaders[name],
            let arguments = JSONScanner.member("arguments", of: whole, in: span)
        else { return headers }
        for header in wanted {
            guard let text = header.value(in: arguments, of: span) else { continue }
            headers.append(.init("Mcp-Param-\(header.name)", ModernHeaders.encode(text)))
        }
        return headers
    }

    /// Learns which arguments of which tool are headers; a tool that asks for what cannot be is
    /// left out, as the specification wants it.
    mutating func note(_ tools: [UpstreamCatalogue.Item]) -> [UpstreamCatalogue.Item] {
        parameterHeaders = [:]
        return tools.filter { tool in
            guard let headers = ModernParameterHeader.headers(of: tool.json) else { return false }
            if !headers.isEmpty { parameterHeaders[tool.name] = headers }
            return true
        }
    }

    /// The params of the subscription that stands in for the older listening stream.
    static func listenParams(
        _ capabilities: ServerCapabilities, watched: Set<String>
    ) -> [UInt8] {
        var json = JSONWriter()
        json.object { json in
            json.memberObject("notifications") { json in
                if capabilities.contains(.tools) { json.member("toolsListChanged", true) }
                if capabilities.contains(.prompts) { json.member("promptsListChanged", true) }
                if capabilities.contains(.resources) { json.member("resourcesListChanged", true) }
                if !watched.isEmpty { json.member("resourceSubscriptions", watched.sorted()) }
            }
        }
        return json.take()
    }
}

/// One argument that a tool's schema marks with `x-mcp-header`.
struct ModernParameterHeader: Equatable {
    var path: [String]
    /// What follows `Mcp-Param-`.
    var name: String

    private static let depthMax = 8

    /// Nil when a mark is invalid: not a token, used twice, or not on a string, integer or boolean.
    static func headers(of tool: [UInt8]) -> [ModernParameterHeader]? {
        // Almost no tool has one; the tree is built only where it may.
        guard isMarked(tool) else { return [] }
        guard let schema = (try? JSONValue(parsing: tool))?["inputSchema"] else { return [] }
        var found: [ModernParameterHeader] = []
        guard gather(schema, [], into: &found) else { return nil }
        let names = found.map { $0.name.lowercased() }
        return Set(names).count == names.count ? found : nil
    }

    static func isMarked(_ tool: [UInt8]) -> Bool {
        contains(Array("x-mcp-header".utf8), in: tool)
    }

    private static func contains(_ mark: [UInt8], in text: [UInt8]) -> Bool {
        var index = 0
        while index + mark.count <= text.count {
            if text[index] == mark[0], text[index...].starts(with: mark) { return true }
            index += 1
        }
        return false
    }

    private static func gather(
        _ schema: JSONValue, _ path: [String], into found: inout [ModernParameterHeader]
    ) -> Bool {
        if path.count > depthMax { return true }
        for (name, property) in schema["properties"]?.object?.members ?? [] {
            let path = path + [name]
            if let mark = property["x-mcp-header"] {
                guard let header = mark.string, isToken(header), isPrimitive(property["type"])
                else { return false }
                found.append(ModernParameterHeader(path: path, name: header))
            }
            guard gather(property, path, into: &found) else { return false }
        }
        return true
    }

    private static func isToken(_ text: String) -> Bool {
        !text.isEmpty
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "a")...UInt8(ascii: "z"):
                    true
                default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
                }
            }
    }

    private static func isPrimitive(_ type: JSONValue?) -> Bool {
        ["string", "integer", "boolean"].contains(type?.string)
    }

    /// Nil when the argument is absent or null.
    func value(in arguments: ByteRange, of span: RawSpan) -> String? {
        var value = arguments
        for name in path {
            guard let member = JSONScanner.member(named: name, of: value, in: span) else {
                return nil
            }
            value = member
        }
        if let text = JSONScanner.string(value, in: span) { return text }
        if let number = JSONScanner.int(value, in: span) { return String(number) }
        if let flag = JSONScanner.bool(value, in: span) { return flag ? "true" : "false" }
        return nil
    }
}
