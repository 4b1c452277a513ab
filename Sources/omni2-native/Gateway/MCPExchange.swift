import OmniCore
import OmniIO

/// One POST with one message: acts on it and answers once, as JSON or, when there is something to
/// say before, as an event stream.
///
/// What the methods mean is in `MCPRequests`; which era the client speaks shows in how things are
/// said, and hardly in what is done.
final class MCPExchange {
    let gateway: Gateway
    let client: MCPClient
    let call: Router.Call
    /// Where the answer goes instead of the exchange, for a message of a batch.
    private let collect: (([UInt8]?) -> Void)?
    /// The raw id of the request.
    private(set) var id: [UInt8] = []
    private(set) var method = MCPMethod.ping
    /// Ends what the request has set going, with the reason.
    var withdraw: ((String) -> Void)?
    private var progressToken: [UInt8]?
    private var isAnswered = false
    /// Where the caller stands, told with the answer of a request that counted.
    var rateHeaders: [HTTPResponse.Header] = []
    /// Of a session: an event stream that outlives its connection.
    private var stream: SessionStream?

    init(
        _ gateway: Gateway, _ client: MCPClient, _ call: Router.Call,
        collect: (([UInt8]?) -> Void)? = nil
    ) {
        self.gateway = gateway
        self.client = client
        self.call = call
        self.collect = collect
    }

    // MARK: Receiving

    /// A message of a session.
    func receive(_ message: RPCMessage, in bytes: RawSpan, of session: GatewaySession) {
        if let range = message.id { id = JSONScanner.copy(range, from: bytes) }
        switch session.machine.received(message, in: bytes) {
        case .answerInitialize: answerInitialize(session)
        case .answerEmpty: answer(raw: Self.empty)
        case .notified(let method):
            notified(method, message, in: bytes)
            accepted()
        case .answered:
            session.answered(message, in: bytes)
            accepted()
        case .ignore: accepted()
        case .refuse(let failure): fail(failure, in: bytes)
        case .route(let method): route(method, message, in: bytes)
        }
    }

    /// A request of the stateless era. The client's going away is its way to cancel.
    func receive(_ request: ModernRequest, _ message: RPCMessage, in bytes: RawSpan) {
        if let range = message.id { id = JSONScanner.copy(range, from: bytes) }
        call.exchange.isCancelledByPeer = true
        call.exchange.abandoned = { [weak self] in
            guard let self else { return }
            self.isAnswered = true
            let withdraw = self.withdraw
            self.withdraw = nil
            withdraw?("the client closed the stream")
        }
        route(request.method, message, in: bytes)
    }

    private func route(_ method: MCPMethod, _ message: RPCMessage, in bytes: RawSpan) {
        self.method = method
        do throws(RPCFailure) {
            let parameters = try MCPParameters.read(message.params, in: bytes)
            if let token = parameters.meta?.progressToken, collect == nil, acceptsStream {
                progressToken = JSONScanner.copy(token, from: bytes)
            }
            try perform(method, message, parameters, in: bytes)
        } catch {
            var failure = error
            failure.id = message.id
            fail(failure, in: bytes)
        }
    }

    var wantsProgress: Bool { progressToken != nil }

    private var acceptsStream: Bool {
        call.request.header("Accept")?.contains("text/event-stream") ?? false
    }

    private func notified(_ method: MCPMethod, _ message: RPCMessage, in bytes: RawSpan) {
        guard method == .cancelled, let target = RPCRelay.cancelledRequest(message, in: bytes)
        else { return }
        client.session?.calls[JSONScanner.copy(target, from: bytes)]?(
            "the client cancelled the request")
    }

    // MARK: Answers

    static let empty = Array("{}".utf8)

    private func answerInitialize(_ session: GatewaySession) {
        let result = session.machine.initializeResult(
            server: Gateway.peer, capabilities: Gateway.capabilities, instructions: nil)
        var message: [UInt8] = []
        RPCWriter.result(id: id, result: result, to: &message)
        deliver(
            message,
            headers: [.init(name: MCPEndpoint.sessionHeader, value: session.id)])
    }

    private func accepted() {
        if let collect { return collect(nil) }
        call.respond(HTTPResponse(.accepted))
    }

    /// A result that is complete in this client's era.
    func answer(raw result: [UInt8]) {
        var message: [UInt8] = []
        message.reserveCapacity(result.count + id.count + 40)
        RPCWriter.result(id: id, result: result, to: &message)
        deliver(message)
    }

    /// A result of a server, or one written without regard to eras.
    func answer(
        result: [UInt8], of origin: LiveServer? = nil,
        freshness: EraTranslation.Freshness = .unknown, headers: [HTTPResponse.Header] = []
    ) {
        let message = result.withRawSpan { bytes -> [UInt8]? in
            let whole = ByteRange(offset: 0, count: bytes.byteCount)
            let facts = ResultFacts.read(whole, in: bytes)
            if facts.completeness == .task, let origin { note(facts, of: origin, in: bytes) }
            let splice: JSONSplice
            switch client.era {
            case .modern:
                splice = EraTranslation.toModern(
                    facts, of: method, server: Gateway.peerJSON, freshness: freshness, in: bytes)
            case .handshake:
                guard let edits = EraTranslation.toHandshake(facts, in: bytes) else { return nil }
                splice = edits
            }
            var message: [UInt8] = []
            message.reserveCapacity(result.count + id.count + 256)
            RPCWriter.result(id: id, result: whole, of: bytes, edits: splice, to: &message)
            return message
        }
        guard let message else {
            return fail(.serverError, "The server asks something that cannot be asked here.")
        }
        deliver(message, headers: headers)
    }

