import OmniCore
import OmniIO

/// The doors of the chat: server-sent events, one JSON answer, and the WebSocket's.
struct ChatRoutes {
    let chat: Chat
    let sockets: ChatSockets
    let webSockets: WebSocketShared

    func add(to router: inout Router) {
        for path in ["/api/v1/chat/ask/stream", "/api/v1/ask/stream"] {
            router.on(
                .post, path, .authenticated,
                "Answers a question as server-sent events: token, done, error".described
                    .explained("With show_tools in the body, tool as well: calls begin and end.")
                    .answering(type: "text/event-stream")
            ) { stream($0) }
        }
        router.on(
            .post, "/api/v1/chat/ask", .authenticated, "Answers a question as one object".described
        ) { ask($0) }
        router.on(
            .get, "/ws/chat", .authenticated,
            "Upgrades to a WebSocket that answers questions".described
                .answering(.switchingProtocols, nil)
        ) { join($0) }
    }

    // MARK: Questions

    /// `{"message": …}`; who asks is known from the credential, whatever the body says.
    private func question(_ call: Router.Call, _ source: String) -> ChatQuestion? {
        guard chat.model != nil else {
            call.fail(.serviceUnavailable, Chat.notConfigured)
            return nil
        }
        guard let body = call.json() else { return nil }
        guard let text = body["message"]?.string, !text.isEmpty else {
            call.fail(.badRequest, "message must be a text.")
            return nil
        }
        guard text.utf8.count <= chat.settings.questionBytesMax else {
            call.fail(
                .contentTooLarge, "A question has at most \(chat.settings.questionBytesMax) bytes.")
            return nil
        }
        return ChatQuestion(
            principal: call.principal, text: text, source: source,
            context: RequestContext.current
                ?? .init(requestID: call.exchange.requestID, trace: nil),
            address: call.exchange.peerAddress?.host)
    }

    private func stream(_ call: Router.Call) {
        guard let question = question(call, "sse_chat") else { return }
        // A client that was written for the original hears only of what it knows.
        let showsTools = call.json()?["show_tools"]?.bool ?? false
        let sink = EventStreamSink(call.exchange, chat.io, showsTools: showsTools)
        chat.io.spawn {
            let isLetIn = chat.access.refusal(call.principal, from: .chat) == nil
            let welcome = isLetIn ? await chat.welcome(call.principal) : nil
            guard let run = chat.begin(question, to: sink) else { return crowded(call) }
            call.exchange.abandoned = { [weak run] in run?.cancel("the client went away") }
            // It may have gone while its greeting was looked up.
            if !call.exchange.isOpen { run.cancel("the client went away") }
            sink.begin(welcome) { [weak run] in run?.cancel("the client does not read") }
        }
    }

    private func ask(_ call: Router.Call) {
        guard let question = question(call, "api_chat") else { return }
        let sink = AnswerSink(call)
        guard let run = chat.begin(question, to: sink) else { return crowded(call) }
        call.exchange.abandoned = { [weak run] in run?.cancel("the client went away") }
    }

    private func crowded(_ call: Router.Call) {
        call.fail(
            .serviceUnavailable, "As many questions as allowed are being answered.",
            headers: [.init(name: "Retry-After", value: "5")])
    }

    // MARK: WebSocket

    private func join(_ call: Router.Call) {
        guard chat.model != nil else { return call.fail(.serviceUnavailable, Chat.notConfigured) }
        if let refusal = chat.access.refusal(call.principal, from: .chat) {
            chat.gates.stopped(
                call.principal, by: refusal, from: .chat, requestID: call.exchange.requestID)
            return call.fail(refusal.status, refusal.message)
        }
        guard sockets.hasRoom else {
            return call.fail(
                .serviceUnavailable, "There are as many conversations as allowed.",
                headers: [.init(name: "Retry-After", value: "5")])
        }
        let checked = call.request.withHead {
            head, bytes -> Result<WebSocketHandshake, WebSocketHandshakeError> in
            do throws(WebSocketHandshakeError) {
                return .success(
                    try WebSocketHandshake.check(
                        head, in: bytes, deflate: PerMessageDeflate.Policy(),
                        sha1: EventRoutes.sha1))
            } catch {
                return .failure(error)
            }
        }
        switch checked {
        case .success(let handshake):
            let newcomer = WebSocketNewcomer(
                principal: call.principal,
                deflateBits: handshake.deflate?.serverWindowBits ?? 0)
            let conversation = WebSocketConversation(newcomer, to: sockets, shared: webSockets)
            call.exchange.upgrade(handshake.respond, to: conversation)
        case .failure(let error): call.fail(error.status, error.message.description)
        }
    }
}

