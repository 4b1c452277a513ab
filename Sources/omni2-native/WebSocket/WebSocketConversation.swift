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
/// of a header, the parts of a message. A peer that asks without reading the answers is not read
/// from until it does.
final class WebSocketConversation: ConversationOpening {
    /// What conversations share.
    final class Shared {
        let limits: WebSocketLimits
        let compression = MessageCompression()

        init(limits: WebSocketLimits) { self.limits = limits }
    }

    /// What exists only while a message is arriving in parts.
    final class Arrival {
        /// Bytes of a frame that is not complete.
        var carry: [UInt8] = []
        /// The message so far.
        var message: [UInt8] = []
        var inflater: Inflater?
        /// What the inflater was fed: its state cannot be handed over, this can.
        var compressed: [UInt8] = []
    }

    /// The cycle ends in `ended`.
    private(set) var connection: Connection?
    let application: any WebSocketApplication
    let shared: Shared
    let principal: Principal
    /// For limits per address; nil where there are none.
    let address: String?
    var arrival: Arrival?
    /// What the peer subscribed to; the hub's.
    var subscriptions: HubSubscriptions
    var session: WebSocketSession
    /// The last event the peer saw before it came back; `max` when it named none.
    let lastSeen: UInt64
    /// The application's own name for this peer.
    var slot: Int32 = -1
    /// Our deflate window, 0 without compression.
    let deflateBits: UInt8
    /// Our close frame is on its way, or was; a deadline ends it.
    private(set) var isClosing = false

    /// How long the peer may take to answer our close frame.
    private static let closeTime = Duration.seconds(5)
    /// Answers that wait for a peer that does not read; beyond it the peer is not read from.
    private static let pendingBytesMax = 256 << 10

    init(
        _ application: any WebSocketApplication, principal: Principal, shared: Shared,
        deflate: PerMessageDeflate? = nil, address: String? = nil,
        lastSeen: UInt64 = .max
    ) {
        self.application = application
        self.principal = principal
        self.address = address
        self.lastSeen = lastSeen
        self.shared = shared
        subscriptions = HubSubscriptions(access: principal.eventAccess)
        deflateBits = deflate?.serverWindowBits ?? 0
        session = WebSocketSession(allowsCompression: deflate != nil, limits: shared.limits)
    }

    /// As a predecessor left it; `WebSocketConversation+Parking` gives back the rest.
    init(
        _ application: any WebSocketApplication, principal: Principal, shared: Shared,
        restoring parked: ParkedWebSocket
    ) {
        self.application = application
        self.principal = principal
        self.shared = shared
        address = parked.address
        lastSeen = .max
        subscriptions = HubSubscriptions(access: principal.eventAccess)
        deflateBits = parked.deflateBits
        session = parked.session.limited(by: shared.limits)
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
        guard let connection, session.close() else { return }
        isClosing = true
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
        guard let arrival, arrival.carry.isEmpty, arrival.message.isEmpty, arrival.inflater == nil
        else { return }
        self.arrival = nil
    }

    /// Handles all frames in `bytes`; how many bytes are done with.
    private func read(
        _ bytes: UnsafeMutableRawBufferPointer, _ connection: Connection
    ) -> Int {
        var span = unsafe bytes.mutableBytes
        var position = 0
        while connection.isOpen {
            switch session.received(&span, position: &position) {
            case .needMore: return position
            case .deliver(let part): deliver(part, span.bytes)
            case .inflate(let part): inflate(part, span.bytes, connection)
            case .sendPong(let range):
                application.heard(self)
                frame(.pong, span.bytes.extracting(range.range), on: connection)
            case .pongReceived: application.heard(self)
            case .close(let closing):
                finish(closing, on: connection)
                return bytes.count
            case .closed:
                application.blocked(self)
                connection.finish()
                return bytes.count
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
        dropArrivalIfDone()
        whole.withRawSpan { application.received($0, isText: part.isText, from: self) }
    }

    private func inflate(
        _ part: WebSocketMessagePart, _ bytes: RawSpan, _ connection: Connection
    ) {
        guard let inflater = arrival?.inflater ?? shared.compression.takeInflater() else {
            return close(.tryAgainLater, "too many compressed messages at a time")
        }
        let payload = bytes.extracting(part.payload.range)
        let outcome = shared.compression.inflate(payload, isLast: part.isLast, with: inflater) {
            inflated($0, endsMessage: $1, connection)
        }
        if case .invalid = outcome, case .close(let closing) = session.fail(.invalidCompression) {
            finish(closing, on: connection)
        }
        if part.isLast || !connection.isOpen {
            arrival?.inflater = nil
            arrival?.compressed = []
            shared.compression.giveBack(inflater)
            dropArrivalIfDone()
        } else {
            let arrival = arrivalToFill()
            arrival.inflater = inflater
            unsafe payload.withUnsafeBytes { unsafe arrival.compressed.append(contentsOf: $0) }
        }
    }

    /// False when the message is not wanted any further.
    private func inflated(_ bytes: RawSpan, endsMessage: Bool, _ connection: Connection) -> Bool {
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
        isClosing = true
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
        isClosing = true
        application.closed(self)
        if let inflater = arrival?.inflater { shared.compression.giveBack(inflater) }
        arrival = nil
        self.connection = nil
    }
}
