import OmniCore
import OmniIO

/// One registered MCP server as we see it: a session that is opened, asked, watched and closed.
///
/// Long-lived: it outlasts sessions. Any number of tasks may call at the same time; each call ends
/// by its answer, its deadline or the loss of the session, and never twice. The server's messages
/// arrive in `UpstreamMessages`, its lists are read in `UpstreamListing`.
final class Upstream {
    private(set) var record: ServerRecord
    private(set) var settings = UpstreamSettings()
    var name: String { record.name }
    var isConnected = false
    var catalogue = UpstreamCatalogue()
    /// The lists changed while connected.
    var catalogueChanged: (Upstream) -> Void = { _ in }
    /// The session was lost outside of a call.
    var disconnected: (Upstream, UpstreamError) -> Void = { _, _ in }
    /// A resource that is watched has changed: its URI at the server.
    var resourceUpdated: (Upstream, String) -> Void = { _, _ in }

    let io: any IO
    let deadlines: UpstreamDeadlines
    private(set) var log: Log
    private let http: HTTPClient
    private let environment: Environment
    private let unitSockets: String?
    private let eras: UpstreamEras
    private let telemetry: Telemetry?
    var calls = UpstreamCalls()
    var transport: (any UpstreamTransport)?
    private(set) var session = MCPClientSession(verdict: .handshake)
    private let verdicts: EraVerdicts
    /// The era that was found last, for this configuration.
    private var verdict: ProtocolVersion.Era? {
        get { verdicts[record.configuration] }
        set { verdicts[record.configuration] = newValue }
    }
    /// There while the session is one of the stateless era.
    private(set) var modern: ModernHop?
    /// URIs of resources whose changes somebody wants to hear of; asked for anew in each session.
    var watched: Set<String> = []
    /// The most detail a client has asked for; nil leaves it to the server.
    var logLevel: MCPLogLevel?
    /// The id of the subscription that listens now.
    private(set) var listenID: Int64?
    /// Rises with every handshake: who finds it changed need not renew the session again.
    private(set) var sessionNumber: UInt64 = 0
    /// Rises with every `connect` and `close`: who finds it changed has been overtaken.
    private var connection: UInt64 = 0
    private var connecting: Promise<Result<Void, UpstreamError>>?
    private(set) var renewing: Promise<Result<Void, UpstreamError>>?
    var epoch: UInt64 = 0
    var statistics = UpstreamStatistics()
    /// Lists are being read because the server said that they changed; and whether it said so again.
    var isRefreshing = false
    var mustRefreshAgain = false

    /// `environment` is what a child may inherit from; with `unitSockets` there are no children.
    init(
        record: ServerRecord, io: any IO, http: HTTPClient,
        deadlines: UpstreamDeadlines = UpstreamDeadlines(), environment: Environment = [:],
        unitSockets: String? = nil, eras: UpstreamEras = .modernFirst,
        verdicts: EraVerdicts = EraVerdicts(), telemetry: Telemetry? = nil, log: Log
    ) {
        self.record = record
        self.io = io
        self.http = http
        self.deadlines = deadlines
        self.environment = environment
        self.unitSockets = unitSockets
        self.eras = eras
        self.verdicts = verdicts
        self.telemetry = telemetry
        self.log = log.with(["mcp": record.name])
        readSettings()
    }

    /// What the row says about the way to the server.
    private func readSettings() {
        do throws(UpstreamSettings.Problem) {
            settings = try UpstreamSettings(metaData: record.configuration.metaData)
        } catch {
            settings = UpstreamSettings()
            log.warning("meta_data is wrong, going on without", fields: ["error": "\(error)"])
        }
    }

    deinit {
        // Whoever lets go of it should have closed it; a child must not stay behind all the same.
        guard let transport else { return }
        io.spawn { [io] in await transport.close(until: io.now + .seconds(2)) }
    }

    /// Takes a changed row of the registry. True when the session must be opened anew for it.
    func update(_ record: ServerRecord) -> Bool {
        if record.name != self.record.name { log = log.with(["mcp": record.name]) }
        let isSame = record.configuration == self.record.configuration
        self.record = record
        if isSame { return false }
        readSettings()
        return true
    }

    // MARK: Connecting

