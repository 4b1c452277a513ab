public import OmniCore

/// The services' view of the kernel. `RingIO` is the real one; tests have a simulated one.
///
/// Two kinds of operation. *Hot* ones name a token and complete in `CompletionHandler.completed`:
/// no task, no allocation. *Awaited* ones suspend the caller until the outcome or the deadline
/// (`ETIMEDOUT`); their memory must stay valid meanwhile, which a suspended caller guarantees.
public protocol IO: AnyObject {
    /// Read once per turn.
    var now: MonotonicTime { get }
    /// Microseconds since 1970 UTC, read once per turn.
    var wallMicroseconds: UInt64 { get }

    // Hot.
    func accept(on descriptor: Int32, token: CompletionToken)
    func receive(on descriptor: Int32, token: CompletionToken)
    func send(on descriptor: Int32, _ bytes: UnsafeRawBufferPointer, token: CompletionToken)
    /// Takes what the kernel accepts at once and completes with it, or with EAGAIN: the bytes are
    /// not looked at after the submission that ends this turn.
    func sendNow(on descriptor: Int32, _ bytes: UnsafeRawBufferPointer, token: CompletionToken)
    /// Gathers up to `SendVector.capacity` pieces; `vector` must stay where it is until completion.
    func send(on descriptor: Int32, vector: SendVector, token: CompletionToken)
    func close(_ descriptor: Int32)
    func cancel(_ token: CompletionToken)
    /// The bytes of a receive completion; nil when it carries none. Lent until `giveBack`.
    func received(_ completion: Completion) -> UnsafeMutableRawBufferPointer?
    func giveBack(_ completion: Completion)
    func schedule(at deadline: MonotonicTime, token: CompletionToken) -> TimerWheel.Timer
    func cancel(_ timer: TimerWheel.Timer)
    /// Where other rings reach this one.
    var address: RingAddress { get }
    /// Makes the other ring take a turn: something lies where it looks when one begins.
    func ring(_ other: RingAddress)

    // Awaited.
    func receive(
        on descriptor: Int32, into bytes: UnsafeMutableRawBufferPointer, until: MonotonicTime
    ) async throws(SystemError) -> Int
    func send(on descriptor: Int32, _ bytes: UnsafeRawBufferPointer, until: MonotonicTime)
        async throws(SystemError) -> Int
    func read(
        from descriptor: Int32, into bytes: UnsafeMutableRawBufferPointer, until: MonotonicTime
    ) async throws(SystemError) -> Int
    func write(to descriptor: Int32, _ bytes: UnsafeRawBufferPointer, until: MonotonicTime)
        async throws(SystemError) -> Int
    func connect(_ descriptor: Int32, to address: SocketAddress, until: MonotonicTime)
        async throws(SystemError)
    /// Waits until one of `events` (`POLLIN`, `POLLOUT`) is true and returns those that are.
    func readiness(of descriptor: Int32, _ events: Readiness, until: MonotonicTime)
        async throws(SystemError) -> Readiness
    func sleep(until: MonotonicTime) async

    /// Parks the caller until `wake(ticket)`; false when the deadline came first.
    func wait(for ticket: WaitTicket, until: MonotonicTime) async -> Bool
    func makeTicket() -> WaitTicket
    func wake(_ ticket: WaitTicket)

    /// Starts a task on the ring, inside the daemon's actor: the only way tasks are born.
    func spawn(_ body: @escaping () async -> Void)
    /// Runs a blocking call on a thread of its own and resumes here. Bounded: see `Offload`.
    func offload<Value: Sendable>(_ work: @escaping @Sendable () -> Value) async -> Value
}

/// Who is told about hot completions and timers, once per turn in one batch.
public protocol CompletionHandler: AnyObject {
    /// First thing after the wait.
    func turnBegins()
    /// A run of one kind, one at least: the ends of a fan-out's sends come by the thousand.
    func completed(_ completions: Completions)
    func fired(_ token: CompletionToken)
    /// Last thing before the ring submits and waits: flush what was gathered.
    func turnEnds()
}

extension CompletionHandler {
    public func turnBegins() {}
}

/// Poll events of a descriptor.
public struct Readiness: OptionSet, Sendable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }
    public static let readable = Readiness(rawValue: 0x1)
    /// POLLPRI: out-of-band data, or a trigger of a pressure file.
    public static let urgent = Readiness(rawValue: 0x2)
    public static let writable = Readiness(rawValue: 0x4)
    public static let failed = Readiness(rawValue: 0x8)
    public static let hungUp = Readiness(rawValue: 0x10)
}

/// Where a ring can be rung from other threads, for as long as it lives.
public struct RingAddress: Sendable {
    let descriptor: Int32
    private let executor: LoopExecutor?

    init(descriptor: Int32, executor: LoopExecutor) {
        self.descriptor = descriptor
        self.executor = executor
    }

    /// A ring that nobody can ring: for tests with a kernel of their own.
    public init() {
        descriptor = -1
        executor = nil
    }

    /// From a thread without a ring: the same by a descriptor that the other ring polls.
    public func wake() { executor?.post {} }
}

/// Names one wait that another task ends.
public struct WaitTicket: Hashable, Sendable {
    let token: CompletionToken
}
