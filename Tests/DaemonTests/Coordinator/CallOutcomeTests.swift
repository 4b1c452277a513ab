import OmniCore
import OmniIO
import Testing

@testable import omni2_native

/// What the gateway's calls tell the coordinator between two cycles.
@Suite("Call outcomes")
struct CallOutcomeTests {
    @Test func failedCallsOpenTheCircuitEvenIfChecksSucceed() async throws {
        try await RingFixture.run { io in
            let store = MemoryStore()
            let id = store.add(.test("db")).id
            let watch = Watch(io, store, .still)
            await watch.start()
            watch.forget()
            let checks = watch.session(id).checks
            watch.fail(id, "timed out")
            await watch.bell.wait("a look at it at once") { watch.session(id).checks == checks + 1 }
            #expect(watch.lines.isEmpty)
            watch.fail(id, "timed out")
            watch.fail(id, "timed out")
            #expect(
                watch.lines == [
                    "db circuit: closed→open", "db: healthy→circuit_open", "db circuit_opened",
                ])
            #expect(watch.changes == ["db unavailable", "db circuit changed"])
            // Failures of calls that were let through before are not announced again.
            #expect(watch.admit(id) == nil)
            await watch.stop()
        }
    }

    /// One user's mistakes must not cut off everybody else.
    @Test func aToolsOwnErrorIsASuccess() async throws {
        try await RingFixture.run { io in
            let store = MemoryStore()
            let id = store.add(.test("db")).id
            let watch = Watch(io, store, .still)
            await watch.start()
            watch.forget()
            for _ in 0..<100 {
                watch.fail(id, "connection reset")
                watch.fail(id, "connection reset")
                let pass = try #require(watch.admit(id))
                watch.coordinator.callSucceeded(pass)
            }
            #expect(watch.lines.isEmpty)
            #expect(watch.server(id).record.health.consecutiveFailures == 0)
            await watch.stop()
        }
    }

    @Test func aCallThatFindsTheSessionGoneIsEnough() async throws {
        try await RingFixture.run { io in
            let store = MemoryStore()
            let id = store.add(.test("db")).id
            let watch = Watch(io, store, .still)
            await watch.start()
            watch.forget()
            await watch.session(id).close(until: io.now)
            watch.fail(id, "connection refused")
            #expect(watch.lines == ["db: healthy→disconnected"])
            #expect(watch.coordinator.recovery.contains(id))
            await watch.stop()
        }
    }

    @Test func halfOpenAdmitsAFewAndASuccessBringsTheServerBack() async throws {
        try await RingFixture.run { io in
            let store = MemoryStore()
            let id = store.add(.test("db")).id
            let watch = Watch(io, store, .still)
            await watch.start()
            for _ in 0..<3 { watch.fail(id, "connection refused") }
            watch.forget()
            guard case .refused(_, .open) = watch.coordinator.breaker.admit(id) else {
                return #expect(Bool(false), "an open circuit let a call pass")
            }
            await io.sleep(until: io.now + .milliseconds(12))
            let passes = (0..<1000).compactMap { _ in watch.admit(id) }
            #expect(passes.count == 3)
            watch.coordinator.callAbandoned(passes[0])
            #expect((0..<1000).compactMap { _ in watch.admit(id) }.count == 1)
            // The gateway's call opened a session by itself.
            try await watch.session(id).connect(until: io.now + .seconds(1))
            watch.coordinator.callSucceeded(passes[1])
            #expect(
                watch.lines == [
                    "db circuit: open→half_open", "db circuit: half_open→closed",
                    "db: circuit_open→healthy",
                ])
            #expect(!watch.coordinator.recovery.contains(id))
            watch.coordinator.callFailed(passes[2], reason: "late")
            #expect(watch.lines.count == 3)
            #expect(watch.coordinator.breaker.state(of: id) == .closed)
            await watch.stop()
        }
    }

    @Test func failedTestCallsDisableTheServerToo() async throws {
        try await RingFixture.run { io in
            let store = MemoryStore()
            let id = store.add(.test("db")).id
            let watch = Watch(io, store, .still)
            await watch.start()
            for _ in 0..<3 { watch.fail(id, "connection refused") }
            for _ in 0..<3 {
                await io.sleep(until: io.now + .milliseconds(12))
                watch.fail(id, "connection refused")
            }
            #expect(watch.lines.suffix(2) == ["db mcp_auto_disabled", "db: circuit_open→disabled"])
            #expect(watch.coordinator.registry.server(id: id) == nil)
            await watch.stop()
        }
    }

    @Test func anOperatorsResetClosesTheCircuitAndTriesAtOnce() async throws {
        try await RingFixture.run { io in
            let store = MemoryStore()
            let id = store.add(.test("db")).id
            var circuits = CircuitBreakerConfiguration.quick
            circuits.openTimeout = .seconds(3600)
            let watch = Watch(io, store, .still, circuits)
            await watch.start()
            for _ in 0..<3 { watch.fail(id, "connection refused") }
            let report = watch.coordinator.report(on: watch.server(id))
            #expect(!report.isHealthy && report.circuitState == "open")
            #expect(report.retryAfterSeconds == 3600)
            watch.forget()
            watch.coordinator.resetCircuit(of: watch.server(id))
            await watch.wait(for: "db: disconnected→healthy")
            #expect(
                watch.lines == [
                    "db circuit: open→closed", "db: circuit_open→disconnected",
                    "db: disconnected→healthy",
                ])
            let healed = await watch.coordinator.checkNow(watch.server(id))
            #expect(healed.isHealthy && healed.toolCount == 1 && healed.error == nil)
            await watch.stop()
        }
    }

    @Test func switchedOffTheBreakerClosesAllCircuits() async throws {
        try await RingFixture.run { io in
            let store = MemoryStore()
            let id = store.add(.test("db")).id
            var circuits = CircuitBreakerConfiguration.quick
            circuits.openTimeout = .seconds(3600)
            let watch = Watch(io, store, .still, circuits)
            await watch.start()
            for _ in 0..<3 { watch.fail(id, "connection refused") }
            watch.forget()
            let off = try watch.coordinator.breaker.configuration.applying(["enabled": false])
            try await watch.coordinator.configureCircuits(off)
            await watch.wait(for: "db: disconnected→healthy")
            #expect(store.values["circuit_breaker"]?.contains(#""enabled":false"#) == true)
            for _ in 0..<50 { watch.fail(id, "connection reset") }
            #expect(watch.count("db circuit: closed→open") == 0)
            await watch.stop()
        }
    }

    @Test func aConfigurationTheStoreRefusesIsNotInForce() async throws {
        try await RingFixture.run { io in
            let store = MemoryStore()
            let watch = Watch(io, store, .still)
            await watch.start()
            let before = watch.coordinator.breaker.configuration
            store.goAway()
            var changed = before
            changed.failureThreshold = 77
            await #expect(throws: StoreError.unavailable("gone")) {
                try await watch.coordinator.configureCircuits(changed)
            }
            #expect(watch.coordinator.breaker.configuration == before)
            await watch.stop()
        }
    }
}

extension Watch {
    func admit(_ id: Int) -> CircuitBreaker.Pass? {
        guard case .admitted(let pass) = coordinator.breaker.admit(id) else { return nil }
        return pass
    }

    /// A call of the gateway that the transport failed.
    func fail(_ id: Int, _ reason: String) {
        guard let pass = admit(id) else { return }
        coordinator.callFailed(pass, reason: reason)
    }
}
