import OmniCore
import OmniIO

/// One registered, active server while the daemon runs: its row, its session and how it is doing.
///
/// `record.health` is the truth here and the row follows it; `record.configuration` is the row's.
/// After every `await` compare `epoch`: a change of phase makes what was begun before it void.
final class LiveServer {
    enum Phase: Equatable {
        /// The first attempt to connect is on, or waits its turn. → `up`, `down`
        case loading
        /// Connected when last looked at. → `down` by a failed check, call or lost session
        case up
        /// In the recovery queue. → `up` by an attempt that succeeds
        case down
        /// Unloaded or replaced: outcomes still under way no longer matter.
        case retired
    }

    let id: Int
    let session: any WatchedServer
    var record: ServerRecord
    private(set) var phase = Phase.loading
    private(set) var epoch: UInt32 = 0
    var isBeingChecked = false
    var lastCheckBegan: MonotonicTime?
    var lastCheck: ServerCheck?
    var lastFailure: String?
    var latencies = RecentLatencies()
    /// The end of a session that is being closed.
    var closing: Promise<Void>?
    /// Failed attempts since it went down: its place on the recovery ladder.
    var recoveryAttempts = 0
    /// Since when time counts as downtime; nil while up.
    private var downSince: MonotonicTime?

    init(_ record: ServerRecord, session: any WatchedServer) {
        id = record.id
        self.record = record
        self.session = session
    }

    var name: String { record.configuration.name }
    var isCurrent: Bool { phase != .retired }
    /// A session that is being closed is none.
    var isConnected: Bool { session.isConnected && closing == nil }

    var status: HealthStatus {
        get { HealthStatus(reading: record.health.status) ?? .unknown }
        set { record.health.status = newValue.rawValue }
    }

    func enter(_ phase: Phase, at now: MonotonicTime) {
        precondition(self.phase != .retired, "a server that was unloaded came back to life")
        self.phase = phase
        epoch &+= 1
        countDowntime(until: now)
        switch phase {
        case .up, .retired: downSince = nil
        case .down: downSince = downSince ?? now
        case .loading: break
        }
    }

    /// Moves whole seconds of downtime into the row, keeping the rest for the next time.
    func countDowntime(until now: MonotonicTime) {
        guard let since = downSince else { return }
        let seconds = (now - since).components.seconds
        record.health.totalDowntimeSeconds += Int(seconds)
        downSince = since + .seconds(seconds)
    }
}

extension ServerConfiguration {
    /// True when a session made for `other` serves this configuration as well.
    func connects(like other: ServerConfiguration) -> Bool {
        var adapted = self
        adapted.description = other.description
        adapted.maxFailureCycles = other.maxFailureCycles
        adapted.canAutoEnable = other.canAutoEnable
        return adapted == other
    }
}
