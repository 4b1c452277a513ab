import OmniCore
import OmniIO
import Testing

@testable import omni2_native

/// Both engines under one roof: what holds for the one must hold for the other.
enum StoreEngine: String, CaseIterable, Sendable {
    case sqlite, postgresql

    /// Runs `body` with a store of its own that is ready.
    func run(
        _ settings: SQLStore.Settings = SQLStore.Settings(),
        _ body: @escaping @Sendable (RingIO, SQLStore, StoreEvents) async throws -> Void
    ) async throws {
        let folder = try TemporaryFolder()
        let url =
            if self == .postgresql {
                try PostgresServer.shared.get().url(try PostgresServer.shared.get().makeDatabase())
            } else { "" }
        try await RingFixture.run { io in
            let store: SQLStore =
                self == .sqlite
                ? .sqlite(io, path: folder.path + "/omni2.db", settings)
                : .postgresql(io, url: url, settings)
            try await withRunning(store, io) { events in try await body(io, store, events) }
        }
    }
}

/// Starts the store, waits until it is ready, and stops it afterwards, whatever happens.
func withRunning(
    _ store: SQLStore, _ io: RingIO, _ body: (StoreEvents) async throws -> Void
) async throws {
    let events = StoreEvents(store, io)
    store.start()
    do {
        try #require(await events.state { $0 == .ready }, "\(store.state)")
        try await body(events)
    } catch {
        await store.stop()
        throw error
    }
    await store.stop()
}

/// Hears what a store tells, and lets a test wait for it.
final class StoreEvents {
    private let io: RingIO
    private let store: SQLStore
    private var waiting: [WaitTicket] = []
    private(set) var states: [StoreState] = []
    private(set) var changes = 0

    init(_ store: SQLStore, _ io: RingIO) {
        self.io = io
        self.store = store
        store.stateChanged = { [unowned self] state in
            states.append(state)
            wake()
        }
        store.registryChanged = { [unowned self] in
            changes += 1
            wake()
        }
    }

    private func wake() {
        let tickets = waiting
        waiting.removeAll()
        for ticket in tickets { io.wake(ticket) }
    }

    private func until(_ isTrue: () -> Bool, _ seconds: Int) async -> Bool {
        let deadline = io.now + .seconds(seconds)
        while !isTrue() && io.now < deadline {
            let ticket = io.makeTicket()
            waiting.append(ticket)
            _ = await io.wait(for: ticket, until: deadline)
        }
        return isTrue()
    }

    /// False when `predicate` is not true of the state within half a minute.
    func state(_ predicate: (StoreState) -> Bool) async -> Bool {
        await until({ predicate(store.state) }, 30)
    }

    func isUnavailable() async -> Bool {
        await state { if case .unavailable = $0 { true } else { false } }
    }

    func changes(atLeast count: Int) async -> Bool { await until({ changes >= count }, 10) }
}

extension ServerConfiguration {
    static func sample(_ name: String = "files") -> ServerConfiguration {
        var configuration = ServerConfiguration(name: name, url: "http://127.0.0.1:9/mcp")
        configuration.description = "Ünïcode 'quoted' \"twice\""
        configuration.retryDelaySeconds = 2.5
        configuration.timeoutSeconds = 45
        configuration.maxRetries = 4
        configuration.maxFailureCycles = 7
        configuration.canAutoEnable = false
        configuration.authentication = .bearer(token: "s3cret")
        configuration.metaData = #"{"stdio": {"command": "x"}}"#
        return configuration
    }

    /// Each engine writes JSON with white space of its own.
    var withCanonicalMetaData: ServerConfiguration {
        var copy = self
        copy.metaData = (try? JSONValue(parsing: metaData))?.text ?? metaData
        return copy
    }
}
