import OmniCore

/// `mcp list` and `mcp show`.
enum ServerCommands {
    private static let eventsShown = 5

    @Sendable
    static func list(_ invocation: Invocation, _ client: Client) async throws(Failure) -> Reply {
        let servers = try await RegisteredServer.all(client)
        return Reply(["servers": .array(servers.map(\.row))]) { style in
            RegisteredServer.table(servers, style)
        }
    }

    @Sendable
    static func show(_ invocation: Invocation, _ client: Client) async throws(Failure) -> Reply {
        let server = try await RegisteredServer.named(invocation[argument: "SERVER"], client)
        let tools = try await tools(of: server, client)
        let log = try await client.get("\(server.path)/logs")["logs"]?.array ?? []
        let shown = Array(log.prefix(eventsShown))
        return Reply([
            "server": server.row, "tools": JSONValue(tools), "log": .array(shown),
        ]) { style in text(server, tools, shown, style) }
    }

    private static func tools(
        of server: RegisteredServer, _ client: Client
    ) async throws(Failure) -> [String] {
        // One that is not live is not known there.
        guard server.isEnabled else { return [] }
        let path = "/api/v1/mcp/tools/list?server=\(PercentText.encode(server.name))"
        let answer = try await client.ask("GET", path)
        let list = answer.json["data"]?["servers"]?[server.name]?.array ?? []
        return list.compactMap { $0["name"]?.string }
    }

    private static func text(
        _ server: RegisteredServer, _ tools: [String], _ log: [JSONValue], _ style: Style
    ) -> String {
        let bullet = style.paint("●", Style.colour(of: server.state))
        let about = server.row["description"]?.string.map { " - \($0)" } ?? ""
        let title = Words.harmless(server.name + about)
        return "\(bullet) \(title)\n" + Table.facts(facts(of: server, tools), style)
            + events(log, style)
    }

    private static func facts(
        of server: RegisteredServer, _ tools: [String]
    ) -> [(name: String, value: Table.Cell)] {
        let row = server.row
        var facts: [(name: String, value: Table.Cell)] = [
            ("State", .state(server.state)), ("Circuit", .state(server.circuit)),
            ("Address", .init(Words.plain(row["url"]))),
            ("Protocol", .init(Words.plain(row["protocol"]))),
            ("Credential", .init(row["auth_type"]?.string ?? "none")),
            ("Cache", .init(cache(row["omni2"]))),
            ("Last check", .init(Words.plain(row["last_health_check"]))),
        ]
        if let error = row["health"]?["error"]?.string, server.isEnabled {
            facts.append(("Error", .init(error, .red)))
        }
        if let reason = row["auto_disabled_reason"]?.string {
            facts.append(("Disabled", .init(reason, .red)))
        }
        let names = tools.isEmpty ? "none" : "\(tools.count): \(tools.joined(separator: ", "))"
        facts.append(("Tools", .init(names)))
        return facts
    }

    private static func cache(_ rules: JSONValue?) -> String {
        guard let rules, let policy = rules["cache_policy"]?.string else { return "off" }
        var words = [policy]
        if let time = rules["ttl"] { words.append("for \(Words.plain(time))") }
        if rules["ttl"]?.double != nil { words.append("s") }
        if let scope = rules["scope"]?.string { words.append("scope \(scope)") }
        return words.joined(separator: " ")
    }

    private static func events(_ log: [JSONValue], _ style: Style) -> String {
        if log.isEmpty { return "" }
        var table = Table(["TIME", "EVENT", "STATE", "ERROR"])
        for entry in log {
            table.add([
                .init(Words.plain(entry["timestamp"])), .init(Words.plain(entry["event_type"])),
                .state(Words.plain(entry["status"])),
                .init(Words.firstLine(entry["error_message"]?.string ?? "")),
            ])
        }
        return "\n" + table.text(style, nothing: "")
    }
}
