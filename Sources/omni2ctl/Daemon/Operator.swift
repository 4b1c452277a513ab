import OmniCore
import OmniIO

/// The actor that owns the ring for the length of one command. Its executor is the main thread.
actor Operator: RingActor {
    typealias Work = @Sendable (Client) async throws(Failure) -> Reply

    nonisolated let executor: LoopExecutor
    nonisolated var unownedExecutor: UnownedSerialExecutor {
        unsafe executor.asUnownedSerialExecutor()
    }

    private let door: Door
    private let environment: Environment
    private let work: Work
    /// Where SIGINT and SIGTERM arrive; nil where they end the process as ever.
    private let signals: Int32?
    private let handler = NoCompletions()
    private var io: RingIO?
    private var outcome: Result<Reply, Failure>?

    private init(
        _ door: Door, _ environment: Environment, signals: Int32?, _ work: @escaping Work
    ) throws(SystemError) {
        executor = try LoopExecutor()
        self.door = door
        self.environment = environment
        self.signals = signals
        self.work = work
    }

    /// Does some work with the daemon. The calling thread is the ring thread.
    ///
    /// What is live ends by a signal, too: then all is well and nothing is left to say.
    static func run(
        at door: Door, _ environment: Environment, isLive: Bool = false, _ work: @escaping Work
    ) throws(Failure) -> Reply {
        let outcome: Result<Reply, Failure>?
        do throws(SystemError) {
            let signals =
                try isLive
                ? Process.signalDescriptor([.interrupt, .terminate]).take() : nil
            let actor = try Operator(door, environment, signals: signals, work)
            actor.executor.adoptCurrentThread()
            try actor.assumeIsolated { actor in actor.open() }.get()
            try EventLoop.run(actor)
            outcome = actor.assumeIsolated { $0.outcome }
        } catch {
            throw .failed(
                "io_uring is not available (\(error)); it needs Linux 6.1 or later and "
                    + "/proc/sys/kernel/io_uring_disabled at 0, or 1 for root; omni2ctl doctor says more"
            )
        }
        guard let outcome else { preconditionFailure("the loop ended before the command") }
        return try outcome.get()
    }

    func turn() throws(SystemError) -> Bool {
        guard let io, outcome == nil else { return false }
        try io.turn(handler)
        return true
    }

    private func open() -> Result<Void, SystemError> {
        var settings = RingIO.Settings()
        settings.entries = 64
        settings.completions = 256
        settings.buffersCount = 8
        settings.bufferBytes = 4096
        settings.waitsMax = 256
        do throws(SystemError) {
            let io = try RingIO(settings: settings, executor: executor, owner: self)
            self.io = io
            let progress = Progress(io: io, isShown: signals == nil, environment)
            let client = try Client(
                io: io, door: door, environment: environment, progress: progress)
            io.spawn { await self.perform(client) }
            if let signals { io.spawn { await self.awaitEnd(signals, io, client) } }
            return .success(())
        } catch {
            return .failure(error)
        }
    }

    private func perform(_ client: Client) async {
        let result: Result<Reply, Failure>
        do throws(Failure) {
            result = .success(try await work(client))
        } catch {
            result = .failure(error)
        }
        client.progress.end()
        client.close()
        if outcome == nil { outcome = result }
    }

    private func awaitEnd(_ signals: Int32, _ io: RingIO, _ client: Client) async {
        // Whatever wakes us, the descriptor is for these two signals alone.
        _ = try? await io.readiness(of: signals, .readable, until: .distantFuture)
        client.atEnd()
        outcome = .success(.nothing)
    }
}

/// Everything here is awaited: there are no hot operations.
private final class NoCompletions: CompletionHandler {
    func completed(_ completions: Completions) {}
    func fired(_ token: CompletionToken) {}
    func turnEnds() {}
}
