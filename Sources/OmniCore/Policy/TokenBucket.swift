/// A rate limit as arithmetic on two integers: `burst` at once, then one per `interval`.
///
/// Instead of counting tokens it remembers when the bucket will be full again; a take moves that
/// moment by one interval, and is refused when it would lie more than a whole bucket ahead.
public struct TokenBucket: Hashable, Sendable {
    private let interval: UInt64
    private let depth: UInt64
    private var fullAt = MonotonicTime.zero

    /// - Parameters:
    ///   - burst: tokens in a full bucket, at least 1.
    ///   - interval: time in which one token comes back, at least a nanosecond.
    public init(burst: Int, interval: Duration) {
        let nanoseconds = UInt64(max(1, interval.nanosecondsClamped))
        self.interval = nanoseconds
        depth = UInt64(max(1, burst)).clampedProduct(nanoseconds)
    }

    /// nil: taken. Otherwise nothing was taken, and that long has to be waited.
    public mutating func take(_ count: Int = 1, at now: MonotonicTime) -> Duration? {
        let start = max(fullAt, now)
        let cost = UInt64(max(0, count)).clampedProduct(interval)
        let end = start.nanoseconds.clampedSum(cost)
        let latest = now.nanoseconds.clampedSum(depth)
        if end > latest { return .nanoseconds(Int64(clamping: end - latest)) }
        fullAt = MonotonicTime(nanoseconds: end)
        return nil
    }
}

extension UInt64 {
    fileprivate func clampedProduct(_ other: UInt64) -> UInt64 {
        let (product, overflow) = multipliedReportingOverflow(by: other)
        return overflow ? .max : product
    }

    fileprivate func clampedSum(_ other: UInt64) -> UInt64 {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? .max : sum
    }
}