    /// Opens the transport, shakes hands and lists everything. A session that was open is closed
    /// first; who comes while another is connecting shares the outcome.
    func connect(until deadline: MonotonicTime) async throws(UpstreamError) {
        if let connecting {
            guard let outcome = await connecting.value(until: deadline) else {
                throw .timedOut("connecting")
            }
            return try outcome.get()
        }
        let promise = Promise<Result<Void, UpstreamError>>(io)
        connecting = promise
        let outcome = await attempt(until: deadline)
        connecting = nil
        promise.fulfil(outcome)
        try outcome.get()
    }

    private func attempt(until deadline: MonotonicTime) async -> Result<Void, UpstreamError> {
        connection += 1
        let mine = connection
        await dropTransport(.stopped, until: deadline)
        do throws(UpstreamError) {
            try await open(until: deadline)
            var found = try await listAll(until: deadline)
            guard mine == connection else { throw .stopped }
            epoch += 1
            found.epoch = epoch
            catalogue = found
            isConnected = true
            listen()
            return .success(())
        } catch {
            // Perhaps it was the verdict that was wrong.
            verdict = nil
            if mine == connection { await dropTransport(error, until: io.now + deadlines.stop) }
            return .failure(mine == connection ? error : .stopped)
        }
    }

    private func open(until deadline: MonotonicTime) async throws(UpstreamError) {
        if case .unreadable(_, let why) = record.configuration.authentication {
            throw .transport("its credential cannot be read: \(why)")
        }
        let address = try UpstreamAddress(
            record.configuration, environment: environment, unitSockets: unitSockets)
        switch address {
        case .child(let command):
            try await open(
                ChildTransport(command, io: io, deadlines: deadlines), until: deadline)
        case .unit(let path):
            try await open(
                UnitTransport(path, name: name, io: io, deadlines: deadlines), until: deadline)
        case .eventStream(let url): try await openEventStream(url, until: deadline)
        case .http(let url):
            let transport = HTTPTransport(
                url: url, credential: credential(for: url), connection: settings.connection,
                io: io, http: http, deadlines: deadlines)
            do throws(UpstreamError) {
                try await open(transport, until: deadline)
            } catch {
                guard case .transport = error, [400, 404, 405].contains(transport.refusedStatus)
                else { throw error }
                await dropTransport(error, until: deadline)
                do throws(UpstreamError) {
                    try await openEventStream(url, until: deadline)
                } catch {
                    // What the current form said is the better explanation.
                    throw .transport("HTTP \(transport.refusedStatus ?? 0) to initialize")
                }
            }
        }
    }

    private func credential(for url: String) -> UpstreamCredential {
        UpstreamCredential(
            record.configuration.authentication, resource: url, connection: settings.connection,
            io: io, http: http)
    }

    private func openEventStream(_ url: String, until deadline: MonotonicTime)
        async throws(UpstreamError)
    {
        let transport = EventStreamTransport(
            url: url, credential: credential(for: url), connection: settings.connection, io: io,
            http: http, deadlines: deadlines)
        try await open(transport, until: deadline)
    }

    private func open(
        _ transport: any UpstreamTransport, until deadline: MonotonicTime
    ) async throws(UpstreamError) {
        self.transport = transport
        transport.sink = self
        try await transport.open(until: min(deadline, io.now + deadlines.connect))
        try await negotiate(transport, until: min(deadline, io.now + deadlines.handshake))
    }

    /// Finds the era in which the server can be spoken to, and begins to speak.
    private func negotiate(
        _ transport: any UpstreamTransport, until deadline: MonotonicTime
    ) async throws(UpstreamError) {
        let order = settings.eras ?? eras
        let prefersModern = order == .modernFirst || order == .modernOnly
        let wanted = verdict ?? (prefersModern ? .modern : .handshake)
        if wanted == .modern, !(transport is EventStreamTransport) {
            if try await discover(over: transport, until: deadline) {
                verdict = session.verdict
                return
            }
            if order == .modernOnly {
                throw .protocolViolation("server/discover was refused, and the era is pinned")
            }
            do throws(UpstreamError) {
                try await shakeHands(transport, until: deadline)
            } catch {
                // A child that took longer to start than we waited has read the first question by
                // now, and took it as the choice of the era.
                guard transport.isStdio, case .protocolViolation = error,
                    try await discover(over: transport, until: deadline)
                else { throw error }
            }
        } else {
            do throws(UpstreamError) {
                try await shakeHands(transport, until: deadline)
            } catch {
                // A server that knows the stateless era alone refuses the handshake at once.
                guard verdict == nil, order != .handshakeOnly,
                    Self.isRefusal(error, over: transport)
                else { throw error }
                let isModern: Bool
                do throws(UpstreamError) {
                    isModern = try await discover(over: transport, until: deadline)
                } catch _ {
                    // What it said to the handshake is the better explanation.
                    isModern = false
                }
                if !isModern { throw error }
            }
        }
        verdict = session.verdict
    }

