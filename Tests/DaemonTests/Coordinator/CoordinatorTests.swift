import OmniCore
import OmniIO
import Testing

@testable import omni2_native

@Suite("Coordinator")
struct CoordinatorTests {
    @Test func aServerThatDiesAndReturnsIsToldInOrder() async throws {
        try await RingFixture.run { io in
            let store = MemoryStore()
            let id = store.add(.test("db")).id
            var circuits = CircuitBreakerConfiguration.quick
            circuits.autoDisables = false
            let watch = Watch(io, store, .quick, circuits)
            await watch.start()
            #expect(watch.lines == ["db: not_loaded→loading", "db: loading→healthy"])
            let healthy = try #require(watch.events.last?.data)
            #expect(healthy["tool_count"] == 1)
            #expect(healthy["response_time_ms"] == 7)
            #expect(healthy["url"] == "http://127.0.0.1:1/db")
            #expect(healthy["protocol"] == "http-streamable")

            watch.forget()
            watch.session(id).mood = .refused
            await watch.wait(for: "db circuit: half_open→open")
            #expect(
                Array(watch.lines.prefix(6)) == [
                    "db: healthy→disconnected", "db circuit: closed→open",
                    "db: disconnected→circuit_open", "db circuit_opened",
                    "db circuit: open→half_open", "db circuit: half_open→open",
                ])
            #expect(watch.events[0].data["error_count"] == 1)
            #expect(watch.events[0].data["reason"] == "connection refused")
            #expect(watch.events[0].data["severity"] == "high")
            let opened = watch.events[1].data
            #expect(opened["state"] == "open")
            #expect(opened["failure_count"] == 3)
            #expect(opened["threshold"] == 3)
            #expect(watch.events[3].data == ["threshold": 3])
            #expect(watch.events[5].data["failure_cycles"] == 1)

            watch.session(id).mood = .healthy
            await watch.wait(for: "db: circuit_open→healthy")
            #expect(
                Array(watch.lines.suffix(3)) == [
                    "db circuit: open→half_open", "db circuit: half_open→closed",
                    "db: circuit_open→healthy",
                ])
            await watch.bell.wait("the row is healthy") {
                store.rows[id]?.health.status == "healthy"
            }
            let health = try #require(store.rows[id]?.health)
            #expect(health.circuitState == "closed")
            #expect(health.consecutiveFailures == 0)
            #expect(health.failureCycleCount == 0)
            #expect(health.lastRecoveryAttempt != nil)
            #expect(
                watch.changes == [
                    "db unavailable", "db circuit changed", "db circuit changed", "db available",
                ])
            await watch.stop()
            #expect(watch.session(id).isConnected == false)
        }
    }

    @Test func eachFailureIsOneStepUpTheLadder() async throws {
        try await RingFixture.run { io in
            let store = MemoryStore()
            let id = store.add(.test("db")).id
            var settings = CoordinatorSettings.still
            settings.backoff = CoordinatorSettings().backoff
            settings.jitterPercent = 10
            var circuits = CircuitBreakerConfiguration.quick
            circuits.failureThreshold = 5
            circuits.autoDisables = false
            let watch = Watch(io, store, settings, circuits)
            await watch.start()
            watch.session(id).die("killed")
            for rung in [30, 60, 120, 240, 480, 600, 600, 600] {
                let due = try #require(watch.coordinator.recovery.due(of: id)) - io.now
                #expect(due > .seconds(rung) * 0.89 && due < .seconds(rung) * 1.11)
                let connects = watch.session(id).connects
                // The wait is over: only that is made up.
                await io.sleep(until: watch.coordinator.breaker.openUntil(id) ?? io.now)
                watch.coordinator.recoverSoon(watch.server(id))
                await watch.bell.wait("a failed attempt") {
                    watch.session(id).connects == connects + 1
                        && watch.coordinator.recovery.contains(id)
                }
            }
            #expect(watch.count("db circuit: closed→open") == 1)
            await watch.stop()
        }
    }

    @Test func aServerWhoseTestsFailIsDisabledUntilAnOperatorEnablesIt() async throws {
        try await RingFixture.run { io in
            let store = MemoryStore()
            let id = store.add(.test("db")).id
            let watch = Watch(io, store)
            await watch.start()
            watch.forget()
            watch.mood = { _ in .refused }
            watch.session(id).mood = .refused
            await watch.wait(for: "db: circuit_open→disabled")
            await watch.bell.wait("the row is inactive") {
                store.rows[id]?.configuration.status == "inactive"
                    && store.rows[id]?.health.status == "disabled"
                    && store.entries.last?.eventType == "auto_disabled"
            }
            #expect(watch.coordinator.registry.server(id: id) == nil)
            #expect(watch.count("db circuit: closed→open") == 1)
            #expect(watch.count("db circuit: open→half_open") == 3)
            #expect(watch.count("db circuit: half_open→open") == 3)
            let event = try #require(watch.events.first { $0.type == "mcp_auto_disabled" }?.data)
            #expect(event["failure_cycles"] == 3)
            #expect(event["severity"] == "critical")
            #expect(event["timestamp"]?.string?.hasSuffix("Z") == true)
            #expect(store.rows[id]?.health.failureCycleCount == 3)
            #expect(store.rows[id]?.health.autoDisabledReason?.contains("refused") == true)
            #expect(watch.changes.last == "db unloaded")

            watch.forget()
            watch.mood = { _ in .healthy }
            try await watch.coordinator.enable(id)
            await watch.wait(for: "db: loading→healthy")
            await watch.bell.wait("the row is healthy") {
                store.rows[id]?.health.status == "healthy"
            }
            #expect(store.rows[id]?.health.autoDisabledAt == nil)
            #expect(store.rows[id]?.health.failureCycleCount == 0)
            #expect(store.rows[id]?.configuration.status == "active")
            #expect(store.entries.contains { $0.eventType == "manually_enabled" })
            await watch.stop()
        }
    }

    @Test func aServerThatMustNotBeEnabledIsNot() async throws {
        try await RingFixture.run { io in
            let store = MemoryStore()
            var configuration = ServerConfiguration.test("db")
            configuration.status = "inactive"
            configuration.canAutoEnable = false
            let id = store.add(configuration).id
            let watch = Watch(io, store, .still)
            await watch.start()
            await #expect(throws: Coordinator.OrderError.notPermitted) {
                try await watch.coordinator.enable(id)
            }
            await #expect(throws: Coordinator.OrderError.notFound) {
                try await watch.coordinator.enable(77)
            }
            #expect(watch.lines.isEmpty)
            await watch.stop()
        }
    }

    /// Per server (0) and for all: a server is tried for ever.
    @Test(arguments: [true, false])
    func whoeverIsNotToBeDisabledIsTriedForEver(isOwnWish: Bool) async throws {
        try await RingFixture.run { io in
            let store = MemoryStore()
            var configuration = ServerConfiguration.test("db")
            if isOwnWish { configuration.maxFailureCycles = 0 }
            let id = store.add(configuration).id
            var circuits = CircuitBreakerConfiguration.quick
            circuits.autoDisables = isOwnWish
            let watch = Watch(io, store, .quick, circuits)
            await watch.start()
            watch.session(id).mood = .refused
            await watch.wait(for: "db circuit: half_open→open", 5)
            #expect(watch.server(id).status == .circuitOpen)
            #expect(watch.coordinator.breaker.failureCycles(of: id) >= 5)
            await watch.stop()
        }
    }

    @Test func aChildThatDiesIsNoticedAtOnce() async throws {
        try await RingFixture.run { io in
            let store = MemoryStore()
            let id = store.add(.test("git")).id
            let watch = Watch(io, store, .still)
            await watch.start()
            watch.forget()
            watch.session(id).die("exited with status 1")
            #expect(watch.lines == ["git: healthy→disconnected"])
            #expect(watch.changes == ["git unavailable"])
            #expect(watch.coordinator.statistics.recoveryQueue == 1)
            // A second word about the same death changes nothing.
            watch.session(id).disconnected("and gone")
            #expect(watch.server(id).record.health.consecutiveFailures == 1)
            await watch.bell.wait("logged") {
                store.entries.last?.eventType == "disconnected"
                    && store.entries.last?.errorMessage == "exited with status 1"
            }
            await watch.stop()
        }
    }

    @Test func aCheckThatIsAnsweredWithAnErrorIsAnAnswer() async throws {
        try await RingFixture.run { io in
            let store = MemoryStore()
            let id = store.add(.test("db")).id
            let watch = Watch(io, store)
            await watch.start()
            watch.forget()
            watch.session(id).mood = .failing(
                ServerFailure(reason: "method not found (-32601)", countsAsFailure: false))
            let checks = watch.session(id).checks
            await watch.bell.wait("several checks") { watch.session(id).checks > checks + 5 }
            #expect(watch.lines.isEmpty)
            #expect(watch.server(id).status == .healthy)
            await watch.stop()
        }
    }

    @Test func stoppingClosesEverySessionAndNeverWaitsForOneThatHangs() async throws {
        try await RingFixture.run { io in
            let store = MemoryStore()
            for number in 0..<20 { store.add(.test("server \(number)")) }
            let watch = Watch(io, store)
            await watch.start()
            watch.session(3).mood = .deaf
            await watch.coordinator.stop(until: io.now + .milliseconds(100))
            #expect((1...20).allSatisfy { watch.session($0).closes == 1 })
            let (cycles, events) = (watch.cycles, watch.events.count)
            await io.sleep(until: io.now + .milliseconds(60))
            #expect(watch.cycles == cycles)
            #expect(watch.events.count == events)
            await watch.coordinator.stop(until: io.now + .seconds(1))
            #expect(watch.session(1).closes == 1)
        }
    }

    @Test func hangingServersDelayNeitherTheCycleNorTheOthers() async throws {
        try await RingFixture.run { io in
            let store = MemoryStore()
            for number in 1...200 { store.add(.test("server-\(number)")) }
            let watch = Watch(io, store)
            await watch.start()
            #expect(watch.coordinator.statistics.activeServers == 200)
            for number in stride(from: 10, through: 200, by: 10) {
                watch.session(number).mood = number % 20 == 0 ? .hanging : .deaf
            }
            let cycles = watch.cycles
            await watch.bell.wait("five cycles") { watch.cycles >= cycles + 5 }
            for number in 1...200 where number % 10 != 0 {
                #expect(watch.session(number).checks >= 4)
                #expect(watch.server(number).status == .healthy)
            }
            await watch.bell.wait("those that hang are known") {
                stride(from: 10, through: 200, by: 10).allSatisfy {
                    let server = watch.coordinator.registry.server(id: $0)
                    return server == nil || server!.status != .healthy
                }
            }
            await watch.stop()
        }
    }

    @Test func everyCycleTellsOfTheSystem() async throws {
        try await RingFixture.run { io in
            let store = MemoryStore()
            store.add(.test("db"))
            var seen: [ServiceEvent] = []
            let coordinator = Coordinator(
                io: io, store: store, journal: .recording(), settings: .quick, circuits: .quick,
                publish: { seen.append($0) },
                makeSession: { FakeServer($0, mood: .healthy, io: io, bell: Bell(io)) })
            coordinator.start()
            let bell = Bell(io)
            await bell.wait("two cycles") { seen.count { $0.type == "system_health" } >= 2 }
            let metrics = try #require(seen.last { $0.type == "system_metrics" })
            let json = try JSONValue(
                parsing: "{" + String(decoding: metrics.members, as: UTF8.self) + "}")
            #expect(metrics.facts.audience == .everyone)
            #expect(
                Set(json["metrics"]?.object?.names ?? []) == [
                    "cpu_percent", "memory_percent", "memory_used_mb", "memory_total_mb",
                    "active_mcps", "recovery_queue", "circuit_open_count",
                ])
            #expect(json["metrics"]?["active_mcps"] == 1)
            let health = try #require(seen.last { $0.type == "system_health" })
            let data = try JSONValue(
                parsing: "{" + String(decoding: health.members, as: UTF8.self) + "}")["data"]
            #expect(data?["severity"] == "info")
            #expect((data?["memory_total_mb"]?.double ?? 0) > 0)
            #expect(health.facts.audience == .subscribers)
            await coordinator.stop(until: io.now + .seconds(1))
        }
    }
}
