import OmniCore
import OmniIO

// What an outcome means: counters, status, events, the health log and the journal, in one order
// everywhere: the entry of the health log, the breaker's transition, the status, what follows.
extension Coordinator {
    // MARK: Success

    func loaded(_ server: LiveServer, _ check: ServerCheck) {
        note(check, of: server)
        append("load", of: server, check)
        log.info(
            "server loaded", fields: ["mcp": server.name, "tools": check.toolCount])
        goUp(server, reason: "connected")
        tell(of: check, of: server)
    }

    func answered(_ server: LiveServer, _ check: ServerCheck, isNeutral: Bool) {
        note(check, of: server, resettingFailures: !isNeutral)
        append("health_check_success", of: server, check)
        goUp(server, reason: "health check succeeded")
        tell(of: check, of: server)
    }

    func recovered(_ server: LiveServer, _ check: ServerCheck, _ pass: CircuitBreaker.Pass) {
        let attempts = server.recoveryAttempts + 1
        note(check, of: server)
        append("recovery_success", of: server, check)
        breaker.succeeded(pass)
        log.notice(
            "server recovered", id: .serverRecovered,
            fields: ["mcp": server.name, "attempts": attempts])
        goUp(server, reason: "recovered")
        tell(of: check, of: server)
    }

    /// After what the check has changed.
    private func tell(of check: ServerCheck?, of server: LiveServer, reason: String? = nil) {
        publish(
            .healthCheck(of: server.name, status: server.status.rawValue, check, reason: reason))
    }

    private func note(
        _ check: ServerCheck, of server: LiveServer, resettingFailures: Bool = true
    ) {
        server.lastCheck = check
        server.latencies.append(check.responseTime)
        server.lastFailure = nil
        server.record.health.lastCheck = wallTime
        guard resettingFailures else { return }
        server.record.health.errorCount = 0
        server.record.health.consecutiveFailures = 0
    }

    private func goUp(_ server: LiveServer, reason: String) {
        let wasUp = server.phase == .up
        if !wasUp {
            server.enter(.up, at: io.now)
            server.recoveryAttempts = 0
            recovery.remove(server.id)
        }
        copyCircuit(to: server)
        let configuration = server.record.configuration
        setStatus(
            server, .healthy, reason: reason, severity: .info,
            .healthy(
                server.lastCheck, url: configuration.shownURL, transport: configuration.transport))
        writer.note(server.record.health, of: server.id)
        if !wasUp {
            writer.note(server.session.toolRecords, of: server.id)
            tell(.available(server))
        }
    }

    // MARK: Failure

    func loadFailed(
        _ server: LiveServer, _ failure: ServerFailure, _ pass: CircuitBreaker.Pass
    ) {
        log.warning(
            "server not loaded, trying again later", id: .serverLoadFailed,
            fields: ["mcp": server.name, "error": failure.reason])
        failed(server, failure, "load_failed", pass)
    }

    func checkFailed(
        _ server: LiveServer, _ failure: ServerFailure, _ pass: CircuitBreaker.Pass
    ) {
        guard failure.countsAsFailure else {
            // It answered, and it is there. What it said is worth an entry.
            breaker.succeeded(pass)
            append("health_check_failed", of: server, failure)
            return
        }
        failed(server, failure, "health_check_failed", pass)
    }

    func recoveryFailed(
        _ server: LiveServer, _ failure: ServerFailure, _ pass: CircuitBreaker.Pass
    ) {
        counts.recoveriesFailed += 1
        server.recoveryAttempts += 1
        failed(server, failure, "recovery_failed", pass)
    }

    /// The session ended by itself: a child died, a connection broke.
    func sessionLost(_ server: LiveServer, _ reason: String) {
        guard server.phase == .up, !isStopping else { return }
        // Refused when its circuit is open: then this failure is one of those that opened it.
        let failure = ServerFailure(reason: reason)
        guard case .admitted(let pass) = breaker.admit(server.id) else {
            return goDown(server, reason: failure.reason)
        }
        failed(server, failure, "disconnected", pass)
    }

    private func failed(
        _ server: LiveServer, _ failure: ServerFailure, _ event: String,
        _ pass: CircuitBreaker.Pass
    ) {
        server.lastFailure = failure.reason
        server.latencies.append(nil)
        server.record.health.lastCheck = wallTime
        server.record.health.errorCount += 1
        server.record.health.consecutiveFailures += 1
        append(event, of: server, failure)
        breaker.failed(pass)
        goDown(server, reason: failure.reason)
        tell(of: nil, of: server, reason: failure.reason)
    }

    /// Also without a new failure: the circuit opened, or the session is gone.
    func goDown(_ server: LiveServer, reason: String) {
        let wasUp = server.phase == .up
        if server.phase != .down {
            server.enter(.down, at: io.now)
            dropSession(of: server)
        }
        copyCircuit(to: server)
        setStatus(
            server, breaker.isOpen(server.id) ? .circuitOpen : .disconnected, reason: reason,
            severity: .high, .failing(errorCount: server.record.health.errorCount))
        if wasUp {
            log.warning(
                "server disconnected", id: .serverDisconnected,
                fields: ["mcp": server.name, "error": reason])
            tell(.unavailable(server))
        }
        if breaker.state(of: server.id) == .disabled {
            disableByItself(server)
        } else {
            scheduleRecovery(server)
            writer.note(server.record.health, of: server.id)
        }
    }

    // MARK: Circuits

    /// The breaker announces each transition here, once, in the middle of what caused it.
    func circuitChanged(_ change: CircuitBreaker.Change) {
        publish(.circuitState(change))
        guard let server = registry.server(id: change.server), server.isCurrent else { return }
        copyCircuit(to: server)
        switch (change.transition.oldState, change.transition.newState) {
        case (.closed, .open): circuitOpened(server, change)
        case (_, .closed): circuitClosed(server)
        default: writer.note(server.record.health, of: server.id)
        }
    }

