import OmniCore

/// `status`: what `systemctl status` would say of the inside.
enum StatusCommand {
    /// Once, or again and again with `--top`.
    @Sendable
    static func run(_ invocation: Invocation, _ client: Client) async throws(Failure) -> Reply {
        guard invocation.option("top") != nil else { return try await look(client) }
        let pace = try EventBoard.interval(invocation)
        let screen = try Screen(client, invocation.command)
        _ = try await look(client)
        client.atEnd = { screen.leave() }
        try await screen.run(every: pace) { () async throws(Failure) in
            let style = Style(client.environment, isFull: invocation.options.isFull)
            do throws(Failure) {
                return try await look(client).text(style)
            } catch {
                // It may be starting anew: the next picture tells.
                return style.paint(error.message, .red) + "\n"
            }
        }
        return .nothing
    }

    private static func look(_ client: Client) async throws(Failure) -> Reply {
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