    /// The server is there and did not want what it was asked.
    private static func isRefusal(
        _ error: UpstreamError, over transport: any UpstreamTransport
    ) -> Bool {
        switch error {
        case .protocolViolation: !(transport is EventStreamTransport)
        case .transport: (transport as? HTTPTransport)?.refusedStatus.map { $0 < 500 } ?? false
        default: false
        }
    }

    /// Asks with `server/discover`; false when the server belongs to the handshake era.
    private func discover(
        over transport: any UpstreamTransport, until deadline: MonotonicTime
    ) async throws(UpstreamError) -> Bool {
        session = MCPClientSession()
        _ = session.start()
        let hop = ModernHop(.latest, client: Self.client)
        let call = UpstreamCall(
            id: calls.nextID(), method: .discover, isRepeatable: true, io: io,
            until: min(deadline, io.now + deadlines.probe))
        let params = UpstreamParams.adapted(nil, progressToken: nil, modern: hop)
        call.headers = hop.headers(call.method, params)
        transport.protocolVersion = "\(ProtocolVersion.latest.text)"
        var answer = UpstreamProbe.Answer.silence(isStdio: transport.isStdio)
        var bytes: [UInt8] = []
        var failure = call.lateness
        do throws(UpstreamError) {
            let (found, message) = try await perform(
                call, params, over: transport)
            bytes = found
            answer = .message(message, status: 200)
        } catch {
            failure = error
            switch error {
            case .transport:
                guard let status = (transport as? HTTPTransport)?.refusedStatus else { throw error }
                answer = .status(status)
            // Something answered, only not as it should: older servers do.
            case .protocolViolation: answer = .status(200)
            case .timedOut: break
            default: throw error
            }
        }
        let action = unsafe session.probeAnswered(answer, in: bytes.span.bytes)
        guard case .ready(let version) = action else {
            transport.protocolVersion = nil
            if action == .sendInitialize { return false }
            throw failure
        }
        begin(version, over: transport, bytes)
        return true
    }

    private func begin(
        _ version: ProtocolVersion, over transport: any UpstreamTransport, _ answer: [UInt8]
    ) {
        modern = ModernHop(version, client: Self.client)
        transport.protocolVersion = "\(version.text)"
        introduce(UpstreamCatalogue(discovery: answer))
        catalogue.protocolVersion = "\(version.text)"
        catalogue.instructions = session.instructions
        sessionNumber += 1
    }

    private static let client = MCPPeer(name: "omni2-native", version: Main.version)
    /// What clients of ours may be able to do. Whether the one whose call it is can is found out
    /// when the server asks.
    private static let capabilities: ClientCapabilities = [
        .roots, .rootsListChanged, .sampling, .samplingTools, .elicitation, .elicitationURL,
    ]

    /// Begins to hear what belongs to no request; again, when what is wanted has changed.
    func listen() {
        guard let transport else { return }
        guard let modern else {
            transport.listen(nil)
            return askForWatched(over: transport)
        }
        let id = calls.nextID()
        let wanted = ModernHop.listenParams(session.capabilities, watched: watched)
        let params = UpstreamParams.adapted(wanted, progressToken: nil, modern: modern)
        transport.listen(UpstreamParams.request(id, MCPMethod.listen.name, params))
        // Over HTTP the old stream is closed; on stdio it has to be said.
        if let old = listenID, transport.isStdio {
            post(UpstreamParams.cancelled(old, "replaced"), over: transport)
        }
        listenID = id
    }

    /// A server that cannot say, in the stateless era, when its lists change is spoken to in the other
    /// one if it can there. Where it cannot either everything stays as it was.
    func listeningRefused() {
        listenID = nil
        guard modern != nil, isConnected, renewing == nil, let transport, settings.eras == nil
        else { return }
        let promise = Promise<Result<Void, UpstreamError>>(io)
        renewing = promise
        io.spawn { await self.fallBack(over: transport, promise) }
    }

