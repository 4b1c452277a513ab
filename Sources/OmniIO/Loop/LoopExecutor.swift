internal import CShims.Linux
internal import Glibc
internal import Synchronization

/// Runs Swift jobs on the ring thread: the serial executor of the daemon's actor and, at the same
/// time, the task executor every task prefers.
///
/// Being both is what keeps a resumed continuation on this thread: with a serial executor alone it
/// travels through the Dispatch pool and back. Jobs from the ring thread go to a plain queue; jobs
/// from elsewhere go through the inbox and wake the ring by its eventfd.
///
/// `@unchecked Sendable`: `local` and `isRunning` are touched on the ring thread only; the inbox is
/// behind its mutex; the rest is immutable or atomic.
public final class LoopExecutor: SerialExecutor, TaskExecutor, @unchecked Sendable {
    private struct Inbox {
        var jobs: [UnownedJob] = []
        var posted: [@Sendable () -> Void] = []
        var isEmpty: Bool { jobs.isEmpty && posted.isEmpty }
    }

    /// What the guard test counts.
    public struct Passes: Sendable, Equatable {
        public var local = 0
        public var foreign = 0
    }

    private var local: [UnownedJob] = []
    private var running: [UnownedJob] = []
    private let inbox = Mutex(Inbox())
    private let thread = Atomic<UInt>(0)
    private let foreignPasses = Atomic<Int>(0)
    private var localPasses = 0
    let wakeDescriptor: Int32

    public init() throws(SystemError) {
        wakeDescriptor = eventfd(0, Int32(EFD_CLOEXEC) | Int32(EFD_NONBLOCK))
        if wakeDescriptor < 0 { throw SystemError("eventfd", errno) }
        local.reserveCapacity(256)
        running.reserveCapacity(256)
    }

    deinit { close(wakeDescriptor) }

    /// From now on the calling thread is the ring thread.
    public func adoptCurrentThread() { thread.store(omni2_thread(), ordering: .releasing) }

    public var isOnRingThread: Bool { thread.load(ordering: .acquiring) == omni2_thread() }

    /// For the guard test: how often jobs were queued, and by whom.
    public var passes: Passes {
        Passes(local: localPasses, foreign: foreignPasses.load(ordering: .relaxed))
    }

    public func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        if isOnRingThread {
            localPasses += 1
            local.append(job)
            return
        }
        foreignPasses.add(1, ordering: .relaxed)
        let wasEmpty = inbox.withLock { inbox in
            defer { inbox.jobs.append(job) }
            return inbox.isEmpty
        }
        if wasEmpty { wake() }
    }

    /// Runs `body` on the ring thread, outside any job. For threads without a ring, and for rings
    /// that cannot be rung.
    public func post(_ body: @escaping @Sendable () -> Void) {
        let wasEmpty = inbox.withLock { inbox in
            defer { inbox.posted.append(body) }
            return inbox.isEmpty
        }
        if wasEmpty { wake() }
    }

    private func wake() {
        var one: UInt64 = 1
        // A full counter means that the ring is being woken already.
        _ = unsafe write(wakeDescriptor, &one, 8)
    }

    /// Resets the eventfd after it fired.
    func drainWake() {
        var count: UInt64 = 0
        // EAGAIN means that somebody drained it before us.
        _ = unsafe read(wakeDescriptor, &count, 8)
    }

    var hasReadyJobs: Bool { !local.isEmpty || inbox.withLock { !$0.isEmpty } }

    /// Runs the jobs that are ready now, not those they make ready: the ring gets its turn between.
    func runReadyJobs() {
        let posted = inbox.withLock { inbox in
            local.append(contentsOf: inbox.jobs)
            inbox.jobs.removeAll(keepingCapacity: true)
            defer { inbox.posted.removeAll() }
            return inbox.posted
        }
        for body in posted { body() }
        swap(&local, &running)
        for job in running {
            unsafe job.runSynchronously(
                isolatedTo: asUnownedSerialExecutor(), taskExecutor: asUnownedTaskExecutor())
        }
        running.removeAll(keepingCapacity: true)
    }

    public func asUnownedSerialExecutor() -> UnownedSerialExecutor {
        unsafe UnownedSerialExecutor(ordinary: self)
    }

    public func isIsolatingCurrentContext() -> Bool? { isOnRingThread }

    public func checkIsolated() {
        precondition(isOnRingThread, "the daemon's state was touched off the ring thread")
    }
}
