/// How a client or a server names itself (`clientInfo`, `serverInfo`).
public struct MCPPeer: Hashable, Sendable {
    public var name: String
    public var version: String
    /// For people; known since 2025-06-18.
    public var title: String?

    public init(name: String, version: String, title: String? = nil) {
        self.name = name
        self.version = version
        self.title = title
    }

    /// Whatever is missing becomes empty: a peer that does not introduce itself is served as well.
    /// Each text is cut at 200 characters, since it ends up in logs and tables.
    public init(_ object: ByteRange?, in bytes: RawSpan) {
        func text(_ name: StaticString) -> String? {
            guard let object else { return nil }
            let value = JSONScanner.member(name, of: object, in: bytes)
            return JSONScanner.string(value, in: bytes).map { String($0.prefix(200)) }
        }
        self.init(name: text("name") ?? "", version: text("version") ?? "", title: text("title"))
    }

    public func write(for protocolVersion: ProtocolVersion, to json: inout JSONWriter) {
        json.object { json in
            json.member("name", name)
            if protocolVersion.hasTitles { json.member("title", ifPresent: title) }
            json.member("version", version)
        }
    }
}

/// What a server offers.
public struct ServerCapabilities: OptionSet, Hashable, Sendable {
    public var rawValue: UInt16
    public init(rawValue: UInt16) { self.rawValue = rawValue }

    public static let tools = ServerCapabilities(rawValue: 1 << 0)
    public static let toolsListChanged = ServerCapabilities(rawValue: 1 << 1)
    public static let prompts = ServerCapabilities(rawValue: 1 << 2)
    public static let promptsListChanged = ServerCapabilities(rawValue: 1 << 3)
    public static let resources = ServerCapabilities(rawValue: 1 << 4)
    public static let resourcesListChanged = ServerCapabilities(rawValue: 1 << 5)
    public static let resourcesSubscribe = ServerCapabilities(rawValue: 1 << 6)
    public static let logging = ServerCapabilities(rawValue: 1 << 7)
    public static let completions = ServerCapabilities(rawValue: 1 << 8)
    public static let tasks = ServerCapabilities(rawValue: 1 << 9)

    public init(_ object: ByteRange?, in bytes: RawSpan) {
        self = []
        let reader = CapabilityReader(object)
        reader.list("tools", .tools, .toolsListChanged, into: &self, in: bytes)
        reader.list("prompts", .prompts, .promptsListChanged, into: &self, in: bytes)
        reader.list("resources", .resources, .resourcesListChanged, into: &self, in: bytes)
        if reader.flag("resources", "subscribe", in: bytes) { insert(.resourcesSubscribe) }
        if reader.has("logging", in: bytes) { insert(.logging) }
        if reader.has("completions", in: bytes) { insert(.completions) }
        if reader.has("tasks", in: bytes) { insert(.tasks) }
    }

    public func write(for version: ProtocolVersion, to json: inout JSONWriter) {
        json.object { json in
            if contains(.tools) { list("tools", .toolsListChanged, &json) }
            if contains(.prompts) { list("prompts", .promptsListChanged, &json) }
            if contains(.resources) {
                json.memberObject("resources") { json in
                    if contains(.resourcesListChanged) { json.member("listChanged", true) }
                    if contains(.resourcesSubscribe) { json.member("subscribe", true) }
                }
            }
            if contains(.logging) { json.memberObject("logging") { _ in } }
            if contains(.completions), version >= .v2025_03_26 {
                json.memberObject("completions") { _ in }
            }
        }
    }

    private func list(
        _ name: StaticString, _ listChanged: ServerCapabilities, _ json: inout JSONWriter
    ) {
        json.memberObject(name) { json in
            if contains(listChanged) { json.member("listChanged", true) }
        }
    }
}

/// What a client can be asked.
public struct ClientCapabilities: OptionSet, Hashable, Sendable {
    public var rawValue: UInt16
    public init(rawValue: UInt16) { self.rawValue = rawValue }

    public static let roots = ClientCapabilities(rawValue: 1 << 0)
    public static let rootsListChanged = ClientCapabilities(rawValue: 1 << 1)
    public static let sampling = ClientCapabilities(rawValue: 1 << 2)
    public static let samplingTools = ClientCapabilities(rawValue: 1 << 3)
    public static let elicitation = ClientCapabilities(rawValue: 1 << 4)
    public static let elicitationURL = ClientCapabilities(rawValue: 1 << 5)
    public static let tasks = ClientCapabilities(rawValue: 1 << 6)

    public init(_ object: ByteRange?, in bytes: RawSpan) {
        self = []
        let reader = CapabilityReader(object)
        reader.list("roots", .roots, .rootsListChanged, into: &self, in: bytes)
        if reader.has("sampling", in: bytes) { insert(.sampling) }
        if reader.nested("sampling", "tools", in: bytes) { insert(.samplingTools) }
        if reader.has("elicitation", in: bytes) { insert(.elicitation) }
        if reader.nested("elicitation", "url", in: bytes) { insert(.elicitationURL) }
        if reader.has("tasks", in: bytes) { insert(.tasks) }
    }

    public func write(for version: ProtocolVersion, to json: inout JSONWriter) {
        json.object { json in
            if contains(.roots) {
                json.memberObject("roots") { json in
                    if contains(.rootsListChanged), version.era == .handshake {
                        json.member("listChanged", true)
                    }
                }
            }
            if contains(.sampling) {
                json.memberObject("sampling") { json in
                    if contains(.samplingTools), version >= .v2025_11_25 {
                        json.memberObject("tools") { _ in }
                    }
                }
            }
            if contains(.elicitation), version >= .v2025_06_18 {
                json.memberObject("elicitation") { json in
                    if contains(.elicitationURL), version >= .v2025_11_25 {
                        json.memberObject("form") { _ in }
                        json.memberObject("url") { _ in }
                    }
                }
            }
        }
    }
}

/// A capability is there when its object is; what is inside refines it.
private struct CapabilityReader {
    let object: ByteRange?

    init(_ object: ByteRange?) { self.object = object }

    func has(_ name: StaticString, in bytes: RawSpan) -> Bool { member(name, in: bytes) != nil }

    func nested(_ name: StaticString, _ inner: StaticString, in bytes: RawSpan) -> Bool {
        guard let outer = member(name, in: bytes) else { return false }
        return JSONScanner.member(inner, of: outer, in: bytes) != nil
    }

    func flag(_ name: StaticString, _ inner: StaticString, in bytes: RawSpan) -> Bool {
        guard let outer = member(name, in: bytes) else { return false }
        return JSONScanner.bool(JSONScanner.member(inner, of: outer, in: bytes), in: bytes) == true
    }

    func list<Set: OptionSet>(
        _ name: StaticString, _ present: Set.Element, _ listChanged: Set.Element,
        into set: inout Set, in bytes: RawSpan
    ) {
        guard has(name, in: bytes) else { return }
        set.insert(present)
        if flag(name, "listChanged", in: bytes) { set.insert(listChanged) }
    }

    private func member(_ name: StaticString, in bytes: RawSpan) -> ByteRange? {
        guard let object, let value = JSONScanner.member(name, of: object, in: bytes),
            JSONScanner.kind(of: value, in: bytes) == .object
        else { return nil }
        return value
    }
}
