import OmniCore
import OmniIO

/// `/api/v1/mcp/servers`: the registry as rows. Secrets go in and never come out.
struct ServerRoutes {
    let io: any IO
    let store: any Store
    let coordinator: Coordinator
    let audit: Audit
    let discovery: Discovery
    let log: Log

    func add(to router: inout Router) {
        router.on(
            .get, "/api/v1/mcp/servers", .administrator,
            "Lists the registry, without what is secret in it".described
                .answering(.ok, .reply(.required("servers", .list(Self.rowSchema, 0...Int.max))))
        ) { list($0) }
        router.on(
            .post, "/api/v1/mcp/servers", .administrator,
            "Registers a server".described.taking(Self.bodySchema(isNew: true))
                .answering(.created, .reply(.required("server", .map(.any))))
        ) { create($0) }
        router.on(.post, "/api/v1/mcp/servers/discover", .administrator, Discovery.route) {
            discover($0)
        }
        router.on(
            .get, "/api/v1/mcp/servers/{id}", .administrator,
            "Shows a server, without what is secret in it".described
                .answering(.ok, .reply(.required("server", Self.rowSchema)))
        ) { show($0) }
        router.on(
            .put, "/api/v1/mcp/servers/{id}", .operator,
            "Changes a server; what is left out stays".described
                .explained("Operators change its status, administrators everything.")
                .taking(Self.bodySchema(isNew: false))
                .answering(.ok, .reply(.required("server", .map(.any))))
        ) { change($0) }
        router.on(
            .delete, "/api/v1/mcp/servers/{id}", .administrator,
            "Forgets a server".described.answering(.ok, PeopleSchema.done)
        ) { remove($0) }
        router.on(
            .get, "/api/v1/mcp/servers/{id}/logs", .operator,
            "The last hundred entries of a server's health log".described
                .answering(
                    .ok,
                    .reply(
                        .required("server", .map(.any)),
                        .required("logs", .list(.map(.any), 0...100))))
        ) { logs($0) }
        router.on(
            .post, "/api/v1/mcp/servers/{id}/health-check", .operator,
            "Asks a server now how it is".described.answering(
                .ok,
                .reply(.required("health_result", .map(.any)), .required("health_status", .any)))
        ) { check($0) }
    }

    private static let rowSchema = JSONSchema.object(
        [
            .required("id", .id), .required("name", .text(.free, 0...1000)),
            .required("url", .text(.free, 0...10_000)), .required("status", .shortText),
            .required("auth_type", .nullable(.shortText)), .required("has_auth_config", .boolean),
        ], isOpen: true)

    /// Members of the original's bodies; how they go together is `ServerBody`'s to say.
    private static func bodySchema(isNew: Bool) -> JSONSchema {
        .object(
            [
                JSONSchema.Member("name", .text(.printable, 1...100), isRequired: isNew),
                .optional("url", .text(.visibleASCII, 1...500)),
                .optional("description", .nullable(.longText)),
                .optional("status", .word(["active", "inactive"])), .optional("enabled", .boolean),
                .optional("protocol", .word(ServerBody.transports)),
                .optional("timeout_seconds", .integer(5...300)),
                .optional("max_retries", .integer(1...10)),
                .optional("max_failure_cycles", .integer(1...1000)),
                .optional("retry_delay_seconds", .number(0...60)),
                .optional("can_auto_enable", .boolean),
                .optional(
                    "auth_type", .nullable(.word(["bearer", "api_key", "custom_headers"]))),
                .optional("auth_config", .nullable(.map(.any))),
            ], isOpen: true)
    }

    /// Members that put a server in service or out of it.
    private static let switches: Set<String> = ["status", "enabled"]

    private func list(_ call: Router.Call) {
        run(call) { () async throws(StoreError) in
            let rows = try await store.servers()
            call.respond(
                HTTPResponse(json: [
                    "success": true, "servers": .array(rows.map { Self.row($0) }),
                ]))
        }
    }

    private func create(_ call: Router.Call) {
        guard let body = call.json() else { return }
        let configuration: ServerConfiguration
        do throws(ServerBody.Problem) {
            configuration = try ServerBody(creating: body).configuration
        } catch {
            return call.fail(.badRequest, error.message)
        }
        run(call) { () async throws(StoreError) in
            let row = try await store.insert(configuration)
            audit.done(call.exchange, by: call.principal, "server.create", row.name)
            call.respond(HTTPResponse(.created, json: Self.done("registered", row)))
        }
    }

