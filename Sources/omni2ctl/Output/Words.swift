import OmniCore
import OmniIO

/// Numbers and texts as a person reads them.
enum Words {
    static func spaces(_ count: Int) -> String { String(repeating: " ", count: max(0, count)) }

    /// `2 d 3 h`, `5 min 2 s`, `7 s`: the two largest units.
    static func time(seconds: Int64) -> String {
        let units: [(name: String, seconds: Int64)] = [
            ("d", 86_400), ("h", 3600), ("min", 60), ("s", 1),
        ]
        var rest = max(0, seconds)
        var parts: [String] = []
        for unit in units {
            let count = rest / unit.seconds
            rest %= unit.seconds
            if count > 0 { parts.append("\(count) \(unit.name)") }
        }
        return parts.isEmpty ? "0 s" : parts.prefix(2).joined(separator: " ")
    }

    static func bytes(_ count: Int64) -> String {
        var value = Double(count)
        for unit in ["B", "KiB", "MiB"] {
            if value < 1024 { return "\(rounded(value)) \(unit)" }
            value /= 1024
        }
        return "\(rounded(value)) GiB"
    }

    /// One place after the point at most.
    static func rounded(_ value: Double) -> String {
        let tenths = (value * 10).rounded() / 10
        return Int64(exactly: tenths).map { String($0) } ?? String(tenths)
    }

    static func count(_ count: Int, _ noun: String) -> String {
        "\(count) \(noun)\(count == 1 ? "" : "s")"
    }

    /// A value of the daemon's reply; a dash where it says nothing.
    static func plain(_ value: JSONValue?) -> String {
        switch value {
        case nil, .null: "-"
        case .string(let text): text.isEmpty ? "-" : text
        case .bool(let flag): flag ? "yes" : "no"
        case .double(let number): rounded(number)
        case let value?: value.text
        }
    }

    /// Without what moves a terminal's cursor or changes its colours: a server wrote this text.
    static func harmless(_ text: String, keepsLines: Bool = false) -> String {
        var result = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            switch scalar.value {
            case 0x0A, 0x09: result.append(keepsLines ? scalar : " ")
            case 0..<0x20, 0x7F...0x9F: result.append("\u{FFFD}")
            default: result.append(scalar)
            }
        }
        return String(result)
    }

    static func cut(_ text: String, to width: Int) -> String {
        text.count <= width ? text : text.prefix(max(0, width - 1)) + "…"
    }

    /// A time of the daemon's, on this host's clock: `2026-01-28 19:22:44`. As it is where it is none.
    static func time(_ text: String?) -> String {
        guard let text else { return "-" }
        return seconds(text).map {
            WallTime(nanosecondsSince1970: $0 * 1_000_000_000).localText
        } ?? harmless(text)
    }

    /// `19:22:44`.
    static func clock(_ text: String?) -> String { String(time(text).suffix(8)) }

    /// Seconds since 1970 of `2026-01-28T19:22:44…`, UTC.
    static func seconds(_ text: String) -> Int64? {
        let parts = text.prefix(19).split { "-T: ".contains($0) }.compactMap { Int64($0) }
        guard text.count >= 19, parts.count == 6 else { return nil }
        // Days of the proleptic Gregorian calendar, the year beginning in March.
        let year = parts[0] - (parts[1] <= 2 ? 1 : 0)
        let month = (parts[1] + 9) % 12
        let days =
            365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + parts[2] - 1
            - 719_468
        return days * 86_400 + parts[3] * 3600 + parts[4] * 60 + parts[5]
    }

    /// The first line, cut where it gets long.
    static func firstLine(_ text: String, countMax: Int = 72) -> String {
        let line = text.split(whereSeparator: \.isNewline).first ?? ""
        return line.count <= countMax ? String(line) : line.prefix(countMax - 1) + "…"
    }
}
