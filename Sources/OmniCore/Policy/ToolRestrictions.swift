/// Which servers a role may use: its `mcp_access`.
public enum ServerAccess: Hashable, Sendable {
    case all
    case only(Set<String>)
    /// All, without those that an override takes away.
    case allBut(Set<String>)

    public static let none = ServerAccess.only([])

    /// `*` anywhere in the list means all.
    public init(_ names: [String]) {
        self = names.contains("*") ? .all : .only(Set(names))
    }

    public func mayUse(_ server: String) -> Bool {
        switch self {
        case .all: true
        case .only(let names): names.contains(server)
        case .allBut(let names): !names.contains(server)
        }
    }

    /// What both allow.
    public mutating func narrow(to other: ServerAccess) {
        switch (self, other) {
        case (_, .all): break
        case (.all, _): self = other
        case (.only(let mine), _): self = .only(mine.filter(other.mayUse))
        case (_, .only(let theirs)): self = .only(theirs.filter(mayUse))
        case (.allBut(let mine), .allBut(let theirs)): self = .allBut(mine.union(theirs))
        }
    }

    /// Without these; `*` takes all away.
    public mutating func remove(_ names: [String]) {
        if names.isEmpty { return }
        if names.contains("*") {
            self = .none
            return
        }
        narrow(to: .allBut(Set(names)))
    }

    /// As the column has it; nil where no list says it.
    public var names: [String]? {
        switch self {
        case .all: ["*"]
        case .only(let names): names.sorted()
        case .allBut: nil
        }
    }

    /// Taken out of all.
    public var deniedNames: [String] {
        if case .allBut(let names) = self { names.sorted() } else { [] }
    }
}

/// What a role may use of one server's tools, resources or prompts.
public enum ItemAccess: Hashable, Sendable {
    case all
    case only(Set<String>)
    case allBut(Set<String>)

    public static let none = ItemAccess.only([])

    public func mayUse(_ name: String) -> Bool {
        switch self {
        case .all: true
        case .only(let names): names.contains(name)
        case .allBut(let names): !names.contains(name)
        }
    }

    /// What both allow.
    public mutating func narrow(to other: ItemAccess) {
        switch (self, other) {
        case (_, .all): break
        case (.all, _): self = other
        case (.only(let mine), _): self = .only(mine.filter(other.mayUse))
        case (_, .only(let theirs)): self = .only(theirs.filter(mayUse))
        case (.allBut(let mine), .allBut(let theirs)): self = .allBut(mine.union(theirs))
        }
    }
}

/// A role's `tool_restrictions`: per server, in any of the dialects that are out there.
///
/// A server that is absent is unrestricted. A text that cannot be understood is an error and not a
/// permission: the caller treats the role as restricted to nothing and says so.
public struct ToolRestrictions: Hashable, Sendable {
    public struct Server: Hashable, Sendable {
        public var tools = ItemAccess.all
        public var resources = ItemAccess.all
        public var prompts = ItemAccess.all

        public init(
            tools: ItemAccess = .all, resources: ItemAccess = .all, prompts: ItemAccess = .all
        ) {
            self.tools = tools
            self.resources = resources
            self.prompts = prompts
        }

        public static let none = Server(tools: .none, resources: .none, prompts: .none)

        /// What both allow.
        public mutating func narrow(to other: Server) {
            tools.narrow(to: other.tools)
            resources.narrow(to: other.resources)
            prompts.narrow(to: other.prompts)
        }
    }

    public enum ReadError: Error, Hashable, Sendable {
        /// Not JSON, or a JSON text inside a JSON text inside a JSON text.
        case notJSON
        /// Neither an object nor null.
        case notAnObject
        /// A server's entry has none of the known shapes.
        case unknownDialect(server: String)
    }

    public private(set) var servers: [String: Server] = [:]
    /// What servers that are not named may do.
    public private(set) var others = Server()

    /// Unrestricted.
    public init() {}

    public init(servers: [String: Server], others: Server = Server()) {
        self.servers = servers
        self.others = others
    }

    /// Only what both allow.
    public mutating func narrow(by other: ToolRestrictions) {
        for name in Set(servers.keys).union(other.servers.keys) {
            var server = access(to: name)
            server.narrow(to: other.access(to: name))
            servers[name] = server
        }
        others.narrow(to: other.others)
    }

    /// - Throws: when any part cannot be understood.
    public init(_ value: JSONValue?) throws(ReadError) {
        var value = value ?? .null
        if case .string(let text) = value {
            if text.isEmpty { return }
            do throws(JSONError) {
                value = try JSONValue(parsing: text)
            } catch {
                throw .notJSON
            }
        }
        switch value {
        case .null: return
        case .object(let object):
            for member in object.members {
                guard let server = Self.server(member.value) else {
                    throw .unknownDialect(server: member.name)
                }
                servers[member.name] = server
            }
        case .string: throw .notJSON
        default: throw .notAnObject
        }
    }

