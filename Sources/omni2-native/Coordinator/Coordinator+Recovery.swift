import OmniCore
import OmniIO

// Trying again: each server that is down climbs the ladder of delays until it answers.
extension Coordinator {
    func runRecovery() async {
        while !isStopping {
            await recoveryAlarm.wait(until: recovery.earliest ?? .distantFuture)
            if isStopping { break }
            for id in recovery.takeDue(at: io.now) {
                guard let server = registry.server(id: id) else { continue }
                io.spawn { await self.recover(server) }
            }
        }
        recoveryHasEnded()
    }

    func scheduleRecovery(_ server: LiveServer) {
        guard server.phase == .down else { return }
        let backoff = Backoff(ladder: settings.backoff, jitterPercent: settings.jitterPercent)
        let delay = backoff.delay(
            attempt: server.recoveryAttempts,
            seed: SplitMix64.mix(seed ^ UInt64(bitPattern: Int64(server.id))))
        schedule(server, at: io.now + delay)
    }

    /// An operator wants it now, or it seems to be back.
    func recoverSoon(_ server: LiveServer) { schedule(server, at: io.now) }

    /// After a restart with an open circuit: nothing is tried before the rest is over.
    func resumeRecovery(_ server: LiveServer) {
        server.recoveryAttempts = max(0, server.record.health.consecutiveFailures - 1)
        server.enter(.down, at: io.now)
        copyCircuit(to: server)
        setStatus(
            server, .circuitOpen, reason: "the circuit was open before the restart",
            severity: .high, .failing(errorCount: server.record.health.errorCount))
        log.notice("server waits for its circuit", fields: ["mcp": server.name])
        schedule(server, at: io.now)
    }

    /// Never before the breaker lets a test pass.
    private func schedule(_ server: LiveServer, at time: MonotonicTime) {
        recovery.schedule(server.id, at: max(time, breaker.openUntil(server.id) ?? time))
        recoveryAlarm.ring()
    }

    private func recover(_ server: LiveServer) async {
        guard server.phase == .down, !isStopping else { return }
        if server.isBeingChecked { return schedule(server, at: io.now + settings.checkGap) }
        let pass: CircuitBreaker.Pass
        switch breaker.admit(server.id) {
        case .admitted(let admitted): pass = admitted
        case .refused(let seconds, _):
            return schedule(server, at: io.now + .seconds(seconds ?? 1))
        }
        let epoch = server.epoch
        counts.recoveries += 1
        server.record.health.lastRecoveryAttempt = wallTime
        append(
            "recovery_attempt", of: server,
            meta: ["attempt": JSONValue(server.recoveryAttempts + 1)])
        let result = await connect(server)
        guard server.epoch == epoch, !isStopping else { return breaker.abandoned(pass) }
        switch result {
        case .success(let check): recovered(server, check, pass)
        case .failure(let failure):
            recoveryFailed(server, failure, pass)
            guard server.phase == .down else { return }
            dropSession(of: server)
            guard let due = recovery.due(of: server.id) else { return }
            log.info(
                "server still down, trying again later",
                fields: [
                    "mcp": server.name, "attempt": server.recoveryAttempts,
                    "error": failure.reason, "retry_in": due - io.now,
                ])
        }
    }
}
