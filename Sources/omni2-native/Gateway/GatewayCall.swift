import OmniCore
import OmniIO

/// One request on its way to a server and back, with the client it currently answers to.
///
/// Here the two hops meet. A server of the handshake era asks in the middle of a call: a session is
/// asked on its stream, a client of the stateless era gets `input_required` and comes back while the
/// call is held. A server of the stateless era asks by its result: a client of the same era gets it
/// as it is, for a session the gateway asks and calls again.
final class GatewayCall: UpstreamCallListener {
    enum Work {
        case tool(ToolCall)
        case other(server: LiveServer, request: UpstreamRequest)
    }

    let principal: Principal
    /// What a second round must ask for to belong to this call: method and offered name.
    let subject: String
    let asker: String
    private let gateway: Gateway
    private var work: Work
    private let client: MCPClient
    private let wantsProgress: Bool
    private let cancellation = UpstreamCancellation()
    /// Nil while the call is held.
    private var exchange: MCPExchange?
    /// What the server asked and the client has not answered, in order.
    private var questions: [(key: String, question: UpstreamQuestion)] = []
    private var lastQuestion = 0
    private var heldAs: String?
    /// The end of a call nobody was there to hear of.
    private var outcome: ToolOutcome?

    /// Rounds of questions in one call.
    private static let roundsMax = 16
    /// How long the end of a held call is kept for its client.
    private static let keepTime = Duration.seconds(60)

    init(
        _ work: Work, subject: String, for exchange: MCPExchange, wantsProgress: Bool
    ) {
        self.work = work
        self.subject = subject
        self.wantsProgress = wantsProgress
        gateway = exchange.gateway
        client = exchange.client
        principal = exchange.call.principal
        asker = exchange.client.session?.id ?? exchange.call.exchange.requestID + "/" + subject
        attach(exchange)
    }

    private var server: LiveServer {
        switch work {
        case .tool(let call): call.server
        case .other(let server, _): server
        }
    }

    private func attach(_ exchange: MCPExchange) {
        self.exchange = exchange
        exchange.withdraw = { [weak self] in self?.cancel($0) }
    }

    func cancel(_ reason: String) {
        cancellation.cancel(reason)
        let open = questions
        questions = []
        for entry in open { answer(entry.question, "the call was cancelled") }
    }

    // MARK: Calling

    func start() {
        gateway.io.spawn { self.finish(await self.conduct()) }
    }

    private func conduct() async -> ToolOutcome {
        var answers: [JSONSplice.Change] = []
        for _ in 0..<Self.roundsMax {
            let outcome = await perform(answers)
            guard client.era == .handshake, server.upstream?.modern != nil,
                case .result(let result, _) = outcome
            else { return outcome }
            let round = result.withRawSpan { bytes in
                let whole = ByteRange(offset: 0, count: bytes.byteCount)
                return InputRound(ResultFacts.read(whole, in: bytes), in: bytes)
            }
            guard let round else { return outcome }
            switch await ask(round, of: result) {
            case .success(let changes): answers = changes
            case .failure(let refusal): return refusal.outcome
            }
        }
        return .failed("it asked the client \(Self.roundsMax) times and did not answer")
    }

    private func perform(_ answers: [JSONSplice.Change]) async -> ToolOutcome {
        let deadline = gateway.io.now + gateway.callTime(of: server)
        let envelope = server.upstream?.modern == nil ? [] : client.envelope
        switch work {
        case .tool(var call):
            call.listener = self
            call.wantsProgress = wantsProgress
            call.cancellation = cancellation
            call.params = Self.prepared(call.params, envelope, answers)
            if !answers.isEmpty { call.mayBeCached = false }
            return await gateway.caller.call(call, until: deadline)
        case .other(let server, let template):
            var request = UpstreamRequest(
                template.method, params: Self.prepared(template.params, envelope, answers))
            request.listener = self
            request.wantsProgress = wantsProgress
            request.cancellation = cancellation
            return await gateway.caller.ask(
                server, request, subject: subject, principal, until: deadline)
        }
    }

    private static func prepared(
        _ params: [UInt8]?, _ envelope: [JSONSplice.Change], _ answers: [JSONSplice.Change]
    ) -> [UInt8]? {
        guard let params, !envelope.isEmpty || !answers.isEmpty else { return params }
        func edited(_ params: [UInt8], _ edit: (inout JSONSplice, ByteRange, RawSpan) -> Void)
            -> [UInt8]
        {
            params.withRawSpan { bytes in
                let whole = ByteRange(offset: 0, count: bytes.byteCount)
                var splice = JSONSplice()
                edit(&splice, whole, bytes)
                return splice.applied(to: whole, of: bytes)
            }
        }
        var prepared = params
        if !envelope.isEmpty {
            prepared = edited(prepared) { $0.editMeta(of: $1, in: $2, envelope) }
        }
        if !answers.isEmpty { prepared = edited(prepared) { $0.edit($1, in: $2, answers) } }
        return prepared
    }

