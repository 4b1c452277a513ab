import OmniCore
import OmniIO

/// One MCP session of a client: what was negotiated, the streams on which we speak, and what we
/// asked and have no answer to.
///
/// Bound to the credential that opened it: another one, even of the same user, does not find it.
final class GatewaySession {
    let id: String
    /// As access is now; the credential stays the same.
    var principal: Principal
    /// What the client was shown last, to tell it of differences.
    var view: GatewayView?
    var machine: MCPSession
    var lastUsed: MonotonicTime
    /// What `logging/setLevel` said; nil leaves it to the servers.
    var logLevel: MCPLogLevel?
    /// Calls that can be cancelled, by the raw id of their request.
    var calls: [[UInt8]: (String) -> Void] = [:]
    /// Called once when the session ends.
    var ended: () -> Void = {}
    private let io: any IO
    /// On which we speak first; there once the client has asked for it. A message goes to one
    /// stream only.
    private var listening: SessionStream?
    /// Of requests, by their numbers; those that have ended stay a while for clients that lost the
    /// end.
    private var streams: [Int: SessionStream] = [:]
    private var lastStream = 0
    private var questions: [Int64: (UpstreamQuestion.Answer) -> Void] = [:]
    private var lastQuestion: Int64 = 0

    private static let questionsMax = 64
    private static let streamsMax = 64
    /// How long a stream nobody reads is kept.
    private static let lostStreamTime = Duration.seconds(60)

    /// `restored` is what a predecessor handed over, if any.
    init(id: String, principal: Principal, io: any IO, restored: ParkedSession? = nil) {
        machine = restored?.machine ?? MCPSession()
        logLevel = restored?.logLevel
        listening = restored.map { SessionStream(number: 0, io: io, sequence: Int($0.sequence)) }
        self.id = id
        self.principal = principal
        self.io = io
        lastUsed = io.now
    }

    // MARK: Streams

    /// Something is being read, or waited for: the session is in use whatever it says.
    var isBusy: Bool { listening?.isAttached == true || !calls.isEmpty }

    var isListening: Bool { listening?.isAttached ?? false }

    /// The client's GET. False when it has its stream open already.
    func listen(_ exchange: HTTPExchange) -> Bool {
        if isListening { return false }
        // Whoever comes without an id begins anew.
        let stream = SessionStream(number: 0, io: io)
        listening = stream
        stand(exchange)
        stream.attach(exchange, after: nil, primes: primes)
        return true
    }

    /// The client's GET with `Last-Event-ID`: the rest of that stream and of no other. False when
    /// there is no such stream.
    func resume(_ exchange: HTTPExchange, after id: String) -> Bool {
        let parts = id.split(separator: "-", maxSplits: 1)
        guard parts.count == 2, let number = Int(parts[0]), let seen = Int(parts[1]),
            let stream = number == 0 ? listening : streams[number]
        else { return false }
        if stream === listening { stand(exchange) }
        stream.attach(exchange, after: seen, primes: primes)
        return true
    }

    /// The stream on which we speak first, begun by a predecessor on a connection it handed over.
    func goOn(with exchange: HTTPExchange) {
        let stream = listening ?? SessionStream(number: 0, io: io)
        listening = stream
        stand(exchange)
        stream.goOn(with: exchange)
    }

    /// No request under way, but something that a successor can go on with.
    private func stand(_ exchange: HTTPExchange) {
        exchange.principal = principal
        exchange.standing = { [weak self] in self.map { .session($0.id) } }
    }

    /// What a successor goes on with.
    func parked(as identity: ParkedIdentity) -> ParkedSession {
        ParkedSession(
            id: id, identity: identity, machine: machine,
            idle: UInt32(clamping: (io.now - lastUsed).components.seconds), logLevel: logLevel,
            sequence: UInt64(listening?.sequence ?? 0))
    }

    /// The stream of one request, begun on its exchange.
    func openStream(_ exchange: HTTPExchange) -> SessionStream {
        lastStream += 1
        let stream = SessionStream(number: lastStream, io: io)
        if streams.count >= Self.streamsMax, let oldest = streams.keys.min() {
            streams[oldest] = nil
        }
        streams[lastStream] = stream
        stream.attach(exchange, after: nil, primes: primes)
        return stream
    }

    /// Events without data are known since 2025-11-25.
    private var primes: Bool { machine.version >= .v2025_11_25 }

    /// Sends a notification where the client listens; nobody listening is fine.
    func notify(_ method: StaticString, params: [UInt8]? = nil) {
        guard machine.mayNotify, let listening else { return }
        var message: [UInt8] = []
        RPCWriter.notification(method: method, params: params, to: &message)
        listening.send(message)
    }

