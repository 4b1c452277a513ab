internal import CShims.Linux
internal import Glibc
public import OmniCore

/// The kernel through one io_uring. Lives inside the daemon's actor, on the ring thread.
public final class RingIO: IO {
    public struct Settings: Sendable {
        public var entries: UInt32 = 1024
        /// Completions that fit before the kernel keeps them back; several per connection.
        public var completions: UInt32 = 16384
        /// Receive buffers, a power of two, and the bytes of each.
        public var buffersCount = 256
        public var bufferBytes = 8192
        /// Waits at one time; beyond it an awaited operation fails with EAGAIN.
        public var waitsMax = 16384
        public init() {}
    }

    private let ring: Ring
    private let buffers: BufferRing
    public let executor: LoopExecutor
    private unowned let owner: any Actor
    private var awaited: AwaitedOperations
    private var timers: TimerWheel
    private var completions: [Completion] = []
    private var fired: [UInt64] = []
    /// Its thread starts with the first call that blocks: most rings have none.
    private var offloading: Offload?
    /// Other rings that were rung, by the slot of the token that says when it failed.
    private var rung: [RingAddress] = []
    public private(set) var now: MonotonicTime
    public private(set) var wallMicroseconds: UInt64
    private var counts = Statistics()
    public var statistics: Statistics {
        var counts = counts
        counts.awaited = awaited.count
        return counts
    }
    private var queuedBefore: UInt32 = 0

    /// What telemetry shows of the loop.
    public struct Statistics: Sendable {
        public var turns: UInt64 = 0
        public var completions: UInt64 = 0
        /// Operations given to the ring.
        public var submissions: UInt64 = 0
        /// Operations and timers that services wait for now.
        public var awaited = 0
        /// Work of each turn, in seconds.
        public var turnTime = Histogram(bounds: Histogram.turnBounds)
        /// The same of the last turns: what had to wait for them.
        public var lag = RecentQuantiles(capacity: 1024)
        /// The longest turn since the last reading, without the wait.
        public var longestTurn: Duration = .zero
        public init() {}
    }

    /// Call on the thread that will run the loop: the ring belongs to it. Throws ENOSYS, EPERM or
    /// ENOMEM where io_uring is missing, forbidden or out of locked memory.
    public init(settings: Settings, executor: LoopExecutor, owner: any Actor) throws(SystemError) {
        ring = try Ring(entries: settings.entries, completions: settings.completions)
        buffers = try BufferRing(
            on: ring, count: settings.buffersCount, bytesEach: settings.bufferBytes)
        self.executor = executor
        self.owner = owner
        awaited = AwaitedOperations(capacity: settings.waitsMax)
        let start = MonotonicTime(nanoseconds: omni2_clock(CLOCK_MONOTONIC))
        timers = TimerWheel(now: start, capacity: 1024)
        now = start
        wallMicroseconds = omni2_clock(CLOCK_REALTIME) / 1000
        completions.reserveCapacity(Int(settings.completions))
        fired.reserveCapacity(256)
        armWake()
    }

    deinit { offloading?.stop() }

    // MARK: The turn

    /// One turn: flush, one system call that submits and waits, timers, completions in one batch.
    /// The caller runs the Swift jobs between two turns.
    public func turn(_ handler: any CompletionHandler) throws(SystemError) {
        handler.turnEnds()
        noteTurnEnd()
        try ring.submitAndWait(waitTime())
        readClocks()
        noteSubmissions()
        handler.turnBegins()
        fired.removeAll(keepingCapacity: true)
        timers.advance(to: now, into: &fired)
        for token in fired { fire(CompletionToken(rawValue: token), handler) }
        completions.removeAll(keepingCapacity: true)
        ring.reap(into: &completions, limit: completions.capacity)
        counts.turns += 1
        counts.completions += UInt64(completions.count)
        dispatch(handler)
    }

    public func takeLongestTurn() -> Duration {
        defer { counts.longestTurn = .zero }
        return counts.longestTurn
    }

    private func waitTime() -> Duration? {
        if executor.hasReadyJobs { return .zero }
        guard let deadline = timers.nextDeadline else { return nil }
        return deadline - MonotonicTime(nanoseconds: omni2_clock(CLOCK_MONOTONIC))
    }

    private func readClocks() {
        now = MonotonicTime(nanoseconds: omni2_clock(CLOCK_MONOTONIC))
        wallMicroseconds = omni2_clock(CLOCK_REALTIME) / 1000
    }

    private func noteTurnEnd() {
        let spent = MonotonicTime(nanoseconds: omni2_clock(CLOCK_MONOTONIC)) - now
        if spent > counts.longestTurn { counts.longestTurn = spent }
        let seconds = Double(spent.nanosecondsClamped) * 1e-9
        counts.turnTime.observe(seconds)
        counts.lag.observe(seconds)
    }

