import OmniCore
import OmniIO

/// What a server says and asks while it works on a call of ours.
protocol UpstreamCallListener: AnyObject {
    /// Calls of one asker may be confused without harm: a session, or one request of a client that
    /// has none. Where answers are not bound to requests, a question is put to the only asker.
    var asker: String { get }
    /// The raw params of `notifications/progress`; the token in them is ours.
    func progressed(_ params: [UInt8])
    /// The raw params of `notifications/message`.
    func logged(_ params: [UInt8])
    /// To be answered once, now or later.
    func asked(_ question: UpstreamQuestion)
}

/// A request of a server to the client: sampling, elicitation, roots.
final class UpstreamQuestion {
    enum Answer {
        /// A raw result object.
        case result([UInt8])
        case error(code: RPCCode, message: String, data: [UInt8]?)
    }

    let method: MCPMethod
    /// A raw object; nil when there are none.
    let params: [UInt8]?
    /// The server takes its question back, or the call has ended under it.
    var withdrawn: () -> Void = {}
    private var send: ((Answer) -> Void)?

    init(_ method: MCPMethod, params: [UInt8]?, send: @escaping (Answer) -> Void) {
        self.method = method
        self.params = params
        self.send = send
    }

    var isOpen: Bool { send != nil }

    /// The first answer counts.
    func answer(_ answer: Answer) {
        guard let send else { return }
        self.send = nil
        withdrawn = {}
        send(answer)
    }

    /// Nobody waits for the answer any more.
    func withdraw() {
        guard send != nil else { return }
        send = nil
        let told = withdrawn
        withdrawn = {}
        told()
    }
}

extension Upstream {
    /// A request of the server. Pings are answered here; questions go to the client whose call made
    /// the server ask.
    func answer(_ message: RPCMessage, in bytes: [UInt8], on origin: UpstreamCall?) {
        guard let transport, let id = message.id else { return }
        let span = unsafe bytes.span.bytes
        let rawID = JSONScanner.copy(id, from: span)
        let method = MCPMethod(message.method, in: span)
        switch method {
        case .ping:
            var answer: [UInt8] = []
            RPCWriter.result(id: rawID, result: Array("{}".utf8), to: &answer)
            post(answer, over: transport)
        case .createMessage, .elicit, .listRoots:
            guard let method else { return }
            let params = message.params.map { JSONScanner.copy($0, from: span) }
            ask(method, params, id: rawID, on: origin, over: transport)
        default:
            refuse(rawID, .methodNotFound, "Method not found", over: transport)
        }
    }

    private func ask(
        _ method: MCPMethod, _ params: [UInt8]?, id: [UInt8], on origin: UpstreamCall?,
        over transport: any UpstreamTransport
    ) {
        guard let call = origin?.listener == nil ? calls.onlyAsked : origin,
            let listener = call.listener
        else {
            let reason =
                calls.hasListeners
                ? "several clients have calls under way and nothing says whose question this is; "
                    + "register the server with \"session\": \"principal\" in its meta_data"
                : "no client has a call under way that could answer"
            return refuse(id, .methodNotFound, "\(method.name): \(reason)", over: transport)
        }
        guard call.questions.count < UpstreamCall.questionsMax else {
            return refuse(
                id, .serverError, "\(method.name): too many open questions", over: transport)
        }
        let question = UpstreamQuestion(method, params: params) { [weak self, weak call] answer in
            call?.questionEnded(id)
            guard let self, self.transport === transport else { return }
            var message: [UInt8] = []
            switch answer {
            case .result(let result): RPCWriter.result(id: id, result: result, to: &message)
            case .error(let code, let text, let data):
                RPCWriter.error(id: id, code: code, message: text, data: data, to: &message)
            }
            self.post(message, over: transport)
        }
        call.questionBegan(id, question, until: io.now + deadlines.input)
        listener.asked(question)
    }

    private func refuse(
        _ id: [UInt8], _ code: RPCCode, _ text: String, over transport: any UpstreamTransport
    ) {
        var answer: [UInt8] = []
        RPCWriter.error(id: id, code: code, message: text, to: &answer)
        post(answer, over: transport)
    }

    /// `notifications/cancelled` of the server: about a question of its own.
    func withdrawQuestion(_ params: ByteRange?, in span: RawSpan) {
        guard let params, let target = JSONScanner.member("requestId", of: params, in: span)
        else { return }
        calls.withdrawQuestion(JSONScanner.copy(target, from: span))
    }
}
