internal import CShims.Cache
public import OmniCore

/// The one writer of a shared cache segment, and the daemon's own way into it.
///
/// The segment holds only what a reader needs. Order of use, expiry order, free space and counts
/// are private memory, rebuilt when a successor recovers the segment; a process that dies between
/// any two stores can lose the entry it was writing, nothing else.
///
/// Called on the ring thread only; nothing here waits. Times are `CLOCK_BOOTTIME` (`BootClock`).
/// The order of the stores is not here but in `omni2_cache_writer.h`; the rest of this type is in
/// `CacheWriter+Put`, `+Space`, `+Invalidation`, `+Recovery`, `+Readers` and their like.
@safe
public final class CacheWriter {
    public let configuration: CacheConfiguration
    public let segment: SharedSegment
    let geometry: omni2_geometry
    /// Pointers into the mapping, at a stable address for the C functions.
    let shared: UnsafeMutablePointer<omni2_writer>

    /// What the writer knows about a descriptor beyond what readers need.
    struct Slot {
        var node = ExtentAllocator.none
        var expiryClass: UInt8 = 0
        var hits: UInt32 = 0
        var storedAt: UInt64 = 0
    }
    var slots: [Slot]
    /// Free descriptors; the next one is the last.
    var spareSlots: [UInt32]

    /// Oldest use first. Every descriptor in use is here.
    var recency: SlotLinks
    var recencyList = SlotList()
    /// Per distinct life, in order of expiry. Every descriptor in use is in one.
    var expiry: ExpiryQueues
    /// Valid entries per tool; `deadList` holds those that were invalidated and not yet reclaimed.
    var membership: SlotLinks
    var toolLists: [SlotList]
    var deadList = SlotList()
    var toolEntries: [Int]
    var entriesValid = 0

    var allocator: ExtentAllocator
    /// Which 2 MiB steps of the value area have memory.
    var reservedSteps: [Bool]
    var stepsReserved = 0
    var memoryLimit: MemoryLimit
    var merging = PageMerging()

    var names: CacheNames
    /// The next stamp to use. Never reused, not even by a successor.
    var nextStamp: UInt64 = 1
    var invalidAll: UInt64 = 0
    var serverStamps: [UInt64]
    var toolStamps: [UInt64]
    var counters = CacheCounters()
    var readers: ReaderAreas
    /// The latest time seen: a clock that jumps backwards is not followed.
    var latest: UInt64 = 0
    private var lastBeat: UInt64 = 0
    private static let beatInterval: UInt64 = 1_000_000_000

    /// A new, empty segment.
    public convenience init(
        configuration: CacheConfiguration, at now: MonotonicTime
    ) throws(SystemError) {
        var random = SystemRandomNumberGenerator()
        try self.init(
            configuration: configuration, seed: (random.next(), random.next()), at: now)
    }

    /// The index seed is random in production; tests choose it to make keys collide.
    init(
        configuration: CacheConfiguration, seed: (UInt64, UInt64), at now: MonotonicTime
    ) throws(SystemError) {
        let configuration = configuration.bounded
        var geometry = omni2_geometry()
        var random = SystemRandomNumberGenerator()
        let bytes = configuration.plan(&geometry, identifier: random.next(), seed: seed)
        segment = try SharedSegment(name: "omni2-cache", bytes: bytes)
        // Names and values take memory when they are first needed.
        try segment.reserve(offset: 0, count: geometry.namesOffset)
        unsafe omni2_writer_format(segment.base, &geometry)
        self.configuration = configuration
        self.geometry = geometry
        unsafe shared = .allocate(capacity: 1)
        unsafe shared.initialize(to: omni2_writer_over(segment.base, &geometry))
        let entries = configuration.entriesMax
        slots = Array(repeating: Slot(), count: entries)
        spareSlots = (0..<UInt32(entries)).reversed()
        recency = SlotLinks(count: entries)
        expiry = ExpiryQueues(count: entries)
        membership = SlotLinks(count: entries)
        toolLists = Array(repeating: SlotList(), count: configuration.toolsMax)
        toolEntries = Array(repeating: 0, count: configuration.toolsMax)
        allocator = ExtentAllocator(entries: entries)
        reservedSteps = Array(
            repeating: false, count: Int(geometry.value_units) / Self.unitsPerStep)
        memoryLimit = MemoryLimit()
        names = CacheNames(servers: configuration.serversMax, tools: configuration.toolsMax)
        serverStamps = Array(repeating: 0, count: configuration.serversMax)
        toolStamps = Array(repeating: 0, count: configuration.toolsMax)
        readers = ReaderAreas(areasMax: configuration.readersMax, descriptors: entries)
        unsafe omni2_writer_set_stamp(shared, nextStamp)
        beginLife(at: now)
    }

