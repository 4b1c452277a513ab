/// At most `limit` requests in any stretch of `window`, for a fixed amount of memory.
///
/// Time is cut into slices (60 of them make a window); one is kept beyond the window, so that a
/// slice which is only partly outside still counts. The error is on the strict side: never more than
/// the limit, at worst a request refused one slice longer than needed.
public struct SlidingWindow: Hashable, Sendable {
    public static let slices = 60

    private let slice: UInt64
    private var counts = [UInt32](repeating: 0, count: SlidingWindow.slices + 1)
    private var total = 0
    /// Number of the slice `now` was last in.
    private var current: UInt64 = 0

    public init(window: Duration = .seconds(3600)) {
        slice = UInt64(max(1, window.nanosecondsClamped / Int64(Self.slices)))
    }

    /// nil: counted. Otherwise the time after which one more may pass. The limit is an argument,
    /// because a role's limit may change while its users' windows live.
    public mutating func take(limit: Int, at now: MonotonicTime) -> Duration? {
        advance(to: now)
        guard total >= limit else {
            counts[Int(current % UInt64(counts.count))] += 1
            total += 1
            return nil
        }
        guard limit > 0 else { return .nanoseconds(Int64(clamping: slice) * Int64(Self.slices)) }
        return untilRoom(below: limit, at: now)
    }

    /// Requests that count at this moment.
    public mutating func count(at now: MonotonicTime) -> Int {
        advance(to: now)
        return total
    }

    private mutating func advance(to now: MonotonicTime) {
        let target = now.nanoseconds / slice
        // A clock that stands still or an older reading changes nothing.
        guard target > current else { return }
        for step in 1...min(target - current, UInt64(counts.count)) {
            let index = Int((current + step) % UInt64(counts.count))
            total -= Int(counts[index])
            counts[index] = 0
        }
        current = target
    }

    private func untilRoom(below limit: Int, at now: MonotonicTime) -> Duration {
        var remaining = total
        for age in stride(from: UInt64(counts.count - 1), through: 0, by: -1) where age <= current {
            remaining -= Int(counts[Int((current - age) % UInt64(counts.count))])
            if remaining < limit {
                let free = (current - age + UInt64(counts.count)) &* slice
                return .nanoseconds(Int64(clamping: free - min(free, now.nanoseconds)))
            }
        }
        return .nanoseconds(Int64(clamping: slice))
    }
}
