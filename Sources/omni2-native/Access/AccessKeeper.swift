import OmniCore
import OmniIO

/// Keeps `Access` true: reads the tables when they change (NOTIFY, or our own write), every half
/// minute whatever happens, and ends what expires to the second.
final class AccessKeeper {
    private let io: any IO
    private let access: Access
    private let store: any AccessStore
    private let log: Log
    private var ticket: WaitTicket?
    private var isDirty = true
    private var isStopped = false
    private var started: UInt64 = 0
    private var applied: UInt64 = 0
    private var isAway = false
    private var lastRead = MonotonicTime.zero

    private static let pollTime = Duration.seconds(30)
    private static let tickTime = Duration.seconds(1)
    private static let auditDays: Int64 = 365

    init(io: any IO, access: Access, store: any AccessStore, log: Log) {
        self.io = io
        self.access = access
        self.store = store
        self.log = log
        store.accessChanged = { [weak self] in self?.wake() }
    }

    /// Reads once, if the database is there, so that the first request finds its token; then keeps
    /// reading.
    func begin() async {
        if store.isReady { await refresh() }
        await access.webTokens.readKeys()
        io.spawn { await self.run() }
    }

    func stop() async {
        isStopped = true
        wake()
        await access.audit.flush(to: store)
    }

    /// Something may have changed.
    func wake() {
        isDirty = true
        if let ticket { io.wake(ticket) }
    }

    /// Reads the tables now: after a change of ours, so that it is in force before it is answered.
    func read() async throws(StoreError) {
        started += 1
        let mine = started
        isDirty = false
        let tables = try await store.accessTables()
        lastRead = io.now
        // A slower reading that began earlier knows less.
        guard mine > applied else { return }
        applied = mine
        access.adopt(tables)
    }

    private func run() async {
        var expiry = Int64.max
        while !isStopped {
            if isDirty || io.now - lastRead >= Self.pollTime { await refresh() }
            if expiry <= access.now { access.announce() }
            expiry = access.nextExpiry()
            if access.webTokens.isDue { await access.webTokens.readKeys() }
            await access.audit.flush(to: store)
            await wait()
        }
    }

    private func wait() async {
        if isDirty || isStopped { return }
        let ticket = io.makeTicket()
        self.ticket = ticket
        _ = await io.wait(for: ticket, until: io.now + Self.tickTime)
        self.ticket = nil
    }

    private func refresh() async {
        let mustTidy = !isDirty || isAway || !access.isLoaded
        do throws(StoreError) {
            try await read()
            if mustTidy { try await upkeep() }
            if isAway { log.info("people and roles are read again") }
            isAway = false
        } catch {
            // The poll tries again; meanwhile what is in memory stands.
            lastRead = io.now + (Self.tickTime - Self.pollTime)
            isDirty = false
            if !isAway {
                log.warning(
                    "people and roles cannot be read, going on with what is known",
                    fields: ["error": "\(error)"])
            }
            isAway = true
        }
    }

    /// What need not be done at once.
    private func upkeep() async throws(StoreError) {
        access.costs.adopt(try await store.costs(since: access.costs.midnight))
        for (id, time) in access.takeUsedTokens() { try await store.touchToken(id: id, at: time) }
        try await store.pruneSessions(before: access.now)
        _ = try await store.pruneAudit(
            before: access.now - Self.auditDays * DailyCosts.dayMicroseconds, limit: 1000)
        access.rates.tidy()
    }
}
