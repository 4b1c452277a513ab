import OmniCore
import OmniIO

/// Brings finished flows, and the audit trail of questions, into the database: in batches, behind
/// the requests' back.
///
/// While the database is away, or slower than they come, rows go to a spool on disk, and are written
/// from there, oldest first, when it has time. Every statement may be repeated: a row whose answer was
/// lost on the way is there once all the same.
final class FlowHistory {
    struct Settings {
        var batchDelay = Duration.milliseconds(50)
        var batchRows = 128
        /// Rows in memory. From half of it on they go to the spool; beyond it, which needs a database
        /// or a disk that hangs, what comes is lost.
        var rowsMax = 20_000
        var storeRetry = Duration.seconds(1)
    }

    private let io: any IO
    private let store: SQLStore
    private let spool: RowSpool
    private let log: Log
    private let settings: Settings
    private var flows: [Flow] = []
    private var rows: [HistoryRow] = []
    /// What the database has been given and has not answered for.
    private var writing: [HistoryRow] = []
    private let alarm: Alarm
    private var flushing: Promise<Bool>?
    private var blockedUntil: MonotonicTime?
    private var isStopped = false
    private var isSpoolRead = false
    private var isLosing = false
    private var isDiskFailing = false
    private(set) var written: UInt64 = 0
    private(set) var spooled: UInt64 = 0
    private(set) var dropped: UInt64 = 0

    init(
        io: any IO, store: SQLStore, spool: RowSpool, log: Log, settings: Settings = Settings()
    ) {
        self.io = io
        self.store = store
        self.spool = spool
        self.log = log
        self.settings = settings
        alarm = Alarm(io)
    }

    // MARK: What is to be written

    func save(_ flow: Flow) {
        guard hasRoom() else { return }
        flows.append(flow)
        alarm.ring()
    }

    func append(_ row: HistoryRow) {
        guard hasRoom() else { return }
        rows.append(row)
        alarm.ring()
    }

    private var waitingCount: Int { flows.count + rows.count + writing.count }

    /// Says so once until all is written again.
    private func hasRoom() -> Bool {
        if waitingCount < settings.rowsMax { return true }
        dropped += 1
        if !isLosing {
            isLosing = true
            log.error(
                "flows are lost: neither database nor disk takes them",
                fields: ["rows": waitingCount])
        }
        return false
    }

    var spoolBytes: Int { spool.bytes }

    var hasPending: Bool { waitingCount > 0 || !spool.isEmpty }

    func start() { io.spawn { await self.run() } }

    func storeIsReady() {
        blockedUntil = nil
        alarm.ring()
    }

    /// What is left goes to the database, or to disk where that is away.
    func stop(until deadline: MonotonicTime) async {
        isStopped = true
        alarm.ring()
        let last = Promise<Bool>(io)
        io.spawn { last.fulfil(await self.flush()) }
        if await last.value(until: deadline) == nil {
            log.warning(
                "history was not written in time, leaving it on disk",
                fields: ["rows": waitingCount])
            rows.insert(contentsOf: writing, at: 0)
            await spoolRows()
        }
    }

    private func run() async {
        await spool.open()
        isSpoolRead = true
        if !spool.isEmpty {
            log.notice(
                "flows of an earlier outage are on disk, writing them",
                fields: ["bytes": spool.bytes])
        }
        while !isStopped {
            let mustWait = flows.isEmpty && rows.isEmpty
            let due = hasPending ? blockedUntil ?? io.now : .distantFuture
            await alarm.wait(until: mustWait ? due : io.now)
            if isStopped { return }
            await io.sleep(until: io.now + settings.batchDelay)
            blockedUntil = await flush() ? nil : io.now + settings.storeRetry
        }
    }

    // MARK: Writing

    /// True when all is in the database. Joins a flush under way, which also writes what comes
    /// meanwhile.
    @discardableResult
    func flush() async -> Bool {
        if let flushing { return await flushing.value(until: .distantFuture) ?? false }
        let promise = Promise<Bool>(io)
        flushing = promise
        let isWritten = await writeAll()
        flushing = nil
        promise.fulfil(isWritten)
        return isWritten
    }

    private func writeAll() async -> Bool {
        while hasPending {
            guard store.state == .ready, isSpoolRead, await drainSpool(), await drainRows() else {
                await spoolRows()
                return false
            }
        }
        isLosing = false
        return true
    }

    /// Until there is something older on disk. False when the store is away.
    private func drainRows() async -> Bool {
        while waitingCount > 0, spool.isEmpty {
            takeFlows()
            writing = Array(rows.prefix(settings.batchRows))
            rows.removeFirst(writing.count)
            let isWritten = await write(writing)
            if !isWritten { rows.insert(contentsOf: writing, at: 0) }
            writing = []
            if !isWritten { return false }
            await spoolExcess()
        }
        return true
    }

    private func spoolExcess() async {
        if waitingCount > settings.rowsMax / 2 { await spoolRows() }
    }

    private func takeFlows() {
        let taken = flows
        flows.removeAll(keepingCapacity: true)
        rows += taken.map(HistoryRow.init)
    }

    /// False when the store is away; what fails for good is told and given up.
    private func write(_ batch: [HistoryRow]) async -> Bool {
        do throws(StoreError) {
            try await store.write(batch)
            written += UInt64(batch.count)
            return true
        } catch {
            if case .unavailable = error { return false }
        }
        for row in batch {
            do throws(StoreError) {
                try await store.write([row])
                written += 1
            } catch {
                if case .unavailable = error { return false }
                dropped += 1
                log.error(
                    "a row of history was refused, giving it up", fields: ["error": "\(error)"])
            }
        }
        return true
    }

    // MARK: The spool

    /// False when the store is away, and when nothing more should be begun: on disk it is safe.
    private func drainSpool() async -> Bool {
        while let segment = await spool.oldest() {
            var rest = segment.rows[...]
            while !rest.isEmpty {
                let batch = Array(rest.prefix(settings.batchRows))
                guard !isStopped, await write(batch) else { return false }
                rest = rest.dropFirst(batch.count)
            }
            await spool.remove(segment)
            await spoolExcess()
        }
        return true
    }

    private func spoolRows() async {
        takeFlows()
        guard !rows.isEmpty, isSpoolRead else { return }
        let batch = rows
        do throws(SystemError) {
            let gone = try await spool.append(batch)
            isDiskFailing = false
            spooled += UInt64(batch.count)
            rows.removeFirst(batch.count)
            if gone > 0 {
                log.error(
                    "the spool is full, the oldest flows are gone", id: .spoolFull,
                    fields: ["bytes": gone])
            }
        } catch {
            if isDiskFailing { return }
            isDiskFailing = true
            log.error("flows cannot be spooled, keeping them in memory", fields: ["error": error])
        }
    }
}
