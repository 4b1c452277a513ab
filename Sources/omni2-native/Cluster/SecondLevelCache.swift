import OmniCore
import OmniIO

/// Results that another host has: `omni2:cache:{key}` in Redis, for tools whose results are shared.
///
/// An entry carries the counters of its server, its tool and of everything, as they were before its
/// upstream was asked. An invalidation counts them up and tells the other hosts: what was stored, or
/// is on its way, under an older count is dead wherever it is.
final class SecondLevelCache {
    static let channel = "omni2:cache:invalidate"
    private static let prefix = "omni2:cache:"

    /// What a look-up found, or what a fill has to carry.
    struct Outcome {
        var result: [UInt8]?
        var timeLeft: Duration = .zero
        fileprivate var counts: [String] = []
    }

    private struct Scope: Hashable {
        let server: String?
        let tool: String?
    }

    private let link: RedisLink
    private let cache: Cache
    private let origin: String
    /// Invalidations that Redis has not heard of yet: it is told when it is back.
    private var owed: Set<Scope> = []
    private static let owedMax = 1000
    private var isTakingOrders = false
    private(set) var hits: UInt64 = 0
    private(set) var misses: UInt64 = 0
    private(set) var stored: UInt64 = 0

    init(link: RedisLink, cache: Cache, origin: String) {
        self.link = link
        self.cache = cache
        self.origin = origin
        link.on(Self.channel) { [unowned self] in self.heard($0) }
        link.changed.append { [unowned self] isConnected in if isConnected { self.payOwed() } }
    }

    // MARK: Looking up and storing

    /// Nil when Redis has no say: not connected, or too slow.
    func find(_ slot: Cache.Slot) async -> Outcome? {
        guard link.isConnected, slot.isShared else { return nil }
        let key = Self.key(slot)
        let answers = await link.ask([
            ["MGET", key] + Self.counters(slot.server, slot.tool), ["PTTL", key],
        ])
        guard let values = answers?.first?.list, values.count == 4 else { return nil }
        var outcome = Outcome()
        outcome.counts = values.dropFirst().map { $0.string ?? "0" }
        guard let entry = values[0].bytes, case .number(let left)? = answers?.last, left > 0,
            let result = Self.result(of: entry, slot, outcome.counts)
        else {
            misses += 1
            return outcome
        }
        hits += 1
        outcome.result = result
        outcome.timeLeft = .milliseconds(left)
        return outcome
    }

    /// Behind the request's back: nobody waits for the answer.
    func store(_ result: [UInt8], _ slot: Cache.Slot, _ looked: Outcome?, for time: Duration) {
        guard let looked, looked.counts.count == 3 else { return }
        let head: JSONValue = [
            "mcp": .string(slot.server), "tool": .string(slot.tool),
            "counts": JSONValue(looked.counts),
        ]
        let milliseconds = max(1, time.milliseconds)
        let words = [
            Array("SET".utf8), Array(Self.key(slot).utf8),
            head.bytes + [UInt8(ascii: "\n")] + result, Array("PX".utf8),
            Array(String(milliseconds).utf8),
        ]
        if link.send(bytes: words) { stored += 1 }
    }

    private static func result(
        of entry: [UInt8], _ slot: Cache.Slot, _ counts: [String]
    ) -> [UInt8]? {
        guard let end = entry.firstIndex(of: UInt8(ascii: "\n")),
            let head = EventBus.object(Array(entry[..<end])), head["mcp"]?.string == slot.server,
            head["tool"]?.string == slot.tool, head["counts"]?.strings == counts
        else { return nil }
        return Array(entry[entry.index(after: end)...])
    }

    private static func key(_ slot: Cache.Slot) -> String { prefix + slot.key.description }

    /// Of everything, of the server, of the tool. Lengths keep names apart that hold colons.
    private static func counters(_ server: String, _ tool: String) -> [String] {
        [
            counter(Scope(server: nil, tool: nil)), counter(Scope(server: server, tool: nil)),
            counter(Scope(server: server, tool: tool)),
        ]
    }

    private static func counter(_ scope: Scope) -> String {
        let words = [scope.server, scope.tool].compactMap { $0 }
        return "omni2:cache-count" + words.map { ":\($0.utf8.count):\($0)" }.joined()
    }

    // MARK: Invalidation

    /// Something was invalidated here: it is so everywhere.
    func invalidated(server: String?, tool: String?) {
        guard !isTakingOrders else { return }
        let scope = Scope(server: server, tool: tool)
        if !tell(scope) {
            if owed.count >= Self.owedMax { owed = [Scope(server: nil, tool: nil)] }
            owed.insert(scope)
        }
    }

    private func tell(_ scope: Scope) -> Bool {
        guard link.isConnected, link.send(["INCR", Self.counter(scope)]) else { return false }
        var message: JSONValue = ["origin": .string(origin)]
        message["mcp_name"] = JSONValue(scope.server)
        message["tool"] = JSONValue(scope.tool)
        return link.publish(Self.channel, message.bytes)
    }

    private func payOwed() {
        let scopes = owed
        owed = []
        for scope in scopes { invalidated(server: scope.server, tool: scope.tool) }
    }

    private func heard(_ payload: [UInt8]) {
        guard let message = EventBus.object(payload), message["origin"]?.string != origin else {
            return
        }
        // Not to be told again.
        isTakingOrders = true
        defer { isTakingOrders = false }
        let reason = "another host"
        switch (message["mcp_name"]?.string, message["tool"]?.string) {
        case (let server?, let tool?): cache.invalidate(server: server, tool: tool, because: reason)
        case (let server?, nil): cache.invalidate(server: server, because: reason)
        case (nil, _): cache.invalidateAll(because: reason)
        }
    }
}
