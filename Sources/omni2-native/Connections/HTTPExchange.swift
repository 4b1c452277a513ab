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
    let receivedAt: MonotonicTime
    private(set) var state = State.awaitingAnswer
    /// The pattern of its route, for figures.
    var route = "unmatched"
    /// Its step in a trace that is recorded.
    var span: Span?
    /// Of the answer; 499 where the client went first.
    private(set) var status = 499
    private(set) var bodyBytes = 0
    /// The client went away before the answer was complete. Called at most once.
    var abandoned: () -> Void = {}
    /// The peer's going away takes the request back; otherwise an answer under way is still made.
    var isCancelledByPeer = false
    /// What was streamed has left; there is room for more.
    var drained: () -> Void = {}
    /// Set, both, for a stream that has no end of its own: whose it is, and what a successor needs to
    /// go on with it.
    var principal: Principal?
    var standing: (() -> ParkedStream.Kind?)?

    /// By its handle: a weak reference would cost the connection memory for as long as it lives.
    private let handle: SlotIndex.Handle
    private unowned let door: Door
    private unowned let conversation: HTTPConversation
    private var writer: HTTPResponseWriter

    init(
        _ request: HTTPRequest, requestID: String, on connection: Connection,
        _ conversation: HTTPConversation
    ) {
        self.request = request
        self.requestID = requestID
        handle = connection.handle
        door = connection.door
        self.conversation = conversation
        receivedAt = connection.io.now
        writer = HTTPResponseWriter(answering: request.head)
    }

    private var connection: Connection? { door.connection(handle) }

    var isOpen: Bool {
        switch state {
        case .awaitingAnswer, .streaming: connection?.isOpen ?? false
        case .answered, .abandoned: false
        }
    }

    var listener: Listener? { connection?.listener }
    /// In the door's list; `Int.max` when the client has gone.
    var listenerIndex: Int { connection.map { Int($0.listenerIndex) } ?? .max }
    var peerAddress: SocketAddress? { connection.flatMap { conversation.peerAddress(on: $0) } }
    var localAddress: SocketAddress? {
        connection.flatMap { Sockets.localAddress(of: $0.descriptor) }
    }
    var peerCredentials: Sockets.PeerCredentials? {
        connection.flatMap { Sockets.peerCredentials(of: $0.descriptor) }
    }
    /// Bytes handed over that the client has not taken: what a stream is bounded by.
    var pendingBytes: Int { connection?.pendingBytes ?? 0 }

    func respond(_ response: HTTPResponse) {
        guard case .awaitingAnswer = state, let connection else { return }
        state = .answered
        status = Int(response.status.code)
        bodyBytes = response.body.count
        let body: HTTPResponseWriter.Body =
            response.status.forbidsBody ? .none : .count(response.body.count)
        conversation.writeHead(response, &writer, body, requestID: requestID, on: connection)
        if !writer.omitsBody, !response.status.forbidsBody { connection.send(response.body) }
        release()
        conversation.answered(keepsAlive: writer.keepsAlive, on: connection)
    }

    /// Begins an answer whose length nobody knows yet, such as server-sent events.
    func beginStream(_ response: HTTPResponse) {
        guard case .awaitingAnswer = state, let connection else { return }
        state = .streaming
        status = Int(response.status.code)
        conversation.writeHead(response, &writer, .stream, requestID: requestID, on: connection)
        conversation.streamBegan(on: connection)
        stream(response.body)
    }

    func stream(_ bytes: [UInt8]) {
        guard case .streaming = state, let connection, !bytes.isEmpty else { return }
        var chunk = ByteWriter(capacity: bytes.count + 32)
        bodyBytes += bytes.count
        writer.chunk(unsafe bytes.span.bytes, into: &chunk)
        chunk.withBytes { connection.send($0) }
    }

    func endStream() {
        guard case .streaming = state, let connection else { return }
        state = .answered
        var end = ByteWriter(capacity: 8)
        writer.endChunks(into: &end)
        end.withBytes { connection.send($0) }
        release()
        conversation.answered(keepsAlive: writer.keepsAlive, on: connection)
    }

    /// The stream was begun by a predecessor.
    func goOn() {
        guard case .awaitingAnswer = state else { return }
        state = .streaming
        // The head has been sent; writing it once more settles how the rest is framed.
        var head = ByteWriter(capacity: 256)
        writer.end(.stream, into: &head)
    }

    /// The daemon stops and the answer is not ready.
    func giveUp() {
        switch state {
        case .awaitingAnswer:
            writer.keepsAlive = false
            respond(
                .failure(
                    .serviceUnavailable, "The daemon restarts; try again in a moment.",
                    headers: [.init(name: "Retry-After", value: "1")]))
        case .streaming: endStream()
        case .answered, .abandoned: break
        }
    }

    /// Hands the connection over; `respond` writes the whole `101 Switching Protocols`.
    func upgrade(
        _ respond: (inout ByteWriter, (inout ByteWriter) -> Void) -> Void,
        to successor: any Conversation
    ) {
        guard case .awaitingAnswer = state, let connection else { return }
        state = .answered
        status = 101
        connection.send(reserving: 1024) { writer in
            respond(&writer) { head in
                head.append("X-Request-ID: ")
                head.append(requestID)
                head.append("\r\n")
            }
        }
        release()
        conversation.upgraded(to: successor, on: connection)
    }

    /// Gives the connection to another ring, which says `101 Switching Protocols` itself: what it is
    /// to say, and the socket with what arrived early, or nil when the peer has gone meanwhile.
    func depart(
        _ respond: (inout ByteWriter, (inout ByteWriter) -> Void) -> Void,
        left: @escaping (_ answer: [UInt8], (Int32, [UInt8])?) -> Void
    ) {
        guard case .awaitingAnswer = state, let connection else { return left([], nil) }
        state = .answered
        var answer = ByteWriter(capacity: 1024)
        respond(&answer) { head in
            head.append("X-Request-ID: ")
            head.append(requestID)
            head.append("\r\n")
        }
        release()
        let bytes = answer.array()
        conversation.departing(on: connection) { left(bytes, $0) }
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
        conversation.ended(self)
        abandoned = {}
        drained = {}
        standing = nil
    }
}
