internal import CShims.Redis
internal import Glibc
public import OmniCore

/// One connection to Redis: hiredis's asynchronous interface, driven by the ring.
///
/// Commands are appended to hiredis's buffer, which leaves as one write when the socket is ready:
/// everything said in one turn travels together. `run` moves the bytes; one task runs it. A connection
/// that subscribes can do nothing else.
///
/// `@safe`: the pointer is private, made by hiredis and given back to it in `close` or `deinit`, or
/// taken back by hiredis itself, which says so (`gone`).
@safe
public final class RedisConnection {
    /// Bytes that may wait to be sent; beyond it commands are refused.
    private static let unsentBytesMax = 16 << 20

    private let io: any IO
    private let sockets: PollSet
    private var context: UnsafeMutablePointer<redisAsyncContext>?
    private var watched: Readiness = []
    /// Answers that somebody waits for, by the number of their command.
    private var waiting: [UInt: Promise<RedisValue?>] = [:]
    private var lastNumber: UInt = 0
    private var received: (_ channel: String, _ payload: [UInt8]) -> Void = { _, _ in }
    private var lossReason = "connection closed"
    private var isEnded = false

    private init(_ io: any IO) throws(SystemError) {
        self.io = io
        sockets = try PollSet()
    }

    deinit {
        guard let context = unsafe context else { return }
        unsafe omni2_redis_detach(context)
        unsafe redisAsyncFree(context)
    }

    // MARK: Connecting

    /// Begins to connect; commands can be given at once. `run` has to be running.
    public static func open(
        _ target: RedisTarget, _ io: any IO
    ) async throws(RedisError) -> RedisConnection {
        let connection: RedisConnection
        do throws(SystemError) {
            connection = try RedisConnection(io)
        } catch {
            throw .connectionLost(error.description)
        }
        switch target.place {
        case .path(let path):
            try unsafe connection.adopt(redisAsyncConnectUnix(path))
        case .network(let host, let port):
            // hiredis would look the name up on this thread.
            let found = await io.offload { NameLookup.address(of: host) }
            switch found {
            case .success(let address):
                try unsafe connection.adopt(redisAsyncConnect(address, Int32(port)))
            case .failure(let failure): throw .connectionLost("\(host): \(failure.reason)")
            }
        }
        return connection
    }

    /// Logs in and selects the database, as far as the target asks for it; then asks for a sign of
    /// life.
    public func logIn(_ target: RedisTarget, until deadline: MonotonicTime) async throws(RedisError)
    {
        if let password = target.password {
            let words = ["AUTH"] + (target.user.map { [$0] } ?? []) + [password.revealed]
            try await expect(words, deadline)
        }
        if target.database != 0 {
            try await expect(["SELECT", String(target.database)], deadline)
        }
        try await expect(["PING"], deadline)
    }

    private func expect(_ words: [String], _ deadline: MonotonicTime) async throws(RedisError) {
        if case .error(let reason) = try await ask(words, until: deadline) {
            throw .refused(reason)
        }
    }

    private func adopt(_ opened: UnsafeMutablePointer<redisAsyncContext>?) throws(RedisError) {
        guard let opened = unsafe opened else { throw .connectionLost("out of memory") }
        if let problem = unsafe omni2_redis_problem(opened) {
            let reason = unsafe String(cString: problem)
            unsafe redisAsyncFree(opened)
            throw .connectionLost(reason)
        }
        unsafe context = unsafe opened
        let owner = unsafe Unmanaged.passUnretained(self).toOpaque()
        unsafe omni2_redis_attach(
            opened, owner, { unsafe RedisConnection.of($0).want(.readable) },
            { unsafe RedisConnection.of($0).drop(.readable) },
            { unsafe RedisConnection.of($0).want(.writable) },
            { unsafe RedisConnection.of($0).drop(.writable) },
            { unsafe RedisConnection.of($0).gone() })
        // Without it a peer that went away silently is noticed by the next PING only.
        _ = unsafe omni2_redis_keep_alive(opened)
        unsafe redisAsyncSetDisconnectCallback(opened, disconnected)
        unsafe redisAsyncSetConnectCallback(opened, connected)
        want(.writable)
    }

    /// Ends the connection; whoever waits for an answer gets none.
    public func close() {
        isEnded = true
        if let context = unsafe context { unsafe redisAsyncFree(context) }
        sockets.wake()
    }

