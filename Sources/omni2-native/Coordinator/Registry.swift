import OmniCore
import OmniIO

/// Which servers live, by id and by name: the active rows of `omni2.mcp_servers`, kept in step.
///
/// A notice of the store applies at once, the poll is the net beneath it. One reading runs at a
/// time; a notice that comes meanwhile causes another. While the store is away the registry stays
/// as it was. It decides who lives; the coordinator, told through `changed`, does the rest.
final class Registry {
    enum Change {
        case added(LiveServer)
        /// Changed so that it needs a new session; both have the same id, maybe not the same name.
        case replaced(old: LiveServer, new: LiveServer)
        /// Changed in a way that leaves its session alone.
        case adjusted(LiveServer)
        case removed(LiveServer, Removal)
    }

    enum Removal: Equatable {
        case deleted
        /// The row is there but not active.
        case deactivated
    }

    var settings: CoordinatorSettings
    /// Set once, by the coordinator.
    var changed: (Change) -> Void = { _ in }
    /// Called after each reading that succeeded, its changes told.
    var wasRead: () -> Void = {}
    /// Has the registry been read since the start?
    private(set) var isKnown = false
    private(set) var readings: UInt64 = 0

    private let io: any IO
    private let store: any Store
    private let writer: HealthWriter
    private let log: Log
    private let makeSession: (ServerRecord) -> any WatchedServer
    private let alarm: Alarm
    private var byID: [Int: LiveServer] = [:]
    private var byName: [String: LiveServer] = [:]
    private var waiting: [Promise<Result<Void, StoreError>>] = []
    private var isReadable = true
    private var isStopped = false
    private let ended: Promise<Void>

    init(
        io: any IO, store: any Store, writer: HealthWriter, log: Log,
        settings: CoordinatorSettings, makeSession: @escaping (ServerRecord) -> any WatchedServer
    ) {
        self.io = io
        self.store = store
        self.writer = writer
        self.log = log
        self.settings = settings
        self.makeSession = makeSession
        alarm = Alarm(io)
        ended = Promise(io)
    }

    // MARK: Who lives

    var count: Int { byID.count }

    /// In order of their ids, so that lists are stable.
    var servers: [LiveServer] { byID.values.sorted { $0.id < $1.id } }

    func server(id: Int) -> LiveServer? { byID[id] }

    /// By the exact name, whatever characters it has.
    func server(named name: String) -> LiveServer? { byName[name] }

    func isLive(_ server: LiveServer) -> Bool { byID[server.id] === server }

    // MARK: Keeping in step

    func start() {
        alarm.ring()
        io.spawn { await self.keepInStep() }
    }

    func stop() async {
        isStopped = true
        alarm.ring()
        await ended.value(until: io.now + settings.closeTimeout)
    }

    /// Something may have changed: read soon.
    func requestReading() { alarm.ring() }

    /// Returns when a reading that began after this call is done, its loads begun.
    func read() async throws(StoreError) {
        guard !isStopped else { throw .unavailable("the daemon is stopping") }
        let promise = Promise<Result<Void, StoreError>>(io)
        waiting.append(promise)
        alarm.ring()
        // A reading always ends: each statement has its own deadline.
        try await promise.value(until: .distantFuture)?.get()
    }

    private func keepInStep() async {
        while !isStopped {
            await alarm.wait(until: io.now + settings.pollInterval)
            if !isStopped { await io.sleep(until: io.now + settings.debounce) }
            if !isStopped { await readOnce() }
        }
        for promise in waiting { promise.fulfil(.failure(.unavailable("the daemon is stopping"))) }
        ended.fulfil(())
    }

    private func readOnce() async {
        let promises = waiting
        waiting = []
        // A server we disabled while the store was away must not come back to life first.
        _ = await writer.flush()
        let result: Result<Void, StoreError>
        do throws(StoreError) {
            let rows = try await store.servers()
            if !isStopped { apply(rows) }
            result = .success(())
        } catch {
            result = .failure(error)
        }
        noteReading(result)
        for promise in promises { promise.fulfil(result) }
    }

    private func noteReading(_ result: Result<Void, StoreError>) {
        readings += 1
        switch result {
        case .success:
            isKnown = true
            if !isReadable { log.notice("registry readable again", fields: ["servers": count]) }
            isReadable = true
            wasRead()
        case .failure(let error):
            if isReadable {
                log.warning(
                    "registry unreadable, serving what is in memory", id: .registryUnreadable,
                    fields: ["servers": count, "error": "\(error)"])
            }
            isReadable = false
        }
    }

    // MARK: Differences

    private func apply(_ rows: [ServerRecord]) {
        var active = rows.filter { $0.configuration.isActive && !writer.isDisabling($0.id) }
        if active.count > settings.serversMax {
            log.error(
                "more servers than allowed, ignoring the newest",
                fields: ["servers": active.count, "limit": settings.serversMax])
            active = Array(active.sorted { $0.id < $1.id }.prefix(settings.serversMax))
        }
        let known = Set(rows.map(\.id))
        let wanted = Set(active.map(\.id))
        var changes: [Change] = []
        for server in servers where !wanted.contains(server.id) {
            byID[server.id] = nil
            changes.append(.removed(server, known.contains(server.id) ? .deactivated : .deleted))
        }
        for row in active {
            if let change = adopt(row) { changes.append(change) }
        }
        indexNames()
        for change in changes { changed(change) }
    }

    private func adopt(_ row: ServerRecord) -> Change? {
        guard let server = byID[row.id] else {
            let server = LiveServer(row, session: makeSession(row))
            byID[row.id] = server
            return .added(server)
        }
        let before = server.record.configuration
        server.record.updatedAt = row.updatedAt
        if row.configuration == before { return nil }
        if row.configuration.connects(like: before) {
            server.record.configuration = row.configuration
            return .adjusted(server)
        }
        return replace(server, with: row.configuration)
    }

    private func replace(_ old: LiveServer, with configuration: ServerConfiguration) -> Change {
        var record = old.record
        record.configuration = configuration
        let new = LiveServer(record, session: makeSession(record))
        byID[old.id] = new
        return .replaced(old: old, new: new)
    }

    private func indexNames() {
        byName.removeAll(keepingCapacity: true)
        for server in byID.values { byName[server.name] = server }
    }

    // MARK: By order

    /// A new session for a server whose row has not changed.
    func reload(_ server: LiveServer) -> LiveServer? {
        guard isLive(server) else { return nil }
        let change = replace(server, with: server.record.configuration)
        indexNames()
        changed(change)
        return byID[server.id]
    }

    /// Takes out a server ahead of its row: it was disabled.
    func retire(_ server: LiveServer) {
        guard isLive(server) else { return }
        byID[server.id] = nil
        indexNames()
        changed(.removed(server, .deactivated))
    }
}
