import OmniCore
import OmniIO
import Testing

@testable import omni2_native

/// What a daemon that starts again knows of the one before.
@Suite("Restart")
struct RestartTests {
    @Test func anOpenCircuitStaysOpenAndItsRestGoesOn() async throws {
        try await RingFixture.run { io in
            let store = MemoryStore()
            let id = store.add(.test("db")).id
            var circuits = CircuitBreakerConfiguration.quick
            circuits.openTimeout = .seconds(3600)
            let first = Watch(io, store, .still, circuits)
            await first.start()
            for _ in 0..<3 { first.fail(id, "connection refused") }
            await first.stop()
            #expect(store.rows[id]?.health.circuitState == "open")
            #expect(store.rows[id]?.health.consecutiveFailures == 3)

            let second = Watch(io, store, .still, circuits)
            await second.start()
            #expect(second.server(id).status == .circuitOpen)
            #expect(second.coordinator.breaker.state(of: id) == .open)
            #expect(second.session(id).connects == 0)
            let retry = try #require(second.coordinator.breaker.retryAfterSeconds(of: id))
            #expect((3590...3600).contains(retry))
            // Nothing changed, so nothing is announced.
            #expect(second.lines.isEmpty)
            await second.stop()
        }
    }

    @Test func aRestThatEndedMeanwhileLeadsToATestAtOnce() async throws {
        try await RingFixture.run { io in
            let store = MemoryStore()
            var health = ServerHealth(status: "circuit_open")
            health.circuitState = "open"
            health.consecutiveFailures = 5
            health.failureCycleCount = 2
            health.lastCheck = Int64(io.wallMicroseconds) - 3_600_000_000
            let id = store.add(.test("db"), health: health).id
            let watch = Watch(io, store, .still)
            await watch.start()
            await watch.wait(for: "db: circuit_open→healthy")
            #expect(
                watch.lines == [
                    "db circuit: open→half_open", "db circuit: half_open→closed",
                    "db: circuit_open→healthy",
                ])
            await watch.bell.wait("the row is healthy") {
                store.rows[id]?.health.circuitState == "closed"
                    && store.rows[id]?.health.failureCycleCount == 0
            }
            await watch.stop()
        }
    }

    @Test func failedCyclesAreCountedOn() async throws {
        try await RingFixture.run { io in
            let store = MemoryStore()
            var health = ServerHealth(status: "circuit_open")
            health.circuitState = "half_open"
            health.failureCycleCount = 2
            health.lastCheck = Int64(io.wallMicroseconds)
            let id = store.add(.test("db"), health: health).id
            let watch = Watch(io, store, .quick)
            watch.mood = { _ in .refused }
            watch.coordinator.start()
            await watch.wait(for: "db: circuit_open→disabled")
            #expect(watch.session(id).connects == 1)
            await watch.stop()
        }
    }

    @Test func failuresInARowAreCountedOn() async throws {
        try await RingFixture.run { io in
            let store = MemoryStore()
            var health = ServerHealth(status: "unhealthy")
            health.consecutiveFailures = 2
            health.totalDowntimeSeconds = 7
            let id = store.add(.test("db"), health: health).id
            let watch = Watch(io, store, .still)
            watch.mood = { _ in .refused }
            await watch.start()
            #expect(
                watch.lines == [
                    "db: not_loaded→loading", "db circuit: closed→open", "db: loading→circuit_open",
                    "db circuit_opened",
                ])
            #expect(watch.server(id).record.health.totalDowntimeSeconds == 7)
            await watch.stop()
        }
    }

    @Test(.timeLimit(.minutes(1)))
    func theSameHoldsWithTheEmbeddedDatabase() async throws {
        let path = try TemporaryDirectory()
        defer { path.remove() }
        try await RingFixture.run { io in
            var circuits = CircuitBreakerConfiguration.quick
            circuits.openTimeout = .seconds(3600)
            let store = SQLStore.sqlite(io, path: path.file("omni2.db"))
            let first = Watch(io, store, .still, circuits)
            store.start()
            first.coordinator.start()
            let bell = Bell(io)
            await bell.wait("the store is ready") { store.state == .ready }
            let id = try await store.insert(.test("db")).id
            await first.wait(for: "db: loading→healthy")
            for _ in 0..<3 { first.fail(id, "connection refused") }
            await first.stop()
            await store.stop()

            let reopened = SQLStore.sqlite(io, path: path.file("omni2.db"))
            let second = Watch(io, reopened, .still, circuits)
            reopened.start()
            await second.start()
            #expect(second.coordinator.breaker.state(of: id) == .open)
            #expect(second.server(id).status == .circuitOpen)
            let log = try await reopened.healthLog(ofServer: id, limit: 10).map(\.eventType)
            #expect(log == ["circuit_opened", "load"])
            let health = try #require(try await reopened.server(id: id)?.health)
            #expect(health.status == "circuit_open")
            #expect(health.consecutiveFailures == 3)
            await second.stop()
            await reopened.stop()
        }
    }
}
