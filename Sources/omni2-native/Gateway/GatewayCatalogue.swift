import OmniCore

/// What the gateway offers: the lists of all servers that can be called, under one set of names.
///
/// Rebuilt as a whole when a server comes, goes or changes its lists, so that names depend on the
/// set and not on the order of events. The order is stable: by server, then as the server lists.
struct GatewayCatalogue {
    struct Item {
        let server: Int
        let serverName: String
        /// The name (or URI) at its server.
        let name: String
        /// The name offered.
        let offered: String
        /// The object to list, with the offered name in it.
        let json: [UInt8]
        let annotations: ToolAnnotations
        /// Arguments of a tool that its callers repeat in headers; nil for almost all.
        var parameterHeaders: ParameterHeaders?
    }

    private(set) var tools: [Item] = []
    private(set) var prompts: [Item] = []
    private(set) var resources: [Item] = []
    private(set) var templates: [Item] = []
    /// Rises whenever something changed: cursors of an older list are refused.
    private(set) var version: UInt64 = 1

    private var toolByName: [String: Int] = [:]
    private var promptByName: [String: Int] = [:]

    func tool(named name: String) -> Item? { toolByName[name].map { tools[$0] } }
    func prompt(named name: String) -> Item? { promptByName[name].map { prompts[$0] } }

    /// True when a list differs from what it was.
    mutating func rebuild(from servers: [LiveServer]) -> Changes {
        var next = GatewayCatalogue()
        next.addNamed(servers)
        next.addResources(servers)
        let changes = Changes(
            tools: !Self.areEqual(tools, next.tools),
            prompts: !Self.areEqual(prompts, next.prompts),
            resources: !Self.areEqual(resources, next.resources)
                || !Self.areEqual(templates, next.templates))
        next.version = changes.isEmpty ? version : version + 1
        self = next
        return changes
    }

    struct Changes: Equatable {
        var tools: Bool
        var prompts: Bool
        var resources: Bool
        var isEmpty: Bool { !tools && !prompts && !resources }
    }

    private mutating func addNamed(_ servers: [LiveServer]) {
        var toolOrigins: [NameTable.Origin] = []
        var promptOrigins: [NameTable.Origin] = []
        for server in servers {
            guard let catalogue = server.upstream?.catalogue else { continue }
            toolOrigins += catalogue.tools.map { .init(server: server.name, name: $0.name) }
            promptOrigins += catalogue.prompts.map { .init(server: server.name, name: $0.name) }
        }
        let toolNames = NameTable(toolOrigins)
        let promptNames = NameTable(promptOrigins)
        for server in servers {
            guard let catalogue = server.upstream?.catalogue else { continue }
            for item in catalogue.tools {
                guard let offered = toolNames.name(of: .init(server: server.name, name: item.name))
                else { continue }
                toolByName[offered] = tools.count
                tools.append(Self.renamed(item, of: server, to: offered))
            }
            for item in catalogue.prompts {
                guard
                    let offered = promptNames.name(of: .init(server: server.name, name: item.name))
                else { continue }
                promptByName[offered] = prompts.count
                prompts.append(Self.renamed(item, of: server, to: offered))
            }
        }
    }

    private mutating func addResources(_ servers: [LiveServer]) {
        for server in servers {
            guard let catalogue = server.upstream?.catalogue else { continue }
            for item in catalogue.resources {
                resources.append(Self.prefixed(item, of: server, member: "uri"))
            }
            for item in catalogue.resourceTemplates {
                templates.append(Self.prefixed(item, of: server, member: "uriTemplate"))
            }
        }
    }

    /// The item under its offered name; a name that lost something keeps the full one in `title`.
    private static func renamed(
        _ item: UpstreamCatalogue.Item, of server: LiveServer, to offered: String
    ) -> Item {
        let isExact = ToolName.isExact(server: server.name, tool: item.name)
        let (json, annotations) = item.json.withRawSpan { bytes in
            let whole = ByteRange(offset: 0, count: bytes.byteCount)
            var changes: [JSONSplice.Change] = [.init("name", value: .string(offered))]
            if !isExact, JSONScanner.member("title", of: whole, in: bytes) == nil {
                let full = server.name + ToolName.separator + item.name
                changes.append(.init("title", value: .string(full)))
            }
            var splice = JSONSplice()
            splice.edit(whole, in: bytes, changes)
            return (
                splice.applied(to: whole, of: bytes), ToolAnnotations(tool: whole, in: bytes)
            )
        }
        return Item(
            server: server.id, serverName: server.name, name: item.name, offered: offered,
            json: json, annotations: annotations, parameterHeaders: headers(of: item.json))
    }

    private static func headers(of tool: [UInt8]) -> ParameterHeaders? {
        guard ModernParameterHeader.isMarked(tool),
            let schema = (try? JSONValue(parsing: tool))?["inputSchema"],
            let headers = try? ParameterHeaders(inputSchema: schema), !headers.headers.isEmpty
        else { return nil }
        return headers
    }

    private static func prefixed(
        _ item: UpstreamCatalogue.Item, of server: LiveServer, member: StaticString
    ) -> Item {
        let offered = ResourceName.prefixed(server: server.name, uri: item.name)
        let json = item.json.withRawSpan { bytes in
            let whole = ByteRange(offset: 0, count: bytes.byteCount)
            var splice = JSONSplice()
            splice.edit(whole, in: bytes, [.init(member, value: .string(offered))])
            return splice.applied(to: whole, of: bytes)
        }
        return Item(
            server: server.id, serverName: server.name, name: item.name, offered: offered,
            json: json, annotations: ToolAnnotations())
    }

    static func areEqual(_ left: [Item], _ right: [Item]) -> Bool {
        left.count == right.count
            && zip(left, right).allSatisfy { $0.server == $1.server && $0.json == $1.json }
    }
}
