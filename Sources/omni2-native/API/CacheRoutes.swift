import OmniCore
import OmniIO

/// `/api/v1/cache`: statistics, entries, invalidation.
struct CacheRoutes {
    let cache: Cache
    let clock: WallClock
    let audit: Audit

    /// Entries of one answer at most.
    private static let limitMax = 1000

    func add(to router: inout Router) {
        router.on(
            .get, "/api/v1/cache/stats", .viewer,
            "Size and use of the cache".described.answering(.ok, .reply(.required("data", .any)))
        ) { call in
            call.respond(HTTPResponse(json: ["success": true, "data": cache.statistics.json]))
        }
        // Entries are what others asked and were told.
        router.on(
            .get, "/api/v1/cache/entries", .operator,
            "Lists kept results, without the results".described.asking(
                Self.server, Self.tool,
                .number("limit", 1...Int64(Self.limitMax), "a number from 1 to 1000")
            ).answering(.ok, .reply(.required("data", .any), .required("count", .any)))
        ) { list($0) }
        router.on(
            .get, "/api/v1/cache/entries/{key}", .administrator,
            "Shows a kept result".described.answering(
                .ok, .reply(.required("data", .any), .required("value", .any)))
        ) { show($0) }
        router.on(
            .delete, "/api/v1/cache/entries/{key}", .operator,
            "Forgets a kept result".described.answering(.ok, .reply(.required("removed", .any)))
        ) { remove($0) }
        router.on(
            .post, "/api/v1/cache/invalidate", .operator,
            "Forgets results: of a tool, of a server, or all".described
                .asking(Self.server, Self.tool).answering(
                    .ok, .reply(.required("invalidated", .any)))
        ) { invalidate($0) }
    }

    private static let server = RouteDescription.Parameter.text("server", "of one server")
    private static let tool = RouteDescription.Parameter.text(
        "tool", "of one tool; needs the server")

    // MARK: Entries

    /// `?server=`, `?tool=`, `?limit=`.
    private func list(_ call: Router.Call) {
        let (server, tool) = (call.request.query("server"), call.request.query("tool"))
        if server == nil, tool != nil { return toolWithoutServer(call) }
        var limit = 100
        if let text = call.request.query("limit") {
            guard let number = Int(text), (1...Self.limitMax).contains(number) else {
                return call.fail(.badRequest, "limit must be a number from 1 to \(Self.limitMax).")
            }
            limit = number
        }
        let entries = cache.entries(server: server, tool: tool, limit: limit)
        call.respond(
            HTTPResponse(json: [
                "success": true, "data": .array(entries.map(json)),
                "count": JSONValue(entries.count),
            ]))
    }

    private func show(_ call: Router.Call) {
        guard let key = key(call) else { return }
        guard let (entry, value) = cache.entry(key) else { return unknown(call) }
        var writer = JSONWriter(reserving: value.count + 512)
        writer.object { writer in
            writer.member("success", true)
            writer.member("data", json(entry))
            // Only results that were read as JSON are stored.
            writer.member("value", raw: value)
        }
        call.respond(HTTPResponse(json: writer.take()))
    }

    private func remove(_ call: Router.Call) {
        guard let key = key(call) else { return }
        guard cache.remove(key, because: "ordered by \(call.principal.name)") else {
            return unknown(call)
        }
        audit.done(call.exchange, by: call.principal, "cache.remove", key.description)
        call.respond(HTTPResponse(json: ["success": true, "removed": .string(key.description)]))
    }

    private func key(_ call: Router.Call) -> CacheKey? {
        if let key = CacheKey(hex: call["key"]) { return key }
        call.fail(.badRequest, "A key is 64 hexadecimal digits.")
        return nil
    }

    private func unknown(_ call: Router.Call) {
        call.fail(.notFound, "There is no entry of this key.")
    }

    private func json(_ entry: Cache.Entry) -> JSONValue {
        let now = clock.now.nanosecondsSince1970 / 1000
        return [
            "key": .string(entry.facts.key.description), "server": .string(entry.facts.server),
            "tool": .string(entry.facts.tool), "bytes": JSONValue(entry.facts.bytes),
            "hits": JSONValue(entry.facts.hits),
            "stored_at": Timestamp.json(now - entry.age.milliseconds * 1000),
            "expires_at": Timestamp.json(now + entry.timeLeft.milliseconds * 1000),
            "scope": entry.isShared ? "shared" : "personal",
        ]
    }

    // MARK: Invalidation

    /// `?server=` and `?tool=`; without either, everything.
    private func invalidate(_ call: Router.Call) {
        let server = call.request.query("server")
        let tool = call.request.query("tool")
        let reason = "ordered by \(call.principal.name)"
        let count: Int
        switch (server, tool) {
        case (let server?, let tool?):
            count = cache.invalidate(server: server, tool: tool, because: reason)
        case (let server?, nil): count = cache.invalidate(server: server, because: reason)
        case (nil, nil): count = cache.invalidateAll(because: reason)
        case (nil, _?): return toolWithoutServer(call)
        }
        let target = [server, tool].compactMap { $0 }.joined(separator: "/")
        audit.done(
            call.exchange, by: call.principal, "cache.invalidate", target.isEmpty ? nil : target)
        call.respond(HTTPResponse(json: ["success": true, "invalidated": JSONValue(count)]))
    }

    private func toolWithoutServer(_ call: Router.Call) {
        call.fail(.badRequest, "tool needs the server it belongs to.")
    }
}

extension Cache.Statistics {
    /// The original's keys first.
    var json: JSONValue {
        [
            "size": JSONValue(size), "max_size": JSONValue(sizeMax), "hits": .int(Int64(hits)),
            "misses": .int(Int64(misses)), "evictions": .int(Int64(evictions)),
            "invalidations": .int(Int64(invalidations)), "hit_rate_percent": .double(hitRate),
            "expirations": .int(Int64(expirations)), "bytes": JSONValue(bytes),
            "sibling_hits": .int(Int64(siblingHits)),
        ]
    }
}
