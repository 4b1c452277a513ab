internal import CShims.Systemd

/// A moment on the calendar's clock: nanoseconds since 1970, UTC. For what people and databases
/// read; deadlines use `MonotonicTime`.
public struct WallTime: Sendable, Hashable, Comparable {
    public var nanosecondsSince1970: Int64

    public init(nanosecondsSince1970: Int64) {
        self.nanosecondsSince1970 = nanosecondsSince1970
    }

    public static func now() -> WallTime {
        WallTime(nanosecondsSince1970: omni2_wall_clock_ns())
    }

    public var secondsSince1970: Int64 {
        let quotient = nanosecondsSince1970 / 1_000_000_000
        return nanosecondsSince1970 % 1_000_000_000 < 0 ? quotient - 1 : quotient
    }

    /// `2026-01-28 19:22:44`, in the host's time zone: for a terminal.
    public var localText: String {
        var parts = omni2_calendar()
        unsafe omni2_local_time(secondsSince1970, &parts)
        return Self.text(parts, separator: " ")
    }

    /// `2026-01-28T19:22:44.123Z`: for APIs and files.
    public var utcText: String {
        var parts = omni2_calendar()
        unsafe omni2_utc_time(secondsSince1970, &parts)
        let fraction = nanosecondsSince1970 - secondsSince1970 * 1_000_000_000
        let thousandths = String(1000 + fraction / 1_000_000).dropFirst()
        return Self.text(parts, separator: "T") + ".\(thousandths)Z"
    }

    public static func < (left: Self, right: Self) -> Bool {
        left.nanosecondsSince1970 < right.nanosecondsSince1970
    }

    private static func text(_ parts: omni2_calendar, separator: String) -> String {
        func two(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }
        return "\(parts.year)-\(two(parts.month))-\(two(parts.day))\(separator)"
            + "\(two(parts.hour)):\(two(parts.minute)):\(two(parts.second))"
    }
}
