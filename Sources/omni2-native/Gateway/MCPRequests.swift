import OmniCore
import OmniIO

/// What each method of a client means: answered here, or asked of the server that owns its subject.
extension MCPExchange {
    func perform(
        _ method: MCPMethod, _ message: RPCMessage, _ parameters: MCPParameters, in bytes: RawSpan
    ) throws(RPCFailure) {
        switch method {
        case .discover:
            answer(
                raw: ModernRequest.discoverResult(
                    server: Gateway.peer, capabilities: Gateway.capabilities, instructions: nil,
                    ttlMilliseconds: Gateway.listFreshness.timeToLiveMilliseconds))
        case .listTools, .listPrompts, .listResources, .listResourceTemplates:
            let cursor = JSONScanner.string(parameters.cursor, in: bytes)
            answer(
                result: try gateway.list(method, cursor: cursor, for: call.principal),
                freshness: Gateway.listFreshness)
        case .callTool:
            if mayWork(parameters, in: bytes) { try callTool(message, parameters, in: bytes) }
        case .getPrompt, .readResource:
            if mayWork(parameters, in: bytes) {
                try fetch(method, message, parameters, in: bytes)
            }
        case .complete: if mayWork() { try complete(message, in: bytes) }
        case .setLogLevel: try setLogLevel(message, in: bytes)
        case .subscribeResource, .unsubscribeResource:
            try watch(method, parameters, in: bytes)
        case .listen: try listen(message, in: bytes)
        case .getTask, .updateTask, .cancelTask, .taskResult:
            try askAboutTask(method, message, parameters, in: bytes)
        default: throw RPCFailure(.methodNotFound, .methodNotFound)
        }
    }

    /// A second round is of the work that was counted with the first.
    private func mayWork(_ parameters: MCPParameters, in bytes: RawSpan) -> Bool {
        heldState(parameters, in: bytes) != nil || mayWork()
    }

    // MARK: Tools

    private func callTool(
        _ message: RPCMessage, _ parameters: MCPParameters, in bytes: RawSpan
    ) throws(RPCFailure) {
        guard let name = JSONScanner.string(parameters.name, in: bytes), let params = message.params
        else { throw RPCFailure(.invalidParams, .missingName) }
        guard let item = gateway.view(call.principal).tool(named: name),
            let server = gateway.server(item.server)
        else { return unknownTool(name, parameters, in: bytes) }
        try checkHeaders(item, parameters, in: bytes)
        if resumes(parameters, "tools/call \(name)", in: bytes) { return }
        var toolCall = ToolCall(
            server: server, tool: item.name, annotations: item.annotations,
            arguments: parameters.arguments.map { JSONScanner.copy($0, from: bytes) }
                ?? Self.empty,
            mayBeCached: CachePolicy.isCacheable(parameters), principal: call.principal,
            requestID: call.exchange.requestID)
        toolCall.step = step(name, parameters, in: bytes)
        toolCall.flow = gateway.gates?.passed(
            call.principal, to: item.name, of: server.name, from: .gateway,
            requestID: call.exchange.requestID)
        if let known = gateway.caller.cached(toolCall) {
            toolCall.flow?.flow.finish()
            return finish(known, of: server)
        }
        toolCall.params = Self.renamed(params, parameters.name, to: item.name, in: bytes)
        start(.tool(toolCall), subject: "tools/call \(name)")
    }

    /// Below the step the client names in `_meta`, else below the request's.
    private func step(
        _ offered: String, _ parameters: MCPParameters, in bytes: RawSpan
    ) -> ToolStep {
        let named = JSONScanner.string(parameters.meta?.traceparent, in: bytes)
            .flatMap { TraceContext(parent: $0) }
            .map { gateway.telemetry.tracer.enter($0) }
        let step = ToolStep(
            offered, of: call.principal.name, in: named ?? RequestContext.current?.trace,
            by: gateway.telemetry)
        if let span = step.span, let session = client.session {
            span.set("mcp.session.id", session.id)
            span.set("mcp.protocol.version", "\(session.machine.version.text)")
        }
        return step
    }

    private static func renamed(
        _ params: ByteRange, _ name: ByteRange?, to own: String, in bytes: RawSpan
    ) -> [UInt8] {
        var splice = JSONSplice()
        if let name { splice.replace(name, with: JSONValue.string(own).bytes) }
        return splice.applied(to: params, of: bytes)
    }

    /// Arguments that travel as headers too must say the same there.
    private func checkHeaders(
        _ item: GatewayCatalogue.Item, _ parameters: MCPParameters, in bytes: RawSpan
    ) throws(RPCFailure) {
        guard client.era == .modern, let headers = item.parameterHeaders else { return }
        let request = call.request
        guard
            headers.agree(
                arguments: parameters.arguments, in: bytes, sent: { request.header(named: $0) })
        else { throw RPCFailure(.headerMismatch, .headerMismatch) }
    }