    private func fallBack(
        over transport: any UpstreamTransport, _ promise: Promise<Result<Void, UpstreamError>>
    ) async {
        let before = (session, modern, catalogue, transport.protocolVersion)
        transport.protocolVersion = nil
        do throws(UpstreamError) {
            try await shakeHands(transport, until: io.now + deadlines.handshake)
            let announces: ServerCapabilities = [
                .toolsListChanged, .promptsListChanged, .resourcesListChanged,
            ]
            guard !session.capabilities.isDisjoint(with: announces) else { throw .notConnected }
            verdict = .handshake
            log.debug("listening in the handshake era, the stateless one is not offered for that")
        } catch {
            _ = transport.forgetSession()
            (session, modern, catalogue, transport.protocolVersion) = before
        }
        renewing = nil
        promise.fulfil(.success(()))
        if modern == nil, self.transport === transport { listen() }
    }

    private func shakeHands(
        _ transport: any UpstreamTransport, until deadline: MonotonicTime
    ) async throws(UpstreamError) {
        session = MCPClientSession(verdict: .handshake)
        _ = session.start()
        modern = nil
        let call = UpstreamCall(
            id: calls.nextID(), method: .initialize, isRepeatable: true, io: io, until: deadline)
        let params = MCPClientSession.initializeParams(
            client: Self.client, capabilities: Self.capabilities)
        let (bytes, message) = try await perform(call, params, over: transport)
        let action = unsafe session.initializeAnswered(message, in: bytes.span.bytes)
        guard action == .sendInitialized, let result = message.payload else {
            throw refusal(bytes, message)
        }
        introduce(UpstreamCatalogue(initialize: result, in: bytes))
        transport.protocolVersion = catalogue.protocolVersion
        var initialized: [UInt8] = []
        RPCWriter.notification(method: "notifications/initialized", params: nil, to: &initialized)
        try await transport.send(initialized, until: deadline)
        _ = session.initializedSent()
        catalogue.instructions = session.instructions
        sessionNumber += 1
        if let logLevel { askForLogLevel(logLevel, over: transport) }
    }

    private func refusal(_ bytes: [UInt8], _ message: RPCMessage) -> UpstreamError {
        if case .rpc(let code, let text, _) = UpstreamError(answer: message, in: bytes) {
            return .protocolViolation("initialize was refused: \(text) (\(code))")
        }
        if session.state == .closed(.unsupportedVersion) {
            return .protocolViolation("no protocol version in common")
        }
        return .protocolViolation("the answer to initialize is not one")
    }

    // MARK: Asking

    /// Ping and `tools/list`, timed. Changed tools are taken over.
    func check(until deadline: MonotonicTime) async throws(UpstreamError) -> UpstreamCheck {
        guard isConnected else { throw .notConnected }
        let start = io.now
        do throws(UpstreamError) {
            _ = try await request(
                modern == nil ? .ping : .discover, paramsJSON: nil, until: deadline)
        } catch {
            // A server that does not know ping has answered all the same.
            guard case .rpc = error else { throw error }
        }
        let tools = try await list(.tools, until: deadline)
        let elapsed = io.now - start
        if isConnected, tools != catalogue.tools { takeOver { $0.tools = tools } }
        return UpstreamCheck(toolCount: tools.count, responseTime: elapsed)
    }

    /// The raw `result` object, as it came. The progress token is ours.
    ///
    /// - Throws: `rpc` when the server refused the call; a tool's own failure is a result with
    ///   `isError`. `stopped` after a cancellation.
    func send(
        _ request: UpstreamRequest, until deadline: MonotonicTime
    ) async throws(UpstreamError) -> [UInt8] {
        try await exchange(request, until: deadline)
    }

    /// Any other method, asked by ourselves.
    func request(
        _ method: MCPMethod, paramsJSON: [UInt8]?, until deadline: MonotonicTime
    ) async throws(UpstreamError) -> [UInt8] {
        try await exchange(UpstreamRequest(method, params: paramsJSON), until: deadline)
    }

