import OmniCore
import OmniIO

/// The actor that owns the ring for the length of one command. Its executor is the main thread.
actor Operator: RingActor {
    nonisolated let executor: LoopExecutor
    nonisolated var unownedExecutor: UnownedSerialExecutor {
        unsafe executor.asUnownedSerialExecutor()
    }

    private let invocation: Invocation
    private let door: Door
    private let environment: Environment
    private let handler = NoCompletions()
    private var io: RingIO?
    private var outcome: Result<Reply, Failure>?

    private init(
        _ invocation: Invocation, _ door: Door, _ environment: Environment
    ) throws(SystemError) {
        executor = try LoopExecutor()
        self.invocation = invocation
        self.door = door
        self.environment = environment
    }

    /// Runs a command to its end. The calling thread is the ring thread.
    static func run(
        _ invocation: Invocation, at door: Door, _ environment: Environment
    ) throws(Failure) -> Reply {
        let outcome: Result<Reply, Failure>?
        do throws(SystemError) {
            let actor = try Operator(invocation, door, environment)
            actor.executor.adoptCurrentThread()
            try actor.assumeIsolated { actor in actor.open() }.get()
            try EventLoop.run(actor)
            outcome = actor.assumeIsolated { $0.outcome }
        } catch {
            throw .failed(
                "io_uring is not available (\(error)); it needs Linux 6.1 or later and "
                    + "/proc/sys/kernel/io_uring_disabled at 0, or 1 for root")
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
            let client = try Client(io: io, door: door, environment: environment)
            io.spawn { await self.perform(client) }
            return .success(())
        } catch {
            return .failure(error)
        }
    }

    private func perform(_ client: Client) async {
        guard case .remote(let body) = invocation.command.body else {
            preconditionFailure("a local command needs no ring")
        }
        do throws(Failure) {
            outcome = .success(try await body(invocation, client))
        } catch {
            outcome = .failure(error)
        }
        client.close()
    }
}

/// Everything here is awaited: there are no hot operations.
private final class NoCompletions: CompletionHandler {
    func completed(_ completion: Completion) {}
    func fired(_ token: CompletionToken) {}
    func turnEnds() {}
}
