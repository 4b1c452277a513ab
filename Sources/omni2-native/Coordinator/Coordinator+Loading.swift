import OmniCore
import OmniIO

// What becomes of the registry's changes: sessions opened, replaced and closed.
extension Coordinator {
    func registryChanged(_ change: Registry.Change) {
        guard !isStopping else { return }
        switch change {
        case .added(let server): added(server)
        case .replaced(let old, let new): replaced(old, by: new)
        case .adjusted(let server):
            breaker.adjust(
                server.id, failureCyclesMax: server.record.configuration.maxFailureCycles)
        case .removed(let server, let removal): removed(server, removal)
        }
    }

    private func added(_ server: LiveServer) {
        if server.record.wasDisabled { enableAgain(server) }
        let record = circuitRecord(of: server.record.health)
        breaker.add(
            server.id, named: server.name,
            failureCyclesMax: server.record.configuration.maxFailureCycles, from: record)
        listen(to: server)
        if breaker.isOpen(server.id) {
            resumeRecovery(server)
        } else {
            announceLoading(server, from: "not_loaded", reason: "registered")
            enqueueLoad(server)
        }
    }

    private func replaced(_ old: LiveServer, by new: LiveServer) {
        let status = old.status
        retire(old)
        recovery.remove(old.id)
        // The operator changed something because of what was wrong: a new chance, not an old grudge.
        breaker.renew(
            new.id, named: new.name, failureCyclesMax: new.record.configuration.maxFailureCycles)
        new.record.health.consecutiveFailures = 0
        new.record.health.failureCycleCount = 0
        new.record.health.circuitState = breaker.state(of: new.id).word
        listen(to: new)
        log.info("server reloading", fields: ["mcp": new.name])
        announceLoading(new, from: status.rawValue, reason: "configuration changed")
        tell(.reloaded(old: old, new: new))
        enqueueLoad(new)
    }

    private func removed(_ server: LiveServer, _ removal: Registry.Removal) {
        recovery.remove(server.id)
        retire(server)
        switch removal {
        case .deleted:
            log.info("server removed", fields: ["mcp": server.name])
            publish(
                .statusChange(
                    of: server.name, from: server.status.rawValue, to: "not_loaded",
                    reason: "removed from the registry", severity: .info))
            writer.forget(server.id)
        case .deactivated:
            if server.status != .disabled { noteDisabledByOperator(server) }
        }
        breaker.remove(server.id)
        tell(.unloaded(server))
        noteFirstLoads()
    }

    /// Outcomes under way no longer matter; the session closes behind our back.
    private func retire(_ server: LiveServer) {
        server.enter(.retired, at: io.now)
        loadQueue.removeAll { $0 === server }
        server.session.disconnected = { _ in }
        server.session.catalogueChanged = {}
        dropSession(of: server)
    }

    private func listen(to server: LiveServer) {
        server.session.disconnected = { [weak self, weak server] reason in
            guard let self, let server else { return }
            self.sessionLost(server, reason)
        }
        server.session.catalogueChanged = { [weak self, weak server] in
            guard let self, let server, server.phase == .up else { return }
            self.writer.note(server.session.toolRecords, of: server.id)
            self.tell(.catalogueChanged(server))
        }
    }

    func tell(_ change: ServerChange) {
        for observer in observers { observer(change) }
    }

    // MARK: Loading

    func announceLoading(_ server: LiveServer, from old: String, reason: String) {
        let configuration = server.record.configuration
        server.status = .loading
        // Changed again before it was loaded: nothing new to tell.
        if old == HealthStatus.loading.rawValue { return }
        publish(
            .statusChange(
                of: server.name, from: old, to: HealthStatus.loading.rawValue, reason: reason,
                severity: .info,
                .registered(url: configuration.shownURL, transport: configuration.transport)))
    }

    /// Many servers load some at a time: a child process each is a lot to start at once.
    func enqueueLoad(_ server: LiveServer) {
        loadQueue.append(server)
        startLoads()
    }

