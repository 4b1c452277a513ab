import OmniCore
import OmniIO

/// Users whose flows are shown live, each until a moment of its own, exactly.
///
/// Memory is asked on the request's path; `omni2_config` keeps it over restarts and shares it with
/// other hosts, under the original's keys (`monitor_user_{id}` → `{"expires_at": seconds}`).
final class MonitoredUsers {
    private let io: any IO
    private let store: SQLStore
    private let log: Log
    /// Microseconds since 1970 UTC.
    private var expiries: [Int: UInt64] = [:]
    /// Orders that the rows do not know yet; a nil expiry ends the watching.
    private var unwritten: [Int: UInt64?] = [:]
    private let alarm: Alarm
    private var isStopping = false
    /// Rows are read again so often: another host may have written them.
    private static let period = Duration.seconds(30)
    /// Told after each change made here, so that other hosts read the rows at once.
    var changed: () -> Void = {}

    init(io: any IO, store: SQLStore, log: Log) {
        self.io = io
        self.store = store
        self.log = log
        alarm = Alarm(io)
    }

    func contains(_ user: Int, at time: UInt64) -> Bool {
        guard !expiries.isEmpty, let expiry = expiries[user] else { return false }
        return time < expiry
    }

    /// Those who are watched now, by id.
    var list: [(user: Int, expiry: UInt64)] {
        let now = io.wallMicroseconds
        return expiries.filter { $0.value > now }.sorted { $0.key < $1.key }.map { ($0, $1) }
    }

    // MARK: Orders

    /// Holds from now on, whether or not the store can be written; throws when it could not.
    func enable(_ users: [Int], until expiry: UInt64) async throws(StoreError) {
        for user in users {
            expiries[user] = expiry
            unwritten[user] = .some(expiry)
        }
        try await write()
    }

    func disable(_ users: [Int]) async throws(StoreError) {
        for user in users {
            expiries[user] = nil
            unwritten[user] = .some(nil)
        }
        try await write()
    }

    /// An order that comes while an older one is being written stays for the next time.
    private func write() async throws(StoreError) {
        if unwritten.isEmpty { return }
        for (user, expiry) in unwritten {
            if let expiry {
                try await store.monitor(user, until: expiry)
            } else {
                try await store.stopMonitoring(user)
            }
            if unwritten[user] == .some(expiry) { unwritten[user] = nil }
        }
        changed()
    }

    // MARK: The rows

    func start() { io.spawn { await self.run() } }

    func stop() {
        isStopping = true
        alarm.ring()
    }

    /// The store came back, or another host changed something.
    func readAgain() { alarm.ring() }

    private func run() async {
        while !isStopping {
            if store.state == .ready { await read() }
            await alarm.wait(until: io.now + Self.period)
        }
    }

    private func read() async {
        do throws(StoreError) {
            try await write()
            let rows = try await store.monitoredUsers()
            let now = io.wallMicroseconds
            expiries = Dictionary(
                rows.filter { $0.expiry > now }.map { ($0.user, $0.expiry) },
                uniquingKeysWith: { max($0, $1) })
            for row in rows where row.expiry <= now { try await store.stopMonitoring(row.user) }
        } catch {
            log.debug(
                "monitored users not read, keeping what is known", fields: ["error": "\(error)"])
        }
    }
}
