import OmniCore
import OmniIO

/// Deletes what is too old from the health log and from the flows: each hour, in batches, so that no
/// other statement waits long behind it.
final class HealthLogRetention {
    private static let batchRows = 1000
    /// Soon after the start too: a daemon that is restarted often sweeps all the same.
    private static let firstPause: Duration = .seconds(60)
    private static let period: Duration = .seconds(3600)
    private static let batchPause: Duration = .milliseconds(100)
    /// A century: longer is for ever.
    private static let daysMax = 36_500
    private static let dayMicroseconds: Int64 = 86_400_000_000

    private let io: any IO
    private let days: Int
    private var isStopping = false
    private var pausing: WaitTicket?
    /// Deletes at most so many flows older than a moment; how many there were.
    var pruneFlows: (Int64, Int) async throws(StoreError) -> Int = { _, _ in 0 }

    init(_ io: any IO, days: Int) {
        precondition(days > 0, "a health log is kept for a day at least")
        self.io = io
        self.days = min(days, Self.daysMax)
    }

    func start(_ store: any Store) {
        io.spawn {
            await self.pause(Self.firstPause)
            while !self.isStopping {
                if store.state == .ready {
                    _ = await self.sweep(store)
                    _ = await self.sweepFlows()
                }
                await self.pause(Self.period)
            }
        }
    }

    func stop() {
        isStopping = true
        if let pausing { io.wake(pausing) }
    }

    /// Returns how many entries went.
    func sweep(_ store: any Store) async -> Int {
        await sweep { (time, limit) async throws(StoreError) in
            try await store.pruneHealthLog(before: time, limit: limit)
        }
    }

    func sweepFlows() async -> Int { await sweep(pruneFlows) }

    private func sweep(_ prune: (Int64, Int) async throws(StoreError) -> Int) async -> Int {
        let limit = Int64(io.wallMicroseconds) - Int64(days) * Self.dayMicroseconds
        var count = 0
        while !isStopping {
            // What fails now is tried again in an hour: nothing depends on it.
            guard let pruned = try? await prune(limit, Self.batchRows) else { break }
            count += pruned
            if pruned < Self.batchRows { break }
            await pause(Self.batchPause)
        }
        return count
    }

    private func pause(_ duration: Duration) async {
        if isStopping { return }
        let ticket = io.makeTicket()
        pausing = ticket
        _ = await io.wait(for: ticket, until: io.now + duration)
        pausing = nil
    }
}