    /// What a server that is not named may do.
    public func access(to server: String) -> Server { servers[server] ?? others }

    /// In the dialect of lists per kind, which says everything the others can.
    public var json: JSONValue {
        var object = JSONObject()
        for (name, server) in servers.sorted(by: { $0.key < $1.key }) {
            var entry = JSONObject()
            Self.write(server.tools, "tools", "denied_tools", into: &entry)
            Self.write(server.resources, "resources", "denied_resources", into: &entry)
            Self.write(server.prompts, "prompts", "denied_prompts", into: &entry)
            object[name] = .object(entry)
        }
        return .object(object)
    }

    private static func server(_ value: JSONValue) -> Server? {
        switch value {
        case .array:
            // A list of tool names restricts the tools; resources and prompts follow only an
            // empty list, which means that the server is closed.
            guard let tools = list(value) else { return nil }
            return tools == .none ? Server.none : Server(tools: tools)
        case .object(let object):
            if let mode = object["mode"] { return server(mode: mode, object) }
            guard let tools = list(object["tools"], or: object["denied_tools"]),
                let resources = list(object["resources"], or: object["denied_resources"]),
                let prompts = list(object["prompts"], or: object["denied_prompts"])
            else { return nil }
            return Server(tools: tools, resources: resources, prompts: prompts)
        case .null: return Server()
        case .string(let text):
            switch text.lowercased() {
            case "*", "all": return Server()
            case "none": return Server.none
            default: return nil
            }
        case .bool(let isAllowed): return isAllowed ? Server() : Server.none
        default: return nil
        }
    }

    /// The dialect with a mode: all, none, allow (only those named) or deny (all but those).
    private static func server(mode: JSONValue, _ object: JSONObject) -> Server? {
        let listed = object["tools"] ?? object["allowed_tools"] ?? object["denied_tools"]
        switch mode.string?.lowercased() {
        case "all", "inherit": return Server()
        case "none": return Server.none
        case "allow", "custom":
            guard let tools = list(object["tools"] ?? object["allowed_tools"] ?? .array([]))
            else { return nil }
            return Server(tools: tools)
        case "deny":
            guard let names = (object["denied_tools"] ?? listed ?? .array([])).strings else {
                return nil
            }
            return Server(tools: names.contains("*") ? .none : .allBut(Set(names)))
        default: return nil
        }
    }

    private static func list(_ value: JSONValue?) -> ItemAccess? {
        guard let value, value != .null else { return .all }
        if value.string == "*" { return .all }
        guard let elements = value.array, let names = value.strings, names.count == elements.count
        else { return nil }
        return names.contains("*") ? .all : .only(Set(names))
    }

    private static func list(_ allowed: JSONValue?, or denied: JSONValue?) -> ItemAccess? {
        guard allowed == nil, let names = denied?.strings else { return list(allowed) }
        return .allBut(Set(names))
    }

    private static func write(
        _ access: ItemAccess, _ name: String, _ deniedName: String, into entry: inout JSONObject
    ) {
        switch access {
        case .all: entry[name] = ["*"]
        case .only(let names): entry[name] = JSONValue(names.sorted())
        case .allBut(let names): entry[deniedName] = JSONValue(names.sorted())
        }
    }
}

/// What somebody may see and use: the servers of the role, and within them the restrictions. The
/// same answer decides lists, calls, prompts, resources and events.
public struct EffectiveAccess: Hashable, Sendable {
    public var servers: ServerAccess
    public var restrictions: ToolRestrictions

    public init(servers: ServerAccess, restrictions: ToolRestrictions = ToolRestrictions()) {
        self.servers = servers
        self.restrictions = restrictions
    }

    public static let everything = EffectiveAccess(servers: .all)
    public static let nothing = EffectiveAccess(servers: .none)

    public func maySee(server: String) -> Bool { servers.mayUse(server) }

    public func mayCall(tool: String, on server: String) -> Bool {
        servers.mayUse(server) && restrictions.access(to: server).tools.mayUse(tool)
    }

    /// Resources are named by URI.
    public func mayRead(resource: String, on server: String) -> Bool {
        servers.mayUse(server) && restrictions.access(to: server).resources.mayUse(resource)
    }

    public func mayGet(prompt: String, on server: String) -> Bool {
        servers.mayUse(server) && restrictions.access(to: server).prompts.mayUse(prompt)
    }
}