    private func discover(_ call: Router.Call) {
        var body = call.body
        body["name"] = "discovered"
        let seconds = body["timeout_seconds"]?.int ?? 10
        body["timeout_seconds"] = nil
        if body["auth_config"]?.isNull == true { body["auth_config"] = nil }
        if body["auth_type"]?.isNull == true { body["auth_type"] = nil }
        let configuration: ServerConfiguration
        do throws(ServerBody.Problem) {
            configuration = try ServerBody(creating: body).configuration
        } catch {
            return call.fail(.badRequest, error.message)
        }
        audit.done(call.exchange, by: call.principal, "server.discover", configuration.url)
        io.spawn {
            call.respond(HTTPResponse(json: await discovery.run(configuration, seconds: seconds)))
        }
    }

    private func show(_ call: Router.Call) {
        guard let id = call.serverID() else { return }
        run(call) { () async throws(StoreError) in
            guard let row = try await store.server(id: id) else { throw .notFound }
            call.respond(HTTPResponse(json: ["success": true, "server": Self.row(row)]))
        }
    }

    private func change(_ call: Router.Call) {
        guard let id = call.serverID(), let body = call.json() else { return }
        let members = body.object?.members.map(\.0) ?? []
        guard call.principal.isAdministrator || members.allSatisfy(Self.switches.contains) else {
            return call.fail(
                .forbidden, "Operators change a server's status; the rest needs an administrator.")
        }
        run(call) { () async throws(StoreError) in
            guard let row = try await store.server(id: id) else { throw .notFound }
            let configuration: ServerConfiguration
            do throws(ServerBody.Problem) {
                configuration = try ServerBody(updating: row.configuration, with: body)
                    .configuration
            } catch {
                return call.fail(.badRequest, error.message)
            }
            let changed = try await store.update(id: id, configuration)
            try await coordinator.registry.read()
            audit.done(call.exchange, by: call.principal, "server.change", changed.name)
            call.respond(HTTPResponse(json: Self.done("changed", changed)))
        }
    }

    private func remove(_ call: Router.Call) {
        guard let id = call.serverID() else { return }
        run(call) { () async throws(StoreError) in
            guard let row = try await store.server(id: id) else { throw .notFound }
            try await store.delete(id: id)
            try await coordinator.registry.read()
            audit.done(call.exchange, by: call.principal, "server.delete", row.name)
            call.respond(HTTPResponse(json: Self.done("deleted", row)))
        }
    }

    private func logs(_ call: Router.Call) {
        guard let id = call.serverID() else { return }
        run(call) { () async throws(StoreError) in
            guard let row = try await store.server(id: id) else { throw .notFound }
            let entries = try await store.healthLog(ofServer: id, limit: 100)
            call.respond(
                HTTPResponse(json: [
                    "success": true,
                    "server": ["id": JSONValue(row.id), "name": .string(row.name)],
                    "logs": .array(entries.map { Self.entry($0) }),
                ]))
        }
    }

    private func check(_ call: Router.Call) {
        guard let id = call.serverID() else { return }
        guard let server = coordinator.registry.server(id: id) else {
            return call.fail(.notFound, "There is no active server with this id.")
        }
        io.spawn {
            let report = await coordinator.checkNow(server)
            call.respond(
                HTTPResponse(json: [
                    "success": true, "server_id": JSONValue(id),
                    "server_name": .string(server.name), "health_result": report.json,
                    "health_status": .string(server.status.rawValue),
                    "last_check": Timestamp.json(report.lastCheck),
                    "timestamp": Timestamp.json(Int64(io.wallMicroseconds)),
                ]))
        }
    }

    // MARK: Shared by the routes

    private func run(
        _ call: Router.Call, _ body: @escaping () async throws(StoreError) -> Void
    ) {
        io.spawn {
            do throws(StoreError) {
                try await body()
            } catch {
                call.fail(error, log)
            }
        }
    }

    private static func done(_ what: String, _ row: ServerRecord) -> JSONValue {
        [
            "success": true, "message": .string("Server \(row.name) \(what)."),
            "server": [
                "id": JSONValue(row.id), "name": .string(row.name),
                "url": .string(row.configuration.url),
                "status": .string(row.configuration.status),
            ],
        ]
    }