    private func noteSubmissions() {
        let queued = ring.queuedCount
        counts.submissions += UInt64(queued &- queuedBefore)
        queuedBefore = queued
    }

    private func dispatch(_ handler: any CompletionHandler) {
        let completions = completions
        let arrived = completions.span
        var run = 0..<0
        while run.upperBound < arrived.count {
            run = arrived.run(from: run.upperBound)
            if arrived[run.lowerBound].token.kind >= CompletionToken.firstHotKind {
                handler.completed(arrived.extracting(run))
            } else {
                for index in run { completed(arrived[index]) }
            }
        }
    }

    /// Of the loop's own.
    private func completed(_ completion: Completion) {
        switch completion.token.kind {
        case CompletionToken.awaitedKind:
            finish(completion.token, result: completion.result, flags: completion.flags)
        case CompletionToken.wakeKind:
            executor.drainWake()
            armWake()
        // Its queue is full, or its kernel takes no messages for such a ring.
        case CompletionToken.unrungKind: rung[Int(completion.token.slot)].wake()
        default: break
        }
    }

    private func fire(_ token: CompletionToken, _ handler: any CompletionHandler) {
        guard token.kind == CompletionToken.awaitedTimerKind else { return handler.fired(token) }
        let wait = CompletionToken(
            kind: CompletionToken.awaitedKind, generation: token.generation, slot: token.slot)
        // A wait on the ring ends when the kernel confirms the cancellation, for until then it may
        // still write to the caller's memory. A wait on nothing ends here.
        guard awaited.timedOut(wait) else { return }
        if plainWaits.contains(wait) {
            finish(wait, result: -ETIMEDOUT, flags: 0)
        } else {
            ring.cancel(wait)
        }
    }

    private func finish(_ token: CompletionToken, result: Int32, flags: UInt32) {
        plainWaits.remove(token)
        let timer = awaited.complete(token, result: result, flags: flags, timeoutCode: -ETIMEDOUT)
        if let timer { timers.cancel(timer) }
    }

    private func armWake() {
        ring.poll(
            executor.wakeDescriptor, events: Readiness.readable.rawValue,
            token: CompletionToken(kind: CompletionToken.wakeKind, generation: 0, slot: 0))
    }

    // MARK: Hot operations

    public func accept(on descriptor: Int32, token: CompletionToken) {
        ring.accept(on: descriptor, token: token)
    }

    public func receive(on descriptor: Int32, token: CompletionToken) {
        ring.receive(on: descriptor, token: token)
    }

    public func send(
        on descriptor: Int32, _ bytes: UnsafeRawBufferPointer, token: CompletionToken
    ) {
        unsafe ring.send(on: descriptor, bytes, token: token)
    }

    public func sendNow(
        on descriptor: Int32, _ bytes: UnsafeRawBufferPointer, token: CompletionToken
    ) {
        unsafe ring.send(on: descriptor, bytes, waits: false, token: token)
    }

    public func send(on descriptor: Int32, vector: SendVector, token: CompletionToken) {
        unsafe ring.send(on: descriptor, message: vector.message, token: token)
    }

    public func close(_ descriptor: Int32) { ring.close(descriptor) }

    public func cancel(_ token: CompletionToken) { ring.cancel(token) }

    public var address: RingAddress {
        RingAddress(descriptor: ring.descriptor, executor: executor)
    }

    public func ring(_ other: RingAddress) {
        let slot = rung.firstIndex { $0.descriptor == other.descriptor } ?? rung.count
        if slot == rung.count { rung.append(other) }
        ring.message(
            to: other.descriptor, token: .ignored,
            failed: CompletionToken(
                kind: CompletionToken.unrungKind, generation: 0, slot: UInt32(slot)))
    }

    public func received(_ completion: Completion) -> UnsafeMutableRawBufferPointer? {
        guard let buffer = completion.buffer, completion.result > 0 else { return nil }
        return unsafe buffers.bytes(buffer, count: Int(completion.result))
    }

    public func giveBack(_ completion: Completion) {
        if let buffer = completion.buffer { buffers.giveBack(buffer) }
    }

    public func schedule(at deadline: MonotonicTime, token: CompletionToken) -> TimerWheel.Timer {
        timers.schedule(at: deadline, token: token.rawValue)
    }

    public func cancel(_ timer: TimerWheel.Timer) { timers.cancel(timer) }

    // MARK: Awaited operations

    /// Waits that no ring operation stands behind: sleeps and tickets.
    private var plainWaits: Set<CompletionToken> = []

