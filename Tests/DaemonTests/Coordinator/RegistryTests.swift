import OmniCore
import OmniIO
import Testing

@testable import omni2_native

@Suite("Registry")
struct RegistryTests {
    @Test func rowsThatComeChangeAndGoAreFollowedAtOnce() async throws {
        try await RingFixture.run { io in
            let store = MemoryStore()
            let watch = Watch(io, store, .still)
            await watch.start()
            #expect(watch.lines.isEmpty)
            // Whatever characters a name has: it is looked up as it was written.
            let id = store.add(.test("Größe & \"Zeit\".db")).id
            await watch.wait(for: "Größe & \"Zeit\".db: loading→healthy")
            #expect(watch.coordinator.registry.server(named: "Größe & \"Zeit\".db")?.id == id)
            await watch.bell.wait("its tools are written") { store.toolRows[id]?.count == 1 }

            store.change(id) { $0.url = "http://127.0.0.1:2/other" }
            await watch.wait(for: "Größe & \"Zeit\".db: loading→healthy", 2)
            #expect(watch.events.last?.data["url"] == "http://127.0.0.1:2/other")
            #expect(watch.sessions[id]?.count == 2)
            await watch.bell.wait("the old session is closed") {
                watch.sessions[id]![0].closes == 1
            }

            store.remove(id)
            await watch.wait(for: "Größe & \"Zeit\".db: healthy→not_loaded")
            #expect(watch.coordinator.registry.count == 0)
            await watch.bell.wait("the session is closed") { watch.session(id).closes == 1 }
            #expect(
                watch.lines == [
                    "Größe & \"Zeit\".db: not_loaded→loading",
                    "Größe & \"Zeit\".db: loading→healthy",
                    "Größe & \"Zeit\".db: healthy→loading",
                    "Größe & \"Zeit\".db: loading→healthy",
                    "Größe & \"Zeit\".db: healthy→not_loaded",
                ])
            #expect(watch.changes.last == "Größe & \"Zeit\".db unloaded")
            await watch.stop()
        }
    }

    @Test func changesWhileACheckRunsWinOverItsOutcome() async throws {
        try await RingFixture.run { io in
            let store = MemoryStore()
            let (first, second) = (store.add(.test("first")).id, store.add(.test("second")).id)
            let watch = Watch(io, store, .still)
            await watch.start()
            watch.forget()
            let gate = Promise<Void>(io)
            let sessions = [first, second].map { watch.session($0) }
            for session in sessions {
                session.gate = gate
                session.mood = .refused
            }
            for id in [first, second] {
                let server = watch.server(id)
                io.spawn { _ = await watch.coordinator.checkNow(server) }
            }
            await watch.bell.wait("both are being checked") {
                sessions.allSatisfy { $0.checks == 2 }
            }
            store.remove(first)
            store.change(second) { $0.timeoutSeconds = 60 }
            let third = store.add(.test("third")).id
            await watch.wait(for: "third: loading→healthy")
            await watch.wait(for: "second: loading→healthy")
            gate.fulfil(())
            await watch.bell.wait("the checks have ended") {
                sessions.allSatisfy { $0.closes >= 1 }
            }
            await io.sleep(until: io.now + .milliseconds(5))
            #expect(!watch.lines.contains { $0.contains("disconnected") })
            #expect(watch.coordinator.breaker.state(of: second) == .closed)
            #expect(watch.server(second).record.health.consecutiveFailures == 0)
            #expect(watch.server(third).phase == .up)
            await watch.stop()
        }
    }

    @Test func aServerCanBeRenamedAndItsNameTakenByAnother() async throws {
        try await RingFixture.run { io in
            let store = MemoryStore()
            let (first, second) = (store.add(.test("a")).id, store.add(.test("b")).id)
            let watch = Watch(io, store, .still)
            await watch.start()
            watch.forget()
            store.change(first) { $0.name = "b" }
            store.change(second) { $0.name = "a" }
            await watch.bell.wait("both are loaded again") {
                watch.count("a: loading→healthy") == 1 && watch.count("b: loading→healthy") == 1
            }
            #expect(watch.coordinator.registry.server(named: "b")?.id == first)
            #expect(watch.coordinator.registry.server(named: "a")?.id == second)
            #expect(watch.changes.prefix(2) == ["a reloaded as b", "b reloaded as a"])
            await watch.stop()
        }
    }

    @Test func whatDoesNotTouchTheSessionLeavesItAlone() async throws {
        try await RingFixture.run { io in
            let store = MemoryStore()
            let id = store.add(.test("db")).id
            let watch = Watch(io, store, .still)
            await watch.start()
            watch.forget()
            store.change(id) {
                $0.description = "the database"
                $0.maxFailureCycles = 9
            }
            try await watch.coordinator.registry.read()
            #expect(watch.lines.isEmpty)
            #expect(watch.sessions[id]?.count == 1)
            #expect(watch.server(id).record.configuration.description == "the database")
            #expect(watch.coordinator.breaker.failureCyclesMax(of: id) == 9)
            await watch.stop()
        }
    }

    /// The original announced a server that was down as new, every thirty seconds.
    @Test func aServerThatIsDownIsNotNewAgain() async throws {
        try await RingFixture.run { io in
            let store = MemoryStore()
            let id = store.add(.test("db")).id
            var settings = CoordinatorSettings.quick
            settings.pollInterval = .milliseconds(3)
            var circuits = CircuitBreakerConfiguration.quick
            circuits.isEnabled = false
            let watch = Watch(io, store, settings, circuits)
            watch.mood = { _ in .refused }
            await watch.start()
            let readings = store.readings
            await watch.bell.wait("many readings and attempts") {
                store.readings > readings + 10 && watch.session(id).connects > 5
            }
            #expect(watch.lines == ["db: not_loaded→loading", "db: loading→disconnected"])
            #expect(watch.sessions[id]?.count == 1)
            watch.session(id).mood = .healthy
            await watch.wait(for: "db: disconnected→healthy")
            #expect(watch.lines.count == 3)
            await watch.stop()
        }
    }

    @Test func noticesInQuickSuccessionAreReadTogether() async throws {
        try await RingFixture.run { io in
            let store = MemoryStore()
            var settings = CoordinatorSettings.still
            settings.debounce = .milliseconds(20)
            let watch = Watch(io, store, settings)
            await watch.start()
            let readings = store.readings
            for number in 0..<50 { store.add(.test("server \(number)")) }
            await watch.bell.wait("all are loaded") {
                watch.coordinator.statistics.activeServers == 50
            }
            #expect(store.readings - readings <= 2)
            await watch.stop()
        }
    }

    @Test func whileTheStoreIsAwayEverythingInMemoryServes() async throws {
        try await RingFixture.run { io in
            let store = MemoryStore()
            let id = store.add(.test("db")).id
            let watch = Watch(io, store)
            await watch.start()
            store.goAway()
            store.add(.test("new"))
            let cycles = watch.cycles
            await watch.bell.wait("cycles without a store") { watch.cycles >= cycles + 4 }
            #expect(watch.server(id).phase == .up)
            #expect(watch.coordinator.registry.count == 1)
            await #expect(throws: StoreError.unavailable("gone")) {
                try await watch.coordinator.registry.read()
            }
            // Said once, not with every reading.
            #expect(watch.journal.records.count { $0.id == .registryUnreadable } == 1)
            store.comeBack()
            await watch.wait(for: "new: loading→healthy")
            await watch.stop()
        }
    }

    @Test func startingBeforeTheStoreIsNormal() async throws {
        try await RingFixture.run { io in
            let store = MemoryStore()
            store.add(.test("db"))
            store.values["circuit_breaker"] = #"{"failure_threshold": 9}"#
            store.goAway()
            let watch = Watch(io, store, .still)
            watch.coordinator.start()
            let isLoaded = await watch.coordinator.firstLoadsEnded(
                until: io.now + .milliseconds(10))
            #expect(!isLoaded)
            store.comeBack()
            await watch.wait(for: "db: loading→healthy")
            #expect(await watch.coordinator.firstLoadsEnded(until: io.now + .seconds(5)))
            #expect(watch.coordinator.breaker.configuration.failureThreshold == 9)
            await watch.stop()
        }
    }

    @Test func moreServersThanAllowedAreNotLoaded() async throws {
        try await RingFixture.run { io in
            let store = MemoryStore()
            for number in 1...5 { store.add(.test("server \(number)")) }
            var settings = CoordinatorSettings.still
            settings.serversMax = 3
            let watch = Watch(io, store, settings)
            await watch.start()
            #expect(watch.coordinator.registry.servers.map(\.id) == [1, 2, 3])
            await watch.stop()
        }
    }

    @Test func anOperatorDisablesWithSQLAndEnablesAgain() async throws {
        try await RingFixture.run { io in
            let store = MemoryStore()
            let id = store.add(.test("db")).id
            let watch = Watch(io, store, .still)
            await watch.start()
            watch.forget()
            store.change(id) { $0.status = "inactive" }
            await watch.wait(for: "db: healthy→disabled")
            await watch.bell.wait("the row says so") {
                store.rows[id]?.health.status == "disabled"
            }
            #expect(watch.events.last?.data["severity"] == "medium")
            store.change(id) { $0.status = "active" }
            await watch.wait(for: "db: loading→healthy")
            #expect(
                watch.lines == [
                    "db: healthy→disabled", "db: not_loaded→loading", "db: loading→healthy",
                ])
            await watch.bell.wait("the log has both") {
                let events = store.entries.map(\.eventType)
                return events.contains("manually_disabled") && events.contains("manually_enabled")
            }
            await watch.stop()
        }
    }

    @Test func hangingLoadsDoNotHoldUpTheOthers() async throws {
        try await RingFixture.run { io in
            let store = MemoryStore()
            for number in 1...40 { store.add(.test("server-\(number)")) }
            var settings = CoordinatorSettings.still
            settings.loadsMax = 4
            settings.loadPatience = .milliseconds(5)
            settings.connectTimeoutMax = .seconds(30)
            settings.checkTimeout = .seconds(30)
            let watch = Watch(io, store, settings)
            watch.mood = { $0.id <= 20 ? .hanging : .healthy }
            watch.coordinator.start()
            await watch.bell.wait("the healthy ones are up") {
                watch.coordinator.statistics.activeServers == 20
            }
            #expect((1...20).allSatisfy { watch.server($0).status == .loading })
            await watch.stop()
        }
    }

    @Test func aLoadIsTriedAsOftenAsTheRowSays() async throws {
        try await RingFixture.run { io in
            let store = MemoryStore()
            var configuration = ServerConfiguration.test("db")
            configuration.maxRetries = 3
            let id = store.add(configuration).id
            let watch = Watch(io, store, .still)
            watch.mood = { _ in .refused }
            await watch.start()
            #expect(watch.session(id).connects == 3)
            #expect(watch.server(id).record.health.consecutiveFailures == 1)
            #expect(watch.lines == ["db: not_loaded→loading", "db: loading→disconnected"])
            #expect(watch.journal.records.contains { $0.id == .serverLoadFailed })
            await watch.stop()
        }
    }

    @Test func reloadingGivesANewSessionAndAClosedCircuit() async throws {
        try await RingFixture.run { io in
            let store = MemoryStore()
            let id = store.add(.test("db")).id
            var circuits = CircuitBreakerConfiguration.quick
            circuits.failureThreshold = 1
            circuits.openTimeout = .seconds(3600)
            let watch = Watch(io, store, .still, circuits)
            await watch.start()
            watch.session(id).die("killed")
            #expect(watch.server(id).status == .circuitOpen)
            watch.forget()
            let new = try #require(watch.coordinator.reload(watch.server(id)))
            await watch.wait(for: "db: loading→healthy")
            #expect(new === watch.server(id))
            #expect(
                watch.lines == [
                    "db circuit: open→closed", "db: circuit_open→loading", "db: loading→healthy",
                ])
            await watch.stop()
        }
    }

    @Test func aChangedCatalogueIsWrittenAndTold() async throws {
        try await RingFixture.run { io in
            let store = MemoryStore()
            let id = store.add(.test("db")).id
            let watch = Watch(io, store, .still)
            await watch.start()
            watch.forget()
            watch.session(id).toolRecords = []
            watch.session(id).catalogueChanged()
            #expect(watch.changes == ["db catalogue changed"])
            await watch.bell.wait("its tools are written") { store.toolRows[id]?.isEmpty == true }
            await watch.stop()
        }
    }
}
