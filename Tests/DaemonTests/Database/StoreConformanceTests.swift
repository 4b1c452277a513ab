import OmniCore
import OmniIO
import Testing

@testable import omni2_native

/// What `Store` promises, over both engines.
@Suite("Store")
struct StoreConformanceTests {
    @Test(arguments: StoreEngine.allCases)
    func aServerComesBackAsItWasInserted(engine: StoreEngine) async throws {
        try await engine.run { io, store, _ in
            let sample = ServerConfiguration.sample()
            let before = Int64(io.wallMicroseconds) - 2_000_000
            let inserted = try await store.insert(sample)
            #expect(inserted.configuration.withCanonicalMetaData == sample.withCanonicalMetaData)
            #expect(inserted.health == ServerHealth())
            #expect(inserted.createdAt > before)
            #expect(inserted.updatedAt >= inserted.createdAt)
            #expect(try await store.server(id: inserted.id) == inserted)
            #expect(try await store.servers() == [inserted])
            #expect(try await store.server(id: inserted.id + 1) == nil)
        }
    }

    @Test(arguments: StoreEngine.allCases)
    func everyKindOfAuthenticationComesBack(engine: StoreEngine) async throws {
        try await engine.run { _, store, _ in
            let kinds: [ServerConfiguration.Authentication] = [
                .none, .bearer(token: "t"), .apiKey(header: "X-Key", key: "k"),
                .headers([.init(name: "A", value: "1"), .init(name: "B", value: "2")]),
            ]
            for (index, kind) in kinds.enumerated() {
                var configuration = ServerConfiguration.sample("server\(index)")
                configuration.authentication = kind
                let id = try await store.insert(configuration).id
                #expect(try await store.server(id: id)?.configuration.authentication == kind)
            }
        }
    }

