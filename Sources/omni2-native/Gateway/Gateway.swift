import OmniCore
import OmniIO

/// The MCP server that all MCP servers look like together: lists, names, routing.
///
/// What a method means is decided here; how it came in is `MCPEndpoint`'s business.
final class Gateway {
    struct Settings {
        var callTime = Duration.seconds(30)
        var listTime = Duration.seconds(10)
        /// How long a client may take to answer what a server asks in the middle of a call.
        var inputTime = Duration.seconds(300)
        /// Streams of `subscriptions/listen`, and calls that wait for their clients.
        var listenersMax = 10_000
        var heldMax = 1000
        /// Entries of one page of a list.
        var pageMax = 1000
    }

    let io: any IO
    let settings: Settings
    let sessions: GatewaySessions
    let caller: ToolCaller
    let telemetry: Telemetry
    let held: HeldCalls
    let tasks = TaskOwners()
    private(set) lazy var listeners = ListenStreams(self, countMax: settings.listenersMax)
    private(set) lazy var watches = ResourceWatches(self)
    private let personal: PersonalUpstreams
    /// The most detail of logs that a client has asked for.
    private var logLevel: MCPLogLevel?
    private let coordinator: Coordinator
    private let cache: Cache
    private let log: Log
    private(set) var catalogue = GatewayCatalogue()
    private let views = GatewayViews()
    let access: Access
    private var isStopped = false
    /// Records the gates that a call came by.
    var gates: FlowGates?

    static let peer = MCPPeer(
        name: "omni2-native", version: Main.version, title: "OMNI2 native MCP gateway")
    static let peerJSON: [UInt8] = {
        var json = JSONWriter()
        peer.write(for: .latest, to: &json)
        return json.take()
    }()
    static let capabilities: ServerCapabilities = [
        .tools, .toolsListChanged, .prompts, .promptsListChanged, .resources,
        .resourcesListChanged, .resourcesSubscribe, .logging, .completions,
    ]
    /// Our lists are announced when they change; for who does not listen they are fresh so long.
    static let listFreshness = EraTranslation.Freshness(
        timeToLiveMilliseconds: 10_000, scope: .personal)

    init(
        io: any IO, settings: Settings, sessions: GatewaySessions, cache: Cache,
        coordinator: Coordinator, access: Access, slots: CallSlots, personal: PersonalUpstreams,
        telemetry: Telemetry, log: Log
    ) {
        self.io = io
        self.settings = settings
        self.sessions = sessions
        self.coordinator = coordinator
        self.cache = cache
        self.access = access
        self.log = log
        self.telemetry = telemetry
        self.personal = personal
        held = HeldCalls(countMax: settings.heldMax)
        caller = ToolCaller(
            io: io, cache: cache, coordinator: coordinator, slots: slots, upstreams: personal,
            telemetry: telemetry, log: log)
        coordinator.observers.append { [unowned self] in self.serverChanged($0) }
        access.observers.append { [unowned self] in self.reviewAccess() }
    }

    func start() {
        io.spawn {
            while !self.isStopped {
                await self.io.sleep(until: self.io.now + .seconds(15))
                if self.isStopped { return }
                // A credential may end by its own time, of which nobody tells.
                self.reviewAccess()
                self.sessions.tidy()
                self.listeners.tidy()
                self.personal.tidy()
            }
        }
    }

    /// `keepingSessions`: a successor goes on with them.
    func stop(keepingSessions: Bool = false) {
        isStopped = true
        if !keepingSessions { sessions.endAll() }
        listeners.endAll()
    }

    /// Ends what children they have; before the coordinator ends its own.
    func closeSessions(until deadline: MonotonicTime) async {
        await personal.closeAll(until: deadline)
    }

    // MARK: Servers come and go

    private func serverChanged(_ change: Coordinator.ServerChange) {
        // Servers that go because we do leave the cache to our successor.
        if isStopped { return }
        switch change {
        case .available(let server):
            cache.connected(server)
            attend(server)
        case .catalogueChanged(let server):
            cache.listChanged(server)
        case .reloaded(let old, let new):
            caller.forget(old.id)
            personal.forget(old.id)
            cache.invalidate(server: old.name, because: "reloaded")
            if new.name != old.name { cache.invalidate(server: new.name, because: "reloaded") }
        case .unloaded(let server):
            caller.forget(server.id)
            personal.forget(server.id)
            cache.disappeared(server.name, because: "unloaded")
        case .unavailable, .circuitChanged: break
        }
        refreshCatalogue()
    }

    /// A server that is there is heard, and told what clients want to hear.
    private func attend(_ server: LiveServer) {
        guard let upstream = server.upstream else { return }
        let id = server.id
        upstream.resourceUpdated = { [weak self] _, uri in self?.watches.updated(id, uri: uri) }
        if let logLevel { upstream.want(logLevel) }
        watches.restore(server)
    }

    /// A client wants logs in this detail.
    func want(_ level: MCPLogLevel) {
        if let logLevel, logLevel <= level { return }
        logLevel = level
        for server in coordinator.registry.servers { server.upstream?.want(level) }
    }

    /// Tools of a server whose circuit is open, or that is not connected, are not offered.
    private func refreshCatalogue() {
        let changes = catalogue.rebuild(from: coordinator.registry.servers.filter(isCallable))
        if changes.isEmpty { return }
        views.forget()
        log.debug(
            "lists changed",
            fields: ["tools": catalogue.tools.count, "prompts": catalogue.prompts.count])
        sessions.forEach { show(view($0.principal), to: $0) }
        listeners.refresh()
    }

