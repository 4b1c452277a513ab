import OmniCore
import OmniIO

// What people may order: enable, disable, reset, reload, check.
extension Coordinator {
    enum OrderError: Error, Sendable, Equatable {
        case notFound
        /// The row forbids it (`can_auto_enable` is false).
        case notPermitted
        case store(StoreError)
    }

    /// How a server is, without asking it.
    struct Report: Sendable, Equatable {
        var isHealthy: Bool
        var toolCount: Int?
        var responseTime: Duration?
        /// Microseconds since 1970 UTC.
        var lastCheck: Int64?
        var error: String?
        var circuitState: String
        var retryAfterSeconds: Int?
    }

    func report(on server: LiveServer) -> Report {
        let isHealthy = server.phase == .up
        return Report(
            isHealthy: isHealthy, toolCount: isHealthy ? server.lastCheck?.toolCount : nil,
            responseTime: isHealthy ? server.lastCheck?.responseTime : nil,
            lastCheck: server.record.health.lastCheck,
            error: isHealthy ? nil : server.lastFailure ?? server.status.rawValue,
            circuitState: breaker.state(of: server.id).word,
            retryAfterSeconds: breaker.retryAfterSeconds(of: server.id))
    }

    /// Asks it now. A server that is down is reported as it is: its attempts follow the ladder.
    func checkNow(_ server: LiveServer) async -> Report {
        await check(server)
        return report(on: server)
    }

    /// A new session at once, whatever the circuit says. Nil when it is not live any more.
    func reload(_ server: LiveServer) -> LiveServer? { registry.reload(server) }

    func resetCircuit(of server: LiveServer) {
        breaker.reset(server.id)
        server.record.health.consecutiveFailures = 0
        copyCircuit(to: server)
        writer.note(server.record.health, of: server.id)
        followClosedCircuit(of: server, reason: "reset by an operator")
        guard server.phase == .down else { return }
        server.recoveryAttempts = 0
        recoverSoon(server)
    }

    /// Stores the changed configuration, then applies it: what was refused is not in force.
    func configureCircuits(_ configuration: CircuitBreakerConfiguration) async throws(StoreError) {
        try await store.setConfigurationValue(
            CircuitBreakerConfiguration.key, to: configuration.json.text)
        apply(configuration)
    }

    /// Puts a disabled server back into service. Unless `resettingCounters`, the next failed cycle
    /// may disable it again. Returns when the registry knows.
    func enable(_ id: Int, resettingCounters: Bool = true) async throws(OrderError) {
        // One that was disabled while the store was away: first that, then this.
        _ = await writer.flush()
        if let live = registry.server(id: id) { return resetCircuit(of: live) }
        do throws(StoreError) {
            guard var row = try await store.server(id: id) else { throw .notFound }
            guard row.configuration.canAutoEnable else { throw .conflict("can_auto_enable") }
            row.health.status = HealthStatus.unknown.rawValue
            row.health.autoDisabledAt = nil
            row.health.autoDisabledReason = nil
            row.health.circuitState = CircuitState.Name.closed.rawValue
            row.health.consecutiveFailures = 0
            if resettingCounters { row.health.failureCycleCount = 0 }
            try await store.write(health: row.health, ofServer: id)
            row.configuration.status = "active"
            _ = try await store.update(id: id, row.configuration)
            noteOrder("manually_enabled", id, row.name)
            try await registry.read()
        } catch {
            throw OrderError(error)
        }
    }

    /// Takes a server out of service. Returns when the registry knows.
    func disable(_ id: Int) async throws(OrderError) {
        do throws(StoreError) {
            guard var row = try await store.server(id: id) else { throw .notFound }
            row.configuration.status = "inactive"
            _ = try await store.update(id: id, row.configuration)
            try await registry.read()
        } catch {
            throw OrderError(error)
        }
    }

    private func noteOrder(_ event: String, _ id: Int, _ name: String) {
        log.notice("server enabled by an operator", fields: ["mcp": name])
        writer.append(
            HealthLogEntry(
                serverID: id, timestamp: wallTime, status: HealthStatus.unknown.rawValue,
                eventType: event, metaData: "{}"))
    }

    // MARK: Disabled and enabled by other hands

    /// Its half-open cycles failed too often in a row.
    func disableByItself(_ server: LiveServer) {
        let cycles = breaker.failureCycles(of: server.id)
        let reason = "\(cycles) recovery cycles failed: \(server.lastFailure ?? "no answer")"
        counts.autoDisabled += 1
        server.record.health.autoDisabledAt = wallTime
        server.record.health.autoDisabledReason = reason
        server.record.health.failureCycleCount = cycles
        log.error(
            "server disabled, an operator must enable it", id: .serverDisabled,
            fields: ["mcp": server.name, "failure_cycles": cycles, "error": server.lastFailure])
        publish(
            .autoDisabled(
                server.name, reason: reason, failureCycles: cycles,
                timestamp: WallTime(nanosecondsSince1970: wallTime * 1000).utcText))
        setStatus(server, .disabled, reason: reason, severity: .critical)
        append("auto_disabled", of: server, meta: ["failure_cycles": JSONValue(cycles)])
        writer.note(server.record.health, of: server.id)
        writer.disable(server.id)
        registry.retire(server)
    }

    /// The row is no longer active.
    func noteDisabledByOperator(_ server: LiveServer) {
        log.notice("server disabled by an operator", fields: ["mcp": server.name])
        setStatus(server, .disabled, reason: "disabled by an operator", severity: .medium)
        append("manually_disabled", of: server, meta: [:])
        writer.note(server.record.health, of: server.id)
    }

    /// The row is active again though it was disabled: whoever did that wants a clean start.
    func enableAgain(_ server: LiveServer) {
        server.record.health.status = HealthStatus.unknown.rawValue
        server.record.health.autoDisabledAt = nil
        server.record.health.autoDisabledReason = nil
        server.record.health.circuitState = CircuitState.Name.closed.rawValue
        server.record.health.consecutiveFailures = 0
        server.record.health.failureCycleCount = 0
        writer.note(server.record.health, of: server.id)
        noteOrder("manually_enabled", server.id, server.name)
    }
}

extension Coordinator.OrderError {
    fileprivate init(_ error: StoreError) {
        switch error {
        case .notFound: self = .notFound
        case .conflict("can_auto_enable"): self = .notPermitted
        case .conflict, .failed, .unavailable: self = .store(error)
        }
    }
}
