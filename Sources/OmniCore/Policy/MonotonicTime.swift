/// A point on the monotonic clock: nanoseconds since an arbitrary start.
///
/// Rules take it as an argument and never read a clock, which is what makes them testable.
public struct MonotonicTime: Comparable, Hashable, Sendable {
    public var nanoseconds: UInt64

    public init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

    public static let zero = MonotonicTime(nanoseconds: 0)
    /// Later than every reachable time: "no deadline".
    public static let distantFuture = MonotonicTime(nanoseconds: .max)

    public static func < (left: Self, right: Self) -> Bool { left.nanoseconds < right.nanoseconds }

    /// Saturates at both ends: a deadline never wraps around.
    public static func + (time: Self, duration: Duration) -> Self {
        let delta = duration.nanosecondsClamped
        if delta >= 0 {
            let (sum, overflow) = time.nanoseconds.addingReportingOverflow(UInt64(delta))
            return overflow ? .distantFuture : Self(nanoseconds: sum)
        }
        let (difference, overflow) = time.nanoseconds.subtractingReportingOverflow(
            delta.magnitude)
        return overflow ? .zero : Self(nanoseconds: difference)
    }

    public static func - (later: Self, earlier: Self) -> Duration {
        later >= earlier
            ? .nanoseconds(Int64(clamping: later.nanoseconds - earlier.nanoseconds))
            : .nanoseconds(-Int64(clamping: earlier.nanoseconds - later.nanoseconds))
    }
}

extension Duration {
    /// Whole nanoseconds, clamped to ±292 years.
    public var nanosecondsClamped: Int64 {
        let (seconds, attoseconds) = components
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        if overflow { return seconds < 0 ? .min : .max }
        let (sum, carried) = product.addingReportingOverflow(attoseconds / 1_000_000_000)
        return carried ? (seconds < 0 ? .min : .max) : sum
    }

    /// Whole milliseconds, rounded down.
    public var milliseconds: Int64 { nanosecondsClamped / 1_000_000 }
}