    private func exchange(
        _ request: UpstreamRequest, until deadline: MonotonicTime
    ) async throws(UpstreamError) -> [UInt8] {
        let start = MonotonicTime.read()
        let method = request.method.name
        let parent = request.trace ?? RequestContext.current?.trace
        let span = telemetry?.step(
            request.target.map { "\(method) \($0)" } ?? "\(method)", .client, in: parent)
        if let span { describe(request, in: span) }
        do throws(UpstreamError) {
            let result = try await ask(request, span?.context ?? parent, until: deadline)
            telemetry?.asked(name, "\(method)", since: start, nil)
            span?.end()
            return result
        } catch {
            telemetry?.asked(name, "\(method)", since: start, error)
            span?.fail(error.typeWord, error.description)
            span?.end()
            throw error
        }
    }

    /// What a call's `_meta` says of the trace. Where headers say it as well, only for a trace that is
    /// recorded: for others it would be work on every call for nobody.
    private func positions(
        of request: UpstreamRequest, _ trace: TraceContext?, over transport: any UpstreamTransport
    ) -> [JSONSplice.Change] {
        guard request.target != nil, let trace, trace.isSampled || transport.isStdio else {
            return []
        }
        return trace.changes(baggage: RequestContext.current?.baggage)
    }

    /// OpenTelemetry's conventions for MCP.
    private func describe(_ request: UpstreamRequest, in span: Span) {
        span.set("mcp.method.name", "\(request.method.name)")
        span.set("rpc.system.name", "jsonrpc")
        span.set("omni2.mcp", name)
        guard let target = request.target else { return }
        span.set("gen_ai.operation.name", "execute_tool")
        span.set("gen_ai.tool.name", target)
    }

    /// One request and its answer. A session the server has forgotten is renewed once: it refused
    /// the request without looking at it, so sending it again cannot do anything twice.
    private func ask(
        _ request: UpstreamRequest, _ trace: TraceContext?, until deadline: MonotonicTime
    ) async throws(UpstreamError) -> [UInt8] {
        var mayRenew = true
        var mayListAgain = true
        // What it would end has ended; kept, it would hold call and caller in a circle.
        defer { request.cancellation?.action = nil }
        while true {
            try await sessionIsThere(until: deadline)
            guard let transport else { throw .notConnected }
            if request.cancellation?.reason != nil { throw .stopped }
            let number = sessionNumber
            let call = UpstreamCall(
                id: calls.nextID(), method: request.method, isRepeatable: request.isRepeatable,
                io: io, until: deadline, listener: request.listener)
            request.cancellation?.action = { [weak self] in self?.cancel(call, $0) }
            do throws(UpstreamError) {
                let params = UpstreamParams.adapted(
                    request.params, progressToken: request.wantsProgress ? call.id : nil,
                    modern: modern, more: positions(of: request, trace, over: transport))
                if let modern { call.headers = modern.headers(request.method, params) }
                if let context = RequestContext.current { call.headers += context.headers(trace) }
                let (bytes, message) = try await perform(call, params, over: transport)
                if let error = UpstreamError(answer: message, in: bytes) { throw error }
                return message.result(in: bytes)
            } catch {
                if error.isHeaderMismatch, request.method == .callTool, mayListAgain {
                    // The schema has changed under us: what goes into headers is read again.
                    mayListAgain = false
                    let tools = try await list(.tools, until: deadline)
                    if tools != catalogue.tools { takeOver { $0.tools = tools } }
                    continue
                }
                guard error == .sessionExpired, mayRenew else { throw error }
                mayRenew = false
                try await renew(after: number, until: deadline)
            }
        }
    }

    /// Waits for a renewal under way; requests sent meanwhile would belong to no session.
    private func sessionIsThere(until deadline: MonotonicTime) async throws(UpstreamError) {
        if let renewing {
            guard let outcome = await renewing.value(until: deadline) else {
                throw .timedOut("renewing the session")
            }
            try outcome.get()
        }
        // Lists are read before the connection counts as one.
        guard isConnected || connecting != nil else { throw .notConnected }
    }

    /// Sends and waits. The call is out of the table afterwards, however it ended.
    private func perform(
        _ call: UpstreamCall, _ params: [UInt8]?, over transport: any UpstreamTransport
    ) async throws(UpstreamError) -> ([UInt8], RPCMessage) {
        guard calls.count < deadlines.pendingMax else { throw .overloaded }
        calls.add(call)
        defer { calls.remove(call) }
        do throws(UpstreamError) {
            try await transport.send(
                UpstreamParams.request(call.id, call.method.name, params), for: call)
        } catch {
            // What ended the call explains more than what became of its request.
            if call.outcome == nil {
                if case .timedOut = error { throw late(call) }
                if case .unanswered = error { throw late(call) }
                call.end(.failed(error))
                throw error
            }
        }
        switch await call.awaitOutcome() {
        case .answered(let bytes, let message): return (bytes, message)
        case .failed(.timedOut): throw late(call)
        case .failed(let error): throw error
        case nil: throw late(call)
        }
    }

