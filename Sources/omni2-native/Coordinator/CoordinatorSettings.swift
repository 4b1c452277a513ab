import OmniCore
import OmniIO

/// Every time and bound of the coordinator. Tests shorten the times; a reload replaces them all.
struct CoordinatorSettings: Sendable, Equatable {
    /// From the start of one cycle to the start of the next.
    var interval: Duration = .seconds(30)
    /// Delays before each attempt to recover a server; the last one repeats.
    var backoff: [Duration] = [30, 60, 120, 240, 480, 600].map { .seconds($0) }
    /// How much each delay varies, so that servers do not recover in step.
    var jitterPercent = 10
    /// How long one check, and each attempt to connect, may take.
    var checkTimeout: Duration = .seconds(10)
    /// How often the registry is read besides the store's notices.
    var pollInterval: Duration = .seconds(30)

    /// A check that ignores its deadline is given up so much later.
    var checkGrace: Duration = .milliseconds(500)
    /// A failed call asks for a check of its server, but not within so long of the one before.
    var checkGap: Duration = .seconds(1)
    /// Notices of the store within so long become one reading of the registry.
    var debounce: Duration = .milliseconds(5)
    /// What is to be written within so long becomes one batch.
    var writeDelay: Duration = .milliseconds(1)
    /// How long after a failed statement the store is tried again unless it reports ready before.
    var storeRetry: Duration = .seconds(5)
    /// How long the end of a session may take.
    var closeTimeout: Duration = .seconds(5)
    /// An attempt to connect may take as long as the server's own `timeout_seconds`, up to this.
    var connectTimeoutMax: Duration = .seconds(60)
    /// Servers connecting at a time when many are loaded; the others wait their turn.
    var loadsMax = 16
    /// A load that takes longer no longer counts among them.
    var loadPatience: Duration = .seconds(2)
    /// Registered servers. Rows beyond it are not loaded; the journal says so.
    var serversMax = 1000
    /// Entries of the health log that wait for the store. Beyond it the oldest are dropped and counted.
    var logEntriesMax = 2000
}

extension CoordinatorSettings {
    init(_ configuration: Configuration.Coordinator) {
        interval = configuration.interval
        backoff = configuration.backoff
        jitterPercent = configuration.jitterPercent
        checkTimeout = configuration.checkTimeout
        pollInterval = configuration.pollInterval
    }
}
