import OmniCore
import OmniIO
import Testing

@testable import omni2_native

@Suite("HealthWriter")
struct HealthWriterTests {
    @Test func whatHappenedWhileTheStoreWasAwayIsWrittenWhenItIsBack() async throws {
        try await RingFixture.run { io in
            let store = MemoryStore()
            let id = store.add(.test("db")).id
            let watch = Watch(io, store, .still)
            await watch.start()
            store.goAway()
            let writes = store.healthWrites
            watch.session(id).die("killed")
            await io.sleep(until: io.now + .milliseconds(30))
            #expect(store.healthWrites == writes)
            #expect(store.rows[id]?.health.status != "disconnected")
            store.comeBack()
            await watch.bell.wait("health and log are written") {
                store.rows[id]?.health.status == "disconnected"
                    && store.entries.last?.eventType == "disconnected"
            }
            #expect(store.entries.map(\.eventType) == ["load", "disconnected"])
            await watch.stop()
        }
    }

    @Test func theLogThatWaitsIsBoundedAndItsGapIsSaid() async throws {
        try await RingFixture.run { io in
            let store = MemoryStore()
            let id = store.add(.test("db")).id
            var settings = CoordinatorSettings.still
            settings.logEntriesMax = 100
            let watch = Watch(io, store, settings)
            await watch.start()
            await watch.bell.wait("the load is written") { store.entries.count == 1 }
            store.goAway()
            for number in 0..<350 {
                watch.coordinator.writer.append(.test(id, "event \(number)"))
            }
            #expect(watch.coordinator.writer.droppedEntries == 250)
            store.comeBack()
            await watch.bell.wait("the newest are written") { store.entries.count == 101 }
            #expect(
                store.entries.dropFirst().map(\.eventType) == (250..<350).map { "event \($0)" })
            let gap = try #require(
                watch.journal.records.first { $0.message.contains("health log has a gap") })
            #expect(gap.fields["dropped"] == "250")
            await watch.stop()
        }
    }

    @Test func aServerDisabledWhileTheStoreIsAwayDoesNotComeBackWithIt() async throws {
        try await RingFixture.run { io in
            let store = MemoryStore()
            let id = store.add(.test("db")).id
            let watch = Watch(io, store)
            await watch.start()
            store.goAway()
            watch.session(id).mood = .refused
            await watch.wait(for: "db: circuit_open→disabled")
            #expect(store.rows[id]?.configuration.isActive == true)
            watch.forget()
            store.comeBack()
            await watch.bell.wait("the row is inactive") {
                store.rows[id]?.configuration.status == "inactive"
                    && store.rows[id]?.health.status == "disabled"
            }
            try await watch.coordinator.registry.read()
            #expect(watch.coordinator.registry.count == 0)
            #expect(watch.lines.isEmpty)
            await watch.stop()
        }
    }

    @Test func entriesOfADeletedServerDoNotSpoilTheirBatch() async throws {
        try await RingFixture.run { io in
            let store = MemoryStore()
            let id = store.add(.test("db")).id
            let writer = HealthWriter(
                io: io, store: store, log: Log(.recording(), service: .coordinator),
                settings: .quick)
            writer.append(.test(id, "first"))
            writer.append(.test(99, "of nobody"))
            writer.append(.test(id, "last"))
            writer.note(ServerHealth(status: "healthy"), of: 99)
            #expect(await writer.flush())
            #expect(store.entries.map(\.eventType) == ["first", "last"])
            #expect(!writer.hasPending)
        }
    }

    @Test func theNewestHealthOfEachServerIsWrittenOnce() async throws {
        try await RingFixture.run { io in
            let store = MemoryStore()
            let id = store.add(.test("db")).id
            let writer = HealthWriter(
                io: io, store: store, log: Log(.recording(), service: .coordinator),
                settings: .quick)
            for count in 1...100 { writer.note(ServerHealth(errorCount: count), of: id) }
            #expect(await writer.flush())
            #expect(store.healthWrites == 1)
            #expect(store.rows[id]?.health.errorCount == 100)
        }
    }

    @Test func entriesKeepTheirOrderThroughTakingAndPuttingBack() {
        var entries = RecentEntries()
        var seen: [String] = []
        for number in 0..<500 {
            #expect(entries.append(.test(1, "\(number)"), countMax: 1000) == 0)
            if number % 7 == 0 {
                let batch = entries.take(5)
                if number % 2 == 0 {
                    seen += batch.map(\.eventType)
                } else {
                    #expect(entries.putBack(batch, countMax: 1000) == 0)
                }
            }
        }
        while !entries.isEmpty { seen += entries.take(64).map(\.eventType) }
        #expect(seen == (0..<500).map(String.init))
    }

    @Test func beyondTheBoundTheOldestGo() {
        var entries = RecentEntries()
        for number in 0..<10 { _ = entries.append(.test(1, "\(number)"), countMax: 4) }
        let batch = entries.take(2)
        #expect(batch.map(\.eventType) == ["6", "7"])
        #expect(entries.append(.test(2, "10"), countMax: 4) == 0)
        #expect(entries.append(.test(2, "11"), countMax: 4) == 0)
        #expect(entries.putBack(batch, countMax: 4) == 2)
        entries.removeAll(of: 1)
        #expect(entries.take(9).map(\.eventType) == ["10", "11"])
        #expect(entries.isEmpty)
    }
}

extension HealthLogEntry {
    static func test(_ server: Int, _ event: String) -> HealthLogEntry {
        HealthLogEntry(serverID: server, timestamp: 0, status: "healthy", eventType: event)
    }
}
