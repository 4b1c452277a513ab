import OmniCore
import OmniIO

/// `/api/v1/mcp/tools`: what the servers offer, calls, health, reload, in the original's shapes.
struct ToolRoutes {
    let io: any IO
    let store: any Store
    let coordinator: Coordinator
    let gateway: Gateway
    let access: Access
    let log: Log

    func add(to router: inout Router) {
        router.on(
            .get, "/api/v1/mcp/tools/list", .service(.mcp),
            "Lists the tools one may use, by server".described.asking(Self.server)
                .answering(.ok, .reply(.required("data", .any)))
        ) { list($0) }
        router.on(
            .post, "/api/v1/mcp/tools/call", .service(.mcp),
            "Calls a tool".described
                .taking(
                    .object(
                        [
                            .required("server", .text(.free, 0...1000)),
                            .required("tool", .text(.free, 0...1000)),
                            .optional("arguments", .nullable(.map(.any))),
                        ], isOpen: true)
                ).answering(
                    .ok,
                    .reply(
                        .required("server", .any), .required("tool", .any),
                        .required("result", .any), .required("error", .any)))
        ) { call($0) }
        router.on(
            .get, "/api/v1/mcp/tools/servers", .authenticated,
            "Lists the servers one may see".described
                .asking(
                    .flag("enabled_only", "true or false"), .flag("include_health", "true or false")
                ).answering(.ok, .reply(.required("data", .any)))
        ) { servers($0) }
        router.on(
            .get, "/api/v1/mcp/tools/health/{server}", .authenticated,
            "Asks a server now how it is".described.answering(
                .ok, .reply(.required("server", .any), .required("health", .any)))
        ) { health($0) }
        router.on(
            .get, "/api/v1/mcp/tools/capabilities", .authenticated,
            "Tools, prompts and resources one may use, by server".described
                .asking(Self.server).answering(
                    .ok, .reply(.required("data", .any), .required("summary", .any)))
        ) { capabilities($0) }
        router.on(
            .post, "/api/v1/mcp/tools/reload", .operator,
            "Connects to one server anew, or to all".described
                .asking(.text("mcp_name", "one server; without it, all"))
                .answering(.ok, PeopleSchema.done)
        ) { reload($0) }
    }

    private static let server = RouteDescription.Parameter.text("server", "of one server")

    // MARK: Lists

    private func list(_ call: Router.Call) {
        let only = call.request.query("server")
        if let only, visible(only, call) == nil { return unknown(only, call) }
        var json = JSONWriter()
        json.object { json in
            json.member("success", true)
            json.memberObject("data") { json in
                json.memberObject("servers") { json in
                    for server in connected(only, call) {
                        let catalogue = Seen(server, call.principal)
                        json.name(text: server.name)
                        Self.items(catalogue.tools, to: &json)
                    }
                }
            }
        }
        call.respond(HTTPResponse(json: json.take()))
    }

    private func capabilities(_ call: Router.Call) {
        let only = call.request.query("server")
        if let only, visible(only, call) == nil { return unknown(only, call) }
        let servers = connected(only, call)
        var counts = (tools: 0, prompts: 0, resources: 0)
        var json = JSONWriter()
        json.object { json in
            json.member("success", true)
            json.memberObject("data") { json in
                for server in servers {
                    let catalogue = Seen(server, call.principal)
                    counts.tools += catalogue.tools.count
                    counts.prompts += catalogue.prompts.count
                    counts.resources += catalogue.resources.count
                    json.name(text: server.name)
                    Self.capabilities(of: catalogue, to: &json)
                }
            }
            json.memberObject("summary") { json in
                json.member("total_servers", servers.count)
                json.member("total_tools", counts.tools)
                json.member("total_prompts", counts.prompts)
                json.member("total_resources", counts.resources)
            }
        }
        call.respond(HTTPResponse(json: json.take()))
    }

