import OmniCore
import OmniIO

/// Where somebody stands within the hour.
struct RateStanding: Equatable {
    let limit: Int
    let remaining: Int
    /// Seconds until one more request may pass; 0 while there is room.
    let retryAfterSeconds: Int

    var isExceeded: Bool { retryAfterSeconds > 0 }

    static let window = Duration.seconds(3600)

    /// The IETF's `RateLimit-*` fields, as gateways send them.
    var headers: [HTTPResponse.Header] {
        [
            .init(name: "RateLimit-Limit", value: "\(limit)"),
            .init(name: "RateLimit-Remaining", value: "\(remaining)"),
            .init(name: "RateLimit-Reset", value: "\(max(retryAfterSeconds, 0))"),
            .init(name: "RateLimit-Policy", value: "\(limit);w=3600"),
        ]
    }
}

/// Requests of the last hour, by principal: all credentials of a person share one window.
final class RequestRates {
    private let io: any IO
    private var windows: [String: SlidingWindow] = [:]
    /// Windows kept; beyond it those go that count nothing any more.
    private static let windowsMax = 100_000

    init(io: any IO) { self.io = io }

    func take(_ id: String, limit: Int) -> RateStanding {
        if windows.count >= Self.windowsMax { tidy() }
        var window = windows[id] ?? SlidingWindow(window: RateStanding.window)
        let wait = window.take(limit: limit, at: io.now)
        let count = window.count(at: io.now)
        windows[id] = window
        return RateStanding(
            limit: limit, remaining: max(0, limit - count),
            retryAfterSeconds: wait.map { max(1, Int($0.components.seconds) + 1) } ?? 0)
    }

    func standing(_ id: String, limit: Int) -> RateStanding {
        RateStanding(limit: limit, remaining: max(0, limit - count(id)), retryAfterSeconds: 0)
    }

    func count(_ id: String) -> Int {
        guard var window = windows[id] else { return 0 }
        defer { windows[id] = window }
        return window.count(at: io.now)
    }

    /// Forgets who has done nothing for an hour.
    func tidy() {
        for (id, var window) in windows where window.count(at: io.now) == 0 { windows[id] = nil }
    }
}

/// Money spent since midnight UTC, by user: what the history said, and what was spent since.
final class DailyCosts {
    private let io: any IO
    private var dollars: [Int: Double] = [:]
    private var day: Int64 = 0

    static let dayMicroseconds: Int64 = 86_400_000_000

    init(io: any IO) { self.io = io }

    /// Microseconds since 1970 UTC.
    var midnight: Int64 { today * Self.dayMicroseconds }
    private var today: Int64 { Int64(io.wallMicroseconds) / Self.dayMicroseconds }

    func today(_ user: Int) -> Double { today == day ? dollars[user] ?? 0 : 0 }

    func add(_ amount: Double, _ user: Int) {
        begin()
        dollars[user, default: 0] += amount
    }

    /// From the history. What was spent after it was read may not have reached it: the larger wins.
    func adopt(_ sums: [Int: Double]) {
        begin()
        dollars.merge(sums) { max($0, $1) }
    }

    private func begin() {
        guard today != day else { return }
        day = today
        dollars = [:]
    }
}
