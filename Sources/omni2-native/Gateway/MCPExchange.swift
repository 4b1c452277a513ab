import OmniCore
import OmniIO

/// One POST with one message: acts on it and answers, as JSON or, when there is progress to tell,
/// as an event stream.
final class MCPExchange {
    private let gateway: Gateway
    private let session: GatewaySession
    private let call: Router.Call
    /// Where the answer goes instead of the exchange, for a message of a batch.
    private let collect: (([UInt8]?) -> Void)?
    /// The raw id of the request.
    private var id: [UInt8] = []
    private var isCancelled = false
    private var isAnswered = false
    /// Where the caller stands, told with the answer of a request that counted.
    private var rateHeaders: [HTTPResponse.Header] = []

    init(
        _ gateway: Gateway, _ session: GatewaySession, _ call: Router.Call,
        collect: (([UInt8]?) -> Void)? = nil
    ) {
        self.gateway = gateway
        self.session = session
        self.call = call
        self.collect = collect
    }

    private var io: any IO { gateway.io }

    func receive(_ message: RPCMessage, in bytes: RawSpan) {
        if let range = message.id { id = JSONScanner.copy(range, from: bytes) }
        switch session.machine.received(message, in: bytes) {
        case .answerInitialize: answerInitialize()
        case .answerEmpty: answer(result: Self.empty)
        case .notified(let method):
            notified(method, message, in: bytes)
            accepted()
        case .answered, .ignore: accepted()
        case .refuse(let failure): fail(failure, in: bytes)
        case .route(let method): route(method, message, in: bytes)
        }
    }

    // MARK: Answers

    private static let empty = Array("{}".utf8)

