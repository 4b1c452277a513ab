import OmniCore
import OmniIO

/// `/api/v1/stats`, `/api/v1/activity`, `/api/v1/audit`, `/health/cache`: what a home page shows,
/// with real figures.
struct OverviewRoutes {
    let context: PeopleContext
    let coordinator: Coordinator
    let gateway: Gateway

    func add(to router: inout Router) {
        router.on(
            .get, "/api/v1/stats", .viewer,
            "Figures of today (UTC)".described.answering(.ok, Self.figures)
        ) { stats($0) }
        router.on(
            .get, "/api/v1/activity", .administrator,
            "What was asked and called last".described.asking(Self.limit)
                .answering(.ok, .reply(.required("activities", .list(.map(.any), 0...1000))))
        ) { activity($0) }
        router.on(
            .get, "/api/v1/audit", .administrator,
            "Who changed what, and who was denied what".described.asking(Self.limit)
                .answering(.ok, .reply(.required("audit", .list(.map(.any), 0...1000))))
        ) { audit($0) }
        router.on(
            .get, "/health/cache", .authenticated,
            "Servers and tools in memory".described.answering(
                .ok,
                .reply(.required("loaded_mcps", .count), .required("total_tools", .count)))
        ) { loaded($0) }
        router.on(
            .post, "/health/cache/invalidate", .operator,
            "Connects to one server anew, or to all".described
                .asking(.text("server_name", "one server; without it, all"))
                .answering(.ok, PeopleSchema.done)
        ) { reload($0) }
    }

    private static let limit = RouteDescription.Parameter.number(
        "limit", 1...1000, "a number from 1 to 1000; 100 without it")
    private static let figures = JSONSchema.reply(
        .required("active_mcps", .count), .required("total_users", .count),
        .required("queries_today", .count), .required("cost_today", .number(0...1_000_000_000)))

    private func limit(_ call: Router.Call) -> Int {
        call.request.query("limit").flatMap { Int($0) } ?? 100
    }

    private func stats(_ call: Router.Call) {
        context.run(call, "figure") { () async throws(StoreError) in
            let today = try await context.store.queries(since: context.access.costs.midnight)
            let statistics = coordinator.statistics
            call.respond(
                HTTPResponse(json: [
                    "success": true, "active_mcps": JSONValue(statistics.activeServers),
                    "total_mcps": JSONValue(coordinator.registry.count),
                    "total_users": JSONValue(context.snapshot.tables.users.count),
                    "active_users": JSONValue(context.snapshot.activePeople),
                    "queries_today": JSONValue(today.count), "cost_today": .double(today.cost),
                    "mcp_sessions": JSONValue(gateway.sessions.count),
                    "tools": JSONValue(gateway.catalogue.tools.count),
                ]))
        }
    }

    private func activity(_ call: Router.Call) {
        let limit = limit(call)
        context.run(call, "activity") { () async throws(StoreError) in
            let rows = try await context.store.activity(limit: limit).map { row -> JSONValue in
                let person = row.userID.flatMap { context.snapshot.person($0) }
                return [
                    "id": JSONValue(row.id), "timestamp": Timestamp.json(row.timestamp),
                    "user_id": row.userID.map { JSONValue($0) } ?? .null,
                    "user": JSONValue(person?.user.email ?? person?.user.username),
                    "type": row.tool == nil ? "question" : "tool_call",
                    "description": .string(row.question), "mcp_server": JSONValue(row.server),
                    "tool_name": JSONValue(row.tool),
                    "status": row.isSuccess ? "success" : "error",
                    "duration_ms": row.durationMilliseconds.map { JSONValue($0) } ?? .null,
                    "cost_usd": row.cost.map { .double($0) } ?? .null,
                    "source": JSONValue(row.source),
                ]
            }
            call.respond(HTTPResponse(json: ["success": true, "activities": .array(rows)]))
        }
    }

    private func audit(_ call: Router.Call) {
        let limit = limit(call)
        context.run(call, "entry") { () async throws(StoreError) in
            await context.access.audit.flush(to: context.store)
            let rows = try await context.store.audit(limit: limit).map { row -> JSONValue in
                [
                    "id": JSONValue(row.id), "timestamp": Timestamp.json(row.timestamp),
                    "user_id": row.userID.map { JSONValue($0) } ?? .null,
                    "actor": .string(row.actor), "action": .string(row.action),
                    "target": JSONValue(row.target), "outcome": .string(row.outcome.rawValue),
                    "reason": JSONValue(row.reason), "ip_address": JSONValue(row.address),
                    "request_id": JSONValue(row.requestID), "repeated": JSONValue(row.repeated),
                ]
            }
            call.respond(HTTPResponse(json: ["success": true, "audit": .array(rows)]))
        }
    }

    private func loaded(_ call: Router.Call) {
        let items = call.principal.permission.items
        let servers = coordinator.registry.servers.filter {
            $0.phase == .up && items.maySee(server: $0.name)
        }
        let tools = gateway.view(call.principal).tools.count
        call.respond(
            HTTPResponse(json: [
                "success": true, "loaded_mcps": JSONValue(servers.count),
                "total_tools": JSONValue(tools), "mcps": JSONValue(servers.map(\.name)),
            ]))
    }

    private func reload(_ call: Router.Call) {
        let wanted = call.request.query("server_name")
        let servers = coordinator.registry.servers.filter { wanted == nil || $0.name == wanted }
        if let wanted, servers.isEmpty {
            return call.fail(.notFound, "There is no server named \(wanted.prefix(100)).")
        }
        for server in servers { _ = coordinator.reload(server) }
        context.access.audit.done(call.exchange, by: call.principal, "server.reload", wanted)
        call.done(
            wanted.map { "\($0) is being reloaded." } ?? "All servers are being reloaded.")
    }
}