    private static func capabilities(of catalogue: Seen, to json: inout JSONWriter) {
        json.object { json in
            json.member("tools") { items(catalogue.tools, to: &$0) }
            json.member("prompts") { items(catalogue.prompts, to: &$0) }
            json.member("resources") { items(catalogue.resources, to: &$0) }
            json.memberObject("metadata") { json in
                json.member("tool_count", catalogue.tools.count)
                json.member("prompt_count", catalogue.prompts.count)
                json.member("resource_count", catalogue.resources.count)
            }
        }
    }

    private static func items(_ items: [UpstreamCatalogue.Item], to json: inout JSONWriter) {
        json.array { json in for item in items { json.raw(item.json) } }
    }

    private func connected(_ only: String?, _ call: Router.Call) -> [LiveServer] {
        coordinator.registry.servers.filter {
            $0.phase == .up && (only == nil || $0.name == only)
                && call.principal.permission.items.maySee(server: $0.name)
        }
    }

    /// A server the caller may not see is not there.
    private func visible(_ name: String, _ call: Router.Call) -> LiveServer? {
        guard call.principal.permission.items.maySee(server: name) else { return nil }
        return gateway.server(named: name)
    }

    /// What a server lists, as far as the caller may use it.
    private struct Seen {
        let tools: [UpstreamCatalogue.Item]
        let prompts: [UpstreamCatalogue.Item]
        let resources: [UpstreamCatalogue.Item]

        init(_ server: LiveServer, _ principal: Principal) {
            let items = principal.permission.items
            let catalogue = server.upstream?.catalogue
            tools = (catalogue?.tools ?? []).filter {
                items.mayCall(tool: $0.name, on: server.name)
            }
            prompts = (catalogue?.prompts ?? []).filter {
                items.mayGet(prompt: $0.name, on: server.name)
            }
            resources = (catalogue?.resources ?? []).filter {
                items.mayRead(resource: $0.name, on: server.name)
            }
        }
    }

    private func unknown(_ server: String, _ call: Router.Call) {
        call.fail(.notFound, "There is no server named \(server.prefix(100)).")
    }

    // MARK: Calls

    private func call(_ call: Router.Call) {
        guard let body = call.json() else { return }
        guard let name = body["server"]?.string, let tool = body["tool"]?.string else {
            return call.fail(.badRequest, "server and tool must be texts.")
        }
        let arguments = body["arguments"] ?? [:]
        guard arguments.object != nil || arguments.isNull else {
            return call.fail(.badRequest, "arguments must be an object.")
        }
        guard let server = visible(name, call) else {
            return answer(
                call, .notFound, name, tool,
                error: "There is no server named \(name.prefix(100)).")
        }
        let item = server.upstream?.catalogue.tools.first { $0.name == tool }
        let mayCall = call.principal.permission.items.mayCall(tool: tool, on: name)
        if !mayCall, item != nil {
            access.audit.denied(
                call.exchange, by: call.principal, action: "tools/call", target: "\(name)/\(tool)",
                reason: "no permission")
            gateway.gates?.stopped(
                call.principal, at: .toolFilter, because: "no permission", from: .rest,
                requestID: call.exchange.requestID, server: name, tool: tool)
        }
        if !mayCall || (item == nil && server.phase == .up) {
            return answer(
                call, .notFound, name, tool, error: "\(name) has no tool named \(tool.prefix(100))."
            )
        }
        if let refusal = access.take(call.principal) {
            gateway.gates?.stopped(
                call.principal, at: .usageCheck, because: refusal.message, from: .rest,
                requestID: call.exchange.requestID, server: name, tool: tool)
            return answer(
                call, refusal.status, name, tool, error: refusal.message, headers: refusal.headers)
        }
        var request = ToolCall(
            server: server, tool: tool,
            annotations: item.map { Self.annotations($0) } ?? ToolAnnotations(),
            arguments: arguments.isNull ? Array("{}".utf8) : arguments.bytes,
            mayBeCached: true, principal: call.principal, requestID: call.exchange.requestID)
        request.step = ToolStep(
            "\(name)\(ToolName.separator)\(tool)", of: call.principal.name,
            in: RequestContext.current?.trace, by: gateway.telemetry)
        request.flow = gateway.gates?.passed(
            call.principal, to: tool, of: name, from: .rest, requestID: call.exchange.requestID)
        if let known = gateway.caller.cached(request) { return finish(call, request, known) }
        let deadline = io.now + gateway.callTime(of: server)
        io.spawn { [request] in
            finish(call, request, await gateway.caller.call(request, until: deadline))
        }
    }

