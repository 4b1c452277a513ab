/// Slows down whoever guesses: after some failures in a row each further one doubles the wait.
///
/// Kept by address, and by account for passwords. A success ends the count, time lets it fade: one
/// failure is forgiven for each `forgiveness`.
public struct FailureThrottle<Key: Hashable & Sendable>: Sendable {
    private struct Entry {
        var failures: Int
        var last: MonotonicTime
        var openAt: MonotonicTime
    }

    private var entries: [Key: Entry] = [:]
    private let free: Int
    private let first: Duration
    private let longest: Duration
    private let forgiveness: Duration
    private let keysMax: Int

    /// - Parameters:
    ///   - free: failures that cost nothing.
    ///   - keysMax: keys remembered; beyond it the one whose last failure is oldest goes.
    public init(
        free: Int = 10, first: Duration = .seconds(1), longest: Duration = .seconds(900),
        forgiveness: Duration = .seconds(60), keysMax: Int = 10_000
    ) {
        self.free = free
        self.first = first
        self.longest = longest
        self.forgiveness = forgiveness
        self.keysMax = keysMax
    }

    public var count: Int { entries.count }

    /// How long this key has to wait; nil: it may try.
    public func wait(_ key: Key, at now: MonotonicTime) -> Duration? {
        guard let entry = entries[key], entry.openAt > now else { return nil }
        return entry.openAt - now
    }

    /// Counts a failure, and says how long the next try has to wait.
    @discardableResult
    public mutating func failed(_ key: Key, at now: MonotonicTime) -> Duration {
        if entries[key] == nil, entries.count >= keysMax { makeRoom(at: now) }
        var entry = entries[key] ?? Entry(failures: 0, last: now, openAt: .zero)
        let forgiven =
            (now - entry.last).nanosecondsClamped / max(1, forgiveness.nanosecondsClamped)
        entry.failures = max(0, entry.failures - Int(clamping: forgiven)) + 1
        entry.last = now
        let beyond = entry.failures - free
        var delay = Duration.zero
        if beyond > 0 {
            let factor = Int64(1) << Int64(min(beyond - 1, 30))
            let scaled = first.nanosecondsClamped.multipliedReportingOverflow(by: factor)
            delay = scaled.overflow ? longest : min(longest, .nanoseconds(scaled.partialValue))
        }
        entry.openAt = now + delay
        entries[key] = entry
        return delay
    }

    public mutating func succeeded(_ key: Key) { entries[key] = nil }

    private mutating func makeRoom(at now: MonotonicTime) {
        let old = forgiveness.nanosecondsClamped.multipliedReportingOverflow(by: Int64(free))
        let fadeTime = old.overflow ? longest : Duration.nanoseconds(old.partialValue)
        entries = entries.filter { $0.value.openAt > now || now - $0.value.last < fadeTime }
        if entries.count >= keysMax, let oldest = entries.min(by: { $0.value.last < $1.value.last })
        {
            entries[oldest.key] = nil
        }
    }
}