    /// A handle instead of an answer: who asks about it will be sent to its server.
    private func note(_ facts: ResultFacts, of origin: LiveServer, in bytes: RawSpan) {
        let task = JSONScanner.member("task", of: facts.whole, in: bytes) ?? facts.whole
        guard
            let id = JSONScanner.string(
                JSONScanner.member("taskId", of: task, in: bytes), in: bytes)
        else { return }
        gateway.tasks.note(id, server: origin.id, principal: call.principal)
    }

    func fail(_ code: RPCCode, _ text: String, data: JSONValue? = nil) {
        fail(code, text, rawData: data?.bytes)
    }

    func fail(_ code: RPCCode, _ text: String, rawData: [UInt8]?) {
        let code = said(code)
        var message: [UInt8] = []
        RPCWriter.error(id: id, code: code, message: text, data: rawData, to: &message)
        deliver(message, status: status(of: code))
    }

    func fail(_ failure: RPCFailure, in bytes: RawSpan, data: [UInt8]? = nil) {
        var message: [UInt8] = []
        RPCWriter.failure(failure, in: bytes, data: data, to: &message)
        deliver(message, status: status(of: failure.code))
    }

    /// In both eras the status says it too: who counts requests looks there.
    func refuse(_ refusal: Access.Refusal) {
        var message: [UInt8] = []
        RPCWriter.error(
            id: id, code: .serverError, message: refusal.message, data: nil, to: &message)
        deliver(message, status: refusal.status, headers: refusal.headers)
    }

    /// Codes the stateless era has given up.
    private func said(_ code: RPCCode) -> RPCCode {
        guard client.era == .modern else { return code }
        switch code {
        case .resourceNotFound, .urlElicitationRequired: return .invalidParams
        default: return code
        }
    }

    /// Sessions get every answer with 200; the stateless era says it twice.
    private func status(of code: RPCCode) -> HTTPStatus {
        guard client.era == .modern else { return .ok }
        switch code {
        case .methodNotFound: return .notFound
        case .parseError, .invalidRequest, .invalidParams, .headerMismatch, .missingCapability,
            .unsupportedVersion:
            return .badRequest
        default: return .ok
        }
    }

    /// Exactly once; nothing is said after it.
    private func deliver(
        _ message: [UInt8], status: HTTPStatus = .ok, headers: [HTTPResponse.Header] = []
    ) {
        guard !isAnswered else { return }
        isAnswered = true
        withdraw = nil
        client.session?.calls[id] = nil
        if let collect { return collect(message) }
        if let stream {
            stream.send(message)
            stream.end()
        } else if case .streaming = call.exchange.state {
            call.exchange.stream(EventText.message(message))
            call.exchange.endStream()
        } else {
            call.respond(HTTPResponse(status, json: message, headers: headers + rateHeaders))
        }
    }

    // MARK: Before the answer

    var pendingBytes: Int { call.exchange.pendingBytes }

    func keepAlive() {
        if case .streaming = call.exchange.state { call.exchange.stream(EventText.keepAlive) }
    }

    /// Says something on this request's stream, which begins with it; false when it has none.
    @discardableResult
    func notify(_ method: MCPMethod, _ params: [UInt8]) -> Bool {
        guard !isAnswered, opensStream() else { return false }
        var message: [UInt8] = []
        RPCWriter.notification(method: method.name, params: params, to: &message)
        if let stream {
            stream.send(message)
        } else {
            call.exchange.stream(EventText.message(message))
        }
        return true
    }

    private func opensStream() -> Bool {
        if stream != nil { return true }
        guard collect == nil, acceptsStream else { return false }
        switch call.exchange.state {
        case .awaitingAnswer:
            if let session = client.session {
                stream = session.openStream(call.exchange)
            } else {
                let cancelled = call.exchange.abandoned
                call.exchange.beginStream(MCPEndpoint.eventStream())
                call.exchange.abandoned = cancelled
            }
            return true
        case .streaming: return true
        case .answered, .abandoned: return false
        }
    }

    /// The raw params of a server's progress, under the client's own token.
    func progressed(_ params: [UInt8]) {
        guard let progressToken else { return }
        let renamed = params.withRawSpan { bytes in
            let whole = ByteRange(offset: 0, count: bytes.byteCount)
            var splice = JSONSplice()
            splice.edit(whole, in: bytes, [.init("progressToken", progressToken)])
            return splice.applied(to: whole, of: bytes)
        }
        notify(.progress, renamed)
    }

    /// The raw params of a server's log message, when this client wants that much detail.
    func logged(_ params: [UInt8]) {
        guard let wanted = client.logLevel else { return }
        let level = params.withRawSpan { bytes in
            let whole = ByteRange(offset: 0, count: bytes.byteCount)
            return MCPLogLevel(JSONScanner.member("level", of: whole, in: bytes), in: bytes)
        }
        guard let level, level >= wanted else { return }
        notify(.logMessage, params)
    }

    /// Asks the client of a session; false when there is no way to it.
    func ask(_ question: UpstreamQuestion) -> Bool {
        guard !isAnswered, let session = client.session else { return false }
        let stream = opensStream() ? stream : nil
        let takeBack = session.ask(question.method, question.params, on: stream) {
            question.answer($0)
        }
        guard let takeBack else { return false }
        question.withdrawn = takeBack
        return true
    }
}
