internal import CShims.PostgreSQL
public import OmniCore

/// One connection to PostgreSQL: libpq without blocking, each wait on the ring with a deadline.
///
/// It is in pipeline mode except while a script runs, so that a batch of commands is one round trip
/// and one implicit transaction. One task uses it at a time. After `connectionLost` or `timedOut` it
/// is good for nothing: whoever holds it closes it.
///
/// `@safe`: the pointer is private, made by libpq and given back to it in `close` or `deinit`.
@safe
public final class PostgresConnection {
    /// Beyond it statements go unnamed: texts come from a fixed set, so only a defect gets there.
    private static let preparedMax = 128

    private let io: any IO
    private var handle: OpaquePointer?
    private var prepared: [String: String] = [:]
    /// False after a loss, a timeout, or a statement that leaves the session in doubt.
    public private(set) var isUsable = true

    private init(_ io: any IO, _ handle: OpaquePointer) {
        self.io = io
        unsafe self.handle = unsafe handle
    }

    deinit { unsafe PQfinish(handle) }

    // MARK: Connecting

    /// Connects, logs in and sets the session's limits.
    static func open(
        _ target: PostgresTarget, _ io: any IO, statementTimeout: Duration, until: MonotonicTime
    ) async throws(SQLError) -> PostgresConnection {
        let connection = try start(target, io)
        try await connection.logIn(until)
        // A statement given up here ends on the server too.
        let milliseconds = statementTimeout.milliseconds
        try await connection.script(
            """
            SET TimeZone = 'UTC'; SET statement_timeout = \(milliseconds);
            SET lock_timeout = \(milliseconds);
            SET idle_in_transaction_session_timeout = 60000;
            """, until: until)
        return connection
    }

    private static func start(
        _ target: PostgresTarget, _ io: any IO
    ) throws(SQLError) -> PostgresConnection {
        let started = unsafe withCStrings(target.parameters.map(\.keyword)) { keywords in
            unsafe withCStrings(target.parameters.map(\.value)) { values in
                unsafe PQconnectStartParams(keywords, values, 0)
            }
        }
        guard let handle = unsafe started else { throw .connectionLost("out of memory") }
        // Its deinit frees the handle, from here on.
        let connection = unsafe PostgresConnection(io, handle)
        unsafe omni2_postgres_drop_notices(handle)
        if unsafe PQstatus(handle) == CONNECTION_BAD { throw connection.loss() }
        return connection
    }

    private func logIn(_ until: MonotonicTime) async throws(SQLError) {
        // libpq says which readiness it wants; before the first poll it wants to write.
        var wanted: Readiness = .writable
        while true {
            try await wait(for: wanted, until)
            switch unsafe PQconnectPoll(handle) {
            case PGRES_POLLING_OK:
                if unsafe PQsetnonblocking(handle, 1) != 0 { throw loss() }
                return
            case PGRES_POLLING_READING: wanted = .readable
            case PGRES_POLLING_WRITING: wanted = .writable
            default: throw loss()
            }
        }
    }

    /// Ends the session. Whoever waits on the connection meanwhile gets `connectionLost`.
    public func close() {
        isUsable = false
        interrupt()
        unsafe PQfinish(handle)
        unsafe handle = nil
    }

    /// Ends the wait of the task that uses the connection, which then closes it.
    public func interrupt() {
        isUsable = false
        guard let handle = unsafe handle else { return }
        let socket = unsafe PQsocket(handle)
        if socket >= 0 { Sockets.shutdown(socket) }
    }

    /// False when the server has hung up while nobody looked: its farewell is the first thing read,
    /// the end of the stream the second.
    func isAlive() -> Bool {
        guard isUsable, let handle = unsafe handle else { return false }
        isUsable =
            unsafe PQconsumeInput(handle) == 1 && PQconsumeInput(handle) == 1
            && PQstatus(handle) == CONNECTION_OK
        return isUsable
    }

    // MARK: Statements

