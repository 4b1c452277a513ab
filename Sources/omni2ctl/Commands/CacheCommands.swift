import OmniCore

/// `cache stats` and `cache invalidate`.
enum CacheCommands {
    @Sendable
    static func statistics(
        _ invocation: Invocation, _ client: Client
    ) async throws(Failure) -> Reply {
        let json = try await client.get("/api/v1/cache/stats")["data"] ?? [:]
        return Reply(json) { style in Table.facts(facts(json), style) }
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
