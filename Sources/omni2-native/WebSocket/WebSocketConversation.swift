import OmniCore
import OmniIO

/// What is done with the messages of a WebSocket connection: the hub, or an echo.
protocol WebSocketApplication: AnyObject {
    func opened(_ peer: WebSocketConversation)
    /// A whole message. Lent until return.
    func received(_ message: RawSpan, isText: Bool, from peer: WebSocketConversation)
    /// All that was queued for the peer has left.
    func drained(_ peer: WebSocketConversation)
    /// The kernel took `count` bytes of the window that was flown.
    func flown(_ count: Int, _ peer: WebSocketConversation)
    func closed(_ peer: WebSocketConversation)
}

/// RFC 6455 with one peer: frames in, frames out, the closing handshake.
///
/// A frame that arrives whole is handled where it lies. Only what is incomplete is kept: the bytes
/// of a header, the parts of a message.
final class WebSocketConversation: ConversationOpening {
    private(set) weak var connection: Connection?
    /// The application's own name for this peer.
    var slot: Int32 = -1
    let principal: Principal
    private var session: WebSocketSession
    private var isClosing = false
    private let application: any WebSocketApplication
    /// Bytes of a frame header that is not complete.
    private var carry: [UInt8]?
    /// The message whose parts are arriving.
    private var message: [UInt8]?

    /// How long the peer may take to answer our close frame.
    private static let closeTime = Duration.seconds(5)

    init(
        _ application: any WebSocketApplication, principal: Principal, limits: WebSocketLimits
    ) {
        self.application = application
        self.principal = principal
        session = WebSocketSession(limits: limits)
    }

    // MARK: Sending

    func send(text: RawSpan) { send(.text, text) }

    func send(text: [UInt8]) { text.withRawSpan { send(.text, $0) } }

    func send(binary: RawSpan) { send(.binary, binary) }

    func ping() { send(.ping, RawSpan()) }

    private func send(_ opcode: WebSocketOpcode, _ payload: RawSpan) {
        guard !isClosing, let connection else { return }
        frame(opcode, payload, on: connection)
    }

    private func frame(_ opcode: WebSocketOpcode, _ payload: RawSpan, on connection: Connection) {
        connection.send(reserving: payload.byteCount + 14) { writer in
            WebSocketWriter.frame(opcode, payload, into: &writer)
        }
    }

    /// Begins the closing handshake. What is queued leaves first.
    func close(_ code: WebSocketCloseCode, _ reason: StaticString) {
        guard let connection, session.close() else { return }
        isClosing = true
        connection.send(reserving: 128) { WebSocketWriter.close(code, reason: reason, into: &$0) }
        connection.setDeadline(connection.io.now + Self.closeTime)
    }

    // MARK: Conversation

    func opened(on connection: Connection) {
        self.connection = connection
        application.opened(self)
    }

    func received(_ bytes: UnsafeMutableRawBufferPointer, on connection: Connection) {
        guard var kept = carry.take() else {
            let used = unsafe read(bytes, connection)
            if used < bytes.count {
                unsafe carry = Array(bytes[used...])
            }
            return
        }
        unsafe kept.append(contentsOf: bytes)
        let used = unsafe kept.withUnsafeMutableBytes { unsafe read($0, connection) }
        if used < kept.count { carry = Array(kept[used...]) }
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
            case .sendPong(let range):
                frame(.pong, span.bytes.extracting(range.range), on: connection)
            case .pongReceived: break
            case .close(let closing):
                finish(closing, on: connection)
                return bytes.count
            case .closed:
                connection.finish()
                return bytes.count
            case .inflate: preconditionFailure("compression was not agreed on")
            }
        }
        return bytes.count
    }

    private func deliver(_ part: WebSocketMessagePart, _ bytes: RawSpan) {
        let payload = bytes.extracting(part.payload.range)
        if part.isWhole {
            return application.received(payload, isText: part.isText, from: self)
        }
        var whole = message.take() ?? []
        unsafe payload.withUnsafeBytes { unsafe whole.append(contentsOf: $0) }
        guard part.isLast else {
            message = whole
            return
        }
        whole.withRawSpan { application.received($0, isText: part.isText, from: self) }
    }

    private func finish(_ closing: WebSocketClosing, on connection: Connection) {
        isClosing = true
        connection.send(reserving: 128) { closing.write(into: &$0) }
        connection.finish()
        connection.setDeadline(connection.io.now + Self.closeTime)
    }

    func peerEnded(on connection: Connection) { connection.abort() }

    func drained(on connection: Connection) { if !isClosing { application.drained(self) } }

    func flown(_ count: Int, on connection: Connection) { application.flown(count, self) }

    func deadlinePassed(on connection: Connection) { connection.abort() }

    func stopping(on connection: Connection) { close(.goingAway, "the server stops") }

    func ended(on connection: Connection) {
        isClosing = true
        application.closed(self)
    }
}