    /// All of the commands or none, in one round trip; one result for each.
    public func run(_ commands: [SQLCommand], until: MonotonicTime) async throws(SQLError)
        -> [SQLResult]
    {
        guard isUsable, unsafe handle != nil else { throw .connectionLost("connection closed") }
        if unsafe PQpipelineStatus(handle) == PQ_PIPELINE_OFF,
            unsafe PQenterPipelineMode(handle) != 1
        {
            throw loss()
        }
        if commands.contains(where: { $0.values.contains(where: \.holdsNul) }) {
            throw .failed(state: SQLState.invalidText, message: "a text holds a NUL character")
        }
        var isNew: [Bool] = []
        for command in commands {
            let isFresh = prepared[command.text] == nil && prepared.count < Self.preparedMax
            isNew.append(isFresh)
            try send(command, isFresh)
        }
        if unsafe PQpipelineSync(handle) != 1 { throw loss() }
        return try await inStep { () throws(SQLError) in
            try await flush(until)
            return try await answers(isNew, until)
        }
    }

    /// Answers that did not come in time would be taken for those of the next statement.
    private func inStep<Value>(
        _ exchange: () async throws(SQLError) -> Value
    ) async throws(SQLError) -> Value {
        do throws(SQLError) { return try await exchange() } catch .timedOut where isAwaiting {
            isUsable = false
            throw .timedOut
        } catch { throw error }
    }

    private var isAwaiting: Bool {
        unsafe PQtransactionStatus(handle) == PQTRANS_ACTIVE
    }

    private func send(_ command: SQLCommand, _ isFresh: Bool) throws(SQLError) {
        if isFresh {
            let name = "s\(prepared.count)"
            if unsafe PQsendPrepare(handle, name, command.text, 0, nil) != 1 { throw loss() }
            prepared[command.text] = name
        }
        let count = Int32(command.values.count)
        let status = unsafe withCStrings(command.values.map(\.postgresText)) { values in
            if let name = prepared[command.text] {
                unsafe PQsendQueryPrepared(handle, name, count, values, nil, nil, 0)
            } else {
                unsafe PQsendQueryParams(handle, command.text, count, nil, values, nil, nil, 0)
            }
        }
        if status != 1 { throw loss() }
    }

    /// Reads up to the end of the batch, whatever fails in it: then the connection is in step again.
    private func answers(_ isNew: [Bool], _ until: MonotonicTime) async throws(SQLError)
        -> [SQLResult]
    {
        // One answer of each preparation and each command, in order.
        let isPreparation = isNew.flatMap { $0 ? [true, false] : [false] }
        var answered = 0
        var results: [SQLResult] = []
        var failure: SQLError?
        while true {
            // A NULL stands between two answers, never two of them.
            let next = unsafe try await nextResult(until)
            let last = unsafe next == nil ? try await nextResult(until) : next
            guard let result = unsafe last else { throw outOfStep() }
            defer { unsafe PQclear(result) }
            let isLast = unsafe PQresultStatus(result) == PGRES_PIPELINE_SYNC
            if !isLast && answered == isPreparation.count { throw outOfStep() }
            switch unsafe PQresultStatus(result) {
            case PGRES_PIPELINE_SYNC:
                if let failure { throw failure }
                return results
            case PGRES_TUPLES_OK, PGRES_COMMAND_OK:
                if !isPreparation[answered] { results.append(unsafe PostgresResult.read(result)) }
            case PGRES_PIPELINE_ABORTED:
                // The first failure says why. What was to be prepared is not there.
                isUsable = isUsable && !isPreparation[answered]
            default:
                failure = failure ?? (unsafe PostgresResult.error(result))
                isUsable = isUsable && !isPreparation[answered] && !leavesDoubt(failure)
            }
            answered += 1
        }
    }

    private func outOfStep() -> SQLError {
        isUsable = false
        return .connectionLost("the server's answers do not fit the statements")
    }

    /// A plan that no longer fits, a statement that a pooler does not know, a server that went
    /// read-only or is going: a new connection does better.
    private func leavesDoubt(_ failure: SQLError?) -> Bool {
        switch failure {
        case .failed("0A000", _), .failed("26000", _), .connectionLost: true
        default: false
        }
    }

