import OmniCore
import OmniIO

/// `flows …`: what requests did, checkpoint by checkpoint, live and afterwards.
enum FlowCommands {
    private static let base = "/api/v1/monitoring"

    // MARK: Who is monitored

    @Sendable
    static func monitor(_ invocation: Invocation, _ client: Client) async throws(Failure) -> Reply {
        guard let name = invocation.optional("USER") else {
            for option in ["hours", "stop"] where invocation.option(option) != nil {
                throw .usage("--\(option) needs a USER; see omni2ctl flows monitor --help")
            }
            return try await monitored(client)
        }
        let user = try await FlowUser(name, client)
        if invocation.option("stop") != nil {
            let json = try await client.post("\(base)/disable/\(user.id)")
            return Reply(json, "The flows of \(user.name) are not shown live any more.")
        }
        let text = invocation.option("hours") ?? "24"
        guard let hours = Double(text), hours > 0 else {
            throw .usage("--hours is a number above 0, not \(text)")
        }
        let json = try await client.post("\(base)/enable/\(user.id)?ttl_hours=\(text)")
        var reply = Reply(
            json,
            "The flows of \(user.name) are shown live for \(Words.time(seconds: Int64(hours * 3600)));"
                + " see them with omni2ctl flows watch \(user.name).")
        if json["persisted"]?.bool == false {
            reply.remark =
                "The database does not take it: it holds until the daemon's next restart."
        }
        return reply
    }

    private static func monitored(_ client: Client) async throws(Failure) -> Reply {
        let list = try await client.get("\(base)/list")["monitored_users"]?.array ?? []
        let users = try await People.users(client)
        let now = Double(client.io.wallMicroseconds) / 1e6
        let rows = list.map { entry -> JSONValue in
            let id = entry["user_id"]?.int ?? 0
            let user = users.first { $0["id"]?.int == id }
            let left = (entry["expires_at"]?.double ?? now) - now
            return [
                "user_id": .int(id),
                "username": user?["username"] ?? (id == 0 ? "operator" : .null),
                "expires_at": entry["expires_at"] ?? .null,
                "remaining_seconds": .int(Int64(max(0, left))),
            ]
        }
        return Reply(["monitored_users": .array(rows)]) { style in
            var table = Table(["USER", "NUMBER", "REMAINING"])
            for row in rows {
                table.add([
                    .init(Words.plain(row["username"])), .init(Words.plain(row["user_id"])),
                    .init(Words.time(seconds: row["remaining_seconds"]?.int ?? 0)),
                ])
            }
            return table.text(
                style, nothing: "Nobody is monitored; omni2ctl flows monitor USER begins.")
        }
    }

    // MARK: History

    @Sendable
    static func list(_ invocation: Invocation, _ client: Client) async throws(Failure) -> Reply {
        let user = try await FlowUser(invocation[argument: "USER"], client)
        let limit = try WatchCommand.number("limit", invocation) ?? 20
        var path = "\(base)/flows/user/\(user.id)/sessions?limit=\(limit)"
        if let source = invocation.option("source") {
            path += "&source=\(PercentText.encode(source))"
        }
        if let word = invocation.option("checkpoint") {
            path += "&checkpoint=\(PercentText.encode(word))"
        }
        if let text = invocation.option("since") {
            guard let seconds = Words.seconds(text.count == 10 ? text + " 00:00:00" : text) else {
                throw .usage("--since is a time in UTC such as 2026-01-28 or 2026-01-28 19:22:44")
            }
            path += "&from=\(seconds)"
        }
        let flows = try await client.get(path)["sessions"]?.array ?? []
        return Reply(["user_id": .int(user.id), "sessions": .array(flows)]) { style in
            var table = Table(["SESSION", "STARTED", "SOURCE", "WHAT", "OUTCOME", "TOOK"])
            for flow in flows { table.add(row(of: flow)) }
            return table.text(style, nothing: "Nothing is recorded of \(user.name).")
        }
    }

    private static func row(of flow: JSONValue) -> [Table.Cell] {
        let events = flow["events"]?.array ?? []
        let call = events.last { $0["tool"]?.string != nil }
        let what = [call?["mcp"]?.string, call?["tool"]?.string].compactMap { $0 }
        let failed = events.last { FlowTree.isFailure($0) }
        let outcome =
            failed.map { Words.plain($0["outcome"] ?? $0["event_type"]) }
            ?? call?["outcome"]?.string ?? "passed"
        let took = events.compactMap { $0["duration_ms"]?.double }.reduce(0, +)
        return [
            .init(Words.plain(flow["session_id"])), .init(Words.time(flow["started_at"]?.string)),
            .init(Words.plain(flow["source"])),
            .init(what.isEmpty ? "-" : what.joined(separator: " ")),
            .init(outcome, failed == nil ? .green : .red), .init("\(Words.rounded(took)) ms"),
        ]
    }

    @Sendable
    static func show(_ invocation: Invocation, _ client: Client) async throws(Failure) -> Reply {
        let session = invocation[argument: "SESSION"]
        let json = try await client.get(
            "\(base)/flows/session/\(PercentText.encode(session))")
        return Reply(json) { style in
            Table.facts(
                [
                    ("Session", .init(Words.plain(json["session_id"]))),
                    ("User", .init(Words.plain(json["user_id"]))),
                    ("Source", .init(Words.plain(json["source"]))),
                    ("Started", .init(Words.time(json["created_at"]?.string))),
                    ("Ended", .init(Words.time(json["completed_at"]?.string))),
                ], style) + "\n" + FlowTree.text(json["tree"]?.array ?? [], style)
        }
    }

    // MARK: Live

    @Sendable
    static func watch(_ invocation: Invocation, _ client: Client) async throws(Failure) -> Reply {
        let user = try await FlowUser(invocation[argument: "USER"], client)
        let monitored = try await client.get("\(base)/list")["monitored_users"]?.array ?? []
        guard monitored.contains(where: { $0["user_id"]?.int == user.id }) else {
            throw .failed(
                "the flows of \(user.name) are not shown live; omni2ctl flows monitor \(user.name) "
                    + "begins it")
        }
        var printer = FlowPrinter(
            isJSON: invocation.options.isJSON,
            style: Style(client.environment, isFull: invocation.options.isFull),
            left: try WatchCommand.number("count", invocation) ?? .max)
        var feed = EventFeed(
            client: client, types: ["flow:\(user.id)"],
            last: try WatchCommand.number("since", invocation))
        try await feed.run { printer.tell($0) }
        return .nothing
    }
}

/// Whose flows: a user's name or e-mail address, a number, or `operator` for whoever needs no row.
struct FlowUser {
    let id: Int64
    let name: String

    init(_ name: String, _ client: Client) async throws(Failure) {
        if name == "operator" || name == "0" {
            (id, self.name) = (0, "operator")
        } else if let id = Int64(name), id > 0 {
            // Also of users who are there no more.
            (self.id, self.name) = (id, name)
        } else {
            id = try await People.user(name, client)["id"]?.int ?? 0
            self.name = name
        }
    }
}
