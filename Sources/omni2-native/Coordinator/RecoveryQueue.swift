import OmniCore

/// Which servers are to be tried again, and when. One entry per server.
struct RecoveryQueue {
    private var due: [Int: MonotonicTime] = [:]

    var count: Int { due.count }

    func contains(_ server: Int) -> Bool { due[server] != nil }
    func due(of server: Int) -> MonotonicTime? { due[server] }

    /// Replaces the entry it has.
    mutating func schedule(_ server: Int, at time: MonotonicTime) { due[server] = time }

    mutating func remove(_ server: Int) { due[server] = nil }

    /// Nil when nobody waits.
    var earliest: MonotonicTime? { due.values.min() }

    /// Takes out all whose time has come, the most overdue first.
    mutating func takeDue(at now: MonotonicTime) -> [Int] {
        let ready = due.filter { $0.value <= now }.sorted { $0.value < $1.value }.map(\.key)
        for server in ready { due[server] = nil }
        return ready
    }
}