    /// For recovery: a segment whose geometry was checked; tables still empty.
    init(
        continuing segment: SharedSegment, geometry: omni2_geometry,
        configuration: CacheConfiguration
    ) {
        self.segment = segment
        self.geometry = geometry
        self.configuration = configuration
        var geometry = geometry
        unsafe shared = .allocate(capacity: 1)
        unsafe shared.initialize(to: omni2_writer_over(segment.base, &geometry))
        let entries = configuration.entriesMax
        slots = Array(repeating: Slot(), count: entries)
        spareSlots = []
        spareSlots.reserveCapacity(entries)
        recency = SlotLinks(count: entries)
        expiry = ExpiryQueues(count: entries)
        membership = SlotLinks(count: entries)
        toolLists = Array(repeating: SlotList(), count: configuration.toolsMax)
        toolEntries = Array(repeating: 0, count: configuration.toolsMax)
        allocator = ExtentAllocator(entries: entries)
        reservedSteps = Array(
            repeating: false, count: Int(geometry.value_units) / Self.unitsPerStep)
        memoryLimit = MemoryLimit()
        names = CacheNames(servers: configuration.serversMax, tools: configuration.toolsMax)
        serverStamps = Array(repeating: 0, count: configuration.serversMax)
        toolStamps = Array(repeating: 0, count: configuration.toolsMax)
        readers = ReaderAreas(areasMax: configuration.readersMax, descriptors: entries)
    }

    deinit { unsafe shared.deallocate() }

    /// Random name of the segment; systemd's descriptor store knows it as `cache-<identifier>`.
    public var identifier: UInt64 { geometry.segment_id }

    // MARK: - Lookup

    /// The value of a valid entry, moved to the most recent end. Counts a hit or a miss.
    public func get(_ key: CacheKey, at now: MonotonicTime) -> CacheHit? {
        let now = advance(to: now)
        guard let slot = find(key) else { return miss() }
        let found = descriptor(slot)
        guard !isInvalid(found), now < found.expires else { return miss() }
        noteUse(of: slot)
        count(OMNI2_STAT_HITS)
        return hit(slot, found, now: now)
    }

    /// Like `get`, but also answers with an entry whose life ended less than `staleness` ago. For
    /// when the upstream fails; a fresh entry is returned as well. Invalidated ones never are.
    public func getStale(_ key: CacheKey, at now: MonotonicTime) -> CacheHit? {
        let now = advance(to: now)
        guard let slot = find(key) else { return nil }
        let found = descriptor(slot)
        guard !isInvalid(found), now < reclaimTime(found.expires) else { return nil }
        noteUse(of: slot)
        if now >= found.expires { count(OMNI2_STAT_STALE_HITS) } else { count(OMNI2_STAT_HITS) }
        return hit(slot, found, now: now)
    }

    /// Whether `get` would answer; changes neither order nor counters.
    public func contains(_ key: CacheKey, at now: MonotonicTime) -> Bool {
        guard let slot = find(key) else { return false }
        let found = descriptor(slot)
        return !isInvalid(found) && max(now.nanoseconds, latest) < found.expires
    }

    private func miss() -> CacheHit? {
        count(OMNI2_STAT_MISSES)
        return nil
    }

    private func noteUse(of slot: UInt32) {
        recency.remove(slot, from: &recencyList)
        recency.append(slot, to: &recencyList)
        slots[Int(slot)].hits &+= 1
    }

    private func hit(_ slot: UInt32, _ found: omni2_descriptor, now: UInt64) -> CacheHit {
        unsafe CacheHit(
            buffer: bytes(found),
            origin: origin(found),
            storedAt: MonotonicTime(nanoseconds: slots[Int(slot)].storedAt),
            expiresAt: MonotonicTime(nanoseconds: found.expires),
            isStale: now >= found.expires)
    }

    // MARK: - What the parts share

    func find(_ key: CacheKey) -> UInt32? {
        var words = key.shared
        let hash = unsafe omni2_writer_hash(shared, &words)
        let slot = unsafe omni2_writer_find(shared, &words, hash)
        return slot < 0 ? nil : UInt32(slot)
    }

