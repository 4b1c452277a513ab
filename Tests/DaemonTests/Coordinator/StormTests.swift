import OmniCore
import OmniIO
import Testing

@testable import omni2_native

/// Everything at once, by seed: servers come, go, change, die, hang and heal, calls fail, the store
/// goes away. What was told must be one unbroken story per server, and in the end all is well.
@Suite("Storm")
struct StormTests {
    @Test(arguments: [1, 2, 3, 4] as [UInt64])
    func afterTheStormEverythingIsWellAndEveryStoryWasWhole(seed: UInt64) async throws {
        try await RingFixture.run { io in
            var settings = CoordinatorSettings.quick
            settings.checkTimeout = .milliseconds(25)
            settings.connectTimeoutMax = .milliseconds(25)
            let store = MemoryStore()
            let watch = Watch(io, store, settings)
            var storm = Storm(watch, store, seed: seed)
            for _ in 0..<12 { storm.add() }
            await watch.start()
            for _ in 0..<400 { await storm.blow() }
            await storm.calm()
            await watch.bell.wait("all is well again, seed \(seed)") { storm.isAllWell }
            for name in Set(watch.events.map(storm.name)) {
                #expect(storm.flaw(of: name) == nil, "\(name), seed \(seed)")
            }
            await watch.stop()
            await watch.bell.wait("every session is closed, seed \(seed)") {
                watch.sessions.values.allSatisfy { $0.allSatisfy { !$0.isConnected } }
            }
        }
    }
}

private struct Storm {
    private let watch: Watch
    private let store: MemoryStore
    private var random: SplitMix64
    private var born = 0

    init(_ watch: Watch, _ store: MemoryStore, seed: UInt64) {
        self.watch = watch
        self.store = store
        random = SplitMix64(seed: seed)
    }

    mutating func add() {
        born += 1
        store.add(.test("server-\(born)"))
    }

    mutating func blow() async {
        let ids = store.rows.keys.sorted()
        let id = ids.randomElement(using: &random) ?? 0
        let live = watch.coordinator.registry.server(id: id)
        switch Int.random(in: 0..<20, using: &random) {
        case 0: add()
        case 1 where ids.count > 6: store.remove(id)
        case 2: store.change(id) { $0.url += "x" }
        case 3: store.change(id) { $0.status = $0.isActive ? "inactive" : "active" }
        case 4: store.goAway()
        case 5, 6: store.comeBack()
        case 7: if live != nil { watch.session(id).mood = .hanging }
        case 8, 9: if live != nil { watch.session(id).mood = .refused }
        case 10, 11, 12: if live != nil { watch.session(id).mood = .healthy }
        case 13: if live?.phase == .up { watch.session(id).die("killed") }
        case 14: if let live { _ = watch.coordinator.reload(live) }
        case 15: if let live { watch.coordinator.resetCircuit(of: live) }
        case 16: watch.fail(id, "connection reset")
        case 17: if let pass = watch.admit(id) { watch.coordinator.callSucceeded(pass) }
        case 18: if let pass = watch.admit(id) { watch.coordinator.callAbandoned(pass) }
        default:
            let pause = Int.random(in: 1...8, using: &random)
            await watch.io.sleep(until: watch.io.now + .milliseconds(pause))
        }
    }

    /// The sky clears: the store is there, every server is healthy and wanted.
    func calm() async {
        store.comeBack()
        _ = await watch.coordinator.writer.flush()
        for id in store.rows.keys.sorted() { store.change(id) { $0.status = "active" } }
        for sessions in watch.sessions.values {
            for session in sessions { session.mood = .healthy }
        }
    }

    var isAllWell: Bool {
        // Those that the breaker disabled in the last gust are enabled once more.
        for (id, row) in store.rows where !row.configuration.isActive {
            store.change(id) { $0.status = "active" }
        }
        return watch.coordinator.registry.count == store.rows.count
            && watch.coordinator.statistics.activeServers == store.rows.count
            && watch.coordinator.breaker.openCount == 0
            && watch.coordinator.recovery.count == 0
            && store.rows.values.allSatisfy {
                $0.health.status == "healthy" && $0.health.circuitState == "closed"
                    && $0.health.consecutiveFailures == 0 && $0.health.autoDisabledAt == nil
            }
    }

    func name(_ event: Watch.Event) -> String {
        event.data["mcp_name"]?.string ?? event.json["mcp_name"]?.string ?? "?"
    }

    /// The first event that does not follow from the one before.
    func flaw(of server: String) -> String? {
        var (status, circuit) = ("not_loaded", "closed")
        for event in watch.events where name(event) == server {
            func text(_ member: String) -> String { event.data[member]?.string ?? "?" }
            switch event.type {
            case "mcp_status_change":
                if text("old_status") != status || text("new_status") == status {
                    return "\(event.line) while \(status)"
                }
                status = text("new_status")
                guard ["disabled", "not_loaded"].contains(status) else { continue }
                (status, circuit) = ("not_loaded", "closed")
            case "circuit_breaker_state":
                if text("old_state") != circuit || text("new_state") == circuit {
                    return "\(event.line) while \(circuit)"
                }
                circuit = text("new_state")
            case "health_event" where circuit != "open": return "\(event.line) while \(circuit)"
            default: continue
            }
        }
        return nil
    }
}