    // MARK: Who sees what

    /// The lists as this principal may see them.
    func view(_ principal: Principal) -> GatewayView {
        views.view(catalogue, principal.permission.items)
    }

    /// Tells a session which of its lists became different, and only of those.
    private func show(_ view: GatewayView, to session: GatewaySession) {
        defer { session.view = view }
        guard let before = session.view, before !== view else { return }
        let changes = view.changes(from: before)
        if changes.tools { session.notify(MCPMethod.toolsListChanged.name) }
        if changes.prompts { session.notify(MCPMethod.promptsListChanged.name) }
        if changes.resources { session.notify(MCPMethod.resourcesListChanged.name) }
    }

    /// Sessions and streams whose credential is gone or whose owner is blocked end; the others see
    /// what they may see now, and hear of nothing else.
    private func reviewAccess() {
        sessions.forEach { session in
            guard let now = admitted(session.principal) else { return sessions.end(session) }
            session.principal = now
            watches.review(ObjectIdentifier(session), for: now)
            show(view(now), to: session)
        }
        listeners.reviewAccess()
    }

    /// A principal as access is now; nil when it may not be here any more.
    func admitted(_ principal: Principal) -> Principal? {
        guard let now = access.current(principal), access.refusal(now, from: .mcp) == nil else {
            return nil
        }
        return now
    }

    /// Ends what this user has open.
    func dismiss(user: Int) {
        sessions.forEach { if $0.principal.userID == user { sessions.end($0) } }
        listeners.dismiss(user: user)
    }

    func server(_ id: Int) -> LiveServer? { coordinator.registry.server(id: id) }
    func server(named name: String) -> LiveServer? { coordinator.registry.server(named: name) }

    /// The row's own time, or the configuration's where the row has the column's default.
    func callTime(of server: LiveServer) -> Duration {
        let seconds = server.record.configuration.timeoutSeconds
        return seconds == ServerConfiguration.standardTimeoutSeconds
            ? settings.callTime : .seconds(seconds)
    }

    /// The registered server to which a name that is not offered now would belong.
    func absentServer(ofTool name: String, for principal: Principal) -> LiveServer? {
        coordinator.registry.servers
            .filter { name.hasPrefix($0.name + ToolName.separator) && !isCallable($0) }
            .filter { server in
                let tool = String(name.dropFirst(server.name.count + ToolName.separator.count))
                return principal.permission.items.mayCall(tool: tool, on: server.name)
            }
            .max { $0.name.utf8.count < $1.name.utf8.count }
    }

    /// The tool as that server listed it last.
    func absentTool(_ name: String, of server: LiveServer) -> (name: String, ToolAnnotations)? {
        let bare = String(name.dropFirst(server.name.count + ToolName.separator.count))
        guard let item = server.upstream?.catalogue.tools.first(where: { $0.name == bare }) else {
            return nil
        }
        return (bare, item.annotations)
    }

    func circuit(of server: LiveServer) -> String {
        coordinator.breaker.state(of: server.id).word
    }

    func retryAfter(_ server: LiveServer) -> Int? {
        coordinator.breaker.retryAfterSeconds(of: server.id)
    }

    private func isCallable(_ server: LiveServer) -> Bool {
        server.phase == .up && !coordinator.breaker.isOpen(server.id)
    }

    // MARK: Lists

    /// One page as a result object: `{"tools":[…],"nextCursor":…}`.
    func list(
        _ method: MCPMethod, cursor: String?, for principal: Principal
    ) throws(RPCFailure) -> [UInt8] {
        let view = view(principal)
        let (member, items): (StaticString, [GatewayCatalogue.Item]) =
            switch method {
            case .listPrompts: ("prompts", view.prompts)
            case .listResources: ("resources", view.resources)
            case .listResourceTemplates: ("resourceTemplates", view.templates)
            default: ("tools", view.tools)
            }
        let page = try ListPage.page(
            of: items.count, sizeMax: settings.pageMax, version: catalogue.version, cursor: cursor)
        var json = JSONWriter()
        json.object { json in
            json.memberArray(member) { json in
                for index in page.range { json.raw(items[index].json) }
            }
            json.member("nextCursor", ifPresent: page.nextCursor)
        }
        return json.take()
    }

    // MARK: Prompts and resources

    struct Owner {
        let server: Int
        let name: String
    }

    func owner(ofPrompt name: String, for principal: Principal) -> Owner? {
        view(principal).prompt(named: name).map { Owner(server: $0.server, name: $0.name) }
    }

    /// By its prefix, or unprefixed by the lists, or by a template of a server that has any.
    func owner(ofResource uri: String, for principal: Principal) -> Owner? {
        let items = principal.permission.items
        let view = view(principal)
        let names = coordinator.registry.servers
            .filter { $0.phase == .up && items.maySee(server: $0.name) }.map(\.name)
        if let (name, rest) = ResourceName.split(uri, servers: names),
            let server = server(named: name), items.mayRead(resource: rest, on: name)
        {
            return Owner(server: server.id, name: rest)
        }
        if let item = view.resources.first(where: { $0.name == uri }) {
            return Owner(server: item.server, name: uri)
        }
        // A template matches by its fixed beginning: the server itself judges the rest.
        let template = view.templates.first { template in
            let fixed = template.name.prefix { $0 != "{" }
            return !fixed.isEmpty && uri.hasPrefix(fixed)
                && items.mayRead(resource: uri, on: template.serverName)
        }
        return template.map { Owner(server: $0.server, name: uri) }
    }
}