    // MARK: Moving bytes

    /// Returns when the connection is lost or closed, and says why.
    public func run() async -> String {
        while unsafe context != nil, !isEnded {
            for event in await sockets.next(io) { handle(event) }
        }
        failAll()
        return lossReason
    }

    private func handle(_ event: PollSet.Event) {
        if !event.readiness.isDisjoint(with: [.readable, .failed, .hungUp]),
            let context = unsafe context
        {
            unsafe redisAsyncHandleRead(context)
        }
        if event.readiness.contains(.writable), let context = unsafe context {
            unsafe redisAsyncHandleWrite(context)
        }
    }

    private func want(_ readiness: Readiness) { watch(watched.union(readiness)) }
    private func drop(_ readiness: Readiness) { watch(watched.subtracting(readiness)) }

    private func watch(_ readiness: Readiness) {
        guard readiness != watched, let context = unsafe context else { return }
        watched = readiness
        do throws(SystemError) {
            try sockets.watch(unsafe omni2_redis_descriptor(context), readiness, tag: 0)
        } catch {
            // A descriptor that cannot be watched is of no use: the loop ends.
            lossReason = error.description
            isEnded = true
            sockets.wake()
        }
    }

    /// hiredis has freed the context, and closes the descriptor.
    private func gone() {
        unsafe context = nil
        failAll()
        sockets.wake()
    }

    fileprivate func noteLoss(_ problem: UnsafePointer<CChar>?) {
        if let problem = unsafe problem { lossReason = unsafe String(cString: problem) }
    }

    private func failAll() {
        let promises = waiting.values
        waiting.removeAll()
        for promise in promises { promise.fulfil(nil) }
    }

    // MARK: Commands

    /// Bytes that have not left yet.
    public var unsentBytes: Int { unsafe context.map { Int(unsafe omni2_redis_unsent($0)) } ?? 0 }

    /// Says something without waiting for the answer; false when it cannot be said.
    @discardableResult
    public func send(_ words: [String]) -> Bool { submit(words.map { Array($0.utf8) }, number: 0) }

    @discardableResult
    public func send(bytes words: [[UInt8]]) -> Bool { submit(words, number: 0) }

    public func ask(
        _ words: [String], until deadline: MonotonicTime
    ) async throws(RedisError) -> RedisValue {
        try await ask([words], until: deadline)[0]
    }

    /// Several commands in one round trip; all of their answers, in order.
    public func ask(
        _ commands: [[String]], until deadline: MonotonicTime
    ) async throws(RedisError) -> [RedisValue] {
        let numbers = lastNumber + 1...lastNumber + UInt(commands.count)
        lastNumber = numbers.upperBound
        defer { for number in numbers { waiting[number] = nil } }
        var promises: [Promise<RedisValue?>] = []
        for (number, words) in zip(numbers, commands) {
            let promise = Promise<RedisValue?>(io)
            promises.append(promise)
            waiting[number] = promise
            guard submit(words.map { Array($0.utf8) }, number: number) else {
                throw unsafe context == nil ? .connectionLost(lossReason) : .crowded
            }
        }
        var answers: [RedisValue] = []
        for promise in promises {
            guard let answer = await promise.value(until: deadline) else { throw .timedOut }
            guard let answer else { throw .connectionLost(lossReason) }
            answers.append(answer)
        }
        return answers
    }

    /// From now on this connection only listens.
    public func subscribe(
        to channels: [String], patterns: [String] = [],
        _ received: @escaping (_ channel: String, _ payload: [UInt8]) -> Void
    ) {
        self.received = received
        if !channels.isEmpty {
            _ = submit((["SUBSCRIBE"] + channels).map { Array($0.utf8) }, number: 0, listens: true)
        }
        if !patterns.isEmpty {
            _ = submit((["PSUBSCRIBE"] + patterns).map { Array($0.utf8) }, number: 0, listens: true)
        }
    }