    /// Runs a text of several statements as one transaction, unless it says otherwise.
    func script(_ text: String, until: MonotonicTime) async throws(SQLError) {
        guard isUsable, unsafe handle != nil else { throw .connectionLost("connection closed") }
        if unsafe PQpipelineStatus(handle) != PQ_PIPELINE_OFF,
            unsafe PQexitPipelineMode(handle) != 1
        {
            throw loss()
        }
        if unsafe PQsendQuery(handle, text) != 1 { throw loss() }
        try await inStep { () throws(SQLError) in
            try await flush(until)
            var failure: SQLError?
            while let result = unsafe try await nextResult(until) {
                defer { unsafe PQclear(result) }
                switch unsafe PQresultStatus(result) {
                case PGRES_TUPLES_OK, PGRES_COMMAND_OK, PGRES_EMPTY_QUERY: break
                default: failure = failure ?? (unsafe PostgresResult.error(result))
                }
            }
            if let failure { throw failure }
        }
    }

    // MARK: Notifications

    /// What `LISTEN` brought, or nothing when the deadline came first.
    public func notifications(until: MonotonicTime) async throws(SQLError)
        -> [PostgresNotification]
    {
        while true {
            guard unsafe handle != nil else { throw .connectionLost("connection closed") }
            let heard = takeNotifications()
            if !heard.isEmpty { return heard }
            do throws(SQLError) { try await wait(for: .readable, until) } catch .timedOut {
                return []
            }
            if unsafe PQconsumeInput(handle) == 0 { throw loss() }
        }
    }

    private func takeNotifications() -> [PostgresNotification] {
        var heard: [PostgresNotification] = []
        while let notification = unsafe PQnotifies(handle) {
            heard.append(
                PostgresNotification(
                    channel: unsafe String(cString: notification.pointee.relname),
                    payload: unsafe String(cString: notification.pointee.extra)))
            unsafe PQfreemem(notification)
        }
        return heard
    }

    // MARK: Waiting

    private func flush(_ until: MonotonicTime) async throws(SQLError) {
        while true {
            guard unsafe handle != nil else { throw .connectionLost("connection closed") }
            switch unsafe PQflush(handle) {
            case 0: return
            case 1:
                let ready = try await wait(for: [.readable, .writable], until)
                // A server whose answers nobody reads would stop reading ours.
                if ready.contains(.readable), unsafe PQconsumeInput(handle) == 0 { throw loss() }
            default: throw loss()
            }
        }
    }

    /// Nil between two statements of a pipeline and at the end of a script.
    private func nextResult(_ until: MonotonicTime) async throws(SQLError) -> OpaquePointer? {
        while unsafe PQisBusy(handle) == 1 {
            try await wait(for: .readable, until)
            if unsafe PQconsumeInput(handle) == 0 { throw loss() }
        }
        let result = unsafe PQgetResult(handle)
        if unsafe PQstatus(handle) == CONNECTION_BAD {
            unsafe PQclear(result)
            throw loss()
        }
        return unsafe result
    }

    @discardableResult
    private func wait(
        for readiness: Readiness, _ until: MonotonicTime
    ) async throws(SQLError) -> Readiness {
        let socket = unsafe PQsocket(handle)
        guard socket >= 0 else { throw loss() }
        do throws(SystemError) {
            let ready = try await io.readiness(of: socket, readiness, until: until)
            // Somebody may have closed it meanwhile.
            if unsafe handle == nil { throw SystemError("poll", ECONNRESET) }
            return ready
        } catch {
            if error.isTimeout { throw .timedOut }
            isUsable = false
            throw .connectionLost(error.description)
        }
    }

    private func loss() -> SQLError {
        isUsable = false
        guard let handle = unsafe handle, let text = unsafe PQerrorMessage(handle) else {
            return .connectionLost("connection closed")
        }
        return .connectionLost(PostgresResult.firstLine(unsafe String(cString: text)))
    }
}

/// What `NOTIFY` said, and on which channel.
public struct PostgresNotification: Sendable, Equatable {
    public let channel: String
    public let payload: String
}