    private func circuitOpened(_ server: LiveServer, _ change: CircuitBreaker.Change) {
        goDown(server, reason: server.lastFailure ?? "\(change.transition.reason.sentence)")
        append(
            "circuit_opened", of: server, meta: ["threshold": JSONValue(change.threshold)])
        publish(.circuitOpened(server.name, threshold: change.threshold))
        tell(.circuitChanged(server))
    }

    private func circuitClosed(_ server: LiveServer) {
        append("circuit_closed", of: server, meta: [:])
        server.record.health.consecutiveFailures = 0
        writer.note(server.record.health, of: server.id)
        tell(.circuitChanged(server))
    }

    /// Circuits may have closed otherwise than by an attempt of ours: by a call, by an order.
    func followClosedCircuit(of server: LiveServer, reason: String) {
        guard server.phase == .down, !server.isBeingChecked,
            breaker.state(of: server.id) == .closed
        else { return }
        if server.isConnected {
            goUp(server, reason: reason)
        } else if server.status == .circuitOpen {
            server.recoveryAttempts = 0
            setStatus(server, .disconnected, reason: reason, severity: .info)
            recoverSoon(server)
        }
    }

    func copyCircuit(to server: LiveServer) {
        server.record.health.circuitState = breaker.state(of: server.id).word
        server.record.health.failureCycleCount = breaker.failureCycles(of: server.id)
    }

    /// Where the row says that the circuit was when the daemon stopped.
    func circuitRecord(of health: ServerHealth) -> CircuitRecord {
        let state = CircuitState.Name(rawValue: health.circuitState.lowercased()) ?? .closed
        let rested = health.lastCheck.map { Duration.microseconds(max(0, wallTime - $0)) }
        return CircuitRecord(
            state: state == .disabled ? .open : state,
            consecutiveFailures: health.consecutiveFailures,
            failureCycles: health.failureCycleCount,
            openRemaining: rested.map { breaker.configuration.openTimeout - $0 })
    }

    // MARK: Calls of the gateway

    func callSucceeded(_ pass: CircuitBreaker.Pass) {
        guard breaker.isCurrent(pass), !isStopping else { return }
        breaker.succeeded(pass)
        guard let server = registry.server(id: pass.server) else { return }
        switch server.phase {
        case .up:
            guard server.record.health.consecutiveFailures > 0 else { return }
            server.record.health.consecutiveFailures = 0
            writer.note(server.record.health, of: server.id)
        case .down: followClosedCircuit(of: server, reason: "a call succeeded")
        case .loading, .retired: break
        }
    }

    /// The transport failed (a tool's own error is a success). The server is looked at at once.
    func callFailed(_ pass: CircuitBreaker.Pass, reason: String) {
        guard breaker.isCurrent(pass), let server = registry.server(id: pass.server),
            server.isCurrent, !isStopping
        else { return }
        let failure = ServerFailure(reason: reason)
        server.lastFailure = failure.reason
        if server.phase == .up {
            server.record.health.consecutiveFailures += 1
            server.record.health.errorCount += 1
        }
        breaker.failed(pass)
        switch server.phase {
        case .up where server.isConnected:
            writer.note(server.record.health, of: server.id)
            checkBetweenCycles(server)
        case .up:
            append("disconnected", of: server, failure)
            goDown(server, reason: failure.reason)
        case .down where breaker.state(of: server.id) == .disabled:
            goDown(server, reason: failure.reason)
        case .down, .loading, .retired: break
        }
    }

    /// Its caller gave up; nothing was learnt.
    func callAbandoned(_ pass: CircuitBreaker.Pass) { breaker.abandoned(pass) }

    private func checkBetweenCycles(_ server: LiveServer) {
        if let began = server.lastCheckBegan, io.now < began + settings.checkGap { return }
        io.spawn { await self.check(server, isNeutral: true) }
    }

    // MARK: Status and log

    /// An event only when the status is another one.
    func setStatus(
        _ server: LiveServer, _ status: HealthStatus, reason: String, severity: EventSeverity,
        _ detail: ServiceEvent.StatusDetail = .none
    ) {
        let old = server.status
        server.status = status
        guard old != status else { return }
        publish(
            .statusChange(
                of: server.name, from: old.rawValue, to: status.rawValue, reason: reason,
                severity: severity, detail))
    }

    var wallTime: Int64 { Int64(clamping: io.wallMicroseconds) }

    func append(_ event: String, of server: LiveServer, _ check: ServerCheck) {
        writer.append(
            HealthLogEntry(
                serverID: server.id, timestamp: wallTime, status: HealthStatus.healthy.rawValue,
                responseTimeMilliseconds: Int(check.responseTime.milliseconds), eventType: event,
                metaData: JSONValue.object(
                    JSONObject([("tool_count", JSONValue(check.toolCount))])
                ).text))
    }

    func append(_ event: String, of server: LiveServer, _ failure: ServerFailure) {
        let failures = JSONValue(server.record.health.consecutiveFailures)
        let meta: JSONValue = ["consecutive_failures": failures]
        writer.append(
            HealthLogEntry(
                serverID: server.id, timestamp: wallTime,
                status: HealthStatus.disconnected.rawValue,
                errorMessage: failure.reason, eventType: event, metaData: meta.text))
    }

    func append(_ event: String, of server: LiveServer, meta: JSONValue) {
        writer.append(
            HealthLogEntry(
                serverID: server.id, timestamp: wallTime, status: server.status.rawValue,
                eventType: event, metaData: meta.text))
    }
}