    /// A name that is offered by nobody now: unknown, or of a server that is away.
    private func unknownTool(_ name: String, _ parameters: MCPParameters, in bytes: RawSpan) {
        if let server = gateway.absentServer(ofTool: name, for: call.principal) {
            if let (tool, annotations) = gateway.absentTool(name, of: server) {
                var absent = ToolCall(
                    server: server, tool: tool, annotations: annotations,
                    arguments: parameters.arguments.map { JSONScanner.copy($0, from: bytes) }
                        ?? Self.empty,
                    mayBeCached: CachePolicy.isCacheable(parameters), principal: call.principal,
                    requestID: call.exchange.requestID)
                absent.step = step(name, parameters, in: bytes)
                if let known = gateway.caller.stale(absent) { return finish(known, of: server) }
                gateway.caller.ended(
                    absent,
                    .unavailable(state: gateway.circuit(of: server), retryAfterSeconds: nil))
            }
            let (text, data) = Self.unavailable(
                server.name, gateway.circuit(of: server), retry: gateway.retryAfter(server))
            return fail(.serverError, text, data: data)
        }
        if gateway.catalogue.tool(named: name) != nil { noteDenied(.callTool, name) }
        fail(.invalidParams, "Unknown tool: \(name.prefix(200))")
    }

    // MARK: Calls

    private func start(_ work: GatewayCall.Work, subject: String) {
        let going = GatewayCall(work, subject: subject, for: self, wantsProgress: wantsProgress)
        client.session?.calls[id] = { [weak going] in going?.cancel($0) }
        going.start()
    }

    /// The second round of a call whose server waits for this client.
    private func resumes(
        _ parameters: MCPParameters, _ subject: String, in bytes: RawSpan
    ) -> Bool {
        guard let state = heldState(parameters, in: bytes) else { return false }
        guard let held = gateway.held.take(state, call.principal, subject: subject) else {
            fail(
                .invalidParams,
                "requestState belongs to no call that waits for it; make the call anew")
            return true
        }
        held.resume(self, answers: parameters.inputResponses, in: bytes)
        return true
    }

    /// What a client that comes back was given; nil when this is no second round of ours.
    private func heldState(_ parameters: MCPParameters, in bytes: RawSpan) -> String? {
        guard client.era == .modern, let range = parameters.requestState,
            let state = JSONScanner.string(range, in: bytes), HeldCalls.isOurs(state)
        else { return nil }
        return state
    }

    /// The end of a call, in this client's era.
    func finish(_ outcome: ToolOutcome, of origin: LiveServer) {
        let server = origin.name
        switch outcome {
        case .result(let result, let mark):
            answer(
                result: mark.map { $0.marking(result) } ?? result, of: origin,
                headers: mark?.headers ?? [])
        case .refused(let code, let text, let data):
            if client.era == .modern, code == RPCCode.urlElicitationRequired.rawValue,
                let result = Self.askingForURLs(data)
            {
                return answer(result: result, of: origin)
            }
            fail(RPCCode(rawValue: Int64(code)), text, rawData: data)
        case .unavailable(let state, let retry):
            let (text, data) = Self.unavailable(server, state, retry: retry)
            fail(.serverError, text, data: data)
        case .failed(let reason):
            fail(
                .serverError, "\(server) could not be asked: \(reason)",
                data: ["server": .string(server)])
        case .cancelled: fail(.serverError, "The request was cancelled.")
        case .tooLarge(let limit):
            fail(
                .serverError,
                "The result is larger than \(limit) bytes; ask for less, or raise [MCP] "
                    + "MaxResultBytes=.", data: ["limit": JSONValue(limit)])
        }
    }

