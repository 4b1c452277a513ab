import OmniCore
import OmniIO

/// The embedded engine: one file, one connection, opened and re-opened by a keeper.
final class SQLiteEngine: SQLEngine {
    let dialect = SQLDialect(engine: .sqlite)
    let announcesChanges = false
    var registryChanged: () -> Void = {}
    var accessChanged: () -> Void = {}
    var healthChanged: () -> Void = {}
    /// Nobody else has this file.
    let isLeader = true
    var leadershipChanged: (Bool) -> Void = { _ in }

    private let io: any IO
    private let database: SQLiteDatabase
    private let statementTimeout: Duration
    private var keeper: ConnectionKeeper?
    private var watching: WaitTicket?
    private var lossReason = "the database is not open"

    var state: StoreState { keeper?.state ?? .starting }
    var stateChanged: (StoreState) -> Void = { _ in }

    init(_ io: any IO, path: String, statementTimeout: Duration = .seconds(5)) {
        self.io = io
        self.statementTimeout = statementTimeout
        database = SQLiteDatabase(io, SQLiteDatabase.Settings(path: path))
    }

    func start() {
        // The keeper and this hold each other until it has stopped.
        let keeper = ConnectionKeeper(
            io,
            connect: { [database, io] () throws(SQLError) in
                try await database.open(EmbeddedMigrations.sqlite, until: io.now + .seconds(60))
            },
            watch: { await self.waitForLoss() },
            interrupt: { self.noteLoss("stopping") })
        keeper.stateChanged = { self.stateChanged($0) }
        self.keeper = keeper
        keeper.start()
    }

    func stop() async {
        await keeper?.stop()
        await database.close(until: io.now + statementTimeout)
    }

    func run(_ commands: [SQLCommand]) async throws(SQLError) -> [SQLResult] {
        guard state == .ready else { throw .connectionLost(state.absence) }
        do throws(SQLError) {
            return try await database.run(commands, until: io.now + statementTimeout)
        } catch {
            if case .connectionLost(let reason) = error { noteLoss(reason) }
            throw error
        }
    }

    /// A full disk or an I/O error: whoever sees it first tells the keeper.
    private func noteLoss(_ reason: String) {
        lossReason = reason
        if let watching { io.wake(watching) }
    }

    private func waitForLoss() async -> String {
        let ticket = io.makeTicket()
        watching = ticket
        _ = await io.wait(for: ticket, until: .distantFuture)
        watching = nil
        return lossReason
    }
}
