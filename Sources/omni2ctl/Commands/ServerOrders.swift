import OmniCore
import OmniIO

/// What may be ordered of a registered server.
enum ServerOrders {
    @Sendable
    static func remove(_ invocation: Invocation, _ client: Client) async throws(Failure) -> Reply {
        let server = try await RegisteredServer.named(invocation[argument: "SERVER"], client)
        guard ServerUnit.areUsed(client.door), let unit = try? ServerUnit(server.name), unit.isThere
        else {
            return Reply(try await client.delete(server.path), "\(server.name) is removed.")
        }
        try ServerUnit.requireRoot("mcp remove")
        // The daemon first: it ends its session, and would connect again otherwise.
        let json = try await client.delete(server.path)
        let done = try unit.remove(client.environment)
        return Reply(json) { _ in
            (["\(server.name) is removed"] + done).map { $0 + "\n" }.joined()
        }
    }

    /// Also forgets the failures of one that the daemon disabled, so that it has all its chances.
    @Sendable
    static func enable(_ invocation: Invocation, _ client: Client) async throws(Failure) -> Reply {
        let server = try await RegisteredServer.named(invocation[argument: "SERVER"], client)
        if server.isEnabled {
            return Reply(["success": true], "\(server.name) is enabled already.")
        }
        let json: JSONValue
        if server.row["can_auto_enable"]?.bool == true {
            json = try await client.post("\(server.circuitPath)/enable")
        } else {
            // The row keeps programs from enabling it, not an operator.
            json = try await client.put(server.path, ["status": "active"])
        }
        return Reply(
            json,
            "\(server.name) is enabled; omni2ctl mcp check \(server.name) tells whether it "
                + "answers.")
    }

    @Sendable
    static func disable(_ invocation: Invocation, _ client: Client) async throws(Failure) -> Reply {
        let server = try await RegisteredServer.named(invocation[argument: "SERVER"], client)
        if !server.isEnabled {
            return Reply(["success": true], "\(server.name) is disabled already.")
        }
        let json = try await client.put(server.path, ["status": "inactive"])
        return Reply(json, "\(server.name) is disabled.")
    }

    @Sendable
    static func check(_ invocation: Invocation, _ client: Client) async throws(Failure) -> Reply {
        let server = try await RegisteredServer.named(invocation[argument: "SERVER"], client)
        guard server.isEnabled else { throw isDisabled(server) }
        client.progress.doing("checking \(server.name)")
        let json = try await client.post("\(server.path)/health-check")
        let health = json["health_result"] ?? .null
        var reply = Reply(json) { style in text(server.name, health, style) }
        reply.isSuccess = health["healthy"]?.bool == true
        return reply
    }

    private static func text(_ name: String, _ health: JSONValue, _ style: Style) -> String {
        let circuit = Words.plain(health["circuit_state"])
        guard health["healthy"]?.bool == true else {
            let reason = Words.harmless(Words.plain(health["error"]))
            let retry = health["retry_after_seconds"]?.int
                .map { ", next attempt in \(Words.time(seconds: $0))" }
            return "\(style.paint("●", .red)) \(name) is not well: \(reason)\n"
                + "  circuit \(circuit)\(retry ?? "")\n"
        }
        let milliseconds = health["response_time_ms"]?.int.map { " in \($0) ms" } ?? ""
        let count = Words.count(Int(health["tool_count"]?.int ?? 0), "tool")
        return "\(style.paint("●", .green)) \(name) is healthy, answered\(milliseconds), "
            + "\(count), circuit \(circuit)\n"
    }

    @Sendable
    static func reload(_ invocation: Invocation, _ client: Client) async throws(Failure) -> Reply {
        guard let name = invocation.optional("SERVER") else {
            let json = try await client.post("/api/v1/mcp/tools/reload")
            if invocation.option("wait") != nil {
                let servers = try await RegisteredServer.all(client).filter(\.isEnabled)
                return try await awaitReload(of: servers.map(\.name), json, client)
            }
            let count = Words.count(Int(json["count"]?.int ?? 0), "server")
            return Reply(json, "Reloading \(count).")
        }
        let server = try await RegisteredServer.named(name, client)
        guard server.isEnabled else { throw isDisabled(server) }
        let path = "/api/v1/mcp/tools/reload?mcp_name=\(PercentText.encode(name))"
        let json = try await client.post(path)
        if invocation.option("wait") != nil {
            return try await awaitReload(of: [name], json, client)
        }
        return Reply(json, "\(name) is being reloaded.")
    }

    private static let reloadPace = Duration.milliseconds(200)
    /// A connection that is not made by then is tried by the daemon on and on.
    private static let reloadPatience = Duration.seconds(60)

    /// Until none of them is being connected any more.
    private static func awaitReload(
        of names: [String], _ json: JSONValue, _ client: Client
    ) async throws(Failure) -> Reply {
        let deadline = client.io.now + reloadPatience
        while true {
            // The daemon begins after it has answered.
            await client.io.sleep(until: client.io.now + reloadPace)
            let servers = try await RegisteredServer.all(client).filter { names.contains($0.name) }
            let loading = servers.filter { $0.state == "loading" }
            client.progress.doing(
                "connecting to \(loading.map(\.name).joined(separator: ", ")) "
                    + "(\(servers.count - loading.count) of \(servers.count) done)")
            guard loading.isEmpty || client.io.now >= deadline else { continue }
            var reply = Reply(["success": true, "servers": .array(servers.map(\.row))]) { style in
                RegisteredServer.table(servers, style)
            }
            reply.isSuccess = servers.allSatisfy { $0.state == "healthy" }
            return reply
        }
    }

    static func isDisabled(_ server: RegisteredServer) -> Failure {
        .failed(
            "\(server.name) is disabled; omni2ctl mcp enable \(server.name) puts it into service")
    }
}
