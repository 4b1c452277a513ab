public import OmniCore

/// A few connections to one database, made when they are needed, handed out in order of asking.
///
/// Who waits for a connection waits at most until its deadline; beyond `waitingMax` nobody waits.
public final class PostgresPool {
    public struct Settings: Sendable {
        public var connectionsMax = 4
        public var waitingMax = 256
        public var connectTimeout: Duration = .seconds(5)
        /// The server ends a statement after this; callers set deadlines of their own.
        public var statementTimeout: Duration = .seconds(5)
        public init() {}
    }

    /// What a waiting task is given: a connection, or the right to make one.
    private enum Grant {
        case connection(PostgresConnection)
        case place
    }

    private final class Waiter {
        let ticket: WaitTicket
        var grant: Grant?
        init(_ ticket: WaitTicket) { self.ticket = ticket }
    }

    private let io: any IO
    private let url: String
    private let settings: Settings
    private var idle: [PostgresConnection] = []
    private var busy: [ObjectIdentifier: PostgresConnection] = [:]
    /// Connections and attempts to make one.
    private var places = 0
    private var waiters: [Waiter] = []
    private var target: PostgresTarget?
    private var resolving: Promise<Result<PostgresTarget, SQLError>>?
    private var attempts = 0
    private var isClosed = false

    public init(_ io: any IO, url: String, _ settings: Settings = Settings()) {
        precondition(settings.connectionsMax > 0, "a pool has at least one connection")
        self.io = io
        self.url = url
        self.settings = settings
    }

    // MARK: Statements

    /// All of the commands or none, in one round trip; one result for each.
    public func run(_ commands: [SQLCommand], until: MonotonicTime) async throws(SQLError)
        -> [SQLResult]
    {
        let connection = try await acquire(until)
        busy[ObjectIdentifier(connection)] = connection
        defer {
            busy[ObjectIdentifier(connection)] = nil
            release(connection)
        }
        return try await connection.run(commands, until: until)
    }

    private func acquire(_ until: MonotonicTime) async throws(SQLError) -> PostgresConnection {
        if isClosed { throw .connectionLost("the pool is closed") }
        while let connection = idle.popLast() {
            if connection.isAlive() { return connection }
            connection.close()
            places -= 1
        }
        if places < settings.connectionsMax {
            places += 1
            return try await fill(until)
        }
        switch try await grant(until) {
        case .connection(let connection): return connection
        case .place: return try await fill(until)
        }
    }

    /// Makes a connection for a place that was taken; gives the place back when that fails.
    private func fill(_ until: MonotonicTime) async throws(SQLError) -> PostgresConnection {
        let limit = min(until, io.now + settings.connectTimeout)
        do throws(SQLError) {
            let target: PostgresTarget
            if let known = self.target { target = known } else { target = try await resolve(limit) }
            return try await PostgresConnection.open(
                target, io, statementTimeout: settings.statementTimeout, until: limit)
        } catch {
            vacate()
            throw error
        }
    }

    private func grant(_ until: MonotonicTime) async throws(SQLError) -> Grant {
        if waiters.count >= settings.waitingMax { throw .crowded }
        let waiter = Waiter(io.makeTicket())
        waiters.append(waiter)
        _ = await io.wait(for: waiter.ticket, until: until)
        waiters.removeAll { $0 === waiter }
        // Both may have come in one turn; what was given is not lost.
        if let grant = waiter.grant { return grant }
        throw isClosed ? .connectionLost("the pool is closed") : .timedOut
    }

    private func release(_ connection: PostgresConnection) {
        guard connection.isUsable, !isClosed else {
            connection.close()
            return vacate()
        }
        if !hand(.connection(connection)) { idle.append(connection) }
    }

    private func vacate() {
        if !hand(.place) { places -= 1 }
    }

    private func hand(_ grant: Grant) -> Bool {
        guard !isClosed, !waiters.isEmpty else { return false }
        let waiter = waiters.removeFirst()
        waiter.grant = grant
        io.wake(waiter.ticket)
        return true
    }

    // MARK: Connections

    /// A connection outside the pool, for `LISTEN` and migrations; the host's name is looked up anew.
    public func connect(until: MonotonicTime) async throws(SQLError) -> PostgresConnection {
        let limit = min(until, io.now + settings.connectTimeout)
        let resolved = try await resolve(limit)
        target = resolved
        return try await PostgresConnection.open(
            resolved, io, statementTimeout: settings.statementTimeout, until: limit)
    }

    /// One look-up at a time, however many wait for it: it holds the offload thread.
    private func resolve(_ until: MonotonicTime) async throws(SQLError) -> PostgresTarget {
        let promise = resolving ?? startResolving()
        guard let result = await promise.value(until: until) else { throw .timedOut }
        return try result.get()
    }

    private func startResolving() -> Promise<Result<PostgresTarget, SQLError>> {
        let promise = Promise<Result<PostgresTarget, SQLError>>(io)
        resolving = promise
        // libpq tries addresses in turn within one deadline: each attempt begins with another one,
        // so that a host that swallows packets does not stand before the rest for ever.
        let (io, url, rotation) = (io, url, attempts)
        attempts += 1
        io.spawn { [self] in
            let result = await io.offload { PostgresTarget.resolve(url, rotation: rotation) }
            resolving = nil
            promise.fulfil(result)
        }
        return promise
    }

    /// Drops the connections nobody uses: the server they lead to is gone.
    public func dropIdle() {
        for connection in idle {
            connection.close()
            places -= 1
        }
        idle.removeAll()
        target = nil
    }

    /// Statements under way end with `connectionLost`.
    public func close() {
        isClosed = true
        dropIdle()
        for connection in busy.values { connection.interrupt() }
        let waiting = waiters
        waiters.removeAll()
        for waiter in waiting { io.wake(waiter.ticket) }
    }
}
