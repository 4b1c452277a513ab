/// How keys are called: as environment variables, and what a mistyped one was meant to be.
enum ConfigurationNames {
    /// `Cache`, `MaxEntries` → `OMNI2_CACHE_MAX_ENTRIES`. Sections of two words are accepted both ways:
    /// `OMNI2_WEBSOCKET_…` and `OMNI2_WEB_SOCKET_…`.
    static func variables(_ section: String, _ key: String) -> [String] {
        let joined = "OMNI2_\(section.uppercased())_\(snake(key))"
        let separate = "OMNI2_\(snake(section))_\(snake(key))"
        return joined == separate ? [joined] : [joined, separate]
    }

    /// `MaxEntries` → `MAX_ENTRIES`, `TTLSec` → `TTL_SEC`, `OTLPEndpoint` → `OTLP_ENDPOINT`.
    static func snake(_ name: String) -> String {
        let bytes = Array(name.utf8)
        var result = ""
        for (index, byte) in bytes.enumerated() {
            let startsWord =
                index > 0 && isUpper(byte)
                && (!isUpper(bytes[index - 1])
                    || (index + 1 < bytes.count && isLower(bytes[index + 1])))
            if startsWord { result += "_" }
            result.unicodeScalars.append(Unicode.Scalar(byte))
        }
        return result.uppercased()
    }

    /// The known name nearest to `name`, if one is near enough to have been meant.
    static func nearest(to name: String, among known: [String]) -> String? {
        let wanted = name.lowercased()
        let scored = known.map { ($0, distance(wanted, $0.lowercased())) }
        guard let best = scored.min(by: { $0.1 < $1.1 }) else { return nil }
        return best.1 <= max(1, name.count / 3) ? best.0 : nil
    }

    /// Insertions, deletions, replacements and swaps of neighbours that turn one text into the other.
    static func distance(_ left: String, _ right: String) -> Int {
        let (a, b) = (Array(left.utf8), Array(right.utf8))
        var beforeLast = [Int](repeating: 0, count: b.count + 1)
        var last = Array(0...b.count)
        for i in a.indices {
            var row = [i + 1]
            for j in b.indices {
                let replaced = last[j] + (a[i] == b[j] ? 0 : 1)
                var best = min(replaced, last[j + 1] + 1, row[j] + 1)
                if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] {
                    best = min(best, beforeLast[j - 1] + 1)
                }
                row.append(best)
            }
            (beforeLast, last) = (last, row)
        }
        return last[b.count]
    }

    private static func isUpper(_ byte: UInt8) -> Bool { byte >= 65 && byte <= 90 }
    private static func isLower(_ byte: UInt8) -> Bool { byte >= 97 && byte <= 122 }
}
