import OmniCore
import OmniIO

/// `/health/live`, `/health/ready`, `/health/startup`, `/health`: for probes and load balancers, open to
/// everybody, without names, addresses or secrets. `/health/info` is for those who may see.
struct HealthRoutes {
    let readiness: Readiness
    let now: () -> WallTime
    let startedAt: WallTime
    /// Counts for `/health`: healthy servers, all servers.
    let servers: () -> (healthy: Int, all: Int)
    let checks: HealthChecks

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
            .get, "/health/startup", .open,
            "The start has ended".described
                .answering(.ok, Self.startup).answering(.serviceUnavailable, Self.startup)
        ) { call in call.respond(startup()) }
        router.on(
            .get, "/health/info", .viewer,
            "Which daemon this is, and for how long".described
        ) { call in call.respond(HTTPResponse(json: info())) }
        router.on(
            .get, "/health", .open,
            "How the daemon and its neighbours are".described
                .answering(.ok, Self.health).answering(.serviceUnavailable, Self.health)
        ) { call in call.respond(health()) }
    }

    private static let readiness = JSONSchema.object(
        [.required("ready", .boolean)], isOpen: true)
    private static let startup = JSONSchema.object(
        [.required("started", .boolean)], isOpen: true)
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

    /// Ready once is started for good: a database that goes away later does not undo it.
    private func startup() -> HTTPResponse {
        let isOver = readiness.hasLoadedServers
        return HTTPResponse(
            isOver ? .ok : .serviceUnavailable,
            json: ["started": .bool(isOver), "uptime": .int(uptime)],
            headers: isOver ? [] : [.init(name: "Retry-After", value: "1")])
    }

    private func info() -> JSONValue {
        let usage = ProcessUsage.now()
        var database: JSONValue = nil
        if case .ready(let engine) = readiness.database { database = .string(engine) }
        return [
            "service": "omni2-native", "version": .string(Main.version),
            "host": .string(Process.hostName), "timestamp": .string(now().utcText),
            "started_at": .string(startedAt.utcText), "uptime": .int(uptime),
            "database": database,
            "process": [
                "cpu_seconds": .double(usage.cpuSeconds),
                "resident_bytes": JSONValue(usage.residentBytes),
                "threads": JSONValue(usage.threads), "descriptors": JSONValue(usage.descriptors),
                "descriptors_max": JSONValue(usage.descriptorsMax),
            ],
        ]
    }

    private var uptime: Int64 { now().secondsSince1970 - startedAt.secondsSince1970 }

    private func health() -> HTTPResponse {
        let count = servers()
        let isServing = readiness.obstacle == nil
        let seen = checks.all()
        let isWell = isServing && seen.allSatisfy { $0.status == .pass }
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
        value["checks"] = .object(JSONObject(seen.map { ($0.name, $0.json) }))
        return HTTPResponse(isServing ? .ok : .serviceUnavailable, json: value)
    }
}
