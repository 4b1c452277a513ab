import OmniCore

/// `/api/v1/cache`: statistics and invalidation.
struct CacheRoutes {
    let cache: Cache

    func add(to router: inout Router) {
        router.on(.get, "/api/v1/cache/stats", .authenticated) { call in
            call.respond(HTTPResponse(json: ["success": true, "data": cache.statistics.json]))
        }
        router.on(.post, "/api/v1/cache/invalidate") { invalidate($0) }
    }

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
        case (nil, _?):
            return call.fail(.badRequest, "tool needs the server it belongs to.")
        }
        call.respond(HTTPResponse(json: ["success": true, "invalidated": JSONValue(count)]))
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
