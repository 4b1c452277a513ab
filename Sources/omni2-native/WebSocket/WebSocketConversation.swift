import OmniCore
import OmniIO

/// What is done with the messages of a WebSocket connection: the hub, or an echo.
protocol WebSocketApplication: AnyObject {
    func opened(_ peer: WebSocketConversation)
    /// A whole message. Lent until return.
    func received(_ message: RawSpan, isText: Bool, from peer: WebSocketConversation)
    /// A pong, or anything else that shows that the peer lives.
    func heard(_ peer: WebSocketConversation)
    /// The connection has bytes of its own to send, or will send nothing any more.
    func blocked(_ peer: WebSocketConversation)
    /// All that was queued for the peer has left.
    func drained(_ peer: WebSocketConversation)
    /// The application's own bytes are being sent on the peer's socket.
    func isAloft(_ peer: WebSocketConversation) -> Bool
    /// Called once, also for a peer that was never opened.
    func closed(_ peer: WebSocketConversation)
    /// By what its peers are found again after a restart; nil where they are not handed over.
    var parkingName: String? { get }
    /// Adds what the application knows of the peer.
    func park(_ peer: WebSocketConversation, into parked: inout ParkedWebSocket)
    /// The peer is back, as `parked` says. Called instead of `opened`.
    func restored(_ peer: WebSocketConversation, from parked: ParkedWebSocket)
}

extension WebSocketApplication {
    var parkingName: String? { nil }
    func park(_ peer: WebSocketConversation, into parked: inout ParkedWebSocket) {}
    func restored(_ peer: WebSocketConversation, from parked: ParkedWebSocket) { opened(peer) }
}

/// RFC 6455 with one peer: frames in, frames out, the closing handshake; RFC 7692 where agreed.
///
/// A frame that arrives whole is handled where it lies. Only what is incomplete is kept: the bytes
/// of a header, the parts of a message, and the session that knows where it stands. A peer that
/// waits between two messages is an object of 54 bytes. A peer that asks without reading the
/// answers is not read from until it does.
final class WebSocketConversation: ConversationOpening {
    /// What exists only while a message is arriving in parts, or before the first one.
    final class Arrival {
        var beginning: WebSocketNewcomer?
        /// Bytes of a frame that is not complete.
        var carry: [UInt8] = []
        /// The message so far.
        var message: [UInt8] = []
        var inflater: Inflater?
        /// What the inflater was fed: its state cannot be handed over, this can.
        var compressed: [UInt8] = []
        /// Nil between two messages: then it is as good as new.
        var session: WebSocketSession?

        var isOver: Bool {
            carry.isEmpty && message.isEmpty && inflater == nil && session == nil
                && beginning == nil
        }
    }

    /// The cycle ends in `ended`.
    private(set) var connection: Connection?
    let membership: WebSocketMembership
    var arrival: Arrival?
    /// What the peer subscribed to; the hub's.
    var subscriptions = HubSubscriptions()
    /// The application's own name for this peer.
    var slot: Int32 = -1
    /// Our deflate window, 0 without compression.
    let deflateBits: UInt8
    /// Where the closing handshake stands; once it began, a deadline ends it.
    private var state = WebSocketSession.State.open

    /// How long the peer may take to answer our close frame.
    private static let closeTime = Duration.seconds(5)
    /// Answers that wait for a peer that does not read; beyond it the peer is not read from.
    private static let pendingBytesMax = 256 << 10

    init(
        _ newcomer: WebSocketNewcomer, to application: any WebSocketApplication,
        shared: WebSocketShared
    ) {
        membership = shared.join(newcomer, application)
        deflateBits = newcomer.deflateBits
        guard newcomer.hasWishes else { return }
        let arrival = Arrival()
        arrival.beginning = newcomer
        self.arrival = arrival
    }

    deinit { membership.shared.leave(membership) }

    var principal: Principal { membership.principal }
    var isClosing: Bool { state != .open }

    var application: any WebSocketApplication { membership.application }
    var shared: WebSocketShared { membership.shared }