    func descriptor(_ slot: UInt32) -> omni2_descriptor {
        unsafe omni2_writer_read(shared, slot)
    }

    /// A value where it lies.
    func bytes(_ found: omni2_descriptor) -> UnsafeRawBufferPointer {
        let unit = Int(omni2_location_unit(found.location))
        return unsafe UnsafeRawBufferPointer(
            start: shared.pointee.values + unit * Self.unitBytes,
            count: Int(omni2_location_length(found.location)))
    }

    func origin(_ found: omni2_descriptor) -> CacheOrigin {
        CacheOrigin(server: omni2_meta_server(found.meta), tool: omni2_meta_tool(found.meta))
    }

    /// The stamp up to which entries of this origin are invalid.
    func invalidStamp(_ origin: CacheOrigin) -> UInt64 {
        max(invalidAll, serverStamps[Int(origin.server)], toolStamps[Int(origin.tool)])
    }

    func isInvalid(_ found: omni2_descriptor) -> Bool {
        found.born <= invalidStamp(origin(found))
    }

    func reclaimTime(_ expires: UInt64) -> UInt64 {
        let extra = UInt64(max(0, configuration.staleness.nanosecondsClamped))
        let (sum, overflow) = expires.addingReportingOverflow(extra)
        return overflow ? .max : sum
    }

    func takeStamp() -> UInt64 {
        let stamp = nextStamp
        nextStamp += 1
        unsafe omni2_writer_set_stamp(shared, nextStamp)
        return stamp
    }

    func advance(to now: MonotonicTime) -> UInt64 {
        latest = max(latest, now.nanoseconds)
        // A writer that works is alive, also while its sweep is late.
        if latest - lastBeat >= Self.beatInterval { setHeartbeat() }
        return latest
    }

    func count(_ which: omni2_statistic, _ more: UInt64 = 1) {
        unsafe counters.set(which, counters[which] &+ more, in: shared)
    }

    func publish(_ which: omni2_statistic, _ value: Int) {
        unsafe counters.set(which, UInt64(value), in: shared)
    }

    /// Readers may use the segment from here on.
    func beginLife(at now: MonotonicTime) {
        mergeTables()
        publish(OMNI2_STAT_ENTRIES_MAX, configuration.entriesMax)
        publish(OMNI2_STAT_BYTES_MAX, configuration.bytesMax)
        publishGauges()
        beat(at: now)
        unsafe omni2_writer_take_over(shared, UInt32(getpid()))
        unsafe omni2_writer_set_state(shared, OMNI2_STATE_LIVE)
    }

    /// Readers distrust a segment whose writer was silent for 15 s. `sweep` does this as well.
    public func beat(at now: MonotonicTime) {
        _ = advance(to: now)
        setHeartbeat()
    }

    private func setHeartbeat() {
        lastBeat = latest
        unsafe omni2_writer_set_heartbeat(shared, latest)
    }

    /// Planned end, or a successor took over: readers attach anew or miss.
    public func retire() {
        unsafe omni2_writer_set_state(shared, OMNI2_STATE_RETIRED)
    }

    func publishGauges() {
        publish(OMNI2_STAT_ENTRIES, entriesValid)
        publish(OMNI2_STAT_BYTES_USED, bytesUsed)
        publish(OMNI2_STAT_BYTES_RESERVED, bytesReserved)
        publish(OMNI2_STAT_READERS, readers.count)
    }

    var bytesReserved: Int { stepsReserved * Self.stepBytes }
    var bytesUsed: Int { bytesReserved - allocator.unitsFree * Self.unitBytes }
}

/// A value where it lies in the segment.
///
/// Valid until the writer is next asked to change anything: use the bytes before returning to the
/// loop, or copy them.
@safe
public struct CacheHit {
    let buffer: UnsafeRawBufferPointer
    public let origin: CacheOrigin
    /// When the value was put; for an entry kept through a recovery, when that happened.
    public let storedAt: MonotonicTime
    public let expiresAt: MonotonicTime
    public let isStale: Bool

    /// The bytes, for handing to a system call before the writer changes.
    @unsafe public var bytes: UnsafeRawBufferPointer { unsafe buffer }

    public var count: Int { unsafe buffer.count }

    @inlinable
    public func withBytes<Result>(_ body: (Span<UInt8>) throws -> Result) rethrows -> Result {
        try unsafe body(bytes.bindMemory(to: UInt8.self).span)
    }
}
