import OmniCore
import OmniIO
import Testing

@testable import omni2_native

/// A coordinator with fake servers, a store and ears for everything it says.
final class Watch {
    let io: any IO
    let store: any Store
    let bell: Bell
    let journal = Journal.recording()
    private(set) var coordinator: Coordinator
    /// In the order they were published, without those of each cycle.
    private(set) var events: [Event] = []
    /// What each check found, which comes too often for a story told in lines.
    private(set) var checks: [JSONValue] = []
    private(set) var cycles = 0
    private(set) var changes: [String] = []
    /// Every session made, by the id of its server.
    private(set) var sessions: [Int: [FakeServer]] = [:]
    /// The mood new sessions are born in.
    var mood: (ServerRecord) -> FakeServer.Mood = { _ in .healthy }

    struct Event: Equatable {
        var line: String
        var type: String
        var data: JSONValue
        var json: JSONValue
    }

    init(
        _ io: any IO, _ store: any Store, _ settings: CoordinatorSettings = .quick,
        _ circuits: CircuitBreakerConfiguration = .quick
    ) {
        self.io = io
        self.store = store
        let bell = Bell(io)
        self.bell = bell
        (store as? MemoryStore)?.wrote = { bell.ring() }
        // What it needs of us is there once `self` is complete.
        var publish: (ServiceEvent) -> Void = { _ in }
        var makeSession: (ServerRecord) -> any WatchedServer = {
            FakeServer($0, mood: .healthy, io: io, bell: bell)
        }
        coordinator = Coordinator(
            io: io, store: store, journal: journal, settings: settings, circuits: circuits,
            publish: { publish($0) }, makeSession: { makeSession($0) })
        publish = { [unowned self] in self.hear($0) }
        makeSession = { [unowned self] in self.make($0) }
        coordinator.observers.append { [unowned self] in self.changes.append(Self.line($0)) }
    }

    /// Starts and waits until every server has been tried.
    func start() async {
        coordinator.start()
        _ = await coordinator.firstLoadsEnded(until: io.now + .seconds(20))
    }

    func stop() async { await coordinator.stop(until: io.now + .seconds(2)) }

    /// The live session of a server.
    func session(_ id: Int) -> FakeServer { sessions[id]!.last! }

    func server(_ id: Int) -> LiveServer { coordinator.registry.server(id: id)! }

    var lines: [String] { events.map(\.line) }

    func forget() {
        events = []
        changes = []
    }

    func count(_ line: String) -> Int { events.count { $0.line == line } }

    /// Waits until an event has come (`count` times).
    func wait(for line: String, _ count: Int = 1) async {
        await bell.wait("\(line) in \(lines)") { self.count(line) >= count }
    }

    private func make(_ record: ServerRecord) -> FakeServer {
        let session = FakeServer(record, mood: mood(record), io: io, bell: bell)
        sessions[record.id, default: []].append(session)
        return session
    }

    private func hear(_ event: ServiceEvent) {
        let text = "{" + String(decoding: event.members, as: UTF8.self) + "}"
        let json = (try? JSONValue(parsing: text)) ?? .null
        defer { bell.ring() }
        if event.type == "system_metrics" { return cycles += 1 }
        if event.type == "system_health" { return }
        let data = json["data"] ?? .null
        if event.type == "mcp_health_check" { return checks.append(data) }
        events.append(
            Event(line: Self.line(event.type, data, json), type: event.type, data: data, json: json)
        )
    }

    private static func line(_ type: String, _ data: JSONValue, _ json: JSONValue) -> String {
        func text(_ name: String) -> String { data[name]?.string ?? "?" }
        switch type {
        case "mcp_status_change":
            return "\(text("mcp_name")): \(text("old_status"))→\(text("new_status"))"
        case "circuit_breaker_state":
            return "\(text("mcp_name")) circuit: \(text("old_state"))→\(text("new_state"))"
        case "health_event":
            return "\(json["mcp_name"]?.string ?? "?") \(json["event_type"]?.string ?? "?")"
        default: return "\(text("mcp_name")) \(type)"
        }
    }

    private static func line(_ change: Coordinator.ServerChange) -> String {
        switch change {
        case .available(let server): "\(server.name) available"
        case .unavailable(let server): "\(server.name) unavailable"
        case .catalogueChanged(let server): "\(server.name) catalogue changed"
        case .circuitChanged(let server): "\(server.name) circuit changed"
        case .reloaded(let old, let new): "\(old.name) reloaded as \(new.name)"
        case .unloaded(let server): "\(server.name) unloaded"
        }
    }
}

extension CoordinatorSettings {
    /// Everything as fast as a test wants it.
    static var quick: CoordinatorSettings {
        var settings = CoordinatorSettings()
        settings.interval = .milliseconds(15)
        settings.backoff = [5, 10, 15].map { .milliseconds($0) }
        settings.checkTimeout = .milliseconds(300)
        settings.connectTimeoutMax = .milliseconds(300)
        settings.checkGrace = .milliseconds(10)
        settings.checkGap = .milliseconds(5)
        settings.pollInterval = .milliseconds(25)
        settings.debounce = .milliseconds(1)
        settings.writeDelay = .milliseconds(1)
        settings.storeRetry = .milliseconds(20)
        settings.closeTimeout = .milliseconds(50)
        settings.loadPatience = .milliseconds(20)
        return settings
    }

    /// Nothing happens by itself but the first loads and what is asked for.
    static var still: CoordinatorSettings {
        var settings = quick
        settings.interval = .seconds(3600)
        settings.pollInterval = .seconds(3600)
        settings.backoff = [.seconds(3600)]
        settings.jitterPercent = 0
        return settings
    }
}

extension CircuitBreakerConfiguration {
    static var quick: CircuitBreakerConfiguration {
        var configuration = CircuitBreakerConfiguration()
        configuration.failureThreshold = 3
        configuration.openTimeout = .milliseconds(10)
        return configuration
    }
}

extension ServerConfiguration {
    static func test(_ name: String) -> ServerConfiguration {
        var configuration = ServerConfiguration(
            name: name, url: "http://user:pw@127.0.0.1:1/\(name)")
        configuration.maxRetries = 1
        configuration.retryDelaySeconds = 0
        return configuration
    }
}

extension FakeServer.Mood {
    static let refused = FakeServer.Mood.failing(ServerFailure(reason: "connection refused"))
}
