import OmniCore
import OmniIO

/// `/health/live`, `/health/ready`, `/health`: for probes and load balancers, open to everybody,
/// without names, addresses or secrets.
struct HealthRoutes {
    let readiness: Readiness
    let now: () -> WallTime
    let startedAt: WallTime
    /// Counts for `/health`: healthy servers, all servers.
    let servers: () -> (healthy: Int, all: Int)

    func add(to router: inout Router) {
        router.on(
            .get, "/health/live", .open,
            "The process lives".described.answering(
                .ok, .object([.required("alive", .boolean)], isOpen: true))
        ) { call in
            call.respond(
                HTTPResponse(json: [
                    "alive": true, "status": "ok", "version": .string(Main.version),
                    "timestamp": .string(now().utcText),
                ]))
        }
        router.on(
            .get, "/health/ready", .open,
            "Work can be done; what stands in the way otherwise".described
                .answering(.ok, Self.readiness).answering(.serviceUnavailable, Self.readiness)
        ) { call in call.respond(ready()) }
        router.on(
            .get, "/health", .open,
            "How the daemon and its neighbours are".described
                .answering(.ok, Self.health).answering(.serviceUnavailable, Self.health)
        ) { call in call.respond(health()) }
    }

    private static let readiness = JSONSchema.object(
        [.required("ready", .boolean)], isOpen: true)
    private static let health = JSONSchema.object(
        [.required("status", .word(["healthy", "degraded"])), .required("mcps", .map(.any))],
        isOpen: true)

    private func ready() -> HTTPResponse {
        guard let obstacle = readiness.obstacle else {
            return HTTPResponse(json: ["ready": true, "status": "ok"])
        }
        return HTTPResponse(
            .serviceUnavailable,
            json: ["ready": false, "status": "degraded", "reason": .string(obstacle)],
            headers: [.init(name: "Retry-After", value: "1")])
    }

    private func health() -> HTTPResponse {
        let count = servers()
        let uptime = now().secondsSince1970 - startedAt.secondsSince1970
        let isServing = readiness.obstacle == nil
        let isWell = isServing && count.healthy == count.all
        var value: JSONValue = [
            "status": .string(isWell ? "healthy" : "degraded"), "environment": "production",
            "version": .string(Main.version), "timestamp": .string(now().utcText),
            "uptime": .int(uptime),
            "mcps": [
                "status": .string(count.healthy == count.all ? "healthy" : "degraded"),
                "healthy": JSONValue(count.healthy), "enabled": JSONValue(count.all),
                "configured": JSONValue(count.all),
            ],
        ]
        switch readiness.database {
        case .starting: value["database"] = ["status": "starting"]
        case .ready(let engine):
            value["database"] = ["status": "connected", "engine": .string(engine)]
        case .unavailable(let engine, _):
            value["database"] = ["status": "unavailable", "engine": .string(engine)]
        }
        return HTTPResponse(isServing ? .ok : .serviceUnavailable, json: value)
    }
}