/// `token`, `done` and `error` as server-sent events.
final class EventStreamSink: ChatSink {
    private let exchange: HTTPExchange
    private let io: any IO
    private let showsTools: Bool
    private var overrun: () -> Void = {}
    private var isEnded = false
    /// Tokens that the client has not taken; beyond it the question is given up.
    private static let pendingBytesMax = 4 << 20
    private static let quietTime = Duration.seconds(15)

    init(_ exchange: HTTPExchange, _ io: any IO, showsTools: Bool) {
        self.exchange = exchange
        self.io = io
        self.showsTools = showsTools
    }

    func begin(_ welcome: String?, overrun: @escaping () -> Void) {
        self.overrun = overrun
        open()
        if let welcome { token(welcome + "\n\n") }
        io.spawn {
            while !self.isEnded, self.exchange.isOpen {
                await self.io.sleep(until: self.io.now + Self.quietTime)
                // Keeps proxies from closing a stream while the model thinks.
                if !self.isEnded { self.exchange.stream(EventText.keepAlive) }
            }
        }
    }

    private func open() {
        guard case .awaitingAnswer = exchange.state else { return }
        var response = HTTPResponse(
            .ok,
            headers: [
                .init(name: "Cache-Control", value: "no-cache"),
                .init(name: "X-Accel-Buffering", value: "no"),
            ])
        response.contentType = "text/event-stream"
        exchange.beginStream(response)
    }

    private func send(_ name: StaticString, _ data: JSONValue) {
        open()
        let bytes = data.bytes
        var writer = ByteWriter(capacity: bytes.count + 64)
        bytes.withRawSpan { EventStreamWriter.event($0, event: name, into: &writer) }
        exchange.stream(writer.array())
        if exchange.pendingBytes > Self.pendingBytesMax { overrun() }
    }

    private func end() {
        isEnded = true
        exchange.endStream()
    }

    func token(_ text: String) { send("token", ["text": .string(text)]) }

    func tool(_ call: JSONValue) {
        if showsTools { send("tool", call) }
    }

    func done(_ result: JSONValue) {
        send("done", result)
        end()
    }

    func failed(_ reason: String) {
        send("error", ["error": .string(reason)])
        end()
    }

    func refused(_ refusal: Access.Refusal) {
        token(refusal.message)
        done([:])
    }

    func blocked(_ message: String) {
        token(message)
        done([:])
    }
}

/// The whole answer as one JSON object.
final class AnswerSink: ChatSink {
    private let call: Router.Call

    init(_ call: Router.Call) { self.call = call }

    func token(_ text: String) {}

    func done(_ result: JSONValue) {
        var answer = result
        answer["success"] = true
        answer["error"] = .null
        if answer["warning"] == nil { answer["warning"] = .null }
        call.respond(HTTPResponse(json: answer))
    }

    func failed(_ reason: String) { fail(.badGateway, reason) }

    func refused(_ refusal: Access.Refusal) {
        fail(refusal.status, refusal.message, refusal.headers)
    }

    func blocked(_ message: String) { fail(.forbidden, message) }

    private func fail(
        _ status: HTTPStatus, _ reason: String, _ headers: [HTTPResponse.Header] = []
    ) {
        call.respond(
            HTTPResponse(
                status,
                json: [
                    "success": false, "answer": .null, "tool_calls": 0, "tools_used": [],
                    "iterations": 0, "error": .string(reason), "warning": .null,
                ], headers: headers))
    }
}
