internal import CShims.Systemd

extension WallTime {
    /// `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 §5.6.7).
    public var httpText: String {
        var parts = omni2_calendar()
        unsafe omni2_utc_time(secondsSince1970, &parts)
        // 1 January 1970 was a Thursday.
        let day = Int(secondsSince1970 / 86_400 % 7)
        let weekday = Self.weekdays[(day + 4) % 7]
        let month = Self.months[Int(parts.month) - 1]
        func two(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }
        return "\(weekday), \(two(parts.day)) \(month) \(parts.year) "
            + "\(two(parts.hour)):\(two(parts.minute)):\(two(parts.second)) GMT"
    }

    /// `2026-01-29T11:24:38.123456Z`: what events and the API of the original carry. Years of four
    /// digits.
    public var eventText: String {
        var parts = omni2_calendar()
        unsafe omni2_utc_time(secondsSince1970, &parts)
        let fraction = nanosecondsSince1970 - secondsSince1970 * 1_000_000_000
        // Written for every event: digit by digit into one string.
        return unsafe String(unsafeUninitializedCapacity: 27) { buffer in
            var count = 0
            func put(_ number: Int64, _ digits: Int, _ separator: Unicode.Scalar) {
                var rest = number
                for place in stride(from: count + digits - 1, through: count, by: -1) {
                    unsafe buffer[place] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
                    rest /= 10
                }
                unsafe buffer[count + digits] = UInt8(ascii: separator)
                count += digits + 1
            }
            put(Int64(parts.year), 4, "-")
            put(Int64(parts.month), 2, "-")
            put(Int64(parts.day), 2, "T")
            put(Int64(parts.hour), 2, ":")
            put(Int64(parts.minute), 2, ":")
            put(Int64(parts.second), 2, ".")
            put(fraction / 1000, 6, "Z")
            return count
        }
    }

    private static let weekdays = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
    private static let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]
}
