/// How long to wait before the next attempt: doubling, with jitter, so that many hosts do not come
/// back to a database in one moment.
struct RetryDelay {
    var first: Duration = .milliseconds(100)
    var longest: Duration = .seconds(5)
    /// ± this part of the delay.
    var jitter = 0.2
    private var attempts = 0

    init(first: Duration = .milliseconds(100), longest: Duration = .seconds(5)) {
        self.first = first
        self.longest = longest
    }

    mutating func reset() { attempts = 0 }

    /// `chance` is in 0...1.
    mutating func next(_ chance: Double) -> Duration {
        let delay = min(longest, first * (1 << min(attempts, 20)))
        attempts += 1
        return delay * (1 + jitter * (2 * chance - 1))
    }
}