    /// `number` 0: nobody waits for the answer.
    private func submit(_ words: [[UInt8]], number: UInt, listens: Bool = false) -> Bool {
        guard let context = unsafe context, !isEnded, unsentBytes < Self.unsentBytesMax else {
            return false
        }
        let lengths = words.map(\.count)
        var all: [UInt8] = []
        all.reserveCapacity(lengths.reduce(0, +))
        for word in words { all += word }
        // hiredis copies the words before it returns.
        let status = unsafe all.withUnsafeBytes { bytes -> Int32 in
            var pointers: [UnsafePointer<CChar>?] = unsafe []
            var offset = 0
            let start = unsafe bytes.baseAddress?.assumingMemoryBound(to: CChar.self)
            for length in lengths {
                unsafe pointers.append(start.map { unsafe $0 + offset })
                offset += length
            }
            return unsafe redisAsyncCommandArgv(
                context, listens ? heard : number == 0 ? nil : answered,
                UnsafeMutableRawPointer(bitPattern: number), Int32(words.count), &pointers, lengths)
        }
        return status == REDIS_OK
    }

    fileprivate func answer(_ number: UInt, _ value: RedisValue?) {
        waiting.removeValue(forKey: number)?.fulfil(value)
    }

    fileprivate func hear(_ value: RedisValue?) {
        guard let parts = value?.list, let kind = parts.first?.string else { return }
        if kind == "message", parts.count == 3, let channel = parts[1].string,
            let payload = parts[2].bytes
        {
            received(channel, payload)
        } else if kind == "pmessage", parts.count == 4, let channel = parts[2].string,
            let payload = parts[3].bytes
        {
            received(channel, payload)
        }
    }

    /// The owner that `adopt` named; alive, because it detaches before it goes.
    fileprivate static func of(_ owner: UnsafeMutableRawPointer?) -> RedisConnection {
        guard let owner = unsafe owner else { preconditionFailure("a hook of no connection") }
        return unsafe Unmanaged<RedisConnection>.fromOpaque(owner).takeUnretainedValue()
    }
}

private func answered(
    _ context: UnsafeMutablePointer<redisAsyncContext>?, _ reply: UnsafeMutableRawPointer?,
    _ number: UnsafeMutableRawPointer?
) {
    guard let context = unsafe context, let owner = unsafe omni2_redis_owner(context) else {
        return
    }
    unsafe RedisConnection.of(owner).answer(UInt(bitPattern: number), unsafe value(of: reply))
}

private func heard(
    _ context: UnsafeMutablePointer<redisAsyncContext>?, _ reply: UnsafeMutableRawPointer?,
    _ number: UnsafeMutableRawPointer?
) {
    guard let context = unsafe context, let owner = unsafe omni2_redis_owner(context) else {
        return
    }
    unsafe RedisConnection.of(owner).hear(unsafe value(of: reply))
}

private func connected(_ context: UnsafePointer<redisAsyncContext>?, _ status: Int32) {
    guard let context = unsafe context, status != REDIS_OK,
        let owner = unsafe omni2_redis_owner(context)
    else { return }
    unsafe RedisConnection.of(owner).noteLoss(omni2_redis_problem(context))
}

private func disconnected(_ context: UnsafePointer<redisAsyncContext>?, _ status: Int32) {
    guard let context = unsafe context, let owner = unsafe omni2_redis_owner(context) else {
        return
    }
    unsafe RedisConnection.of(owner).noteLoss(omni2_redis_problem(context))
}

/// Nil when the connection was lost before the answer came. Depth is hiredis's: seven levels.
private func value(of reply: UnsafeMutableRawPointer?) -> RedisValue? {
    guard let reply = unsafe reply?.assumingMemoryBound(to: redisReply.self) else { return nil }
    let content = unsafe reply.pointee
    switch unsafe content.type {
    case REDIS_REPLY_STRING, REDIS_REPLY_STATUS:
        return .text(unsafe bytes(content))
    case REDIS_REPLY_ERROR:
        return .error(String(decoding: unsafe bytes(content), as: UTF8.self))
    case REDIS_REPLY_INTEGER: return .number(unsafe content.integer)
    case REDIS_REPLY_ARRAY:
        var values: [RedisValue] = []
        for index in 0..<(unsafe content.elements) {
            values.append(unsafe value(of: content.element[index]) ?? .nothing)
        }
        return .list(values)
    default: return .nothing
    }
}

private func bytes(_ reply: redisReply) -> [UInt8] {
    unsafe [UInt8](UnsafeRawBufferPointer(start: reply.str, count: reply.len))
}
