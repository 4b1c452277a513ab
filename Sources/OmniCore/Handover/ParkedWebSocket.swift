/// A WebSocket connection: the rules' own state, what has come of an incomplete message, and what
/// the client subscribed to.
public struct ParkedWebSocket: Hashable, Sendable {
    public struct Subscription: Hashable, Sendable {
        public var id: String
        public var types: [String]
        /// As JSON, in the words of a subscribe message.
        public var filter: [UInt8]

        public init(id: String, types: [String], filter: [UInt8]) {
            self.id = id
            self.types = types
            self.filter = filter
        }
    }

    public var identity: ParkedIdentity
    /// Which application: the hub, or the echo of the tests.
    public var application: String
    /// For limits per address.
    public var address: String?
    /// Our deflate window, 0 without compression.
    public var deflateBits: UInt8
    public var session: WebSocketSession
    /// Bytes of a frame that is not complete.
    public var carry: [UInt8] = []
    /// The message so far; of a compressed one what was inflated, beside what that was made of.
    public var message: [UInt8] = []
    public var compressed: [UInt8]?
    /// The next event it wants.
    public var cursor: UInt64 = 0
    /// Seconds since something came from it, and since it takes nothing (0: it does).
    public var silence: UInt32 = 0
    public var stall: UInt32 = 0
    public var subscriptions: [Subscription] = []

    public init(
        identity: ParkedIdentity, application: String, address: String?, deflateBits: UInt8,
        session: WebSocketSession
    ) {
        self.identity = identity
        self.application = application
        self.address = address
        self.deflateBits = deflateBits
        self.session = session
    }

    func write(to state: inout StateWriter) {
        identity.write(to: &state)
        state.put(application)
        state.put(address)
        state.put(deflateBits)
        session.write(to: &state)
        state.put(carry)
        state.put(message)
        state.put(compressed) { $0.put($1) }
        state.put(cursor)
        state.put(silence)
        state.put(stall)
        state.put(all: subscriptions) { state, one in
            state.put(one.id)
            state.put(all: one.types) { $0.put($1) }
            state.put(one.filter)
        }
    }

    init(from state: inout StateReader) throws(StateError) {
        identity = try ParkedIdentity(from: &state)
        application = try state.string()
        address = try state.text()
        deflateBits = try state.byte()
        guard deflateBits <= 15 else { throw .invalid }
        session = try WebSocketSession(from: &state)
        carry = try state.array()
        message = try state.array()
        compressed = try state.optional { one throws(StateError) in try one.array() }
        cursor = try state.long()
        silence = try state.word()
        stall = try state.word()
        subscriptions = try state.list { one throws(StateError) in
            let id = try one.string()
            let types = try one.list { type throws(StateError) in try type.string() }
            return Subscription(id: id, types: types, filter: try one.array())
        }
    }
}

extension WebSocketSession {
    func write(to state: inout StateWriter) {
        state.put(self.state.rawValue)
        state.put(flags.rawValue)
        text.write(to: &state)
        state.put(messageBytes)
        state.put(inflatedBytes)
        parser.write(to: &state)
    }

    /// Under the standard limits; `limited` puts the successor's own in force.
    init(from state: inout StateReader) throws(StateError) {
        guard let phase = State(rawValue: try state.byte()) else { throw .invalid }
        let flags = Flags(rawValue: try state.byte())
        let text = try UTF8Validator(from: &state)
        let messageBytes = try state.word()
        let inflatedBytes = try state.word()
        self.init(parser: try WebSocketParser(from: &state))
        self.state = phase
        self.flags = flags
        self.text = text
        self.messageBytes = messageBytes
        self.inflatedBytes = inflatedBytes
    }

    /// The same session under other limits. What a message has come to already is within them: a
    /// larger one ends as too large.
    public func limited(by limits: WebSocketLimits) -> WebSocketSession {
        var copy = WebSocketSession(parser: parser.limited(by: limits), limits: limits)
        copy.state = state
        copy.flags = flags
        copy.text = text
        copy.messageBytes = messageBytes
        copy.inflatedBytes = min(inflatedBytes, UInt32(limits.messageBytesMax))
        return copy
    }
}

extension WebSocketParser {
    func write(to state: inout StateWriter) {
        state.put(remaining)
        state.put(mask.key)
        state.put(phase)
        state.put(opcode.rawValue)
        state.put(flags.rawValue)
        state.put(allowsCompression)
    }

    /// A server's; a daemon is never the client of a connection it hands over.
    init(from state: inout StateReader) throws(StateError) {
        let remaining = try state.word()
        let mask = ByteMask(key: try state.word())
        let phase = try state.byte()
        guard phase < 4, let opcode = WebSocketOpcode(rawValue: try state.byte()) else {
            throw .invalid
        }
        let flags = Flags(rawValue: try state.byte())
        self.init(allowsCompression: try state.bool())
        self.remaining = remaining
        self.mask = mask
        self.phase = phase
        self.opcode = opcode
        self.flags = flags
    }

    func limited(by limits: WebSocketLimits) -> WebSocketParser {
        var copy = WebSocketParser(
            role: role, allowsCompression: allowsCompression, limits: limits)
        copy.remaining = remaining
        copy.mask = mask
        copy.phase = phase
        copy.opcode = opcode
        copy.flags = flags
        return copy
    }
}

extension UTF8Validator {
    func write(to state: inout StateWriter) {
        state.put(owed)
        state.put(lowest)
        state.put(highest)
    }

    init(from state: inout StateReader) throws(StateError) {
        self.init()
        owed = try state.byte()
        lowest = try state.byte()
        highest = try state.byte()
        guard owed < 4 else { throw .invalid }
    }
}