    /// What the peer wants from the first moment; nil when nothing but the events of everybody.
    func takeBeginning() -> WebSocketNewcomer? {
        guard let beginning = arrival?.beginning else { return nil }
        arrival?.beginning = nil
        dropArrivalIfDone()
        return beginning
    }

    // MARK: Sending

    func send(text: RawSpan) { send(.text, text) }

    func send(text: [UInt8]) { text.withRawSpan { send(.text, $0) } }

    func send(binary: RawSpan) { send(.binary, binary) }

    func ping() {
        guard !isClosing, let connection else { return }
        frame(.ping, RawSpan(), on: connection)
    }

    /// What is left of frames that began elsewhere.
    func send(rest: RawSpan) {
        guard let connection else { return }
        application.blocked(self)
        connection.sendFirst(rest)
    }

    private func send(_ opcode: WebSocketOpcode, _ payload: RawSpan) {
        guard !isClosing, let connection else { return }
        if deflateBits > 0,
            shared.compression.deflated(
                payload, windowBits: Int(deflateBits),
                { frame(opcode, $0, isCompressed: true, on: connection) })
        {
            return
        }
        frame(opcode, payload, on: connection)
    }

    private func frame(
        _ opcode: WebSocketOpcode, _ payload: RawSpan, isCompressed: Bool = false,
        on connection: Connection
    ) {
        application.blocked(self)
        connection.send(reserving: payload.byteCount + 14) { writer in
            WebSocketWriter.frame(opcode, payload, isCompressed: isCompressed, into: &writer)
        }
        if connection.pendingBytes > Self.pendingBytesMax { connection.pauseReceiving() }
    }

    /// Begins the closing handshake. What is queued leaves first.
    func close(_ code: WebSocketCloseCode, _ reason: StaticString) {
        guard let connection, state == .open else { return }
        state = .closing
        application.blocked(self)
        connection.send(reserving: 128) { WebSocketWriter.close(code, reason: reason, into: &$0) }
        connection.setDeadline(connection.io.now + Self.closeTime)
        connection.resumeReceiving()
    }

    /// For a peer that takes nothing: no use in waiting for its close frame.
    func giveUp(_ code: WebSocketCloseCode, _ reason: StaticString) {
        close(code, reason)
        connection?.finish()
    }

    // MARK: Conversation

    var isAloft: Bool { application.isAloft(self) }

    func opened(on connection: Connection) {
        self.connection = connection
        application.opened(self)
    }

    /// Goes on where a predecessor stopped: see `WebSocketConversation.restored(_:on:)`.
    func restored(on connection: Connection) { self.connection = connection }

    func received(_ bytes: UnsafeMutableRawBufferPointer, on connection: Connection) {
        guard let arrival, !arrival.carry.isEmpty else {
            let used = unsafe read(bytes, connection)
            if used < bytes.count { unsafe keep(bytes[used...]) }
            return
        }
        var kept = arrival.carry
        arrival.carry = []
        unsafe kept.append(contentsOf: bytes)
        unsafe kept.withUnsafeMutableBytes { whole in
            let used = unsafe read(whole, connection)
            if used < whole.count { unsafe keep(whole[used...]) }
        }
        dropArrivalIfDone()
    }

    private func keep(_ bytes: Slice<UnsafeMutableRawBufferPointer>) {
        unsafe arrivalToFill().carry = Array(bytes)
    }

    private func arrivalToFill() -> Arrival {
        if let arrival { return arrival }
        let arrival = Arrival()
        self.arrival = arrival
        return arrival
    }

    private func dropArrivalIfDone() {
        if let arrival, arrival.isOver { self.arrival = nil }
    }

    func takeSession() -> WebSocketSession {
        guard let session = arrival?.session else {
            return WebSocketSession(allowsCompression: deflateBits > 0, limits: shared.limits)
        }
        arrival?.session = nil
        return session
    }