    /// Once in a while: a sign of life, and an end to what nobody came back for.
    func tidy() {
        if isBusy { lastUsed = io.now }
        let now = io.now
        func isLost(_ stream: SessionStream) -> Bool {
            stream.abandonedAt.map { now - $0 > Self.lostStreamTime } ?? false
        }
        listening?.keepAlive()
        if let stream = listening, isLost(stream) { listening = nil }
        if streams.isEmpty { return }
        for stream in streams.values { stream.keepAlive() }
        streams = streams.filter { !isLost($0.value) }
    }

    // MARK: Questions

    /// Asks the client on this stream, or where it listens. The handle takes the question back; nil
    /// when it cannot be asked.
    func ask(
        _ method: MCPMethod, _ params: [UInt8]?, on stream: SessionStream?,
        answered: @escaping (UpstreamQuestion.Answer) -> Void
    ) -> (() -> Void)? {
        guard questions.count < Self.questionsMax, let stream = stream ?? listening else {
            return nil
        }
        lastQuestion += 1
        let id = lastQuestion
        questions[id] = answered
        var message: [UInt8] = []
        RPCWriter.request(id: id, method: method.name, params: params, to: &message)
        stream.send(message)
        return { [weak self] in
            guard let self, self.questions.removeValue(forKey: id) != nil else { return }
            stream.send(UpstreamParams.cancelled(id, "the server no longer waits for it"))
        }
    }

    /// An answer of the client to something we asked it; an unknown one is ignored.
    func answered(_ message: RPCMessage, in bytes: RawSpan) {
        guard let id = JSONScanner.int(message.id, in: bytes),
            let question = questions.removeValue(forKey: id), let payload = message.payload
        else { return }
        guard message.kind == .error, let error = RPCErrorObject.read(payload, in: bytes) else {
            return question(.result(JSONScanner.copy(payload, from: bytes)))
        }
        question(
            .error(
                code: error.code, message: JSONScanner.string(error.message, in: bytes) ?? "",
                data: error.data.map { JSONScanner.copy($0, from: bytes) }))
    }

    func close() {
        machine.close()
        listening?.end()
        listening = nil
        for cancel in calls.values { cancel("the session ended") }
        calls = [:]
        for stream in streams.values { stream.end() }
        streams = [:]
        let open = questions
        questions = [:]
        for question in open.values {
            question(.error(code: .serverError, message: "the client's session ended", data: nil))
        }
        let told = ended
        ended = {}
        told()
    }
}

/// All sessions, bounded in number and idle time.
final class GatewaySessions {
    private let io: any IO
    private let countMax: Int
    private let idleTime: Duration
    private var sessions: [String: GatewaySession] = [:]
    private(set) var ended: UInt64 = 0

    init(io: any IO, countMax: Int, idleTime: Duration) {
        self.io = io
        self.countMax = countMax
        self.idleTime = idleTime
    }

    var count: Int { sessions.count }

    /// At the limit the session idle for longest ends; its client gets 404 and begins anew.
    func open(for principal: Principal) -> GatewaySession {
        if sessions.count >= countMax,
            let oldest = sessions.values.min(by: { $0.lastUsed < $1.lastUsed })
        {
            end(oldest)
        }
        var id = ByteWriter(capacity: 64)
        Digest.random(24).withRawSpan { Base64.encode($0, as: .urlSafe, into: &id) }
        let session = GatewaySession(id: id.string(), principal: principal, io: io)
        sessions[session.id] = session
        return session
    }

    func find(_ id: String, for principal: Principal) -> GatewaySession? {
        guard let session = sessions[id], session.principal == principal else { return nil }
        session.lastUsed = io.now
        session.principal = principal
        return session
    }

    func end(_ session: GatewaySession) {
        guard sessions.removeValue(forKey: session.id) != nil else { return }
        ended += 1
        session.close()
    }

    /// One that a predecessor opened; false when there are as many as allowed.
    func restore(_ parked: ParkedSession, for principal: Principal) -> Bool {
        guard sessions.count < countMax else { return false }
        let session = GatewaySession(
            id: parked.id, principal: principal, io: io, restored: parked)
        let now = io.now.nanoseconds
        session.lastUsed = MonotonicTime(
            nanoseconds: now - min(now, UInt64(parked.idle) * 1_000_000_000))
        sessions[session.id] = session
        return true
    }

    subscript(id: String) -> GatewaySession? { sessions[id] }

    func forEach(_ body: (GatewaySession) -> Void) { sessions.values.forEach(body) }

    /// Once in a while: sessions nobody uses end, streams get a sign of life.
    func tidy() {
        for session in sessions.values {
            session.tidy()
            if io.now - session.lastUsed >= idleTime { end(session) }
        }
    }

    func endAll() { for session in sessions.values { end(session) } }
}
