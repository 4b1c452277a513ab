import OmniCore
import OmniIO

/// `cache stats`, `cache list`, `cache get` and `cache invalidate`.
enum CacheCommands {
    private static let keyDigits = 64
    /// Entries of one answer at most: the daemon's own bound.
    private static let entriesMax = 1000

    // MARK: Statistics

    /// Once, or again and again with `--top`.
    @Sendable
    static func statistics(
        _ invocation: Invocation, _ client: Client
    ) async throws(Failure) -> Reply {
        guard invocation.option("top") != nil else {
            let json = try await figures(client)
            return Reply(json) { style in Table.facts(facts(json), style) }
        }
        let pace = try EventBoard.interval(invocation)
        if invocation.options.isJSON {
            while true {
                Console.print(try await figures(client).text + "\n")
                await client.io.sleep(until: client.io.now + pace)
            }
        }
        let screen = try Screen(client, invocation.command)
        var before = try await figures(client)
        client.atEnd = { screen.leave() }
        try await screen.run(every: pace) { () async throws(Failure) in
            let now = try await figures(client)
            defer { before = now }
            return picture(now, before, pace, Style(client.environment))
        }
        return .nothing
    }

    private static func figures(_ client: Client) async throws(Failure) -> JSONValue {
        try await client.get("/api/v1/cache/stats")["data"] ?? [:]
    }

    private static func facts(_ json: JSONValue) -> [(name: String, value: Table.Cell)] {
        func number(_ name: String) -> Table.Cell { .init(Words.plain(json[name])) }
        return [
            ("Entries", .init("\(Words.plain(json["size"])) of \(Words.plain(json["max_size"]))")),
            ("Bytes", .init(Words.bytes(json["bytes"]?.int ?? 0))),
            ("Hit rate", .init("\(Words.plain(json["hit_rate_percent"])) %")),
            ("Hits", number("hits")), ("Misses", number("misses")),
            ("Hits by other programs", number("sibling_hits")),
            ("Expired", number("expirations")), ("Evicted", number("evictions")),
            ("Invalidated", number("invalidations")),
        ]
    }

    /// The figures, and what they have grown by since the picture before.
    private static func picture(
        _ now: JSONValue, _ before: JSONValue, _ pace: Duration, _ style: Style
    ) -> String {
        let seconds = Double(pace.nanosecondsClamped) / 1e9
        func rate(_ name: String) -> String {
            let difference = (now[name]?.int ?? 0) - (before[name]?.int ?? 0)
            return Words.rounded(Double(max(0, difference)) / seconds)
        }
        let share = (now["hit_rate_percent"]?.double ?? 0) / 100
        let columns = 40
        let full = Int((share * Double(columns)).rounded())
        let bar =
            style.paint(String(repeating: "█", count: full), .green)
            + String(repeating: "░", count: columns - full)
        return "omni2-native cache  q ends\n\n" + Table.facts(facts(now), style) + "\n"
            + "\(bar) \(Words.plain(now["hit_rate_percent"])) % hits\n"
            + "\(rate("hits")) hits/s, \(rate("misses")) misses/s\n"
    }

    // MARK: Entries

    @Sendable
    static func list(_ invocation: Invocation, _ client: Client) async throws(Failure) -> Reply {
        let limit = try WatchCommand.number("limit", invocation) ?? 100
        guard (1...UInt64(entriesMax)).contains(limit) else {
            throw .usage("--limit is a number from 1 to \(entriesMax), not \(limit)")
        }
        let entries = try await entries(of: invocation, limit, client)
        return Reply(["entries": .array(entries)]) { style in
            var table = Table(["KEY", "SERVER", "TOOL", "BYTES", "HITS", "SCOPE", "EXPIRES"])
            for entry in entries {
                table.add([
                    .init(String(Words.plain(entry["key"]).prefix(12))),
                    .init(Words.plain(entry["server"])), .init(Words.plain(entry["tool"])),
                    .init(Words.bytes(entry["bytes"]?.int ?? 0)),
                    .init(Words.plain(entry["hits"])), .init(Words.plain(entry["scope"])),
                    .init(Words.time(entry["expires_at"]?.string)),
                ])
            }
            return table.text(
                style,
                nothing:
                    "Nothing is kept; omni2ctl mcp edit SERVER --cache-policy says what may be.")
        }
    }

    private static func entries(
        of invocation: Invocation, _ limit: UInt64, _ client: Client
    ) async throws(Failure) -> [JSONValue] {
        var path = "/api/v1/cache/entries?limit=\(limit)"
        if let server = invocation.optional("SERVER") {
            _ = try await RegisteredServer.named(server, client)
            path += "&server=\(PercentText.encode(server))"
            if let tool = invocation.optional("TOOL") {
                path += "&tool=\(PercentText.encode(tool))"
            }
        }
        return try await client.get(path)["data"]?.array ?? []
    }

    /// A kept result by its key, of which the beginning is enough while it is the only one so.
    @Sendable
    static func get(_ invocation: Invocation, _ client: Client) async throws(Failure) -> Reply {
        let key = try await key(invocation[argument: "KEY"].lowercased(), client)
        let json = try await client.get("/api/v1/cache/entries/\(key)")
        return Reply(json) { style in
            let entry = json["data"] ?? [:]
            return Table.facts(
                [
                    ("Key", .init(Words.plain(entry["key"]))),
                    (
                        "Tool",
                        .init("\(Words.plain(entry["server"])) \(Words.plain(entry["tool"]))")
                    ),
                    ("Bytes", .init(Words.bytes(entry["bytes"]?.int ?? 0))),
                    ("Hits", .init(Words.plain(entry["hits"]))),
                    ("Scope", .init(Words.plain(entry["scope"]))),
                    ("Kept since", .init(Words.time(entry["stored_at"]?.string))),
                    ("Expires", .init(Words.time(entry["expires_at"]?.string))),
                ], style) + "\n" + ToolCommands.text(json["value"] ?? .null, style)
        }
    }

    private static func key(_ text: String, _ client: Client) async throws(Failure) -> String {
        guard !text.isEmpty, text.count <= keyDigits,
            text.allSatisfy({ $0.isHexDigit && $0.isASCII })
        else {
            throw .usage("KEY is what omni2ctl cache list shows, or all of its 64 digits")
        }
        if text.count == keyDigits { return text }
        let all = try await client.get("/api/v1/cache/entries?limit=\(entriesMax)")
        let keys = (all["data"]?.array ?? []).compactMap { $0["key"]?.string }
        let found = keys.filter { $0.hasPrefix(text) }
        switch found.count {
        case 1: return found[0]
        case 0: throw .failed("no kept result has a key that begins with \(text)")
        default: throw .failed("\(found.count) keys begin with \(text); give more of it")
        }
    }

    // MARK: Invalidation

    /// A tool whose server is gone may have left entries: names are not checked.
    @Sendable
    static func invalidate(
        _ invocation: Invocation, _ client: Client
    ) async throws(Failure) -> Reply {
        var path = "/api/v1/cache/invalidate"
        var what = ""
        if let server = invocation.optional("SERVER") {
            path += "?server=\(PercentText.encode(server))"
            what = " of \(server)"
            if let tool = invocation.optional("TOOL") {
                path += "&tool=\(PercentText.encode(tool))"
                what += " \(tool)"
            }
        }
        let json = try await client.post(path)
        let count = Int(json["invalidated"]?.int ?? 0)
        return Reply(json, "\(count) kept \(count == 1 ? "result" : "results")\(what) forgotten.")
    }
}