    private func answerInitialize() {
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

    private func answer(result: [UInt8]) {
        var message: [UInt8] = []
        RPCWriter.result(id: id, result: result, to: &message)
        deliver(message)
    }

    private func fail(_ code: RPCCode, _ text: String, data: JSONValue? = nil) {
        fail(code, text, rawData: data?.bytes)
    }

    private func fail(_ code: RPCCode, _ text: String, rawData: [UInt8]?) {
        var message: [UInt8] = []
        RPCWriter.error(id: id, code: code, message: text, data: rawData, to: &message)
        deliver(message)
    }

    private func fail(_ failure: RPCFailure, in bytes: RawSpan) {
        var message: [UInt8] = []
        RPCWriter.failure(failure, in: bytes, to: &message)
        deliver(message)
    }

    /// Exactly once; nothing is said after it.
    private func deliver(_ message: [UInt8], headers: [HTTPResponse.Header] = []) {
        guard !isAnswered else { return }
        isAnswered = true
        session.calls[id] = nil
        if let collect { return collect(message) }
        if case .streaming = call.exchange.state {
            call.exchange.stream(EventText.message(message))
            call.exchange.endStream()
        } else {
            call.respond(HTTPResponse(.ok, json: message, headers: headers + rateHeaders))
        }
    }

    // MARK: Limits

    /// Counts a request that does work; true: it may. Answers 429 itself, for a message of a batch
    /// an error in its place.
    private func mayWork() -> Bool {
        let access = gateway.access
        guard let refusal = access.take(call.principal) else {
            rateHeaders = access.standing(call.principal)?.headers ?? []
            return true
        }
        access.audit.denied(
            call.exchange, by: call.principal, action: "request", reason: refusal.message)
        gateway.gates?.stopped(
            call.principal, at: .usageCheck, because: refusal.message, from: .gateway,
            requestID: call.exchange.requestID)
        var message: [UInt8] = []
        RPCWriter.error(
            id: id, code: .serverError, message: refusal.message, data: nil, to: &message)
        guard !isAnswered else { return false }
        isAnswered = true
        if let collect {
            collect(message)
        } else {
            call.respond(HTTPResponse(refusal.status, json: message, headers: refusal.headers))
        }
        return false
    }

    /// Somebody asked for what is there and not for them: the answer is that of what is not there.
    private func noteDenied(_ method: MCPMethod, _ name: String) {
        gateway.access.audit.denied(
            call.exchange, by: call.principal, action: "\(method.name)", target: name,
            reason: "no permission")
        let item = gateway.catalogue.tool(named: name)
        gateway.gates?.stopped(
            call.principal, at: .toolFilter, because: "no permission", from: .gateway,
            requestID: call.exchange.requestID, server: item?.serverName,
            tool: item?.name ?? name)
    }

    // MARK: Notifications

    private func notified(_ method: MCPMethod, _ message: RPCMessage, in bytes: RawSpan) {
        guard method == .cancelled, let params = message.params,
            let target = JSONScanner.member("requestId", of: params, in: bytes)
        else { return }
        session.calls[JSONScanner.copy(target, from: bytes)]?()
    }

    // MARK: Requests

    private func route(_ method: MCPMethod, _ message: RPCMessage, in bytes: RawSpan) {
        let parameters: MCPParameters
        do throws(RPCFailure) {
            parameters = try MCPParameters.read(message.params, in: bytes)
            switch method {
            case .listTools, .listPrompts, .listResources, .listResourceTemplates:
                let cursor = JSONScanner.string(parameters.cursor, in: bytes)
                answer(result: try gateway.list(method, cursor: cursor, for: call.principal))
            case .callTool: if mayWork() { try callTool(parameters, in: bytes) }
            case .getPrompt, .readResource:
                if mayWork() { try forward(method, message, parameters, in: bytes) }
            case .setLogLevel: answer(result: Self.empty)
            case .complete: if mayWork() { try complete(message, in: bytes) }
            default: throw RPCFailure(.methodNotFound, .methodNotFound)
            }
        } catch {
            var failure = error
            failure.id = message.id
            fail(failure, in: bytes)
        }
    }

    // MARK: Tools

    private func callTool(_ parameters: MCPParameters, in bytes: RawSpan) throws(RPCFailure) {
        guard let name = JSONScanner.string(parameters.name, in: bytes) else {
            throw RPCFailure(.invalidParams, .missingName)
        }
        guard let item = gateway.view(call.principal).tool(named: name) else {
            return unknownTool(name)
        }
        guard let server = gateway.server(item.server) else { return unknownTool(name) }
        var isCacheable = false
        if case .yes = CachePolicy.cacheable(call: parameters) { isCacheable = true }
        var toolCall = ToolCall(
            server: server, tool: item.name, annotations: item.annotations,
            arguments: parameters.arguments.map { JSONScanner.copy($0, from: bytes) }
                ?? Self.empty,
            meta: Self.passedOn(parameters.meta, in: bytes), mayBeCached: isCacheable,
            principal: call.principal, requestID: call.exchange.requestID)
        toolCall.flow = gateway.gates?.passed(
            call.principal, to: item.name, of: server.name, from: .gateway,
            requestID: call.exchange.requestID)
        if let known = gateway.caller.cached(toolCall) { return finish(known, toolCall) }
        if let token = parameters.meta?.progressToken, collect == nil, acceptsStream {
            let raw = JSONScanner.copy(token, from: bytes)
            toolCall.progress = { [weak self] in self?.progressed($0, token: raw) }
        }
        start(toolCall)
    }

    private var acceptsStream: Bool {
        call.request.header("Accept")?.contains("text/event-stream") ?? false
    }

    /// A name that is offered by nobody now: unknown, or of a server that is away.
    private func unknownTool(_ name: String) {
        if let server = gateway.absentServer(ofTool: name, for: call.principal) {
            let (text, data) = Self.unavailable(
                server.name, gateway.circuit(of: server), retry: gateway.retryAfter(server))
            return fail(.serverError, text, data: data)
        }
        if gateway.catalogue.tool(named: name) != nil { noteDenied(.callTool, name) }
        fail(.invalidParams, "Unknown tool: \(name.prefix(200))")
    }

    /// Everything of `_meta` but the progress token, which is ours to choose.
    private static func passedOn(_ meta: RequestMeta?, in bytes: RawSpan) -> [UInt8]? {
        guard let meta else { return nil }
        var splice = JSONSplice()
        splice.edit(meta.whole, in: bytes, [.removal(of: "progressToken")])
        let text = splice.applied(to: meta.whole, of: bytes)
        return text.count <= 2 ? nil : text
    }

    private func start(_ toolCall: ToolCall) {
        let deadline = io.now + gateway.callTime(of: toolCall.server)
        let cancellation = UpstreamCancellation()
        var toolCall = toolCall
        toolCall.cancellation = cancellation
        session.calls[id] = { [weak self] in
            self?.isCancelled = true
            cancellation.cancel("the client cancelled the request")
        }
        io.spawn { [toolCall] in
            let outcome = await self.gateway.caller.call(toolCall, until: deadline)
            self.finish(outcome, toolCall)
        }
    }

    private func progressed(_ params: [UInt8], token: [UInt8]) {
        guard !isAnswered, !isCancelled, call.exchange.isOpen else { return }
        if case .awaitingAnswer = call.exchange.state {
            call.exchange.beginStream(MCPEndpoint.eventStream())
        }
        let renamed = params.withRawSpan { bytes in
            let whole = ByteRange(offset: 0, count: bytes.byteCount)
            var splice = JSONSplice()
            splice.edit(whole, in: bytes, [.init("progressToken", token)])
            return splice.applied(to: whole, of: bytes)
        }
        var message: [UInt8] = []
        RPCWriter.notification(method: MCPMethod.progress.name, params: renamed, to: &message)
        call.exchange.stream(EventText.message(message))
    }

    private func finish(_ outcome: ToolOutcome, _ toolCall: ToolCall) {
        defer { toolCall.flow?.flow.finish() }
        switch outcome {
        case .result(let result, let mark):
            answer(result: mark.map { $0.marking(result) } ?? result)
        case .refused(let code, let text, let data):
            fail(RPCCode(rawValue: Int64(code)), text, rawData: data)
        case .unavailable(let state, let retry):
            let (text, data) = Self.unavailable(toolCall.server.name, state, retry: retry)
            fail(.serverError, text, data: data)
        case .failed(let reason):
            fail(
                .serverError, "\(toolCall.server.name) could not be asked: \(reason)",
                data: ["server": .string(toolCall.server.name), "tool": .string(toolCall.tool)])
        case .tooLarge(let limit):
            fail(
                .serverError,
                "The result of \(toolCall.tool) is larger than \(limit) bytes; ask for less, or "
                    + "raise [MCP] MaxResultBytes=.", data: ["limit": JSONValue(limit)])
        }
    }

    private static func unavailable(
        _ server: String, _ state: String, retry: Int?
    ) -> (String, JSONValue) {
        let when = retry.map { "; retry_after: \($0) s" } ?? ""
        let text = "\(server) is not available, its circuit is \(state)\(when)"
        return (
            text,
            [
                "server": .string(server), "circuit_state": .string(state),
                "retry_after": retry.map { JSONValue($0) } ?? .null,
            ]
        )
    }

    // MARK: Prompts, resources, completion

    private func forward(
        _ method: MCPMethod, _ message: RPCMessage, _ parameters: MCPParameters, in bytes: RawSpan
    ) throws(RPCFailure) {
        let isPrompt = method == .getPrompt
        guard
            let wanted = JSONScanner.string(
                isPrompt ? parameters.name : parameters.uri, in: bytes),
            let params = message.params
        else { throw RPCFailure(.invalidParams, isPrompt ? .missingName : .missingURI) }
        let owner =
            isPrompt
            ? gateway.owner(ofPrompt: wanted, for: call.principal)
            : gateway.owner(ofResource: wanted, for: call.principal)
        guard let owner, let target = gateway.forward(method, to: owner, params: params, in: bytes)
        else {
            if isPrompt, gateway.catalogue.prompt(named: wanted) != nil {
                noteDenied(method, wanted)
            } else if !isPrompt,
                gateway.catalogue.resources.contains(where: {
                    $0.name == wanted || $0.offered == wanted
                })
            {
                noteDenied(method, wanted)
            }
            return isPrompt
                ? fail(.invalidParams, "Unknown prompt: \(wanted.prefix(200))")
                : fail(.resourceNotFound, "Resource not found: \(wanted.prefix(200))")
        }
        ask(target.upstream, method, target.params)
    }

    /// `completion/complete` goes to the owner of its `ref`.
    private func complete(_ message: RPCMessage, in bytes: RawSpan) throws(RPCFailure) {
        guard let params = message.params,
            let reference = JSONScanner.member("ref", of: params, in: bytes)
        else { throw RPCFailure(.invalidParams, .badParams) }
        let name = JSONScanner.member("name", of: reference, in: bytes)
        let uri = JSONScanner.member("uri", of: reference, in: bytes)
        let owner =
            JSONScanner.string(name, in: bytes).flatMap {
                gateway.owner(ofPrompt: $0, for: call.principal)
            }
            ?? JSONScanner.string(uri, in: bytes).flatMap {
                gateway.owner(ofResource: $0, for: call.principal)
            }
        guard let owner, let upstream = gateway.server(owner.server)?.upstream else {
            return fail(.invalidParams, "ref names nothing that is offered here")
        }
        var splice = JSONSplice()
        splice.edit(
            reference, in: bytes, [.init(name == nil ? "uri" : "name", value: .string(owner.name))])
        ask(upstream, .complete, splice.applied(to: params, of: bytes))
    }

    private func ask(_ upstream: Upstream, _ method: MCPMethod, _ params: [UInt8]) {
        let deadline = io.now + gateway.settings.callTime
        io.spawn {
            do throws(UpstreamError) {
                let result = try await upstream.request(
                    "\(method.name)", paramsJSON: params, until: deadline)
                self.answer(result: result)
            } catch {
                self.refused(error, by: upstream)
            }
        }
    }

    private func refused(_ error: UpstreamError, by upstream: Upstream) {
        if case .rpc(let code, let text, let data) = error {
            return fail(RPCCode(rawValue: Int64(code)), text, rawData: data)
        }
        fail(
            .serverError, "\(upstream.name) could not be asked: \(error)",
            data: ["server": .string(upstream.name)])
    }
}
