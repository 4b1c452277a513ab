import OmniCore
import OmniIO

/// Results of tool calls, kept for the next identical call.
///
/// Two segments: `shared` holds what an operator declared the same for everybody, and is handed to
/// sibling processes; `personal` holds what belongs to a role or a user and is mapped by nobody
/// else. Both are exact LRU with a time to live. Policy is decided here, storage is `CacheWriter`'s.
final class Cache {
    /// One call that may be answered from the cache or fill it.
    struct Slot {
        let key: CacheKey
        let server: String
        let tool: String
        let timeToLive: Duration?
        let isShared: Bool
    }

    /// A fill that began before the upstream was asked: what is invalidated meanwhile stays so.
    struct Fill {
        fileprivate let token: FillToken
        fileprivate let slot: Slot
    }

    /// A stored result and what its reader is told about it.
    struct Found {
        let result: [UInt8]
        let age: Duration
        let timeLeft: Duration
        let isStale: Bool
    }

    private let io: any IO
    private let log: Log
    private let settings: Configuration.Cache
    private let shared: CacheWriter
    private let personal: CacheWriter
    private let hasher = CacheKeyHasher()
    private var keyInput = CacheKeyInput()
    private var isStopped = false
    /// Told when entries go because of an order or a change, not because of age.
    var invalidated: (_ server: String?, _ tool: String?, _ count: Int) -> Void = { _, _, _ in }

    init(io: any IO, settings: Configuration.Cache, log: Log) throws(SystemError) {
        self.io = io
        self.log = log
        self.settings = settings
        var configuration = CacheConfiguration()
        configuration.entriesMax = settings.entriesMax
        configuration.bytesMax = settings.bytesMax
        configuration.valueBytesMax = settings.valueBytesMax
        configuration.ttl = settings.timeToLive
        configuration.staleness = settings.staleTime
        shared = try CacheWriter(configuration: configuration, at: BootClock.now())
        personal = try CacheWriter(configuration: configuration, at: BootClock.now())
    }

    /// For the access socket: what siblings may map.
    var published: CacheWriter { shared }

    // MARK: Life

    func start() {
        log.info(
            "Tool Cache started",
            fields: [
                "max_size": settings.entriesMax, "ttl": settings.timeToLive,
                "max_bytes": settings.bytesMax,
            ])
        io.spawn { await self.keepAlive() }
    }

    /// The segment ends as planned: readers attach to the next one by themselves.
    func stop() {
        isStopped = true
        shared.retire()
        let statistics = statistics
        log.info(
            "Tool Cache stopped",
            fields: ["hits": statistics.hits, "misses": statistics.misses, "size": statistics.size])
    }

    /// Readers distrust a writer that was silent for 15 seconds; expired entries go in between.
    private func keepAlive() async {
        let beat = Duration.seconds(5)
        var lastSweep = io.now
        while !isStopped {
            await io.sleep(until: io.now + min(beat, settings.sweepInterval))
            if isStopped { return }
            let now = BootClock.now()
            shared.beat(at: now)
            guard io.now - lastSweep >= settings.sweepInterval else { continue }
            lastSweep = io.now
            await sweep()
        }
    }

    /// In slices, so that a large cache does not hold up the ring.
    private func sweep() async {
        while !isStopped, shared.sweep(at: BootClock.now()) { await io.sleep(until: io.now) }
        while !isStopped, personal.sweep(at: BootClock.now()) { await io.sleep(until: io.now) }
    }

    // MARK: Keys

    /// The place of a call in the cache. The arguments are a JSON object inside `bytes`.
    ///
    /// Shared entries carry the original's key, which a sibling can derive from server, tool and
    /// arguments alone; what else the answer depends on invalidates instead of changing the key.
    func slot(
        server: String, epoch: UInt64, tool: String, policy: CachePolicy, principal: Principal,
        arguments: ByteRange?, meta: ByteRange?, in bytes: RawSpan
    ) -> Slot {
        let input: [UInt8]
        switch policy.sharing {
        case .shared:
            input = keyInput.compatible(mcp: server, tool: tool, arguments: arguments, in: bytes)
        case .role, .user:
            let scope: CacheScope =
                policy.sharing == .role ? .role(principal.role.rawValue) : .user(principal.id)
            input = keyInput.native(
                server: server, epoch: epoch, tool: tool, arguments: arguments, meta: meta,
                in: bytes, scope: scope)
        }
        return Slot(
            key: key(input), server: server, tool: tool,
            timeToLive: policy.timeToLive, isShared: policy.sharing == .shared)
    }

