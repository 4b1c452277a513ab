import OmniCore
import OmniIO

/// One MCP session of a client: what was negotiated, and the stream on which we speak first.
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
    /// The client's GET stream, at most one: a message goes to one stream only.
    var stream: HTTPExchange?
    /// Calls that can be cancelled, by the raw id of their request.
    var calls: [[UInt8]: () -> Void] = [:]

    init(
        id: String, principal: Principal, machine: MCPSession = MCPSession(), now: MonotonicTime
    ) {
        self.machine = machine
        self.id = id
        self.principal = principal
        lastUsed = now
    }

    /// Sends a notification where the client listens; nobody listening is fine.
    func notify(_ method: StaticString, params: [UInt8]? = nil) {
        guard machine.mayNotify, let stream, stream.isOpen else { return }
        var message: [UInt8] = []
        RPCWriter.notification(method: method, params: params, to: &message)
        stream.stream(EventText.message(message))
    }

    func close() {
        machine.close()
        stream?.endStream()
        stream = nil
        for cancel in calls.values { cancel() }
        calls = [:]
    }
}

/// Server-sent events around JSON-RPC messages.
enum EventText {
    static func message(_ json: [UInt8]) -> [UInt8] {
        var text: [UInt8] = []
        text.reserveCapacity(json.count + 32)
        text.append(contentsOf: "event: message\ndata: ".utf8)
        // JSON on one line: a line break inside would end the data.
        text.append(contentsOf: json.lazy.map { $0 == 10 || $0 == 13 ? 32 : $0 })
        text.append(contentsOf: "\n\n".utf8)
        return text
    }

    /// Keeps proxies from closing a quiet stream.
    static let keepAlive = Array(": keep-alive\n\n".utf8)
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
    var now: MonotonicTime { io.now }

    /// At the limit the session idle for longest ends; its client gets 404 and begins anew.
    func open(for principal: Principal) -> GatewaySession {
        if sessions.count >= countMax,
            let oldest = sessions.values.min(by: { $0.lastUsed < $1.lastUsed })
        {
            end(oldest)
        }
        var id = ByteWriter(capacity: 64)
        Digest.random(24).withRawSpan { Base64.encode($0, as: .urlSafe, into: &id) }
        let session = GatewaySession(id: id.string(), principal: principal, now: io.now)
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
    func restore(_ session: GatewaySession) -> Bool {
        guard sessions.count < countMax else { return false }
        sessions[session.id] = session
        return true
    }

    subscript(id: String) -> GatewaySession? { sessions[id] }

    func forEach(_ body: (GatewaySession) -> Void) { sessions.values.forEach(body) }

    /// Once in a while: sessions nobody uses end, streams get a sign of life.
    func tidy() {
        for session in sessions.values {
            if let stream = session.stream, stream.isOpen {
                session.lastUsed = io.now
                stream.stream(EventText.keepAlive)
            } else if io.now - session.lastUsed >= idleTime {
                end(session)
            }
        }
    }

    func endAll() { for session in sessions.values { end(session) } }
}