    private static func annotations(_ item: UpstreamCatalogue.Item) -> ToolAnnotations {
        item.json.withRawSpan {
            ToolAnnotations(tool: ByteRange(offset: 0, count: $0.byteCount), in: $0)
        }
    }

    private func finish(_ call: Router.Call, _ request: ToolCall, _ outcome: ToolOutcome) {
        defer { request.flow?.flow.finish() }
        let (server, tool) = (request.server.name, request.tool)
        switch outcome {
        case .result(let result, let mark):
            guard let told = Self.withoutEra(result) else {
                return answer(
                    call, .badGateway, server, tool,
                    error: "\(tool) asks its user something first, which only MCP can carry: "
                        + "call it at /mcp.")
            }
            succeed(call, server, tool, told, mark)
        case .refused(let code, let message, _):
            answer(call, .badGateway, server, tool, error: "\(message) (\(code))")
        case .unavailable(let state, let seconds):
            answer(
                call, .serviceUnavailable, server, tool,
                error: "\(server) is not available, its circuit is \(state)",
                more: [
                    "circuit_state": .string(state),
                    "retry_after_seconds": seconds.map { JSONValue($0) } ?? .null,
                ], headers: [.init(name: "Retry-After", value: "\(max(1, seconds ?? 60))")])
        case .failed(let reason):
            let isLate = reason.hasPrefix("timed out")
            answer(
                call, isLate ? .gatewayTimeout : .badGateway, server, tool,
                error: "\(server) could not be asked: \(reason)",
                more: ["circuit_state": .string(gateway.circuit(of: request.server))])
        case .cancelled:
            answer(call, .badGateway, server, tool, error: "The call was cancelled.")
        case .tooLarge(let limit):
            answer(
                call, .badGateway, server, tool,
                error: "The result is larger than \(limit) bytes.")
        }
    }

    /// As either era would say it; nil when the server asks the client instead of answering.
    private static func withoutEra(_ result: [UInt8]) -> [UInt8]? {
        result.withRawSpan { bytes in
            let whole = ByteRange(offset: 0, count: bytes.byteCount)
            let facts = ResultFacts.read(whole, in: bytes)
            guard let edits = EraTranslation.toHandshake(facts, in: bytes) else { return nil }
            return edits.isEmpty ? result : edits.applied(to: whole, of: bytes)
        }
    }

    private func succeed(
        _ call: Router.Call, _ server: String, _ tool: String, _ result: [UInt8], _ mark: CacheMark?
    ) {
        var json = JSONWriter(reserving: result.count + 256)
        result.withRawSpan { bytes in
            let whole = ByteRange(offset: 0, count: bytes.byteCount)
            let facts = ResultFacts.read(whole, in: bytes)
            json.object { json in
                json.member("success", !facts.isError)
                json.member("server", server)
                json.member("tool", tool)
                json.member("result", raw: whole, of: bytes)
                json.member("error", orNull: facts.isError ? Self.text(facts, bytes) : nil)
                if let mark { json.member("cache", mark.json) }
            }
        }
        call.respond(
            HTTPResponse(
                json: json.take(),
                headers: (access.standing(call.principal)?.headers ?? []) + (mark?.headers ?? [])))
    }

