import OmniCore
import OmniIO

/// `/api/v1/circuit-breaker`: its settings, and one server's circuit: status, reset, enable.
struct CircuitRoutes {
    let io: any IO
    let store: any Store
    let coordinator: Coordinator
    let audit: Audit
    let log: Log

    func add(to router: inout Router) {
        router.on(
            .get, "/api/v1/circuit-breaker/config", .viewer,
            "Settings of all circuits".described.answering(.ok, .reply(.required("config", .any)))
        ) { configuration($0) }
        router.on(
            .put, "/api/v1/circuit-breaker/config", .administrator,
            "Changes the settings of all circuits".described.taking(.map(.any))
                .answering(.ok, .reply(.required("config", .any)))
        ) { configure($0) }
        router.on(
            .get, "/api/v1/circuit-breaker/mcp/{id}/status", .viewer,
            "Shows the circuit of a server".described.answering(
                .ok,
                .reply(
                    .required("server", .any), .required("circuit_breaker", .any),
                    .required("auto_disable", .any)))
        ) { status($0) }
        router.on(
            .post, "/api/v1/circuit-breaker/mcp/{id}/enable", .operator,
            "Puts a disabled server into service".described
                .asking(.flag("reset_counters", "true or false; true without it"))
                .answering(.ok, PeopleSchema.done)
        ) { enable($0) }
        router.on(
            .post, "/api/v1/circuit-breaker/mcp/{id}/reset", .operator,
            "Closes the circuit of a server and tries it now".described
                .answering(.ok, PeopleSchema.done)
        ) { reset($0) }
    }

    private func configuration(_ call: Router.Call) {
        call.respond(
            HTTPResponse(json: [
                "success": true, "config": coordinator.breaker.configuration.json,
            ]))
    }

    private func configure(_ call: Router.Call) {
        guard let body = call.json() else { return }
        let wanted: CircuitBreakerConfiguration
        do {
            wanted = try coordinator.breaker.configuration.applying(body)
        } catch {
            return call.fail(.badRequest, "\(error)")
        }
        io.spawn {
            do throws(StoreError) {
                try await coordinator.configureCircuits(wanted)
                audit.done(call.exchange, by: call.principal, "circuit.configure", nil)
                configuration(call)
            } catch {
                call.fail(error, log)
            }
        }
    }

    private func status(_ call: Router.Call) {
        guard let id = call.serverID() else { return }
        io.spawn {
            do throws(StoreError) {
                guard let row = try await store.server(id: id),
                    call.principal.permission.items.maySee(server: row.name)
                else { throw .notFound }
                call.respond(HTTPResponse(json: status(of: row)))
            } catch {
                call.fail(error, log)
            }
        }
    }

    private func status(of row: ServerRecord) -> JSONValue {
        let breaker = coordinator.breaker
        let retry = breaker.retryAfterSeconds(of: row.id)
        return [
            "success": true,
            "server": [
                "id": JSONValue(row.id), "name": .string(row.name),
                "status": .string(row.configuration.status),
                "health_status": .string(row.health.status),
            ],
            "circuit_breaker": [
                "state": .string(breaker.state(of: row.id).word),
                "failure_cycles": JSONValue(breaker.failureCycles(of: row.id)),
                "retry_after_seconds": retry.map { JSONValue($0) } ?? .null,
                "is_open": .bool(breaker.isOpen(row.id)),
            ],
            "auto_disable": [
                "failure_cycle_count": JSONValue(row.health.failureCycleCount),
                "max_failure_cycles": JSONValue(row.configuration.maxFailureCycles),
                "auto_disabled_at": Timestamp.json(row.health.autoDisabledAt),
                "auto_disabled_reason": JSONValue(row.health.autoDisabledReason),
                "can_auto_enable": .bool(row.configuration.canAutoEnable),
            ],
        ]
    }

    private func enable(_ call: Router.Call) {
        guard let id = call.serverID() else { return }
        let resets = call.flag("reset_counters") ?? true
        io.spawn {
            do throws(Coordinator.OrderError) {
                try await coordinator.enable(id, resettingCounters: resets)
                audit.done(call.exchange, by: call.principal, "circuit.enable", "\(id)")
                call.respond(
                    HTTPResponse(json: ["success": true, "message": "The server is enabled."]))
            } catch {
                refuse(error, call)
            }
        }
    }

    private func refuse(_ error: Coordinator.OrderError, _ call: Router.Call) {
        switch error {
        case .notFound: call.fail(.notFound, "There is no server with this id.")
        case .notPermitted:
            call.fail(.forbidden, "can_auto_enable is false for this server; set it first.")
        case .store(let error): call.fail(error, log)
        }
    }

    private func reset(_ call: Router.Call) {
        guard let id = call.serverID() else { return }
        guard let server = coordinator.registry.server(id: id) else {
            return call.fail(.notFound, "There is no active server with this id.")
        }
        coordinator.resetCircuit(of: server)
        audit.done(call.exchange, by: call.principal, "circuit.reset", server.name)
        call.respond(
            HTTPResponse(json: [
                "success": true, "message": .string("The circuit of \(server.name) is reset."),
                "circuit_state": .string(coordinator.breaker.state(of: id).word),
            ]))
    }
}
