/// The newest entries of the health log that wait for the store, oldest first.
///
/// Beyond its bound the oldest go; each method that may drop some says how many.
struct RecentEntries {
    private var entries: [HealthLogEntry] = []
    /// Where the oldest stands; what is before it has been taken.
    private var head = 0

    var count: Int { entries.count - head }
    var isEmpty: Bool { count == 0 }

    mutating func append(_ entry: HealthLogEntry, countMax: Int) -> UInt64 {
        entries.append(entry)
        return trim(to: countMax)
    }

    mutating func take(_ countMax: Int) -> [HealthLogEntry] {
        let end = min(entries.count, head + countMax)
        defer {
            head = end
            compact()
        }
        return Array(entries[head..<end])
    }

    /// They are older than all others.
    mutating func putBack(_ batch: [HealthLogEntry], countMax: Int) -> UInt64 {
        entries.replaceSubrange(..<head, with: batch)
        head = 0
        return trim(to: countMax)
    }

    mutating func removeAll(of server: Int) {
        entries.removeSubrange(..<head)
        head = 0
        entries.removeAll { $0.serverID == server }
    }

    private mutating func trim(to countMax: Int) -> UInt64 {
        let excess = max(0, count - countMax)
        head += excess
        compact()
        return UInt64(excess)
    }

    /// Moves rarely: when more than half of the storage has been taken.
    private mutating func compact() {
        guard head > 32, head > entries.count / 2 else { return }
        entries.removeSubrange(..<head)
        head = 0
    }
}
