import OmniCore
import OmniIO

/// One request and the duty to answer it, once, now or later.
///
/// Handlers keep it across awaits; when the client has gone meanwhile, answering does nothing.
final class HTTPExchange {
    enum State {
        case awaitingAnswer
        /// Head sent with `Transfer-Encoding: chunked`; pieces follow.
        case streaming
        case answered
        /// The client went first.
        case abandoned
    }

    let request: HTTPRequest
    /// Given by the client in `X-Request-ID`, or made here; in every record about this request.
    let requestID: String
    private(set) var state = State.awaitingAnswer
    /// The client went away before the answer was complete. Called at most once.
    var abandoned: () -> Void = {}
    /// What was streamed has left; there is room for more.
    var drained: () -> Void = {}

    private weak var connection: Connection?
    private unowned let conversation: HTTPConversation
    private let keepsAlive: Bool

    init(
        _ request: HTTPRequest, requestID: String, on connection: Connection,
        _ conversation: HTTPConversation
    ) {
        self.request = request
        self.requestID = requestID
        self.connection = connection
        self.conversation = conversation
        keepsAlive = request.head.keepsAlive
    }

    var isOpen: Bool {
        switch state {
        case .awaitingAnswer, .streaming: connection?.isOpen ?? false
        case .answered, .abandoned: false
        }
    }

    var listener: Listener? { connection?.listener }
    var peerAddress: SocketAddress? { connection?.peerAddress }
    var peerCredentials: Sockets.PeerCredentials? {
        connection.flatMap { Sockets.peerCredentials(of: $0.descriptor) }
    }
    /// Bytes handed over that the client has not taken: what a stream is bounded by.
    var pendingBytes: Int { connection?.pendingBytes ?? 0 }

    func respond(_ response: HTTPResponse) {
        guard case .awaitingAnswer = state, let connection else { return }
        state = .answered
        let isHead = request.method == .head
        conversation.writeHead(
            response, bodyLength: .count(response.body.count), keepsAlive: keepsAlive,
            requestID: requestID, on: connection)
        if !isHead { connection.send(response.body) }
        conversation.answered(keepsAlive: keepsAlive, on: connection)
    }

    /// Begins an answer whose length nobody knows yet, such as server-sent events.
    func beginStream(_ response: HTTPResponse) {
        guard case .awaitingAnswer = state, let connection else { return }
        state = .streaming
        conversation.writeHead(
            response, bodyLength: chunkedLength, keepsAlive: keepsAlive, requestID: requestID,
            on: connection)
        conversation.streamBegan(on: connection)
        stream(response.body)
    }

    /// HTTP/1.0 knows no chunks: its stream ends with the connection.
    private var chunkedLength: HTTPConversation.BodyLength {
        request.head.version == .http10 ? .untilClose : .chunked
    }

    func stream(_ bytes: [UInt8]) {
        guard case .streaming = state, let connection, !bytes.isEmpty else { return }
        guard case .chunked = chunkedLength else { return connection.send(bytes) }
        var size = ByteWriter(capacity: 20)
        size.append(hexadecimal: UInt64(bytes.count))
        size.append("\r\n")
        size.withBytes { connection.send($0) }
        connection.send(bytes)
        connection.send(Self.lineEnd)
    }

    func endStream() {
        guard case .streaming = state, let connection else { return }
        state = .answered
        if case .chunked = chunkedLength {
            connection.send(Self.lastChunk)
            conversation.answered(keepsAlive: keepsAlive, on: connection)
        } else {
            conversation.answered(keepsAlive: false, on: connection)
        }
    }

    /// Hands the connection over after `101 Switching Protocols`.
    func upgrade(_ response: HTTPResponse, to successor: any Conversation) {
        guard case .awaitingAnswer = state, let connection else { return }
        state = .answered
        conversation.writeHead(
            response, bodyLength: .none, keepsAlive: true, requestID: requestID, on: connection)
        conversation.upgraded(to: successor, on: connection)
    }

    func abandon() {
        guard isAwaited else { return }
        state = .abandoned
        abandoned()
        release()
    }

    private var isAwaited: Bool {
        switch state {
        case .awaitingAnswer, .streaming: true
        case .answered, .abandoned: false
        }
    }

    /// Breaks the cycles that callbacks make.
    private func release() {
        abandoned = {}
        drained = {}
    }

    private static let lineEnd: [UInt8] = [13, 10]
    private static let lastChunk = Array("0\r\n\r\n".utf8)
}
