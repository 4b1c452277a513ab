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
    private var isStopped = false

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
        coordinator: Coordinator, personal: PersonalUpstreams, log: Log
    ) {
        self.io = io
        self.settings = settings
        self.sessions = sessions
        self.coordinator = coordinator
        self.cache = cache
        self.log = log
        self.personal = personal
        held = HeldCalls(countMax: settings.heldMax)
        caller = ToolCaller(
            io: io, cache: cache, coordinator: coordinator, upstreams: personal, log: log)
        coordinator.observers.append { [unowned self] in self.serverChanged($0) }
    }

    func start() {
        io.spawn {
            while !self.isStopped {
                await self.io.sleep(until: self.io.now + .seconds(15))
                if self.isStopped { return }
                self.sessions.tidy()
                self.listeners.tidy()
                self.personal.tidy()
            }
        }
    }

    func stop() {
        isStopped = true
        sessions.endAll()
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
        log.debug(
            "lists changed",
            fields: ["tools": catalogue.tools.count, "prompts": catalogue.prompts.count])
        sessions.forEach { session in
            if changes.tools { session.notify(MCPMethod.toolsListChanged.name) }
            if changes.prompts { session.notify(MCPMethod.promptsListChanged.name) }
            if changes.resources { session.notify(MCPMethod.resourcesListChanged.name) }
        }
        listeners.changed(changes)
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
    func absentServer(ofTool name: String) -> LiveServer? {
        coordinator.registry.servers
            .filter { name.hasPrefix($0.name + ToolName.separator) && !isCallable($0) }
            .max { $0.name.utf8.count < $1.name.utf8.count }
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
    func list(_ method: MCPMethod, cursor: String?) throws(RPCFailure) -> [UInt8] {
        let (member, items): (StaticString, [GatewayCatalogue.Item]) =
            switch method {
            case .listPrompts: ("prompts", catalogue.prompts)
            case .listResources: ("resources", catalogue.resources)
            case .listResourceTemplates: ("resourceTemplates", catalogue.templates)
            default: ("tools", catalogue.tools)
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

    func owner(ofPrompt name: String) -> Owner? {
        catalogue.prompt(named: name).map { Owner(server: $0.server, name: $0.name) }
    }

    /// By its prefix, or unprefixed by the lists, or by a template of a server that has any.
    func owner(ofResource uri: String) -> Owner? {
        let names = coordinator.registry.servers.filter { $0.phase == .up }.map(\.name)
        if let (name, rest) = ResourceName.split(uri, servers: names),
            let server = server(named: name)
        {
            return Owner(server: server.id, name: rest)
        }
        if let item = catalogue.resources.first(where: { $0.name == uri }) {
            return Owner(server: item.server, name: uri)
        }
        // A template matches by its fixed beginning: the server itself judges the rest.
        let template = catalogue.templates.first { template in
            let fixed = template.name.prefix { $0 != "{" }
            return !fixed.isEmpty && uri.hasPrefix(fixed)
        }
        return template.map { Owner(server: $0.server, name: uri) }
    }
}
