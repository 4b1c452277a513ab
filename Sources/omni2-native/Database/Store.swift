import OmniCore

/// The statements the daemon needs, over SQLite or PostgreSQL.
///
/// Every method waits at most as long as its engine's statement timeout and then throws
/// `.unavailable`; nothing is retried inside. Callers serve from memory meanwhile.
protocol Store: AnyObject {
    /// `sqlite` or `postgresql`, for health and journal.
    var engine: String { get }
    var state: StoreState { get }
    /// Called on the ring whenever `state` changes.
    var stateChanged: (StoreState) -> Void { get set }
    /// Called on the ring when somebody changed the registry (NOTIFY, or our own write).
    var registryChanged: () -> Void { get set }

    /// Connects, migrates, and keeps trying in the background with backoff; returns at once.
    func start()
    func stop() async

    func servers() async throws(StoreError) -> [ServerRecord]
    func server(id: Int) async throws(StoreError) -> ServerRecord?
    /// Throws `.conflict` when the name is taken.
    func insert(_ configuration: ServerConfiguration) async throws(StoreError) -> ServerRecord
    /// Throws `.notFound`; `.conflict` when the name is taken.
    func update(id: Int, _ configuration: ServerConfiguration) async throws(StoreError)
        -> ServerRecord
    func delete(id: Int) async throws(StoreError)
    func write(health: ServerHealth, ofServer id: Int) async throws(StoreError)
    func append(_ entries: [HealthLogEntry]) async throws(StoreError)
    /// Newest first.
    func healthLog(ofServer id: Int, limit: Int) async throws(StoreError) -> [HealthLogEntry]
    /// Deletes at most `limit` entries older than `time` (microseconds since 1970 UTC), the oldest
    /// first, and returns how many there were.
    func pruneHealthLog(before time: Int64, limit: Int) async throws(StoreError) -> Int
    func tools(ofServer id: Int) async throws(StoreError) -> [ToolRecord]
    func replaceTools(ofServer id: Int, with tools: [ToolRecord]) async throws(StoreError)

    /// `omni2_config`: JSON text by key; nil when absent or inactive.
    func configurationValue(_ key: String) async throws(StoreError) -> String?
    func setConfigurationValue(_ key: String, to json: String) async throws(StoreError)
}

enum StoreState: Sendable, Equatable {
    case starting
    case ready
    /// Why, and since when (microseconds since 1970 UTC).
    case unavailable(reason: String, since: Int64)
}

enum StoreError: Error, Sendable, Equatable {
    case unavailable(String)
    case conflict(String)
    case notFound
    /// A statement failed for a reason of ours: text for the journal, not for callers.
    case failed(String)
}
