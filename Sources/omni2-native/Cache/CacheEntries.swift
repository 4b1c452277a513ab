import OmniCore
import OmniIO

extension Cache {
    /// An entry as the API shows it.
    struct Entry {
        let facts: CacheEntry
        let isShared: Bool
        let age: Duration
        let timeLeft: Duration

        fileprivate init(_ facts: CacheEntry, isShared: Bool, at now: MonotonicTime) {
            self.facts = facts
            self.isShared = isShared
            age = now - facts.storedAt
            timeLeft = facts.expiresAt - now
        }
    }

    /// Shared entries before personal ones; within each the most recently used first.
    func entries(server: String?, tool: String?, limit: Int) -> [Entry] {
        let now = BootClock.now()
        let first = shared.entries(server: server, tool: tool, limit: limit, at: now)
        let rest = personal.entries(
            server: server, tool: tool, limit: limit - first.count, at: now)
        return first.map { Entry($0, isShared: true, at: now) }
            + rest.map { Entry($0, isShared: false, at: now) }
    }

    /// Neither a hit nor a miss, and no use.
    func entry(_ key: CacheKey) -> (entry: Entry, value: [UInt8])? {
        let now = BootClock.now()
        for (writer, isShared) in [(shared, true), (personal, false)] {
            if let (facts, value) = writer.entry(key, at: now) {
                return (Entry(facts, isShared: isShared, at: now), value)
            }
        }
        return nil
    }

    /// False if there was none.
    func remove(_ key: CacheKey, because reason: String) -> Bool {
        guard let (entry, _) = entry(key) else { return false }
        let writer = entry.isShared ? shared : personal
        writer.remove(key, at: BootClock.now())
        for succession in successions.values { succession.remove(key, at: BootClock.now()) }
        note(server: entry.facts.server, tool: entry.facts.tool, 1, reason)
        return true
    }
}