    /// The first text of an error result.
    private static func text(_ facts: ResultFacts, _ bytes: RawSpan) -> String {
        guard let content = facts.content,
            let first = JSONScanner.element(0, of: content, in: bytes),
            let text = JSONScanner.string(
                JSONScanner.member("text", of: first, in: bytes), in: bytes)
        else { return "the tool reported an error" }
        return text
    }

    private func answer(
        _ call: Router.Call, _ status: HTTPStatus, _ server: String, _ tool: String, error: String,
        more: JSONValue = [:], headers: [HTTPResponse.Header] = []
    ) {
        var value: JSONValue = [
            "success": false, "server": .string(server), "tool": .string(tool), "result": .null,
            "error": .string(error),
        ]
        for (name, member) in more.object?.members ?? [] { value[name] = member }
        call.respond(HTTPResponse(status, json: value, headers: headers))
    }

    // MARK: Servers

    private func servers(_ call: Router.Call) {
        let enabledOnly = call.flag("enabled_only") ?? false
        let withHealth = call.flag("include_health") ?? false
        io.spawn {
            // What is told is written first: a kill right after the answer must not undo it.
            let healths = Dictionary(
                uniqueKeysWithValues: coordinator.registry.servers.map { ($0.id, $0.record.health) }
            )
            _ = await coordinator.writer.flush()
            let rows: [ServerRecord]
            do throws(StoreError) {
                rows = try await store.servers()
            } catch {
                // The rows in memory are as good for showing.
                rows = coordinator.registry.servers.map(\.record)
            }
            respond(call, rows, healths, enabledOnly: enabledOnly, withHealth: withHealth)
        }
    }

    private func respond(
        _ call: Router.Call, _ rows: [ServerRecord], _ healths: [Int: ServerHealth],
        enabledOnly: Bool, withHealth: Bool
    ) {
        let rows = rows.filter { call.principal.permission.items.maySee(server: $0.name) }
        let enabled = rows.filter(\.configuration.isActive)
        let shown = (enabledOnly ? enabled : rows).map { row in
            var live = row
            // Where the database is away, memory is newer than the row.
            if let health = healths[row.id] { live.health = health }
            var value = ServerRoutes.row(live)
            value["enabled"] = .bool(row.configuration.isActive)
            if withHealth, let server = coordinator.registry.server(id: row.id) {
                value["health"] = coordinator.report(on: server).json
                value["latency_ms"] = server.latencies.json
            }
            return value
        }
        call.respond(
            HTTPResponse(json: [
                "success": true,
                "data": [
                    "servers": .array(shown),
                    "summary": [
                        "total": JSONValue(rows.count), "enabled": JSONValue(enabled.count),
                        "disabled": JSONValue(rows.count - enabled.count),
                    ],
                ],
            ]))
    }

    private func health(_ call: Router.Call) {
        guard let server = visible(call["server"], call) else {
            return unknown(call["server"], call)
        }
        io.spawn {
            let report = await coordinator.checkNow(server)
            call.respond(
                HTTPResponse(json: [
                    "success": true, "server": .string(server.name), "health": report.json,
                ]))
        }
    }

    // MARK: Reload

    private func reload(_ call: Router.Call) {
        guard let name = call.request.query("mcp_name") else { return reloadAll(call) }
        guard let server = gateway.server(named: name) else { return unknown(name, call) }
        _ = coordinator.reload(server)
        access.audit.done(call.exchange, by: call.principal, "server.reload", name)
        call.respond(
            HTTPResponse(json: [
                "success": true, "message": .string("\(name) is being reloaded."),
                "mcp": .string(name), "status": "loading",
            ]))
    }

    private func reloadAll(_ call: Router.Call) {
        let servers = coordinator.registry.servers
        for server in servers { _ = coordinator.reload(server) }
        access.audit.done(call.exchange, by: call.principal, "server.reload", nil)
        call.respond(
            HTTPResponse(json: [
                "success": true, "message": "All servers are being reloaded.",
                "loaded_mcps": JSONValue(servers.map(\.name)), "count": JSONValue(servers.count),
            ]))
    }
}
