/// The server side of one handshake-era session: who the client is, what was negotiated, and which
/// message may come when.
///
/// The stateless era has no session: its requests are judged one by one by `ModernRequest`.
/// A message that passes here is well placed; whether its sender may do it is Access's business.
public struct MCPSession: Hashable, Sendable {
    public enum State: UInt8, Hashable, Sendable {
        /// Nothing but `initialize` and `ping` is answered. → `offered`
        case fresh
        /// `initialize` was answered. Requests are served, since many clients send theirs along
        /// with `notifications/initialized`; what the server starts waits for `ready`. → `ready`
        case offered
        /// The client has said `notifications/initialized`.
        case ready
        case closed
    }

    public enum Action: Hashable, Sendable {
        /// Answer with `MCPSession.initializeResult`.
        case answerInitialize
        /// Answer `{}`.
        case answerEmpty
        case route(MCPMethod)
        /// A notification the gateway has to act on. HTTP answers 202.
        case notified(MCPMethod)
        /// An answer to something we asked this client: match it by its id. HTTP answers 202.
        case answered
        /// Nothing to do (a notification no revision knows). HTTP answers 202.
        case ignore
        case refuse(RPCFailure)
    }

    public private(set) var state = State.fresh
    public private(set) var version = ProtocolVersion.assumedWithoutHeader
    public private(set) var client = MCPPeer(name: "", version: "")
    public private(set) var capabilities: ClientCapabilities = []

    public init() {}

    /// For a client that speaks without a session, as the original's clients may: everything but
    /// `initialize` is served at once under the version its header names.
    public init(withoutHandshake version: ProtocolVersion) {
        precondition(version.era == .handshake, "the modern era has no session")
        self.version = version
        state = .ready
    }

    /// As it was when a predecessor of the daemon handed it over.
    init(
        restored state: State, version: ProtocolVersion, client: MCPPeer,
        capabilities: ClientCapabilities
    ) {
        self.state = state
        self.version = version
        self.client = client
        self.capabilities = capabilities
    }

    /// Requests of our own (list_changed, sampling, roots) may be sent.
    public var mayNotify: Bool { state == .ready }

    public mutating func received(_ message: RPCMessage, in bytes: RawSpan) -> Action {
        switch message.kind {
        case .result, .error: return state == .fresh || state == .closed ? .ignore : .answered
        case .notification: return receivedNotification(message, in: bytes)
        case .request: return receivedRequest(message, in: bytes)
        }
    }

    public mutating func close() { state = .closed }

    /// The result of `initialize`, as this session's version writes it.
    public func initializeResult(
        server: MCPPeer, capabilities: ServerCapabilities, instructions: String?
    ) -> [UInt8] {
        var json = JSONWriter()
        json.object { json in
            json.member("protocolVersion", "\(version.text)")
            json.member("capabilities") { capabilities.write(for: version, to: &$0) }
            json.member("serverInfo") { server.write(for: version, to: &$0) }
            json.member("instructions", ifPresent: instructions)
        }
        return json.take()
    }

    private mutating func receivedRequest(_ message: RPCMessage, in bytes: RawSpan) -> Action {
        func refuse(_ code: RPCCode, _ reason: RPCFailure.Reason) -> Action {
            .refuse(RPCFailure(code, reason, id: message.id))
        }
        guard let method = MCPMethod(message.method, in: bytes), !method.isNotification,
            method.sender != .server
        else {
            return state == .fresh
                ? refuse(.invalidRequest, .notInitialized)
                : refuse(.methodNotFound, .methodNotFound)
        }
        switch (method, state) {
        case (_, .closed): return refuse(.invalidRequest, .notInitialized)
        case (.ping, _): return .answerEmpty
        case (.initialize, .fresh):
            negotiate(message.params, in: bytes)
            return .answerInitialize
        case (.initialize, _): return refuse(.invalidRequest, .alreadyInitialized)
        case (_, .fresh): return refuse(.invalidRequest, .notInitialized)
        default:
            return method.exists(in: version)
                ? .route(method) : refuse(.methodNotFound, .methodNotFound)
        }
    }

    private mutating func receivedNotification(
        _ message: RPCMessage, in bytes: RawSpan
    ) -> Action {
        guard let method = MCPMethod(message.method, in: bytes), method.isNotification,
            method.sender != .server, state != .fresh, state != .closed
        else { return .ignore }
        if method == .initialized { state = .ready }
        return .notified(method)
    }

    private mutating func negotiate(_ params: ByteRange?, in bytes: RawSpan) {
        func member(_ name: StaticString) -> ByteRange? {
            params.flatMap { JSONScanner.member(name, of: $0, in: bytes) }
        }
        let requested = ProtocolVersion(member("protocolVersion"), in: bytes)
        version = .negotiated(for: requested)
        client = MCPPeer(member("clientInfo"), in: bytes)
        capabilities = ClientCapabilities(member("capabilities"), in: bytes)
        state = .offered
    }
}
