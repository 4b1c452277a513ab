import OmniCore
import OmniIO

/// Keeps a database connected: connects, waits until the connection is lost, and tries again with
/// backoff until it is stopped. Starting before the database is ready is a normal case.
final class ConnectionKeeper {
    private let io: any IO
    private var connect: () async throws(SQLError) -> Void
    /// Returns why the connection was lost, or anything once it was interrupted.
    private var watch: () async -> String
    private var interrupt: () -> Void
    private let ended: Promise<Bool>
    private var delay: RetryDelay
    private var isStarted = false
    private(set) var isStopping = false
    private var pausing: WaitTicket?

    private(set) var state: StoreState = .starting
    var stateChanged: (StoreState) -> Void = { _ in }

    init(
        _ io: any IO, delay: RetryDelay = RetryDelay(),
        connect: @escaping () async throws(SQLError) -> Void,
        watch: @escaping () async -> String, interrupt: @escaping () -> Void
    ) {
        self.io = io
        self.delay = delay
        self.connect = connect
        self.watch = watch
        self.interrupt = interrupt
        ended = Promise(io)
    }

    func start() {
        precondition(!isStarted, "a store is started once")
        isStarted = true
        io.spawn { await self.run() }
    }

    /// Returns when nothing of this runs any more, after five seconds at the latest.
    func stop() async {
        guard isStarted, !isStopping else { return }
        isStopping = true
        if let pausing { io.wake(pausing) }
        interrupt()
        _ = await ended.value(until: io.now + .seconds(5))
    }

    private func run() async {
        while !isStopping {
            let reason = await connectAndWatch()
            if isStopping { break }
            become(.unavailable(reason: reason, since: since))
            await pause(delay.next(Double.random(in: 0...1)))
        }
        letGo()
        ended.fulfil(true)
    }

    /// What was given to it holds its owner, and the owner holds it.
    private func letGo() {
        connect = {}
        watch = { "" }
        interrupt = {}
        stateChanged = { _ in }
    }

    private func connectAndWatch() async -> String {
        do throws(SQLError) { try await connect() } catch { return error.reason }
        if isStopping { return "" }
        delay.reset()
        become(.ready)
        return await watch()
    }

    /// One outage has one beginning, however often its reason changes.
    private var since: Int64 {
        if case .unavailable(_, let since) = state { since } else { Int64(io.wallMicroseconds) }
    }

    private func become(_ next: StoreState) {
        if next == state { return }
        state = next
        stateChanged(next)
    }

    private func pause(_ duration: Duration) async {
        let ticket = io.makeTicket()
        pausing = ticket
        _ = await io.wait(for: ticket, until: io.now + duration)
        pausing = nil
    }
}

extension StoreState {
    /// What a caller is told while the database is away.
    var absence: String {
        switch self {
        case .starting: "the database is not connected yet"
        case .ready: "the database is stopping"
        case .unavailable(let reason, _): reason
        }
    }
}
