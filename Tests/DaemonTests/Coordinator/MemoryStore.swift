import OmniCore

@testable import omni2_native

/// A store that goes away and comes back when a test says so.
final class MemoryStore: Store {
    let engine = "memory"
    private(set) var state = StoreState.ready
    var stateChanged: (StoreState) -> Void = { _ in }
    var registryChanged: () -> Void = {}

    private(set) var rows: [Int: ServerRecord] = [:]
    private(set) var entries: [HealthLogEntry] = []
    private(set) var toolRows: [Int: [ToolRecord]] = [:]
    private(set) var healthWrites = 0
    private(set) var readings = 0
    var values: [String: String] = [:]
    var wrote: () -> Void = {}
    private var lastID = 0

    func start() {}
    func stop() async {}

    func goAway() {
        state = .unavailable(reason: "gone", since: 0)
        stateChanged(state)
    }

    func comeBack() {
        state = .ready
        stateChanged(state)
    }

    private func reach() throws(StoreError) {
        if state != .ready { throw .unavailable("gone") }
    }

    func servers() async throws(StoreError) -> [ServerRecord] {
        try reach()
        readings += 1
        defer { wrote() }
        return rows.values.sorted { $0.id < $1.id }
    }

    func server(id: Int) async throws(StoreError) -> ServerRecord? {
        try reach()
        return rows[id]
    }

    func insert(_ configuration: ServerConfiguration) async throws(StoreError) -> ServerRecord {
        try reach()
        return add(configuration)
    }

    /// As `insert`, but what an operator does with SQL.
    @discardableResult
    func add(
        _ configuration: ServerConfiguration, health: ServerHealth = ServerHealth()
    ) -> ServerRecord {
        lastID += 1
        let row = ServerRecord(
            id: lastID, configuration: configuration, health: health, createdAt: 0, updatedAt: 0)
        rows[lastID] = row
        registryChanged()
        return row
    }

    func update(id: Int, _ configuration: ServerConfiguration) async throws(StoreError)
        -> ServerRecord
    {
        try reach()
        guard rows[id] != nil else { throw .notFound }
        change(id) { $0 = configuration }
        return rows[id]!
    }

    func change(_ id: Int, _ edit: (inout ServerConfiguration) -> Void) {
        edit(&rows[id]!.configuration)
        rows[id]!.updatedAt += 1
        wrote()
        registryChanged()
    }

    func delete(id: Int) async throws(StoreError) {
        try reach()
        remove(id)
    }

    func remove(_ id: Int) {
        rows[id] = nil
        registryChanged()
    }

    func write(health: ServerHealth, ofServer id: Int) async throws(StoreError) {
        try reach()
        guard rows[id] != nil else { throw .notFound }
        rows[id]!.health = health
        healthWrites += 1
        wrote()
    }

    func append(_ entries: [HealthLogEntry]) async throws(StoreError) {
        try reach()
        // As a foreign key would have it.
        guard entries.allSatisfy({ rows[$0.serverID] != nil }) else { throw .failed("no such row") }
        self.entries += entries
        wrote()
    }

    func healthLog(ofServer id: Int, limit: Int) async throws(StoreError) -> [HealthLogEntry] {
        try reach()
        return Array(entries.filter { $0.serverID == id }.reversed().prefix(limit))
    }

    func pruneHealthLog(before time: Int64, limit: Int) async throws(StoreError) -> Int { 0 }

    func tools(ofServer id: Int) async throws(StoreError) -> [ToolRecord] { toolRows[id] ?? [] }

    func replaceTools(ofServer id: Int, with tools: [ToolRecord]) async throws(StoreError) {
        try reach()
        toolRows[id] = tools
        wrote()
    }

    func configurationValue(_ key: String) async throws(StoreError) -> String? {
        try reach()
        return values[key]
    }

    func setConfigurationValue(_ key: String, to json: String) async throws(StoreError) {
        try reach()
        values[key] = json
    }
}