    /// 2025-11-25 asks to open URLs by an error; the stateless era by a result.
    private static func askingForURLs(_ data: [UInt8]?) -> [UInt8]? {
        guard let data, let value = try? JSONValue(parsing: data),
            let asked = value["elicitations"]?.array, !asked.isEmpty
        else { return nil }
        var json = JSONWriter()
        json.object { json in
            json.member("resultType", "input_required")
            json.memberObject("inputRequests") { json in
                for (index, params) in asked.enumerated() {
                    json.name(text: "url\(index + 1)")
                    json.object { json in
                        json.member("method", "\(MCPMethod.elicit.name)")
                        json.member("params", params)
                    }
                }
            }
        }
        return json.take()
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

    private func fetch(
        _ method: MCPMethod, _ message: RPCMessage, _ parameters: MCPParameters, in bytes: RawSpan
    ) throws(RPCFailure) {
        let isPrompt = method == .getPrompt
        let range = isPrompt ? parameters.name : parameters.uri
        guard let wanted = JSONScanner.string(range, in: bytes), let params = message.params
        else { throw RPCFailure(.invalidParams, isPrompt ? .missingName : .missingURI) }
        let owner =
            isPrompt
            ? gateway.owner(ofPrompt: wanted, for: call.principal)
            : gateway.owner(ofResource: wanted, for: call.principal)
        guard let owner, let server = gateway.server(owner.server) else {
            if isPrompt {
                noteIfDenied(method, prompt: wanted)
                return fail(.invalidParams, "Unknown prompt: \(wanted.prefix(200))")
            }
            noteIfDenied(method, resource: wanted)
            return fail(.resourceNotFound, "Resource not found: \(wanted.prefix(200))")
        }
        let subject = "\(method.name) \(wanted)"
        if resumes(parameters, subject, in: bytes) { return }
        var splice = JSONSplice()
        if let range { splice.replace(range, with: JSONValue.string(owner.name).bytes) }
        let request = UpstreamRequest(method, params: splice.applied(to: params, of: bytes))
        start(.other(server: server, request: request), subject: subject)
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
        guard let owner, let server = gateway.server(owner.server) else {
            return fail(.invalidParams, "ref names nothing that is offered here")
        }
        var splice = JSONSplice()
        splice.edit(
            reference, in: bytes, [.init(name == nil ? "uri" : "name", value: .string(owner.name))])
        let request = UpstreamRequest(.complete, params: splice.applied(to: params, of: bytes))
        start(.other(server: server, request: request), subject: "completion/complete")
    }

    // MARK: Logs, subscriptions

    private func setLogLevel(_ message: RPCMessage, in bytes: RawSpan) throws(RPCFailure) {
        guard let params = message.params,
            let level = MCPLogLevel(JSONScanner.member("level", of: params, in: bytes), in: bytes)
        else { throw RPCFailure(.invalidParams, .badParams) }
        client.session?.logLevel = level
        gateway.want(level)
        answer(raw: Self.empty)
    }

    private func watch(
        _ method: MCPMethod, _ parameters: MCPParameters, in bytes: RawSpan
    ) throws(RPCFailure) {
        guard let uri = JSONScanner.string(parameters.uri, in: bytes) else {
            throw RPCFailure(.invalidParams, .missingURI)
        }
        guard let session = client.session,
            let owner = gateway.owner(ofResource: uri, for: call.principal)
        else {
            noteIfDenied(method, resource: uri)
            return fail(.resourceNotFound, "Resource not found: \(uri.prefix(200))")
        }
        let watcher = ObjectIdentifier(session)
        if method == .unsubscribeResource {
            gateway.watches.remove(watcher, owner)
            return answer(raw: Self.empty)
        }
        session.ended = { [weak gateway] in gateway?.watches.removeAll(watcher) }
        gateway.io.spawn { [gateway] in
            do throws(UpstreamError) {
                try await gateway.watches.add(
                    watcher, owner, as: uri, until: gateway.io.now + gateway.settings.listTime
                ) { [weak session] uri in
                    var json = JSONWriter()
                    json.object { $0.member("uri", uri) }
                    session?.notify(MCPMethod.resourceUpdated.name, params: json.take())
                }
                self.answer(raw: Self.empty)
            } catch {
                if case .rpc(let code, let text, let data) = error {
                    self.fail(RPCCode(rawValue: Int64(code)), text, rawData: data)
                } else {
                    self.fail(.serverError, "The server could not be asked: \(error)")
                }
            }
        }
    }

    private func listen(_ message: RPCMessage, in bytes: RawSpan) throws(RPCFailure) {
        guard let params = message.params,
            let filter = JSONScanner.member("notifications", of: params, in: bytes),
            JSONScanner.kind(of: filter, in: bytes) == .object
        else { throw RPCFailure(.invalidParams, .badParams) }
        try gateway.listeners.open(self, filter, in: bytes)
    }

    // MARK: Tasks

    private func askAboutTask(
        _ method: MCPMethod, _ message: RPCMessage, _ parameters: MCPParameters, in bytes: RawSpan
    ) throws(RPCFailure) {
        guard let id = JSONScanner.string(parameters.taskID, in: bytes), let params = message.params
        else { throw RPCFailure(.invalidParams, .badParams) }
        guard let owner = gateway.tasks.owner(of: id, for: call.principal),
            let server = gateway.server(owner),
            call.principal.permission.items.maySee(server: server.name)
        else { return fail(.invalidParams, "Unknown task: \(id.prefix(200))") }
        let request = UpstreamRequest(method, params: JSONScanner.copy(params, from: bytes))
        start(.other(server: server, request: request), subject: "\(method.name) \(id)")
    }
}

extension CachePolicy {
    fileprivate static func isCacheable(_ parameters: MCPParameters) -> Bool {
        if case .yes = cacheable(call: parameters) { return true }
        return false
    }
}
