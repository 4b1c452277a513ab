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

    let io: any IO
    let log: Log
    let settings: Configuration.Cache
    let shared: CacheWriter
    let personal: CacheWriter
    private let origins: CacheOrigins
    /// systemd keeps the segments for a successor, which continues them.
    private let isKept: Bool
    private let isContinued: Bool
    private let segments: CacheSegments
    /// From whose segments entries are still being taken.
    private(set) var successions: [CacheSegments.Name: CacheSuccession] = [:]
    /// Nil where warming is off.
    let warmth: CacheWarmth?
    private let hasher = CacheKeyHasher()
    private var keyInput = CacheKeyInput()
    private(set) var isStopped = false
    /// Something is no longer valid, whether or not there was anything of it here.
    var invalidated: (_ server: String?, _ tool: String?, _ reason: String) -> Void = { _, _, _ in }
    /// Events for the dashboards.
    var publish: (ServiceEvent) -> Void = { _ in }

    init(
        io: any IO, settings: Configuration.Cache, segments: CacheSegments,
        stateDirectory: String, log: Log
    ) throws(SystemError) {
        self.io = io
        self.log = log
        self.settings = settings
        self.segments = segments
        var configuration = CacheConfiguration()
        configuration.entriesMax = settings.entriesMax
        configuration.bytesMax = settings.bytesMax
        configuration.valueBytesMax = settings.valueBytesMax
        configuration.ttl = settings.timeToLive
        configuration.staleness = settings.staleTime
        let shared = try segments.open(.shared, configuration)
        let personal = try segments.open(.personal, configuration)
        self.shared = shared.writer
        self.personal = personal.writer
        isKept = shared.isStored && personal.isStored
        isContinued = shared.isContinued || personal.isContinued
        successions[.shared] = shared.succession
        successions[.personal] = personal.succession
        origins = CacheOrigins(
            path: "\(stateDirectory)/cache-origins.json", isContinued: isContinued, log: log)
        warmth =
            settings.warmEntriesMax > 0
            ? CacheWarmth(
                path: "\(stateDirectory)/cache-warm.json", countMax: settings.warmEntriesMax,
                log: log) : nil
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
        for (name, succession) in successions {
            io.spawn { await self.finish(succession, name) }
        }
    }

    /// A segment that nobody keeps ends here, and its readers miss at once. One that systemd keeps
    /// stays as it is: readers go on, and the successor continues it.
    func stop() {
        isStopped = true
        warmth?.save(mostUsed: shared.entries(limit: settings.entriesMax, at: BootClock.now()))
        if !isKept { shared.retire() }
        let statistics = statistics
        log.info(
            "Tool Cache stopped",
            fields: ["hits": statistics.hits, "misses": statistics.misses, "size": statistics.size])
    }

    /// Called when a succession is over.
    func succeeded(_ name: CacheSegments.Name) {
        guard let succession = successions.removeValue(forKey: name) else { return }
        segments.succeeded(name, by: succession.new)
    }

    /// Readers distrust a writer that was silent for 15 seconds; expired entries go in between.
    private func keepAlive() async {
        let beat = Duration.seconds(5)
        let reportInterval = Duration.seconds(30)
        var lastSweep = io.now
        var lastReport = io.now
        while !isStopped {
            await io.sleep(until: io.now + min(beat, settings.sweepInterval))
            if isStopped { return }
            let now = BootClock.now()
            shared.beat(at: now)
            let mustSweep = io.now - lastSweep >= settings.sweepInterval
            if mustSweep {
                lastSweep = io.now
                await sweep()
            }
            await mergePages()
            if mustSweep || io.now - lastReport >= reportInterval {
                lastReport = io.now
                publish(.cacheStatistics(statistics))
            }
        }
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

    /// False once what it fills was invalidated.
    func isCurrent(_ fill: Fill) -> Bool { writer(of: fill.slot).isCurrent(fill.token) }

    /// `timeLeft`: of a result that another host made.
    func finish(_ fill: Fill, with result: [UInt8], timeLeft: Duration? = nil) {
        let outcome = writer(of: fill.slot).put(
            fill.slot.key, result.span, ttl: timeLeft ?? fill.slot.timeToLive, token: fill.token,
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

    // MARK: Servers come and go

    /// What a server said before it went away may no longer hold. Entries of a predecessor stay if
    /// the server is the one it knew.
    func connected(_ server: LiveServer) {
        let fingerprint = server.fingerprint
        if !origins.isUnchanged(server.name, fingerprint) {
            invalidate(server: server.name, because: "connected")
        }
        if isKept { origins.note(server.name, fingerprint) }
    }

    func listChanged(_ server: LiveServer) {
        invalidate(server: server.name, because: "list changed")
        if isKept { origins.note(server.name, server.fingerprint) }
    }

    func disappeared(_ server: String, because reason: String) {
        invalidate(server: server, because: reason)
        origins.forget(server)
    }

    /// All servers are known: a predecessor's entries of others must not be read any longer.
    func keepOnly(_ servers: Set<String>) {
        guard isContinued else { return }
        let old = successions.values.flatMap { $0.old.serverNames }
        for name in Set(shared.serverNames + personal.serverNames + old).subtracting(servers) {
            disappeared(name, because: "not registered")
        }
    }

    // MARK: Invalidation

    @discardableResult
    func invalidate(server: String, because reason: String) -> Int {
        let count = inAll { $0.invalidate(server: server) }
        note(server: server, tool: nil, count, reason)
        return count
    }

    @discardableResult
    func invalidate(server: String, tool: String, because reason: String) -> Int {
        let count = inAll { $0.invalidate(server: server, tool: tool) }
        note(server: server, tool: tool, count, reason)
        return count
    }

    @discardableResult
    func invalidateAll(because reason: String) -> Int {
        let count = inAll { $0.invalidateAll() }
        note(server: nil, tool: nil, count, reason)
        return count
    }

    /// Where one segment follows another, the old one first: nobody may take an entry over from it
    /// that has ended. What is in both counts once.
    private func inAll(_ invalidate: (CacheWriter) -> Int) -> Int {
        [(shared, CacheSegments.Name.shared), (personal, .personal)].reduce(0) { sum, one in
            let old = successions[one.1].map { invalidate($0.old) } ?? 0
            return sum + max(old, invalidate(one.0))
        }
    }

    func note(server: String?, tool: String?, _ count: Int, _ reason: String) {
        invalidated(server, tool, reason)
        guard count > 0 else { return }
        log.info(
            "cache invalidated",
            fields: ["mcp": server, "tool": tool, "entries": count, "reason": reason])
        publish(.cacheInvalidated(server: server, tool: tool, entries: count, reason: reason))
    }
}
