import OmniCore
import OmniIO

/// `/ws/chat`: one question after the other on each connection, each a flow of its own in the
/// connection's conversation.
final class ChatSockets: WebSocketApplication {
    private final class Talk: ChatSink {
        unowned let sockets: ChatSockets
        let peer: WebSocketConversation
        let conversation: FlowID
        var run: ChatRun?
        var waiting: [String] = []

        init(_ sockets: ChatSockets, _ peer: WebSocketConversation, _ conversation: FlowID) {
            self.sockets = sockets
            self.peer = peer
            self.conversation = conversation
        }

        func send(_ message: JSONValue) {
            peer.send(text: message.bytes)
            if let pending = peer.connection?.pendingBytes, pending > ChatSockets.pendingBytesMax {
                run?.cancel("the client does not read")
            }
        }

        func token(_ text: String) { send(["type": "token", "text": .string(text)]) }
        func done(_ result: JSONValue) {
            send(["type": "done", "result": result])
            sockets.next(self)
        }
        func failed(_ reason: String) {
            send(["type": "error", "error": .string(reason)])
            sockets.next(self)
        }
        func refused(_ refusal: Access.Refusal) {
            switch refusal {
            case .blocked, .notGranted, .insufficientScope: blocked(refusal.message)
            case .tooManyRequests, .costExceeded:
                token(refusal.message)
                done([:])
            }
        }
        func blocked(_ message: String) {
            send(["type": "blocked", "message": .string(message)])
            peer.close(.policyViolation, "blocked")
        }
    }

    private let chat: Chat
    private let talksMax: Int
    private var talks: [ObjectIdentifier: Talk] = [:]
    /// Questions that wait for the one before.
    private static let waitingMax = 8
    private static let pendingBytesMax = 4 << 20

    init(_ chat: Chat, talksMax: Int) {
        self.chat = chat
        self.talksMax = talksMax
    }

    var hasRoom: Bool { talks.count < talksMax }

    /// Lets go of those for whom there is a message, which they are told first.
    func dismiss(_ message: (Principal) -> String?) {
        for talk in talks.values {
            guard let text = message(talk.peer.principal) else { continue }
            if let run = talk.run { run.block(text) } else { talk.blocked(text) }
        }
    }

    // MARK: Coming and going

    func opened(_ peer: WebSocketConversation) {
        let talk = Talk(self, peer, chat.flows.nextID())
        talks[ObjectIdentifier(peer)] = talk
        chat.io.spawn {
            if let welcome = await self.chat.welcome(peer.principal) {
                talk.token(welcome + "\n\n")
            }
        }
    }

    func closed(_ peer: WebSocketConversation) {
        talks.removeValue(forKey: ObjectIdentifier(peer))?.run?.cancel("the client went away")
    }

    func heard(_ peer: WebSocketConversation) {}
    func blocked(_ peer: WebSocketConversation) {}
    func drained(_ peer: WebSocketConversation) {}
    func isAloft(_ peer: WebSocketConversation) -> Bool { false }

    // MARK: Questions

    /// `{"type":"message","text":…}`; anything else is ignored.
    func received(_ message: RawSpan, isText: Bool, from peer: WebSocketConversation) {
        guard isText, let talk = talks[ObjectIdentifier(peer)],
            let value = try? JSONValue(parsing: message), value.object != nil,
            value["type"]?.string == "message",
            let text = value["text"]?.string, !text.isEmpty
        else { return }
        guard text.utf8.count <= chat.settings.questionBytesMax else {
            return talk.send([
                "type": "error",
                "error": .string(
                    "A question has at most \(chat.settings.questionBytesMax) bytes."),
            ])
        }
        guard talk.waiting.count < Self.waitingMax else {
            return talk.send([
                "type": "error", "error": "Too many questions at a time; wait for an answer.",
            ])
        }
        talk.waiting.append(text)
        if talk.run == nil { next(talk) }
    }

    private func next(_ talk: Talk) {
        talk.run = nil
        guard !talk.waiting.isEmpty, !talk.peer.isClosing else { return }
        let text = talk.waiting.removeFirst()
        // What somebody may do is looked up for each question.
        guard let principal = chat.access.current(talk.peer.principal) else {
            return talk.blocked("Your access has ended.")
        }
        let question = ChatQuestion(
            principal: principal, text: text, source: "ws_chat",
            context: RequestContext(
                requestID: "ws-\(talk.conversation.text)",
                trace: chat.gateway.telemetry.tracer.enter(nil)),
            conversation: talk.conversation,
            address: talk.peer.membership.address)
        talk.run = chat.begin(question, to: talk)
        if talk.run == nil { talk.failed("As many questions as allowed are being answered.") }
    }
}
