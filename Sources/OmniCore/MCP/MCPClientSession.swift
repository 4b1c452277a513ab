/// The client side towards one upstream: which era it speaks, what was negotiated, when it is ready.
///
/// One event, one action; the caller performs it and comes back with the outcome as the next event.
/// Deadlines are the caller's: a step that takes too long is `probeAnswered(.silence)` or `failed`.
public struct MCPClientSession: Hashable, Sendable {
    public enum State: Hashable, Sendable {
        /// → `probing`, `initializing`
        case idle
        /// `server/discover` is under way. → `ready` (modern), `initializing` (handshake)
        case probing
        /// `initialize` is under way. → `confirming`
        case initializing
        /// `notifications/initialized` is under way. → `ready`
        case confirming
        case ready(ProtocolVersion)
        /// Start again with `start`.
        case closed(Failure)
    }

    public enum Failure: UInt8, Error, Hashable, Sendable {
        /// The transport failed or a deadline passed.
        case transport
        /// 401 or 403: a credential is needed before anything else.
        case unauthorized
        /// No revision in common.
        case unsupportedVersion
        /// The answer was not what the method promises.
        case badAnswer
        /// The server refused `initialize` with an error.
        case refused
        case stopped
    }

    public enum Action: Hashable, Sendable {
        case sendDiscover
        case sendInitialize
        case sendInitialized
        /// Requests may be sent under this version.
        case ready(ProtocolVersion)
        /// Try the oldest HTTP form: GET for an event stream that names the endpoint.
        case tryEventStream
        case failed(Failure)
        /// The event does not belong to this state any more (a late answer).
        case none
    }

    public private(set) var state = State.idle
    public private(set) var server = MCPPeer(name: "", version: "")
    public private(set) var capabilities: ServerCapabilities = []
    public private(set) var instructions: String?
    /// What the last successful start found; hand it to the next `start` to skip the probe.
    public private(set) var verdict: ProtocolVersion.Era?

    public init(verdict: ProtocolVersion.Era? = nil) { self.verdict = verdict }

    public var version: ProtocolVersion? {
        if case .ready(let version) = state { version } else { nil }
    }

    /// Begins with the remembered era, or with the probe when there is none.
    public mutating func start() -> Action {
        server = MCPPeer(name: "", version: "")
        capabilities = []
        instructions = nil
        if verdict == .handshake {
            state = .initializing
            return .sendInitialize
        }
        state = .probing
        return .sendDiscover
    }

    public mutating func probeAnswered(_ answer: UpstreamProbe.Answer, in bytes: RawSpan) -> Action
    {
        guard state == .probing else { return .none }
        switch UpstreamProbe.verdict(of: answer, in: bytes) {
        case .modern(let version, let result):
            if let result { note(result, in: bytes) }
            verdict = .modern
            state = .ready(version)
            return .ready(version)
        case .handshake:
            state = .initializing
            return .sendInitialize
        case .unauthorized: return close(.unauthorized)
        case .unsupported: return close(.unsupportedVersion)
        case .unknown: return close(.transport)
        }
    }

    /// The outcome of `initialize` over HTTP when it was not a JSON-RPC answer.
    public mutating func initializeAnswered(status: Int) -> Action {
        guard state == .initializing else { return .none }
        switch status {
        case 400, 404, 405: return .tryEventStream
        case 401, 403: return close(.unauthorized)
        default: return close(.transport)
        }
    }

    public mutating func initializeAnswered(_ message: RPCMessage, in bytes: RawSpan) -> Action {
        guard state == .initializing else { return .none }
        guard message.kind == .result, let result = message.payload else { return close(.refused) }
        guard let text = JSONScanner.member("protocolVersion", of: result, in: bytes) else {
            return close(.badAnswer)
        }
        guard let version = ProtocolVersion(text, in: bytes), version.era == .handshake else {
            return close(.unsupportedVersion)
        }
        note(result, in: bytes)
        verdict = .handshake
        offered = version
        state = .confirming
        return .sendInitialized
    }

    public mutating func initializedSent() -> Action {
        guard state == .confirming, let offered else { return .none }
        state = .ready(offered)
        return .ready(offered)
    }

    /// The server forgot us (404 on a session, child exit): negotiate again, once per loss.
    public mutating func sessionLost() -> Action {
        guard case .ready(let version) = state else { return .none }
        if version.era == .modern { return .ready(version) }
        return start()
    }

    public mutating func failed() -> Action { close(.transport) }

    public mutating func stop() { state = .closed(.stopped) }

    /// A verdict that stopped working is forgotten: the next start probes.
    public mutating func forgetVerdict() { verdict = nil }

    private var offered: ProtocolVersion?

    private mutating func close(_ failure: Failure) -> Action {
        state = .closed(failure)
        return .failed(failure)
    }

    private mutating func note(_ result: ByteRange, in bytes: RawSpan) {
        func member(_ name: StaticString, of object: ByteRange) -> ByteRange? {
            JSONScanner.member(name, of: object, in: bytes)
        }
        let info =
            member("serverInfo", of: result)
            ?? member("_meta", of: result).flatMap { member(ModernMeta.serverInfo, of: $0) }
        server = MCPPeer(info, in: bytes)
        capabilities = ServerCapabilities(member("capabilities", of: result), in: bytes)
        instructions = JSONScanner.string(member("instructions", of: result), in: bytes)
    }
}

extension MCPClientSession {
    /// The params of our `initialize`.
    public static func initializeParams(
        client: MCPPeer, capabilities: ClientCapabilities,
        version: ProtocolVersion = .latestHandshake
    ) -> [UInt8] {
        var json = JSONWriter()
        json.object { json in
            json.member("protocolVersion", "\(version.text)")
            json.member("capabilities") { capabilities.write(for: version, to: &$0) }
            json.member("clientInfo") { client.write(for: version, to: &$0) }
        }
        return json.take()
    }
}