    private func startLoads() {
        while loadsUnderWay < settings.loadsMax, !loadQueue.isEmpty, !isStopping {
            let server = loadQueue.removeFirst()
            loadsUnderWay += 1
            let loaded = Promise<Void>(io)
            io.spawn {
                await self.load(server)
                loaded.fulfil(())
                self.noteFirstLoads()
            }
            io.spawn {
                // Those that hang do not hold up the others for longer than this.
                await loaded.value(until: self.io.now + self.settings.loadPatience)
                self.loadsUnderWay -= 1
                self.startLoads()
            }
        }
    }

    private func load(_ server: LiveServer) async {
        let epoch = server.epoch
        let configuration = server.record.configuration
        var attemptsLeft = max(1, configuration.maxRetries)
        while server.phase == .loading {
            guard case .admitted(let pass) = breaker.admit(server.id) else {
                return goDown(server, reason: "its circuit is open")
            }
            let result = await connect(server)
            guard server.epoch == epoch, !isStopping else { return breaker.abandoned(pass) }
            attemptsLeft -= 1
            switch result {
            case .success(let check):
                breaker.succeeded(pass)
                loaded(server, check)
            case .failure(let failure):
                if attemptsLeft > 0 {
                    breaker.abandoned(pass)
                    await io.sleep(until: io.now + .seconds(configuration.retryDelaySeconds))
                } else {
                    loadFailed(server, failure, pass)
                }
            }
        }
    }

    // MARK: Attempts

    /// Opens a session and looks at it.
    func connect(_ server: LiveServer) async -> Result<ServerCheck, ServerFailure> {
        let patience = min(
            max(settings.checkTimeout, .seconds(server.record.configuration.timeoutSeconds)),
            settings.connectTimeoutMax)
        let deadline = io.now + patience
        await server.closing?.value(until: deadline)
        return await attempt(server, connects: true, until: deadline)
    }

    /// One attempt that ends, even when the session ignores its deadline.
    func attempt(
        _ server: LiveServer, connects: Bool = false, until deadline: MonotonicTime
    ) async -> Result<ServerCheck, ServerFailure> {
        server.isBeingChecked = true
        defer { server.isBeingChecked = false }
        let outcome = Promise<Result<ServerCheck, ServerFailure>>(io)
        let session = server.session
        io.spawn {
            do throws(ServerFailure) {
                if connects { try await session.connect(until: deadline) }
                // Unloaded meanwhile: what the close before could not see is closed now.
                if !server.isCurrent { await session.close(until: deadline) }
                outcome.fulfil(.success(try await session.check(until: deadline)))
            } catch {
                outcome.fulfil(.failure(error))
            }
        }
        return await outcome.value(until: deadline + settings.checkGrace)
            ?? .failure(ServerFailure(reason: "no answer in time"))
    }

    /// Closes the session; the next attempt to connect waits for the end of it.
    func dropSession(of server: LiveServer) {
        let closed = Promise<Void>(io)
        server.closing = closed
        let (session, deadline) = (server.session, io.now + settings.closeTimeout)
        io.spawn {
            await session.close(until: deadline)
            closed.fulfil(())
            if server.closing === closed { server.closing = nil }
        }
    }
}

extension ServerRecord {
    /// The row was taken out of service before, and is active again by somebody's hand.
    fileprivate var wasDisabled: Bool {
        health.autoDisabledAt != nil || HealthStatus(reading: health.status) == .disabled
    }
}

extension ServerConfiguration {
    /// Without user name and password: an event is no place for them.
    var shownURL: String {
        let parts = url.split(separator: "/", maxSplits: 3, omittingEmptySubsequences: false)
        guard parts.count >= 3, parts[1].isEmpty, let at = parts[2].lastIndex(of: "@") else {
            return url
        }
        var shown = parts
        shown[2] = parts[2][parts[2].index(after: at)...]
        return shown.joined(separator: "/")
    }
}