    /// The call's time is over: its questions end, and the server is told.
    private func late(_ call: UpstreamCall) -> UpstreamError {
        let error = call.lateness
        call.end(.failed(error))
        announceCancellation(of: call, "timed out")
        return error
    }

    private func cancel(_ call: UpstreamCall, _ reason: String) {
        guard !call.hasEnded else { return }
        calls.remove(call)
        call.end(.failed(.stopped))
        announceCancellation(of: call, reason)
    }

    /// Tells the server, in the background, that nobody waits any more.
    private func announceCancellation(of call: UpstreamCall, _ reason: String) {
        guard call.method != .initialize, let transport, !transport.cancelsByClosing else {
            return
        }
        let message = UpstreamParams.cancelled(call.id, reason)
        post(message, over: transport)
    }

    /// Sends what nobody waits for.
    func post(_ message: [UInt8], over transport: any UpstreamTransport) {
        io.spawn { [io, log] in
            do throws(UpstreamError) {
                try await transport.send(message, until: io.now + .seconds(5))
            } catch {
                log.debug("could not send a notification, ignoring", fields: ["error": "\(error)"])
            }
        }
    }

    // MARK: Losing and renewing

    private func renew(
        after number: UInt64, until deadline: MonotonicTime
    ) async throws(UpstreamError) {
        if sessionNumber != number { return }
        if renewing != nil { return try await sessionIsThere(until: deadline) }
        guard let transport, transport.forgetSession() else {
            endSession(.sessionExpired)
            throw .sessionExpired
        }
        let promise = Promise<Result<Void, UpstreamError>>(io)
        renewing = promise
        // The session is everybody's: one caller's short deadline must not decide about it.
        let limit = io.now + deadlines.handshake
        let before = catalogue
        var outcome = Result<Void, UpstreamError>.success(())
        do throws(UpstreamError) {
            try await shakeHands(transport, until: limit)
        } catch {
            outcome = .failure(error)
        }
        renewing = nil
        if case .failure(let error) = outcome {
            catalogue = before
            endSession(error)
        } else if self.transport === transport {
            epoch += 1
            catalogue.epoch = epoch
            log.info("session renewed after the server forgot it")
            listen()
            refresh()
        }
        promise.fulfil(outcome)
        try outcome.get()
    }

    /// What the server says of itself. The lists stay until they are read again: nobody may find
    /// them empty meanwhile.
    private func introduce(_ server: UpstreamCatalogue) {
        let before = catalogue
        catalogue = server
        catalogue.epoch = before.epoch
        catalogue.tools = before.tools
        catalogue.prompts = before.prompts
        catalogue.resources = before.resources
        catalogue.resourceTemplates = before.resourceTemplates
    }

    func sessionWasForgotten() {
        let number = sessionNumber
        io.spawn { [weak self] in
            guard let self, self.isConnected else { return }
            do throws(UpstreamError) {
                try await self.renew(after: number, until: self.io.now + self.deadlines.handshake)
            } catch {
                // `disconnected` has been called with it.
            }
        }
    }

    /// The session is over by itself: calls end, and the coordinator hears of it.
    func endSession(_ error: UpstreamError) {
        calls.failAll(error)
        let old = transport
        transport = nil
        old?.sink = nil
        if let old { io.spawn { [io] in await old.close(until: io.now + .seconds(2)) } }
        guard isConnected else { return }
        isConnected = false
        disconnected(self, error)
    }

    /// Ends the session and the child; calls in flight end with `stopped`.
    func close(until deadline: MonotonicTime) async {
        connection += 1
        await dropTransport(.stopped, until: deadline)
    }

    /// What came as a list of tools, less those that cannot be called.
    func callable(_ tools: [UpstreamCatalogue.Item]) -> [UpstreamCatalogue.Item] {
        modern?.note(tools) ?? tools
    }

    private func dropTransport(_ error: UpstreamError, until deadline: MonotonicTime) async {
        isConnected = false
        session.stop()
        let old = transport
        transport = nil
        old?.sink = nil
        calls.failAll(error)
        await old?.close(until: deadline)
    }
}
