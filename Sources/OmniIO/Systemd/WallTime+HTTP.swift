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

    private static let weekdays = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
    private static let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]
}
