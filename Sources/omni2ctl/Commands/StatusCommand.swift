import OmniCore

/// `status`: what `systemctl status` would say of the inside.
enum StatusCommand {
    @Sendable
    static func run(_ invocation: Invocation, _ client: Client) async throws(Failure) -> Reply {
        // 503 says that it does not serve yet, and has the same members.
        let answer = try await client.ask("GET", "/health")
        guard let state = answer.json["status"]?.string else { throw .failed(answer.reason) }
        let servers = try await RegisteredServer.all(client)
        let cache = try await client.get("/api/v1/cache/stats")["data"] ?? [:]
        let json: JSONValue = [
            "health": answer.json, "servers": .array(servers.map(\.row)), "cache": cache,
        ]
        var reply = Reply(json) { style in
            let bullet = style.paint("●", Style.colour(of: state))
            return "\(bullet) omni2-native \(Words.plain(answer.json["version"]))\n"
                + Table.facts(facts(answer.json, state, servers, cache), style) + "\n"
                + RegisteredServer.table(servers, style)
        }
        reply.isSuccess = answer.isSuccess
        return reply
    }

    private static func facts(
        _ health: JSONValue, _ state: String, _ servers: [RegisteredServer], _ cache: JSONValue
    ) -> [(name: String, value: Table.Cell)] {
        let database = health["database"] ?? .null
        let engine = database["engine"]?.string.map { " (\($0))" } ?? ""
        let healthy = Words.plain(health["mcps"]?["healthy"])
        let disabled = servers.count { !$0.isEnabled }
        let serving = servers.count - disabled
        let databaseState = Words.plain(database["status"])
        return [
            ("State", .state(state)),
            ("Up", .init(Words.time(seconds: health["uptime"]?.int ?? 0))),
            ("Database", .init(databaseState + engine, Style.colour(of: databaseState))),
            ("Servers", .init("\(healthy) of \(serving) healthy, \(disabled) disabled")),
            (
                "Cache",
                .init(
                    "\(Words.plain(cache["size"])) results, "
                        + "\(Words.plain(cache["hit_rate_percent"])) % hits")
            ),
        ]
    }
}
