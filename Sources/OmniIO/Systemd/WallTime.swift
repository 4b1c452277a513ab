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
    public var utcText: String { utcText(digits: 3, dividing: 1_000_000) }

    /// `2026-01-29T11:24:38.123456Z`: what events and the API of the original carry.
    public var eventText: String { utcText(digits: 6, dividing: 1000) }

    private func utcText(digits: Int, dividing unit: Int64) -> String {
        var parts = omni2_calendar()
        unsafe omni2_utc_time(secondsSince1970, &parts)
        let fraction = nanosecondsSince1970 - secondsSince1970 * 1_000_000_000
        return Self.text(parts, separator: "T", fraction: (fraction / unit, digits))
    }

    public static func < (left: Self, right: Self) -> Bool {
        left.nanosecondsSince1970 < right.nanosecondsSince1970
    }

    /// With a fraction it ends in Z. Written for every event: digit by digit into one string. 64 bits
    /// of nanoseconds end in the year 2262, so a year has four digits.
    private static func text(
        _ parts: omni2_calendar, separator: Unicode.Scalar,
        fraction: (number: Int64, digits: Int)? = nil
    ) -> String {
        unsafe String(unsafeUninitializedCapacity: 27) { buffer in
            var count = 0
            func put(_ number: Int64, _ digits: Int) {
                var rest = number
                for place in stride(from: count + digits - 1, through: count, by: -1) {
                    unsafe buffer[place] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
                    rest /= 10
                }
                count += digits
            }
            func put(_ letter: Unicode.Scalar) {
                unsafe buffer[count] = UInt8(ascii: letter)
                count += 1
            }
            put(Int64(parts.year), 4)
            put("-")
            put(Int64(parts.month), 2)
            put("-")
            put(Int64(parts.day), 2)
            put(separator)
            put(Int64(parts.hour), 2)
            put(":")
            put(Int64(parts.minute), 2)
            put(":")
            put(Int64(parts.second), 2)
            if let fraction {
                put(".")
                put(fraction.number, fraction.digits)
                put("Z")
            }
            return count
        }
    }
}