    @Test(arguments: StoreEngine.allCases)
    func aTakenNameIsAConflict(engine: StoreEngine) async throws {
        try await engine.run { _, store, _ in
            _ = try await store.insert(.sample("a"))
            let other = try await store.insert(.sample("b"))
            await #expect(throws: StoreError.conflict("the name is taken")) {
                try await store.insert(.sample("a"))
            }
            await #expect(throws: StoreError.conflict("the name is taken")) {
                try await store.update(id: other.id, .sample("a"))
            }
            #expect(try await store.servers().map(\.name) == ["a", "b"])
        }
    }

    @Test(arguments: StoreEngine.allCases)
    func anUpdateChangesTheConfigurationAlone(engine: StoreEngine) async throws {
        try await engine.run { _, store, _ in
            let id = try await store.insert(.sample()).id
            let health = ServerHealth.sample
            try await store.write(health: health, ofServer: id)
            var changed = ServerConfiguration.sample("renamed")
            changed.status = "inactive"
            changed.authentication = .none
            changed.description = nil
            let updated = try await store.update(id: id, changed)
            #expect(updated.configuration.withCanonicalMetaData == changed.withCanonicalMetaData)
            #expect(updated.health == health)
            #expect(try await store.server(id: id) == updated)
        }
    }

    @Test(arguments: StoreEngine.allCases)
    func whatIsNotThereIsNotFound(engine: StoreEngine) async throws {
        try await engine.run { io, store, _ in
            await #expect(throws: StoreError.notFound) {
                try await store.update(id: 99, .sample())
            }
            await #expect(throws: StoreError.notFound) { try await store.delete(id: 99) }
            await #expect(throws: StoreError.notFound) {
                try await store.write(health: ServerHealth(), ofServer: 99)
            }
            await #expect(throws: StoreError.notFound) {
                try await store.append([.sample(server: 99, at: 1)])
            }
            await #expect(throws: StoreError.notFound) {
                try await store.replaceTools(
                    ofServer: 99, with: [ToolRecord(name: "t", inputSchema: "{}")])
            }
            let nothing = try await store.configurationValue("nothing")
            #expect(nothing == nil)
        }
    }

    @Test(arguments: StoreEngine.allCases)
    func whatHangsOnAServerGoesWithIt(engine: StoreEngine) async throws {
        try await engine.run { _, store, _ in
            let id = try await store.insert(.sample()).id
            try await store.append([.sample(server: id, at: 1)])
            try await store.replaceTools(
                ofServer: id, with: [ToolRecord(name: "t", inputSchema: "{}")])
            try await store.delete(id: id)
            #expect(try await store.servers().isEmpty)
            #expect(try await store.healthLog(ofServer: id, limit: 10).isEmpty)
            #expect(try await store.tools(ofServer: id).isEmpty)
        }
    }

    @Test(arguments: StoreEngine.allCases)
    func healthComesBackToTheMicrosecond(engine: StoreEngine) async throws {
        try await engine.run { _, store, _ in
            let record = try await store.insert(.sample())
            try await store.write(health: .sample, ofServer: record.id)
            let read = try await store.server(id: record.id)
            #expect(read?.health == .sample)
            #expect(read?.updatedAt == record.updatedAt)
            try await store.write(health: ServerHealth(), ofServer: record.id)
            #expect(try await store.server(id: record.id)?.health == ServerHealth())
        }
    }

    @Test(arguments: StoreEngine.allCases)
    func theHealthLogIsReadNewestFirst(engine: StoreEngine) async throws {
        try await engine.run { _, store, _ in
            let id = try await store.insert(.sample()).id
            var entries = (1...5).map { HealthLogEntry.sample(server: id, at: $0 * 1000) }
            entries[4].metaData = #"{"n": 1}"#
            try await store.append(entries)
            let read = try await store.healthLog(ofServer: id, limit: 3)
            #expect(read.map(\.timestamp) == [5000, 4000, 3000])
            #expect(read[0].id > 0)
            let metaData = try #require(read[0].metaData)
            #expect(try JSONValue(parsing: metaData) == ["n": 1])
            #expect(read[1].metaData == nil)
            #expect(read[1].eventType == "health_check_success")
            #expect(read[1].responseTimeMilliseconds == 12)
            try await store.append([])
        }
    }

    @Test(arguments: StoreEngine.allCases)
    func pruningTakesTheOldestInBatches(engine: StoreEngine) async throws {
        try await engine.run { _, store, _ in
            let id = try await store.insert(.sample()).id
            try await store.append((1...10).map { .sample(server: id, at: $0) })
            #expect(try await store.pruneHealthLog(before: 8, limit: 5) == 5)
            #expect(try await store.healthLog(ofServer: id, limit: 10).last?.timestamp == 6)
            #expect(try await store.pruneHealthLog(before: 8, limit: 5) == 2)
            #expect(
                try await store.healthLog(ofServer: id, limit: 10).map(\.timestamp) == [10, 9, 8])
        }
    }

    @Test(arguments: StoreEngine.allCases)
    func retentionSweepsWhatIsOlderThanItsDays(engine: StoreEngine) async throws {
        try await engine.run { io, store, _ in
            let id = try await store.insert(.sample()).id
            let now = Int64(io.wallMicroseconds)
            let day: Int64 = 86_400_000_000
            let old = (0..<2500).map { HealthLogEntry.sample(server: id, at: now - 8 * day - $0) }
            try await store.append(old)
            try await store.append([.sample(server: id, at: now - 6 * day)])
            let retention = HealthLogRetention(io, days: 7)
            #expect(await retention.sweep(store) == 2500)
            #expect(try await store.healthLog(ofServer: id, limit: 10).count == 1)
        }
    }

    @Test(arguments: StoreEngine.allCases)
    func toolsAreReplacedAndADoubledNameIsKeptOnce(engine: StoreEngine) async throws {
        try await engine.run { _, store, _ in
            let id = try await store.insert(.sample()).id
            let first = (0..<300).map { ToolRecord(name: "tool\($0)", inputSchema: "{}") }
            try await store.replaceTools(ofServer: id, with: first)
            #expect(try await store.tools(ofServer: id) == first)
            let second = [
                ToolRecord(name: "a", description: "d", inputSchema: "[]"),
                ToolRecord(name: "a", description: "again", inputSchema: "[]"),
            ]
            try await store.replaceTools(ofServer: id, with: second)
            #expect(try await store.tools(ofServer: id) == [second[0]])
        }
    }

    @Test(arguments: StoreEngine.allCases)
    func aBadToolLeavesTheOldOnes(engine: StoreEngine) async throws {
        try await engine.run { _, store, _ in
            let id = try await store.insert(.sample()).id
            let good = [ToolRecord(name: "good", inputSchema: "{}")]
            try await store.replaceTools(ofServer: id, with: good)
            await #expect {
                try await store.replaceTools(
                    ofServer: id, with: [ToolRecord(name: "bad", inputSchema: "not JSON")])
            } throws: { if case StoreError.failed = $0 { true } else { false } }
            #expect(try await store.tools(ofServer: id) == good)
        }
    }

    @Test(arguments: StoreEngine.allCases)
    func configurationValuesAreSetAndReplaced(engine: StoreEngine) async throws {
        try await engine.run { _, store, _ in
            try await store.setConfigurationValue("k", to: #"{"a":[1]}"#)
            try await store.setConfigurationValue("k", to: #"{"a":[1,2]}"#)
            let text = try #require(await store.configurationValue("k"))
            #expect(try JSONValue(parsing: text) == ["a": [1, 2]])
        }
    }

    @Test(arguments: StoreEngine.allCases)
    func aWriteOfOursIsHeardAndHealthIsNot(engine: StoreEngine) async throws {
        try await engine.run { _, store, events in
            let id = try await store.insert(.sample()).id
            #expect(await events.changes(atLeast: 1))
            try await store.write(health: .sample, ofServer: id)
            try await store.append([.sample(server: id, at: 1)])
            try await store.replaceTools(ofServer: id, with: [])
            var changed = ServerConfiguration.sample()
            changed.timeoutSeconds = 99
            _ = try await store.update(id: id, changed)
            #expect(await events.changes(atLeast: 2))
            try await store.delete(id: id)
            #expect(await events.changes(atLeast: 3))
            #expect(events.changes == 3)
        }
    }

    @Test(arguments: StoreEngine.allCases)
    func afterAStopEveryCallIsUnavailable(engine: StoreEngine) async throws {
        try await engine.run { _, store, _ in
            await store.stop()
            await #expect {
                try await store.servers()
            } throws: { if case StoreError.unavailable = $0 { true } else { false } }
        }
    }
}

extension ServerHealth {
    static var sample: ServerHealth {
        var health = ServerHealth()
        health.status = "circuit_open"
        health.lastCheck = 1_763_712_000_123_457
        health.errorCount = 3
        health.circuitState = "open"
        health.consecutiveFailures = 5
        health.failureCycleCount = 2
        health.lastRecoveryAttempt = 1_763_712_000_000_001
        health.totalDowntimeSeconds = 77
        health.autoDisabledAt = 999_999
        health.autoDisabledReason = "three openings in a row"
        return health
    }
}

extension HealthLogEntry {
    static func sample(server: Int, at time: some BinaryInteger) -> HealthLogEntry {
        HealthLogEntry(
            serverID: server, timestamp: Int64(time), status: "healthy",
            responseTimeMilliseconds: 12, eventType: "health_check_success")
    }
}
