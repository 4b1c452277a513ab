internal import CShims.Linux
internal import Glibc
internal import Synchronization

/// One thread for calls that block (SQLite, files, name look-ups); it answers through the ring's
/// eventfd. Callers wait in order; each of them is a suspended task, so their number is bounded by
/// the waits of the ring.
final class Offload: Sendable {
    private struct Queue {
        var work: [@Sendable () -> Void] = []
        var isStopping = false
    }

    private let queue = Mutex(Queue())
    private let arrival: Int32
    private let executor: LoopExecutor

    init(executor: LoopExecutor) {
        self.executor = executor
        // A counting eventfd: each read takes one piece of work, and blocks the thread on none.
        arrival = eventfd(0, Int32(EFD_CLOEXEC) | Int32(EFD_SEMAPHORE))
        precondition(arrival >= 0, "no descriptor left for the offload thread")
        startThread()
    }

    deinit { close(arrival) }

    /// Ends the thread when the work before is done; its ring is gone.
    func stop() {
        queue.withLock { $0.isStopping = true }
        ring()
    }

    func run<Value: Sendable>(_ work: @escaping @Sendable () -> Value) async -> Value {
        let executor = executor
        return unsafe await withUnsafeContinuation { continuation in
            submit {
                let value = work()
                executor.post { unsafe continuation.resume(returning: value) }
            }
        }
    }

    private func submit(_ work: @escaping @Sendable () -> Void) {
        queue.withLock { $0.work.append(work) }
        ring()
    }

    private func ring() {
        var one: UInt64 = 1
        // The counter is far from full: each count is a caller that waits.
        _ = unsafe write(arrival, &one, 8)
    }

    private func startThread() {
        var thread = pthread_t()
        let context = unsafe Unmanaged.passRetained(self).toOpaque()
        let status = unsafe pthread_create(&thread, nil, offloadMain, context)
        precondition(status == 0, "the offload thread could not start")
        pthread_detach(thread)
    }

    fileprivate func loop() {
        while true {
            var count: UInt64 = 0
            let status = unsafe read(arrival, &count, 8)
            if status < 0 && errno == EINTR { continue }
            let (work, isStopping) = queue.withLock { queue in
                (queue.work.isEmpty ? nil : queue.work.removeFirst(), queue.isStopping)
            }
            if let work { work() } else if isStopping { return }
        }
    }
}

private func offloadMain(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let context = unsafe context else { return nil }
    // The thread holds the object until it ends.
    unsafe Unmanaged<Offload>.fromOpaque(context).takeRetainedValue().loop()
    return nil
}
