import OmniCore
import OmniIO
import Testing

@testable import omni2_native

/// History before a database that does not keep up.
@Suite("FlowHistory")
struct FlowHistoryTests {
    private static let rowsMax = 64

    private static func row(_ number: Int) -> HistoryRow {
        let id = "00000000-0000-4000-8000-" + String(String(1_000_000_000_000 + number).suffix(12))
        return HistoryRow(
            .flow,
            [
                .text(id), .integer(7), .null, .text("{}"), .text("rest"),
                .integer(Int64(number)), .integer(Int64(number)),
            ])
    }

    private func run(
        _ body:
            @escaping @Sendable (RingIO, HeldEngine, SQLStore, FlowHistory, Journal)
            async throws -> Void
    ) async throws {
        let folder = try TemporaryFolder()
        try await RingFixture.run { io in
            let engine = HeldEngine(io, SQLiteEngine(io, path: folder.path + "/omni2.db"))
            let store = SQLStore(io, engine)
            try await withRunning(store, io) { _ in
                let journal = Journal.recording()
                let history = FlowHistory(
                    io: io, store: store,
                    spool: RowSpool(io: io, directory: folder.path + "/spool", bytesMax: 1 << 20),
                    log: Log(journal, service: .flowTracker),
                    settings: FlowHistory.Settings(
                        batchDelay: .milliseconds(1), batchRows: 8, rowsMax: Self.rowsMax))
                history.start()
                try await body(io, engine, store, history, journal)
            }
        }
    }

    /// Gives it the database to write to, which does not answer.
    private func saveMany(_ count: Int, _ history: FlowHistory, _ engine: HeldEngine) async {
        engine.isHeld = true
        history.append(Self.row(0))
        #expect(await engine.isAsked())
        for number in 1..<count { history.append(Self.row(number)) }
    }

    @Test func whatDoesNotFitIntoMemoryIsOnDiskUntilTheDatabaseHasTime() async throws {
        try await run { io, engine, store, history, journal in
            await saveMany(Self.rowsMax, history, engine)
            engine.isHeld = false
            #expect(await history.flush())
            #expect(history.written == UInt64(Self.rowsMax) && history.dropped == 0)
            #expect(history.spooled > 0 && !history.hasPending)
            let kept = try await store.flows(FlowQuery(user: 7, limit: 1000))
            #expect(kept.count == Self.rowsMax)
            #expect(!journal.records.contains { $0.level == .error })
        }
    }

    @Test func whatIsTooMuchIsCountedAndSaidOnce() async throws {
        try await run { io, engine, store, history, journal in
            for round in 1...2 {
                await saveMany(Self.rowsMax + 10, history, engine)
                #expect(history.dropped == UInt64(10 * round))
                engine.isHeld = false
                #expect(await history.flush())
                #expect(
                    journal.records.count { $0.message.hasPrefix("flows are lost") } == round)
            }
        }
    }

    @Test func whatADatabaseThatHangsWasGivenIsOnDiskAfterAStop() async throws {
        try await run { io, engine, store, history, journal in
            await saveMany(20, history, engine)
            await history.stop(until: io.now + .milliseconds(50))
            #expect(history.spooled == 20 && history.spoolBytes > 0)
            engine.isHeld = false
        }
    }
}

/// A database that answers when it is let.
private final class HeldEngine: SQLEngine {
    private let io: any IO
    private let inner: any SQLEngine
    private var waiting: [WaitTicket] = []
    private var watcher: WaitTicket?
    var isHeld = false {
        didSet {
            let tickets = waiting
            waiting = []
            for ticket in tickets { io.wake(ticket) }
        }
    }

    init(_ io: any IO, _ inner: any SQLEngine) {
        self.io = io
        self.inner = inner
    }

    func run(_ commands: [SQLCommand]) async throws(SQLError) -> [SQLResult] {
        let deadline = io.now + .seconds(10)
        while isHeld, io.now < deadline {
            let ticket = io.makeTicket()
            waiting.append(ticket)
            if let watcher { io.wake(watcher) }
            _ = await io.wait(for: ticket, until: deadline)
        }
        return try await inner.run(commands)
    }

    /// Waits until a statement waits.
    func isAsked() async -> Bool {
        if !waiting.isEmpty { return true }
        let ticket = io.makeTicket()
        watcher = ticket
        defer { watcher = nil }
        return await io.wait(for: ticket, until: io.now + .seconds(10))
    }

    var dialect: SQLDialect { inner.dialect }
    var state: StoreState { inner.state }
    var stateChanged: (StoreState) -> Void {
        get { inner.stateChanged }
        set { inner.stateChanged = newValue }
    }
    var registryChanged: () -> Void {
        get { inner.registryChanged }
        set { inner.registryChanged = newValue }
    }
    var accessChanged: () -> Void {
        get { inner.accessChanged }
        set { inner.accessChanged = newValue }
    }
    var healthChanged: () -> Void {
        get { inner.healthChanged }
        set { inner.healthChanged = newValue }
    }
    var leadershipChanged: (Bool) -> Void {
        get { inner.leadershipChanged }
        set { inner.leadershipChanged = newValue }
    }
    var announcesChanges: Bool { inner.announcesChanges }
    var isLeader: Bool { inner.isLeader }
    func start() { inner.start() }
    func stop() async { await inner.stop() }
}
