/// Observations counted by size: how many were at most each of a few fixed bounds.
///
/// Memory is taken at the beginning; an observation is a short walk and two additions.
public struct Histogram: Sendable {
    /// One observation that belongs to a recorded trace, for people to jump to.
    public struct Exemplar: Sendable, Equatable {
        public let traceID: TraceContext.TraceID
        public let spanID: UInt64
        public let value: Double
        public let secondsSince1970: Double
    }

    /// Upper bounds in increasing order; what is above the last belongs to `+Inf`.
    public let bounds: [Double]
    /// One more than `bounds`, each for itself.
    public private(set) var counts: [UInt64]
    public private(set) var sum = 0.0
    public private(set) var count: UInt64 = 0
    /// The last of each bucket. Empty until the first.
    public private(set) var exemplars: [Exemplar?] = []

    public init(bounds: [Double]) {
        precondition(
            zip(bounds, bounds.dropFirst()).allSatisfy { $0 < $1 }, "histogram bounds must increase"
        )
        self.bounds = bounds
        counts = Array(repeating: 0, count: bounds.count + 1)
    }

    public mutating func observe(_ value: Double) { observe(value, in: bucket(of: value)) }

    public mutating func observe(
        _ value: Double, trace: TraceContext, secondsSince1970: Double
    ) {
        let bucket = bucket(of: value)
        observe(value, in: bucket)
        if exemplars.isEmpty { exemplars = Array(repeating: nil, count: counts.count) }
        exemplars[bucket] = Exemplar(
            traceID: trace.traceID, spanID: trace.spanID, value: value,
            secondsSince1970: secondsSince1970)
    }

    private mutating func observe(_ value: Double, in bucket: Int) {
        counts[bucket] += 1
        count += 1
        sum += value
    }

    private func bucket(of value: Double) -> Int {
        var index = 0
        while index < bounds.count, value > bounds[index] { index += 1 }
        return index
    }

    /// 1 ms to 10 s: requests.
    public static let requestBounds = [
        0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
    ]
    /// 10 ms to 30 s: tools.
    public static let toolBounds = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]
    /// 10 µs to 1 s: turns of the loop.
    public static let turnBounds = [
        0.000_01, 0.000_05, 0.000_1, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.1, 1,
    ]
}

/// Quantiles of the last observations, exact over these, with the sum and count of all.
public struct RecentQuantiles: Sendable {
    private var recent: [Double]
    private let countMax: Int
    private var next = 0
    public private(set) var sum = 0.0
    public private(set) var count: UInt64 = 0

    public init(capacity: Int) {
        recent = []
        recent.reserveCapacity(capacity)
        countMax = capacity
    }

    public mutating func observe(_ value: Double) {
        count += 1
        sum += value
        if recent.count < countMax {
            recent.append(value)
        } else {
            recent[next] = value
            next = (next + 1) % recent.count
        }
    }

    /// Nearest rank; NaN before the first observation, as Prometheus writes it.
    public func quantiles(_ wanted: [Double]) -> [Double] {
        let sorted = recent.sorted()
        return wanted.map { quantile in
            if sorted.isEmpty { return .nan }
            let rank = Int((quantile * Double(sorted.count)).rounded(.up))
            return sorted[min(max(rank, 1), sorted.count) - 1]
        }
    }
}