    // MARK: Rounds of a server of the stateless era, for a session

    private struct Refusal: Error {
        let outcome: ToolOutcome
    }

    private func ask(
        _ round: InputRound, of result: [UInt8]
    ) async -> Result<[JSONSplice.Change], Refusal> {
        typealias Asked = (key: [UInt8], method: MCPMethod?, params: [UInt8]?)
        let (state, requests) = result.withRawSpan { bytes -> ([UInt8]?, [Asked]) in
            (
                round.state.map { JSONScanner.copy($0, from: bytes) },
                round.requests.map { request in
                    (
                        JSONScanner.copy(request.key, from: bytes), request.method,
                        request.params.map { JSONScanner.copy($0, from: bytes) }
                    )
                }
            )
        }
        var promises: [Promise<UpstreamQuestion.Answer>] = []
        for request in requests.prefix(UpstreamCall.questionsMax) {
            let promise = Promise<UpstreamQuestion.Answer>(gateway.io)
            promises.append(promise)
            guard let method = request.method else {
                return .failure(refusal("what it asks the client is not known here"))
            }
            let question = UpstreamQuestion(method, params: request.params) { promise.fulfil($0) }
            asked(question)
        }
        let limit = gateway.io.now + gateway.settings.inputTime
        var answers: [(key: [UInt8], result: [UInt8])] = []
        for (request, promise) in zip(requests, promises) {
            switch await promise.value(until: limit) {
            case .result(let result): answers.append((request.key, result))
            case .error(let code, let text, let data):
                return .failure(
                    Refusal(
                        outcome: .refused(code: Int(code.rawValue), message: text, data: data)))
            case nil: return .failure(refusal("the client did not answer what it asked"))
            }
        }
        return .success(InputRound.changes(answers: answers, state: state))
    }

    private func refusal(_ text: String) -> Refusal { Refusal(outcome: .failed(text)) }

    // MARK: What the server says meanwhile

    func progressed(_ params: [UInt8]) { exchange?.progressed(params) }

    func logged(_ params: [UInt8]) { exchange?.logged(params) }

    func asked(_ question: UpstreamQuestion) {
        if cancellation.reason != nil { return answer(question, "the call was cancelled") }
        if let reason = client.refusal(of: question.method, params: question.params) {
            return answer(question, reason, code: .methodNotFound)
        }
        if case .handshake = client {
            guard let exchange, exchange.ask(question) else {
                return answer(question, "the client has no stream open on which to ask it")
            }
            return
        }
        lastQuestion += 1
        questions.append(("q\(lastQuestion)", question))
        question.withdrawn = { [weak self, weak question] in
            self?.questions.removeAll { $0.question === question }
        }
        askByResult()
    }

    private func answer(
        _ question: UpstreamQuestion, _ reason: String, code: RPCCode = .serverError
    ) {
        question.answer(
            .error(code: code, message: "\(question.method.name): \(reason)", data: nil))
    }

    // MARK: Held for a client of the stateless era

    /// Ends the client's request with what the server asks; the call goes on without it.
    private func askByResult() {
        guard let exchange else { return }
        let state = gateway.held.hold(self)
        heldAs = state
        let result = InputRound.result(
            asking: questions.map { ($0.key, $0.question.method, $0.question.params) },
            state: state)
        detach()
        exchange.finish(.result(result, mark: nil), of: server)
    }

    private func detach() {
        exchange?.withdraw = nil
        exchange = nil
    }

    /// The client is back with its answers: raw `inputResponses`.
    func resume(_ exchange: MCPExchange, answers: ByteRange?, in bytes: RawSpan) {
        heldAs = nil
        attach(exchange)
        if let answers {
            for (key, question) in questions {
                guard let value = JSONScanner.member(named: key, of: answers, in: bytes) else {
                    continue
                }
                questions.removeAll { $0.key == key }
                question.answer(.result(JSONScanner.copy(value, from: bytes)))
            }
        }
        if let outcome {
            detach()
            exchange.finish(outcome, of: server)
        } else if !questions.isEmpty {
            askByResult()
        }
    }

    private func finish(_ outcome: ToolOutcome) {
        if case .tool(let call) = work { call.flow?.flow.finish() }
        guard let exchange else {
            self.outcome = outcome
            guard let state = heldAs else { return }
            gateway.io.spawn { [gateway] in
                await gateway.io.sleep(until: gateway.io.now + Self.keepTime)
                gateway.held.release(state)
            }
            return
        }
        detach()
        exchange.finish(outcome, of: server)
    }
}
