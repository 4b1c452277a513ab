import OmniCore
import OmniIO

/// The PostgreSQL engine: a pool for statements, and one connection that listens.
///
/// The listening connection is the measure of all: it migrates, it hears of changes within
/// milliseconds, and when it is lost the database is away, which it notices at once.
final class PostgresEngine: SQLEngine {
    struct Settings: Sendable {
        var pool = PostgresPool.Settings()
        /// From the call to its answer, the wait for a connection included.
        var callTimeout: Duration = .seconds(5)
        /// Creating an index on a long history takes its time.
        var migrationTimeout: Duration = .seconds(300)
        /// A listener that hears nothing for so long asks whether anybody is there…
        var silence: Duration = .seconds(10)
        /// …and waits so long for an answer.
        var answerTimeout: Duration = .seconds(5)
        var retry = RetryDelay()
        /// How often a host that does not lead asks whether it may.
        var leadershipInterval: Duration = .seconds(2)
        init() {}
    }

    let dialect = SQLDialect(engine: .postgresql)
    let announcesChanges = true
    var registryChanged: () -> Void = {}
    var accessChanged: () -> Void = {}
    var healthChanged: () -> Void = {}
    var leadershipChanged: (Bool) -> Void = { _ in }
    private(set) var isLeader = false
    var stateChanged: (StoreState) -> Void = { _ in }

    private let io: any IO
    private let settings: Settings
    private let pool: PostgresPool
    private var keeper: ConnectionKeeper?
    private var listener: PostgresConnection?
    private var wasReady = false

    var state: StoreState { keeper?.state ?? .starting }

    init(_ io: any IO, url: String, _ settings: Settings = Settings()) {
        self.io = io
        self.settings = settings
        pool = PostgresPool(io, url: url, settings.pool)
    }

    func start() {
        // The keeper and this hold each other until it has stopped.
        let keeper = ConnectionKeeper(
            io, delay: settings.retry,
            connect: { () throws(SQLError) in try await self.connect() },
            watch: { await self.watch() },
            interrupt: { self.listener?.interrupt() })
        keeper.stateChanged = { self.changed(to: $0) }
        self.keeper = keeper
        keeper.start()
    }

    func stop() async {
        pool.close()
        await keeper?.stop()
        hangUp()
    }

    func run(_ commands: [SQLCommand]) async throws(SQLError) -> [SQLResult] {
        guard state == .ready else { throw .connectionLost(state.absence) }
        return try await pool.run(commands, until: io.now + settings.callTimeout)
    }

    private func changed(to state: StoreState) {
        stateChanged(state)
        // Nobody told us what was changed while we were away.
        if state == .ready {
            if wasReady {
                registryChanged()
                accessChanged()
            }
            wasReady = true
        }
    }

    private func connect() async throws(SQLError) {
        let listener = try await pool.connect(until: io.now + settings.pool.connectTimeout)
        self.listener = listener
        do throws(SQLError) {
            try await listener.migrate(
                EmbeddedMigrations.postgresql, until: io.now + settings.migrationTimeout)
            _ = try await listener.run(
                [
                    SQLCommand("LISTEN omni2_registry"), SQLCommand("LISTEN omni2_access"),
                    SQLCommand("LISTEN omni2_health"),
                ], until: io.now + settings.callTimeout)
            try await seekLeadership(listener)
        } catch {
            hangUp()
            throw error
        }
    }

    /// Returns when the listening connection is lost.
    private func watch() async -> String {
        defer { hangUp() }
        guard let listener else { return "connection closed" }
        do throws(SQLError) {
            while true {
                let pause =
                    isLeader
                    ? settings.silence : min(settings.silence, settings.leadershipInterval)
                let heard = try await listener.notifications(until: io.now + pause)
                if !isLeader { try await seekLeadership(listener) }
                if heard.isEmpty {
                    _ = try await listener.run(
                        [SQLCommand("SELECT 1 AS alive")], until: io.now + settings.answerTimeout)
                } else {
                    if heard.contains(where: { $0.channel == "omni2_registry" }) {
                        registryChanged()
                    }
                    if heard.contains(where: { $0.channel == "omni2_access" }) { accessChanged() }
                    if heard.contains(where: { $0.channel == "omni2_health" }) { healthChanged() }
                }
            }
        } catch {
            return error.reason
        }
    }

    /// "omni2" in figures: the lock of whoever does the health checks. The server frees it when the
    /// session ends, however that comes.
    private static let leaderLock = 0x6F_6D6E_6932

    private func seekLeadership(_ listener: PostgresConnection) async throws(SQLError) {
        let results = try await listener.run(
            [SQLCommand("SELECT pg_try_advisory_lock(\(Self.leaderLock)) AS held")],
            until: io.now + settings.answerTimeout)
        lead(results.first?.rows.first?.flag("held") ?? false)
    }

    private func lead(_ isLeader: Bool) {
        guard self.isLeader != isLeader else { return }
        self.isLeader = isLeader
        leadershipChanged(isLeader)
    }

    private func hangUp() {
        lead(false)
        listener?.close()
        listener = nil
        pool.dropIdle()
    }
}
