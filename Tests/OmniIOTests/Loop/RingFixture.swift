import OmniCore
import OmniIO
import Testing

/// A ring with a thread of its own: the smallest thing a service can live in.
actor RingFixture: RingActor {
    nonisolated let executor: LoopExecutor
    nonisolated var unownedExecutor: UnownedSerialExecutor {
        unsafe executor.asUnownedSerialExecutor()
    }
    private var io: RingIO?
    private var isDone = false
    private let handler = QuietHandler()

    init() throws { executor = try LoopExecutor() }

    func turn() throws(SystemError) -> Bool {
        if isDone { return false }
        try io?.turn(handler)
        return true
    }

    private func open() throws(SystemError) {
        var settings = RingIO.Settings()
        settings.entries = 64
        settings.completions = 512
        settings.buffersCount = 8
        io = try RingIO(settings: settings, executor: executor, owner: self)
    }

    private func perform(_ body: @Sendable (RingIO) async throws -> Void) async -> (any Error)? {
        guard let io else { return SystemError("io_uring_setup", 0) }
        defer { isDone = true }
        do {
            try await body(io)
            return nil
        } catch {
            return error
        }
    }

    /// Runs `body` on a fresh ring and its thread, and throws what it throws.
    static func run(_ body: @escaping @Sendable (RingIO) async throws -> Void) async throws {
        let fixture = try RingFixture()
        let failure: (any Error)? = await withCheckedContinuation { continuation in
            do {
                try EventLoop.startThread {
                    fixture.executor.adoptCurrentThread()
                    let opened: Result<Void, SystemError> = fixture.assumeIsolated { fixture in
                        do throws(SystemError) { return .success(try fixture.open()) } catch {
                            return .failure(error)
                        }
                    }
                    if case .failure(let error) = opened {
                        return continuation.resume(returning: error)
                    }
                    Task(executorPreference: fixture.executor) {
                        let failure = await fixture.perform(body)
                        continuation.resume(returning: failure)
                    }
                    do { try EventLoop.run(fixture) } catch {
                        Issue.record("the loop ended: \(error)")
                    }
                }
            } catch {
                continuation.resume(returning: error)
            }
        }
        if let failure { throw failure }
    }
}

/// Nothing hot happens in tests of awaited operations.
final class QuietHandler: CompletionHandler {
    func completed(_ completions: Completions) {
        Issue.record("an unexpected completion \(completions[0])")
    }
    func fired(_ token: CompletionToken) { Issue.record("an unexpected timer \(token)") }
    func turnEnds() {}
}