    func putBack(_ session: WebSocketSession) {
        if session.state == .closed { state = .closed }
        if session.isMidway, session.state != .closed {
            arrivalToFill().session = session
        } else {
            dropArrivalIfDone()
        }
    }

    /// Handles all frames in `bytes`; how many bytes are done with.
    private func read(
        _ bytes: UnsafeMutableRawBufferPointer, _ connection: Connection
    ) -> Int {
        var span = unsafe bytes.mutableBytes
        var position = 0
        var session = takeSession()
        defer { putBack(session) }
        while connection.isOpen, state != .closed {
            // A message may have made the application close.
            if state == .closing { _ = session.close() }
            switch session.received(&span, position: &position) {
            case .needMore: return position
            case .deliver(let part): deliver(part, span.bytes)
            case .inflate(let part): inflate(part, span.bytes, &session, connection)
            case .sendPong(let range):
                application.heard(self)
                frame(.pong, span.bytes.extracting(range.range), on: connection)
            case .pongReceived: application.heard(self)
            case .close(let closing): finish(closing, on: connection)
            case .closed:
                state = .closed
                application.blocked(self)
                connection.finish()
            }
        }
        return bytes.count
    }

    private func deliver(_ part: WebSocketMessagePart, _ bytes: RawSpan) {
        let payload = bytes.extracting(part.payload.range)
        if part.isWhole {
            return application.received(payload, isText: part.isText, from: self)
        }
        let arrival = arrivalToFill()
        unsafe payload.withUnsafeBytes { unsafe arrival.message.append(contentsOf: $0) }
        guard part.isLast else { return }
        let whole = arrival.message
        arrival.message = []
        whole.withRawSpan { application.received($0, isText: part.isText, from: self) }
    }

    private func inflate(
        _ part: WebSocketMessagePart, _ bytes: RawSpan, _ session: inout WebSocketSession,
        _ connection: Connection
    ) {
        guard let inflater = arrival?.inflater ?? shared.compression.takeInflater() else {
            return close(.tryAgainLater, "too many compressed messages at a time")
        }
        let payload = bytes.extracting(part.payload.range)
        let outcome = shared.compression.inflate(payload, isLast: part.isLast, with: inflater) {
            inflated($0, endsMessage: $1, &session, connection)
        }
        if case .invalid = outcome, case .close(let closing) = session.fail(.invalidCompression) {
            finish(closing, on: connection)
        }
        if part.isLast || !connection.isOpen {
            arrival?.inflater = nil
            arrival?.compressed = []
            shared.compression.giveBack(inflater)
        } else {
            let arrival = arrivalToFill()
            arrival.inflater = inflater
            unsafe payload.withUnsafeBytes { unsafe arrival.compressed.append(contentsOf: $0) }
        }
    }

    /// False when the message is not wanted any further.
    private func inflated(
        _ bytes: RawSpan, endsMessage: Bool, _ session: inout WebSocketSession,
        _ connection: Connection
    ) -> Bool {
        switch session.inflated(bytes, endsMessage: endsMessage) {
        case .deliver(let part):
            deliver(part, bytes)
            return true
        case .close(let closing):
            finish(closing, on: connection)
            return false
        default: return false
        }
    }

    private func finish(_ closing: WebSocketClosing, on connection: Connection) {
        state = .closed
        application.blocked(self)
        connection.send(reserving: 128) { closing.write(into: &$0) }
        connection.finish()
        connection.setDeadline(connection.io.now + Self.closeTime)
    }

    func peerEnded(on connection: Connection) { connection.abort() }

    func drained(on connection: Connection) {
        guard !isClosing else { return }
        connection.resumeReceiving()
        application.drained(self)
    }

    func deadlinePassed(on connection: Connection) { connection.abort() }

    func stopping(on connection: Connection) { close(.goingAway, "the server stops") }

    func ended(on connection: Connection) {
        state = .closed
        application.closed(self)
        if let inflater = arrival?.inflater { shared.compression.giveBack(inflater) }
        arrival = nil
        self.connection = nil
    }
}
