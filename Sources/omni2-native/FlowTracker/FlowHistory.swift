import OmniCore
import OmniIO

/// Brings finished flows, and the audit trail of questions, into the database: in batches, behind
/// the requests' back.
///
/// While the database is away rows go to a spool on disk at once, and are written from there, oldest
/// first, when it is back. Every statement may be repeated: a row whose answer was lost on the way is
/// there once all the same.
final class FlowHistory {
    struct Settings {
        var batchDelay = Duration.milliseconds(50)
        var batchRows = 128
        /// Rows in memory; beyond it, which needs a disk that is full as well, the oldest go.
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
    private let alarm: Alarm
    private var flushing: Promise<Bool>?
    private var blockedUntil: MonotonicTime?
    private var isStopped = false
    private var isSpoolRead = false
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
        flows.append(flow)
        alarm.ring()
    }

    func append(_ row: HistoryRow) {
        rows.append(row)
        alarm.ring()
    }

    var spoolBytes: Int { spool.bytes }

    var hasPending: Bool { !flows.isEmpty || !rows.isEmpty || !spool.isEmpty }

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
                "history was not written in time", fields: ["rows": rows.count + flows.count])
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
        takeFlows()
        guard store.state == .ready, isSpoolRead, await drainSpool() else {
            await spoolRows()
            return false
        }
        while !rows.isEmpty || !flows.isEmpty {
            takeFlows()
            let batch = Array(rows.prefix(settings.batchRows))
            guard await write(batch) else {
                await spoolRows()
                return false
            }
            rows.removeFirst(batch.count)
        }
        return true
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

    private func drainSpool() async -> Bool {
        while let segment = await spool.oldest() {
            var rest = segment.rows[...]
            while !rest.isEmpty {
                let batch = Array(rest.prefix(settings.batchRows))
                guard await write(batch) else { return false }
                rest = rest.dropFirst(batch.count)
            }
            await spool.remove(segment)
        }
        return true
    }

    private func spoolRows() async {
        takeFlows()
        guard !rows.isEmpty, isSpoolRead else { return bound() }
        let batch = rows
        do throws(SystemError) {
            let gone = try await spool.append(batch)
            spooled += UInt64(batch.count)
            rows.removeFirst(batch.count)
            if gone > 0 {
                log.error(
                    "the spool is full, the oldest flows are gone", id: .spoolFull,
                    fields: ["bytes": gone])
            }
        } catch {
            log.error("flows cannot be spooled, keeping them in memory", fields: ["error": error])
            bound()
        }
    }

    private func bound() {
        let excess = rows.count - settings.rowsMax
        guard excess > 0 else { return }
        rows.removeFirst(excess)
        dropped += UInt64(excess)
        log.error(
            "flows are lost: neither database nor disk takes them", fields: ["dropped": excess])
    }
}