    private func perform(
        _ call: StaticString, until deadline: MonotonicTime, _ start: (CompletionToken) -> Void
    ) async throws(SystemError) -> Int32 {
        guard let token = awaited.park() else { throw SystemError(call, EAGAIN) }
        let outcome = unsafe await withUnsafeContinuation { continuation in
            unsafe attach(continuation, to: token, until: deadline)
            start(token)
        }
        if outcome.result < 0 { throw SystemError(call, outcome.result) }
        return outcome.result
    }

    private func attach(
        _ continuation: UnsafeContinuation<AwaitedOperations.Outcome, Never>,
        to token: CompletionToken, until deadline: MonotonicTime
    ) {
        let timer =
            deadline == .distantFuture
            ? nil
            : timers.schedule(
                at: deadline,
                token: CompletionToken(
                    kind: CompletionToken.awaitedTimerKind, generation: token.generation,
                    slot: token.slot
                ).rawValue)
        unsafe awaited.attach(continuation, deadline: timer, to: token)
    }

    public func receive(
        on descriptor: Int32, into bytes: UnsafeMutableRawBufferPointer, until: MonotonicTime
    ) async throws(SystemError) -> Int {
        Int(
            try await perform("recv", until: until) {
                unsafe ring.receive(on: descriptor, into: bytes, token: $0)
            })
    }

    public func send(
        on descriptor: Int32, _ bytes: UnsafeRawBufferPointer, until: MonotonicTime
    ) async throws(SystemError) -> Int {
        Int(
            try await perform("send", until: until) {
                unsafe ring.send(on: descriptor, bytes, token: $0)
            })
    }

    public func read(
        from descriptor: Int32, into bytes: UnsafeMutableRawBufferPointer, until: MonotonicTime
    ) async throws(SystemError) -> Int {
        Int(
            try await perform("read", until: until) {
                unsafe ring.read(from: descriptor, into: bytes, token: $0)
            })
    }

    public func write(
        to descriptor: Int32, _ bytes: UnsafeRawBufferPointer, until: MonotonicTime
    ) async throws(SystemError) -> Int {
        Int(
            try await perform("write", until: until) {
                unsafe ring.write(to: descriptor, bytes, token: $0)
            })
    }

    public func connect(
        _ descriptor: Int32, to address: SocketAddress, until: MonotonicTime
    ) async throws(SystemError) {
        let storage = unsafe address.copyOut()
        defer { unsafe storage.deallocate() }
        _ = try await perform("connect", until: until) {
            unsafe ring.connect(
                descriptor, to: storage, length: address.length, token: $0)
        }
    }

    public func readiness(
        of descriptor: Int32, _ events: Readiness, until: MonotonicTime
    ) async throws(SystemError) -> Readiness {
        Readiness(
            rawValue: UInt32(
                bitPattern: try await perform("poll", until: until) {
                    ring.poll(descriptor, events: events.rawValue, token: $0)
                }))
    }

    public func sleep(until deadline: MonotonicTime) async {
        _ = await wait(for: makeTicket(), until: deadline)
    }

    public func makeTicket() -> WaitTicket {
        guard let token = awaited.park() else {
            // Returned at once by `wait`: at the limit nobody waits longer.
            return WaitTicket(token: .ignored)
        }
        return WaitTicket(token: token)
    }

    public func wait(for ticket: WaitTicket, until deadline: MonotonicTime) async -> Bool {
        guard awaited.isLive(ticket.token) else { return ticket.token != .ignored }
        let outcome = unsafe await withUnsafeContinuation { continuation in
            // A caller outside of the daemon's actor passes through the queue on its way here.
            guard awaited.isLive(ticket.token) else {
                return unsafe continuation.resume(
                    returning: AwaitedOperations.Outcome(result: 0, flags: 0))
            }
            plainWaits.insert(ticket.token)
            unsafe attach(continuation, to: ticket.token, until: deadline)
        }
        return outcome.result >= 0
    }

    public func wake(_ ticket: WaitTicket) {
        guard awaited.isLive(ticket.token) else { return }
        finish(ticket.token, result: 0, flags: 0)
    }

    // MARK: Tasks

    public func spawn(_ body: @escaping () async -> Void) {
        // The closure was made inside `owner` and runs nowhere else: `run` is isolated to it.
        nonisolated(unsafe) let body = body
        let owner = owner
        Task(executorPreference: executor) { unsafe await Self.run(body, on: owner) }
    }

    private static func run(_ body: () async -> Void, on actor: isolated any Actor) async {
        await body()
    }

    public func offload<Value: Sendable>(
        _ work: @escaping @Sendable () -> Value
    ) async -> Value {
        let thread = offloading ?? Offload(executor: executor)
        offloading = thread
        return await thread.run(work)
    }
}
