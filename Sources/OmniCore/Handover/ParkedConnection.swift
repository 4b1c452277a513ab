/// One connection between two daemons: where its byte streams stand, and what is spoken on it.
///
/// `unsent` comes before anything else that is sent, `unread` before anything else that is received.
public struct ParkedConnection: Hashable, Sendable {
    public enum Talk: Hashable, Sendable {
        /// HTTP between two requests; the beginning of the next one may be in `unread`.
        case requests
        case webSocket(ParkedWebSocket)
        /// The answer to a request that has no end: server-sent events.
        case stream(ParkedStream)
    }

    /// The kernel's name of the socket (`SO_COOKIE`): descriptors come in any order.
    public var cookie: UInt64
    /// The listener it came by, and who may be behind that.
    public var listener: String
    public var audience: UInt8
    public var unread: [UInt8]
    public var unsent: [UInt8]
    public var talk: Talk

    public init(
        cookie: UInt64, listener: String = "", audience: UInt8 = 0, unread: [UInt8] = [],
        unsent: [UInt8] = [], talk: Talk
    ) {
        self.cookie = cookie
        self.listener = listener
        self.audience = audience
        self.unread = unread
        self.unsent = unsent
        self.talk = talk
    }

    func write(to state: inout StateWriter) {
        state.put(cookie)
        state.put(listener)
        state.put(audience)
        state.put(unread)
        state.put(unsent)
        switch talk {
        case .requests: state.put(UInt8(0))
        case .webSocket(let parked):
            state.put(UInt8(1))
            parked.write(to: &state)
        case .stream(let parked):
            state.put(UInt8(2))
            parked.write(to: &state)
        }
    }

    init(from state: inout StateReader) throws(StateError) {
        cookie = try state.long()
        listener = try state.string()
        audience = try state.byte()
        unread = try state.array()
        unsent = try state.array()
        switch try state.byte() {
        case 0: talk = .requests
        case 1: talk = .webSocket(try ParkedWebSocket(from: &state))
        case 2: talk = .stream(try ParkedStream(from: &state))
        default: throw .invalid
        }
    }
}

/// Who somebody was, and by what: the successor asks whether that still holds.
public struct ParkedIdentity: Hashable, Sendable {
    public var id: String
    public var name: String
    public var role: String
    /// The kind of credential, and what it is found again by; Access's words.
    public var credential: String
    /// Nothing that lets anybody in: it only shows that the credential is the same.
    public var proof: [UInt8]

    public init(id: String, name: String, role: String, credential: String, proof: [UInt8]) {
        self.id = id
        self.name = name
        self.role = role
        self.credential = credential
        self.proof = proof
    }

    func write(to state: inout StateWriter) {
        state.put(id)
        state.put(name)
        state.put(role)
        state.put(credential)
        state.put(proof)
    }

    init(from state: inout StateReader) throws(StateError) {
        id = try state.string()
        name = try state.string()
        role = try state.string()
        credential = try state.string()
        proof = try state.array()
    }
}

/// A stream of server-sent events.
public struct ParkedStream: Hashable, Sendable {
    public enum Kind: Hashable, Sendable {
        /// The hub's events of these types, from `cursor` on.
        case events(types: [String], cursor: UInt64)
        /// What an MCP session says of its own accord.
        case session(String)
    }

    public var identity: ParkedIdentity
    public var kind: Kind
    public var requestID: String
    /// The request that is being answered, as it came: it decides how the answer is framed.
    public var request: [UInt8]

    public init(identity: ParkedIdentity, kind: Kind, requestID: String, request: [UInt8]) {
        self.identity = identity
        self.kind = kind
        self.requestID = requestID
        self.request = request
    }

    func write(to state: inout StateWriter) {
        identity.write(to: &state)
        switch kind {
        case .events(let types, let cursor):
            state.put(UInt8(0))
            state.put(all: types) { $0.put($1) }
            state.put(cursor)
        case .session(let id):
            state.put(UInt8(1))
            state.put(id)
        }
        state.put(requestID)
        state.put(request)
    }

    init(from state: inout StateReader) throws(StateError) {
        identity = try ParkedIdentity(from: &state)
        switch try state.byte() {
        case 0:
            let types = try state.list { one throws(StateError) in try one.string() }
            kind = .events(types: types, cursor: try state.long())
        case 1: kind = .session(try state.string())
        default: throw .invalid
        }
        requestID = try state.string()
        request = try state.array()
    }
}
