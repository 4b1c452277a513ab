internal import CShims.Linux
internal import Glibc

/// An actor that lives on a ring: its executor is the loop, its turn is the loop's body.
public protocol RingActor: Actor {
    nonisolated var executor: LoopExecutor { get }
    /// One turn of the ring; false ends the loop.
    func turn() throws(SystemError) -> Bool
}

/// The loop itself: jobs, then one turn, until the actor says that it is done.
public enum EventLoop {
    /// Runs on the calling thread, which becomes the ring thread.
    public static func run(_ daemon: some RingActor) throws(SystemError) {
        let executor = daemon.executor
        executor.adoptCurrentThread()
        var goesOn = true
        while goesOn {
            executor.runReadyJobs()
            // One crossing into the actor for the whole batch: it costs an allocation each.
            goesOn = try step(daemon).get()
        }
        executor.runReadyJobs()
    }

    private static func step(_ daemon: some RingActor) -> Result<Bool, SystemError> {
        daemon.assumeIsolated { daemon in
            do throws(SystemError) {
                return .success(try daemon.turn())
            } catch {
                return .failure(error)
            }
        }
    }

    /// Starts a thread that runs `body`. For rings beyond the first, and for tests.
    public static func startThread(_ body: @escaping @Sendable () -> Void) throws(SystemError) {
        var thread = pthread_t()
        let context = unsafe Unmanaged.passRetained(ThreadBody(body)).toOpaque()
        let status = unsafe pthread_create(&thread, nil, ringThreadMain, context)
        if status != 0 {
            unsafe Unmanaged<ThreadBody>.fromOpaque(context).release()
            throw SystemError("pthread_create", status)
        }
        pthread_detach(thread)
    }
}

private final class ThreadBody: Sendable {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
}

private func ringThreadMain(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let context = unsafe context else { return nil }
    unsafe Unmanaged<ThreadBody>.fromOpaque(context).takeRetainedValue().body()
    return nil
}
