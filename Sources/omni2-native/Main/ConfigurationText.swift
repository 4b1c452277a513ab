import OmniCore

/// Values as systemd writes them: time spans, sizes, truth. Pure functions from text.
enum ConfigurationText {
    /// As long as there is: `infinity`. Deadlines built from it saturate.
    static let infinity: Duration = .nanoseconds(Int64.max)

    /// `5min`, `1h 30s`, `500ms`, `1.5h`, `90`, `infinity`. A number without a unit is seconds.
    static func timeSpan(_ text: String) -> Duration? {
        if text == "infinity" { return infinity }
        let bytes = Array(text.utf8)
        var index = 0
        var total: Int64 = 0
        var hasPart = false
        func skipBlanks() { while index < bytes.count, isBlank(bytes[index]) { index += 1 } }
        skipBlanks()
        while index < bytes.count {
            let whole = digits(bytes, &index)
            var fraction: [UInt8] = []
            if index < bytes.count, bytes[index] == UInt8(ascii: ".") {
                index += 1
                fraction = digits(bytes, &index)
                if fraction.isEmpty { return nil }
            }
            if whole.isEmpty && fraction.isEmpty { return nil }
            skipBlanks()
            let start = index
            while index < bytes.count, isLetter(bytes[index]) { index += 1 }
            let unit = String(decoding: bytes[start..<index], as: UTF8.self)
            guard let scale = unit.isEmpty ? 1_000_000_000 : nanoseconds(in: unit),
                let part = scaled(whole, fraction, by: scale)
            else { return nil }
            let (sum, overflow) = total.addingReportingOverflow(part)
            if overflow { return nil }
            (total, hasPart) = (sum, true)
            skipBlanks()
        }
        return hasPart ? .nanoseconds(total) : nil
    }

    /// `1000`, `64K`, `1M`, `2G`, base 1024; also `1.5M`. `infinity` is not a size here.
    static func size(_ text: String) -> Int? {
        let bytes = Array(text.utf8)
        var index = 0
        let whole = digits(bytes, &index)
        var fraction: [UInt8] = []
        if index < bytes.count, bytes[index] == UInt8(ascii: ".") {
            index += 1
            fraction = digits(bytes, &index)
            if fraction.isEmpty { return nil }
        }
        if whole.isEmpty { return nil }
        while index < bytes.count, isBlank(bytes[index]) { index += 1 }
        let scale: Int64
        switch String(decoding: bytes[index...], as: UTF8.self) {
        case "", "B": scale = 1
        case "K": scale = 1 << 10
        case "M": scale = 1 << 20
        case "G": scale = 1 << 30
        case "T": scale = 1 << 40
        default: return nil
        }
        return scaled(whole, fraction, by: scale).map { Int($0) }
    }

    static func truth(_ text: String) -> Bool? {
        switch text.lowercased() {
        case "1", "yes", "y", "true", "t", "on": true
        case "0", "no", "n", "false", "f", "off": false
        default: nil
        }
    }

    static func count(_ text: String) -> Int? {
        guard !text.isEmpty, text.utf8.allSatisfy(isDigit) else { return nil }
        return Int(text)
    }

    /// The shortest text that `timeSpan` reads back as the same duration.
    static func text(_ span: Duration) -> String {
        if span == infinity { return "infinity" }
        var rest = span.nanosecondsClamped
        if rest == 0 { return "0" }
        var parts: [String] = []
        for (scale, unit) in writtenUnits where rest >= scale {
            parts.append("\(rest / scale)\(unit)")
            rest %= scale
        }
        return parts.joined(separator: " ")
    }

    static func text(size: Int) -> String {
        if size == 0 { return "0" }
        let units = ["", "K", "M", "G", "T"]
        let step = min(size.trailingZeroBitCount / 10, units.count - 1)
        return "\(size >> (step * 10))\(units[step])"
    }

    private static let writtenUnits: [(Int64, String)] = [
        (86_400_000_000_000, "d"), (3_600_000_000_000, "h"), (60_000_000_000, "min"),
        (1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us"),
    ]

    private static func nanoseconds(in unit: String) -> Int64? {
        switch unit {
        case "usec", "us": 1_000
        case "msec", "ms": 1_000_000
        case "seconds", "second", "sec", "s": 1_000_000_000
        case "minutes", "minute", "min", "m": 60_000_000_000
        case "hours", "hour", "hr", "h": 3_600_000_000_000
        case "days", "day", "d": 86_400_000_000_000
        case "weeks", "week", "w": 604_800_000_000_000
        case "months", "month", "M": 2_629_800_000_000_000
        case "years", "year", "y": 31_557_600_000_000_000
        default: nil
        }
    }

    /// whole.fraction × scale, rounded down, exact in integers.
    private static func scaled(_ whole: [UInt8], _ fraction: [UInt8], by scale: Int64) -> Int64? {
        var total: Int64 = 0
        for digit in whole {
            let (tens, overTens) = total.multipliedReportingOverflow(by: 10)
            let (sum, overSum) = tens.addingReportingOverflow(Int64(digit) - 48)
            if overTens || overSum { return nil }
            total = sum
        }
        let (product, overflow) = total.multipliedReportingOverflow(by: scale)
        if overflow { return nil }
        // Nine digits are exact to the nanosecond of a second, and more than anybody writes.
        var numerator: UInt128 = 0
        var denominator: UInt128 = 1
        for digit in fraction.prefix(9) {
            numerator = numerator * 10 + UInt128(digit - 48)
            denominator *= 10
        }
        let part = Int64(numerator * UInt128(scale) / denominator)
        let (sum, carried) = product.addingReportingOverflow(part)
        return carried ? nil : sum
    }

    private static func digits(_ bytes: [UInt8], _ index: inout Int) -> [UInt8] {
        let start = index
        while index < bytes.count, isDigit(bytes[index]) { index += 1 }
        return Array(bytes[start..<index])
    }

    private static func isDigit(_ byte: UInt8) -> Bool { byte >= 48 && byte <= 57 }
    private static func isBlank(_ byte: UInt8) -> Bool { byte == 32 || byte == 9 }
    private static func isLetter(_ byte: UInt8) -> Bool {
        (byte >= 65 && byte <= 90) || (byte >= 97 && byte <= 122)
    }
}