    /// The row without what is secret in it: of `auth_config` only which type it is.
    static func row(_ row: ServerRecord) -> JSONValue {
        let configuration = row.configuration
        let health = row.health
        return [
            "id": JSONValue(row.id), "name": .string(configuration.name),
            "url": .string(configuration.url), "description": JSONValue(configuration.description),
            "status": .string(configuration.status), "protocol": .string(configuration.transport),
            "timeout_seconds": JSONValue(configuration.timeoutSeconds),
            "max_retries": JSONValue(configuration.maxRetries),
            "retry_delay_seconds": .double(configuration.retryDelaySeconds),
            "auth_type": JSONValue(configuration.authentication.word),
            "has_auth_config": .bool(configuration.authentication != .none),
            "max_failure_cycles": JSONValue(configuration.maxFailureCycles),
            "can_auto_enable": .bool(configuration.canAutoEnable),
            "health_status": .string(health.status),
            "last_health_check": Timestamp.json(health.lastCheck),
            "error_count": JSONValue(health.errorCount),
            "circuit_state": .string(health.circuitState),
            "consecutive_failures": JSONValue(health.consecutiveFailures),
            "failure_cycle_count": JSONValue(health.failureCycleCount),
            "last_recovery_attempt": Timestamp.json(health.lastRecoveryAttempt),
            "total_downtime_seconds": JSONValue(health.totalDowntimeSeconds),
            "auto_disabled_at": Timestamp.json(health.autoDisabledAt),
            "auto_disabled_reason": JSONValue(health.autoDisabledReason),
            "omni2": Self.cacheRules(configuration.metaData),
            "pt_score": .null, "pt_last_run": .null, "pt_status": .null,
            "created_at": Timestamp.json(row.createdAt),
            "updated_at": Timestamp.json(row.updatedAt),
        ]
    }

    private static func cacheRules(_ metaData: String) -> JSONValue {
        do throws(JSONError) {
            return try JSONValue(parsing: metaData)["omni2"] ?? .null
        } catch {
            return .null
        }
    }

    private static func entry(_ entry: HealthLogEntry) -> JSONValue {
        var meta = JSONValue.null
        if let text = entry.metaData {
            do throws(JSONError) {
                meta = try JSONValue(parsing: text)
            } catch {
                // What somebody else wrote there is shown as it is.
                meta = .string(text)
            }
        }
        return [
            "id": JSONValue(entry.id), "timestamp": Timestamp.json(entry.timestamp),
            "status": .string(entry.status),
            "response_time_ms": entry.responseTimeMilliseconds.map { JSONValue($0) } ?? .null,
            "error_message": JSONValue(entry.errorMessage),
            "event_type": .string(entry.eventType), "meta_data": meta,
        ]
    }
}

/// Times of the database (microseconds since 1970 UTC) as the API writes them.
enum Timestamp {
    static func json(_ microseconds: Int64?) -> JSONValue {
        guard let microseconds else { return .null }
        return .string(WallTime(nanosecondsSince1970: microseconds * 1000).eventText)
    }
}

extension Router.Call {
    /// `{id}` of the path; answers 404 itself when no row can have it.
    func serverID() -> Int? {
        guard let id = Int(self["id"]), id > 0, id <= Int(Int32.max) else {
            fail(.notFound, "There is no server with this id.")
            return nil
        }
        return id
    }

    /// What a failed statement means for the caller.
    func fail(
        _ error: StoreError, _ log: Log, absent: String = "There is no server with this id."
    ) {
        switch error {
        case .notFound: fail(.notFound, absent)
        case .conflict(let what): fail(.conflict, "There is one already: \(what).")
        case .unavailable(let why):
            fail(
                .serviceUnavailable, "The database is not available: \(why).",
                headers: [.init(name: "Retry-After", value: "5")])
        case .failed(let why):
            log.error(
                "a statement failed",
                fields: ["error": why, "request_id": exchange.requestID, "path": request.path])
            fail(.internalServerError, "The database refused; the journal says why.")
        }
    }
}

extension Coordinator.Report {
    var json: JSONValue {
        guard isHealthy else {
            return [
                "healthy": false, "error": JSONValue(error),
                "last_check": Timestamp.json(lastCheck),
                "circuit_state": .string(circuitState),
                "retry_after_seconds": retryAfterSeconds.map { JSONValue($0) } ?? .null,
            ]
        }
        return [
            "healthy": true, "tool_count": toolCount.map { JSONValue($0) } ?? .null,
            "response_time_ms": responseTime.map { .int($0.milliseconds) } ?? .null,
            "last_check": Timestamp.json(lastCheck), "circuit_state": .string(circuitState),
        ]
    }
}