    private func key(_ input: [UInt8]) -> CacheKey { hasher.digest(input.span) }

    // MARK: Reading and filling

    /// The stored result; nil is a miss. The names are compared because the original's key lets
    /// "a:b","c" and "a","b:c" collide.
    func find(_ slot: Slot) -> Found? {
        let writer = writer(of: slot)
        let now = BootClock.now()
        guard let hit = writer.get(slot.key, at: now) else { return nil }
        let names = writer.names(of: hit.origin)
        guard names.server == slot.server, names.tool == slot.tool else { return nil }
        return found(hit, at: now)
    }

    /// A result past its time but within the stale time: for a server that is away.
    func findStale(_ slot: Slot) -> Found? {
        let writer = writer(of: slot)
        let now = BootClock.now()
        guard let hit = writer.getStale(slot.key, at: now) else { return nil }
        let names = writer.names(of: hit.origin)
        guard names.server == slot.server, names.tool == slot.tool else { return nil }
        return found(hit, at: now)
    }

    private func found(_ hit: CacheHit, at now: MonotonicTime) -> Found {
        Found(
            result: unsafe [UInt8](hit.bytes), age: now - hit.storedAt,
            timeLeft: hit.expiresAt - now, isStale: hit.isStale)
    }

    func beginFill(_ slot: Slot) -> Fill {
        Fill(
            token: writer(of: slot).beginFill(server: slot.server, tool: slot.tool), slot: slot)
    }

    func finish(_ fill: Fill, with result: [UInt8]) {
        let outcome = writer(of: fill.slot).put(
            fill.slot.key, result.span, ttl: fill.slot.timeToLive, token: fill.token,
            at: BootClock.now())
        switch outcome {
        case .stored, .replaced: break
        case .tooLarge, .outdated, .noSpace:
            log.debug(
                "result not kept",
                fields: [
                    "mcp": fill.slot.server, "tool": fill.slot.tool, "reason": "\(outcome)",
                    "bytes": result.count,
                ])
        }
    }

    /// Whether a result of this size can be kept at all.
    var valueBytesMax: Int { settings.valueBytesMax }

    private func writer(of slot: Slot) -> CacheWriter { slot.isShared ? shared : personal }

    // MARK: Invalidation

    @discardableResult
    func invalidate(server: String, because reason: String) -> Int {
        let count = shared.invalidate(server: server) + personal.invalidate(server: server)
        note(server: server, tool: nil, count, reason)
        return count
    }

    @discardableResult
    func invalidate(server: String, tool: String, because reason: String) -> Int {
        let count =
            shared.invalidate(server: server, tool: tool)
            + personal.invalidate(server: server, tool: tool)
        note(server: server, tool: tool, count, reason)
        return count
    }

    @discardableResult
    func invalidateAll(because reason: String) -> Int {
        let count = shared.invalidateAll() + personal.invalidateAll()
        note(server: nil, tool: nil, count, reason)
        return count
    }

    private func note(server: String?, tool: String?, _ count: Int, _ reason: String) {
        if count > 0 {
            log.info(
                "cache invalidated",
                fields: ["mcp": server, "tool": tool, "entries": count, "reason": reason])
        }
        invalidated(server, tool, count)
    }

    // MARK: Statistics

    struct Statistics {
        var size = 0
        var sizeMax = 0
        var hits: UInt64 = 0
        var misses: UInt64 = 0
        var evictions: UInt64 = 0
        var expirations: UInt64 = 0
        var invalidations: UInt64 = 0
        var bytes = 0
        var siblingHits: UInt64 = 0

        /// In percent with two decimals; 0 before the first request.
        var hitRate: Double {
            let total = hits + misses
            if total == 0 { return 0 }
            return (Double(hits) / Double(total) * 10_000).rounded() / 100
        }
    }

    var statistics: Statistics {
        var sum = Statistics(sizeMax: settings.entriesMax)
        for one in [shared.statistics, personal.statistics] {
            sum.size += one.entries
            sum.hits += one.hits
            sum.misses += one.misses
            sum.evictions += one.evictions
            sum.expirations += one.expirations
            sum.invalidations += one.invalidations
            sum.bytes += one.bytesUsed
            sum.siblingHits += one.readerHits
        }
        return sum
    }
}
