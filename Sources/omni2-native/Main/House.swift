import OmniCore
import OmniIO

/// The services and how they are wired: the one place that knows all of them.
///
/// `init` builds the object graph, in `HouseBuilder`'s words; `live` starts the services in the order
/// an operator reads in the journal, waits for the signal to stop, and ends them in reverse.
final class House {
    let door: Door
    let io: any IO
    private(set) var configuration: Configuration
    private let environment: Environment
    let journal: Journal
    let log: Log
    let manager: ServiceManager
    let readiness = Readiness()
    let clock: WallClock
    let store: SQLStore
    let telemetry: Telemetry
    let hub: WebSocketHub
    let shards: Shards
    let coordinator: Coordinator
    let access: Access
    let accessKeeper: AccessKeeper
    let cache: Cache
    let cacheDoor: CacheDoor?
    let gateway: Gateway
    let warming: CacheWarming
    let memoryRelief: MemoryRelief
    let logControl: LogControl
    let flows: FlowTracker
    let gates: FlowGates
    let cluster: Cluster
    let chat: Chat
    let chatSockets: ChatSockets
    let api: API
    let web: WebRoutes
    let mcpEndpoint: MCPEndpoint
    let exporter: OTLPExporter
    private let collector: MetricsCollector
    private let metrics: MetricsRoutes
    let imports: ServerImport?
    private let ledger: HandoverLedger
    private let takeover: Takeover
    private let webSockets: WebSocketShared
    /// The database was not there at the start: import when it comes.
    private var importIsDue = false
    /// Where signals arrive; set before `live`.
    var signalDescriptor: Int32 = -1
    private var isReady = false
    /// The stop is complete: the loop may end.
    private(set) var hasEnded = false

    init(
        _ configuration: Configuration, _ environment: Environment, limits: Limits, io: any IO,
        loop: @escaping () -> RingIO.Statistics
    ) throws(StartError) {
        self.io = io
        self.configuration = configuration
        self.environment = environment
        let build = try HouseBuilder(configuration, environment, limits: limits, io: io)
        journal = build.journal
        log = build.log(.main)
        manager = build.manager
        clock = build.clock
        imports = try build.imports()
        let listeners = try Listeners.open(
            configuration, build.activated, backlog: limits.backlogMax)
        store = build.store()
        telemetry = build.telemetry
        hub = try build.hub()
        shards = try build.shards(hub)
        let makeUpstream = try build.upstreams()
        coordinator = build.coordinator(store, hub, makeUpstream)
        access = try build.access()
        accessKeeper = AccessKeeper(
            io: io, access: access, store: store, log: build.log(.access))
        cache = try build.cache()
        cacheDoor = try build.cacheDoor(cache)
        gateway = build.gateway(cache, coordinator, access, makeUpstream)
        flows = build.flows(store)
        gates = FlowGates(flows, access)
        gateway.gates = gates
        cluster = build.cluster(hub, cache)
        gateway.caller.secondLevel = cluster.secondLevel
        chat = try build.chat(gateway, access, flows, gates, store)
        chatSockets = ChatSockets(chat, talksMax: limits.subscribersMax)
        warming = CacheWarming(gateway, cache, log: build.log(.cache))
        memoryRelief = MemoryRelief(io: io, cache: cache, log: build.log(.main))
        logControl = build.logControl()
        mcpEndpoint = MCPEndpoint(gateway, log: build.log(.gateway))
        api = build.api(access)
        web = WebRoutes(build.webFiles())
        ledger = HandoverLedger(access)
        takeover = Takeover(
            manager: manager, activated: build.activated, ledger: ledger, log: log)
        webSockets = build.webSockets
        door = build.door(api, hub, shards, journal)
        collector = build.collector(
            door, gateway, coordinator, cache, hub, readiness,
            WorkMetrics(cluster: cluster, tracker: flows, chat: chat), loop: loop)
        exporter = try build.exporter()
        metrics = MetricsRoutes(collector)
        for listener in listeners { door.listen(listener) }
        try addRoutes(build, loop)
        wire()
    }

    // MARK: Life

    func live() async {
        log.info("omni2-native \(Main.version) starts", fields: ["pid": Process.id])
        feedWatchdog()
        extendStart()
        if manager.isPresent {
            logControl.start()
            memoryRelief.start()
        }
        store.start()
        shards.start()
        // Readers of a continued cache are there already and want a heartbeat.
        cache.start()
        await connectDatabase()
        await accessKeeper.begin()
        await shards.areOpen(until: io.now + Self.shardsTime)
        await takeover.run(
            Takeover.Rooms(
                door: door, hub: hub, shards: shards, sessions: gateway.sessions,
                webSockets: webSockets,
                applications: [hub, EchoApplication()]))
        coordinator.start()
        // Peers who notice nothing expect their tools: their requests wait a moment for the servers.
        if takeover.hasPredecessor, store.state == .ready {
            _ = await coordinator.firstLoadsEnded(until: io.now + Self.returnTime)
        }
        takeover.serve(door)
        door.open()
        await loadServers()
        coordinator.announce()
        cacheDoor?.start()
        hub.start()
        gateway.start()
        exporter.start()
        flows.start()
        cluster.start()
        chat.start()
        announceReady()
        await awaitStop()
        await stop()
        hasEnded = true
    }

    /// A database that is there connects in this time; one that is not is no reason to wait longer.
    private static let databaseTime = Duration.seconds(3)
    /// Rings beyond the first; those that are not there by then get only who comes later.
    private static let shardsTime = Duration.seconds(1)
    /// How long requests wait for servers after a hand-over.
    private static let returnTime = Duration.seconds(5)
    /// First starts of servers take seconds; readiness says `loading` meanwhile.
    private static let loadTime = Duration.seconds(20)

    private func connectDatabase() async {
        let deadline = io.now + Self.databaseTime
        while store.state != .ready, io.now < deadline {
            await io.sleep(until: io.now + .milliseconds(5))
            if case .unavailable = store.state { break }
        }
        if store.state == .ready {
            await imports?.apply(to: store, log)
            return
        }
        log.warning(
            "the database is not there yet, serving what does not need it",
            fields: ["engine": store.engine])
        importIsDue = true
    }

    private func loadServers() async {
        if store.state == .ready {
            _ = await coordinator.firstLoadsEnded(until: io.now + Self.loadTime)
        } else {
            io.spawn {
                _ = await self.coordinator.firstLoadsEnded(until: .distantFuture)
                self.serversLoaded()
            }
            return
        }
        serversLoaded()
    }

    private func serversLoaded() {
        readiness.hasLoadedServers = true
        cache.keepOnly(Set(coordinator.registry.servers.map(\.name)))
        warming.start()
        let statistics = coordinator.statistics
        log.info(
            "servers loaded",
            fields: [
                "servers": coordinator.registry.count, "healthy": statistics.activeServers,
                "tools": gateway.catalogue.tools.count,
            ])
    }

    private func announceReady() {
        for address in door.addresses {
            log.info("listening", fields: ["address": address.description])
        }
        log.info("omni2-native ready", id: .daemonReady)
        isReady = true
        tell { () throws(SystemError) in try manager.ready(status: statusText) }
        Process.releaseMemory()
        io.spawn { await self.reportStatus() }
    }

    private var statusText: String {
        let statistics = coordinator.statistics
        let database = readiness.obstacle.map { "; \($0)" } ?? ""
        return "\(statistics.activeServers) of \(coordinator.registry.count) servers healthy, "
            + "\(hub.count) dashboards, \(gateway.sessions.count) sessions\(database)"
    }

    /// systemctl status shows live figures.
    private func reportStatus() async {
        var shown = ""
        while !readiness.isStopping {
            await io.sleep(until: io.now + .seconds(5))
            let text = statusText
            if text != shown, !readiness.isStopping {
                shown = text
                tell { () throws(SystemError) in try manager.status(text) }
            }
        }
    }

    /// From the loop that does the work: a loop that hangs is not kept alive.
    private func feedWatchdog() {
        guard let interval = manager.watchdogInterval else { return }
        io.spawn {
            while !self.hasEnded {
                self.tell { () throws(SystemError) in try self.manager.watchdog() }
                await self.io.sleep(until: self.io.now + interval / 3)
            }
        }
    }

    /// A start that waits for a slow database or slow servers is no failed one: systemd hears of it for
    /// as long as it takes.
    private func extendStart() {
        io.spawn {
            while !self.isReady, !self.hasEnded {
                self.tell { () throws(SystemError) in
                    try self.manager.extendTimeout(Self.startExtension)
                }
                await self.io.sleep(until: self.io.now + Self.startExtension / 3)
            }
        }
    }

    private static let startExtension = Duration.seconds(30)

    // MARK: The end

    /// Returns when a signal asks for the end.
    private func awaitStop() async {
        while true {
            do throws(SystemError) {
                _ = try await io.readiness(
                    of: signalDescriptor, .readable, until: .distantFuture)
            } catch {
                return log.critical("signals cannot be read, stopping", fields: ["error": error])
            }
            switch Process.nextSignal(signalDescriptor) {
            case .terminate, .interrupt: return
            case .hangUp: configuration = await makeReload().run(configuration)
            case nil: continue
            }
        }
    }

    private func makeReload() -> Reload {
        Reload(
            io: io, environment: environment, manager: manager, log: log,
            liveSections: ["Main", "Log", "HTTP", "Coordinator", "CircuitBreaker", "FlowTracker"]
        ) { next in
            // [Main] is read where it is used.
            self.api.hosts = HouseBuilder.hosts(next)
            self.api.origins = HouseBuilder.origins(next)
            self.readWebFiles(next)
            self.door.welcome = HouseBuilder.welcome(
                .standard(from: next), self.clock, self.api, self.telemetry)
            self.journal.level = next.log.level
            self.coordinator.apply(CoordinatorSettings(next.coordinator))
            self.flows.apply(slowTime: next.flowTracker.slowTime)
            // The registry's own word on circuits, set over the API, stands until the file's changes.
            if next.circuitBreaker != self.configuration.circuitBreaker {
                self.coordinator.breaker.configure(
                    CircuitBreakerConfiguration(next.circuitBreaker))
            }
        }
    }

    private func readWebFiles(_ next: Configuration) {
        let root = HouseBuilder.webRoot(next)
        io.spawn {
            let files = await self.io.offload { WebFiles(root: root) }
            HouseBuilder.tell(of: files, root, Log(self.journal, service: .api))
            self.web.files = files
        }
    }

    /// In reverse: nobody new comes in, what is under way ends, then what it needed.
    private func stop() async {
        readiness.isStopping = true
        let deadline = io.now + configuration.main.stopTimeout
        log.info("stopping", id: .daemonStopping)
        tell { () throws(SystemError) in
            try manager.stopping(status: "stopping")
            // StopTimeoutSec= may be longer than the unit's TimeoutStopSec=.
            try manager.extendTimeout(configuration.main.stopTimeout + .seconds(5))
        }
        logControl.stop()
        chat.stop()
        // Without systemd nobody can keep the connections for a successor.
        manager.isPresent ? await handOver(until: deadline) : await end(until: deadline)
        log.info("omni2-native stopped")
        journal.flush()
    }

    /// Connections end with us.
    private func end(until deadline: MonotonicTime) async {
        door.closeListeners()
        warming.stop()
        gateway.stop()
        hub.stop()
        let half = min(deadline, io.now + configuration.main.stopTimeout / 2)
        await shards.stop(until: half)
        await door.drain(until: half)
        await endServices(until: deadline)
    }

    /// What a request that came in the last moment may still take.
    private static let lastRequestTime = Duration.seconds(2)

    /// Connections live on: requests under way are answered, and events are delivered until the last
    /// service has ended.
    private func handOver(until deadline: MonotonicTime) async {
        // They end only with us: their clients ask again.
        gateway.listeners.endAll()
        await door.finishRequests(
            until: min(deadline, io.now + configuration.main.stopTimeout / 2))
        await door.park(until: min(deadline, io.now + Self.lastRequestTime))
        warming.stop()
        gateway.stop(keepingSessions: true)
        hub.stop()
        await endServices(until: deadline)
        let handover = Handover(
            io: io, manager: manager, door: door, hub: hub, shards: shards,
            sessions: gateway.sessions, ledger: ledger, log: log)
        if await handover.leave() { return }
        gateway.sessions.endAll()
        await shards.stop(until: io.now + Self.lastRequestTime)
        await door.drain(until: io.now + Self.lastRequestTime)
    }

    private func endServices(until deadline: MonotonicTime) async {
        cacheDoor?.close()
        cache.stop()
        await flows.stop(until: deadline)
        cluster.stop()
        await gateway.closeSessions(until: deadline)
        await coordinator.stop(until: deadline)
        await accessKeeper.stop()
        await store.stop()
        await exporter.stop(until: min(deadline, io.now + .seconds(2)))
    }

    private func tell(_ notify: () throws(SystemError) -> Void) {
        do throws(SystemError) {
            try notify()
        } catch {
            log.warning("systemd could not be told, ignoring", fields: ["error": error])
        }
    }

    // MARK: Wires between services

    private func wire() {
        let databaseLog = Log(journal, service: .database)
        let before = store.stateChanged
        store.stateChanged = { [weak self] state in
            before(state)
            self?.databaseChanged(state, databaseLog)
        }
        store.telemetry = telemetry
        collector.exporter = exporter
        exporter.collect = { [unowned collector] in collector.collect(into: &$0) }
        journal.copied = { [weak exporter] in exporter?.said($0) }
        cache.publish = { [unowned hub] in hub.publish($0) }
        wireCluster()
        wireBlocks()
        api.stopped = { [unowned gates] principal, refusal, exchange in
            let path = exchange.request.path
            let source: Flow.Source =
                path.hasPrefix("/mcp") ? .gateway : path.hasPrefix("/api/v1/mcp") ? .rest : .chat
            gates.stopped(
                principal, by: refusal, from: source, requestID: exchange.requestID)
        }
        flows.publishEvent = { [unowned cluster] in cluster.bus.publish($0) }
        flows.stream = { [unowned cluster] in cluster.feed?.note($0) }
        flows.publish = { [unowned hub] in hub.publish($0, of: $1) }
        hub.snapshot = { [unowned coordinator] access in
            .array(
                coordinator.registry.servers.filter { access.maySee(server: $0.name) }.map(
                    \.snapshot))
        }
    }

    private func wireCluster() {
        let database = store.database
        // While nobody can say who leads, every host looks after itself.
        let leads = { [unowned self] in database.isLeader || self.store.state != .ready }
        coordinator.mayCheck = leads
        coordinator.writer.mayWrite = leads
        coordinator.publish = { [unowned cluster] in cluster.bus.publish($0, isLeader: leads()) }
        store.healthChanged = { [unowned coordinator] in coordinator.healthChanged() }
        let clusterLog = Log(journal, service: .cluster)
        database.leadershipChanged = { isLeader in
            clusterLog.notice(
                isLeader
                    ? "this host does the health checks"
                    : "this host leaves the health checks to others")
        }
        hub.crossing = { [unowned cluster] in cluster.bus.forward($0) }
        cache.invalidated = { [unowned cluster] server, tool, reason in
            // What a start finds out about this host's own memory is no news for others.
            if reason == "connected" || reason == "not registered" { return }
            cluster.secondLevel?.invalidated(server: server, tool: tool)
        }
        cluster.share(flows.monitored)
    }

    /// Dashboards go on with what their owners may see now, or end with the message.
    private func review(_ dismissal: (Principal) -> String?) {
        for principal in hub.principals.union(shards.principals) {
            if let message = dismissal(principal) {
                hub.accessChanged(principal, to: nil, saying: message)
            } else if let now = access.current(principal) {
                hub.accessChanged(principal, to: now.eventAccess)
            }
        }
    }

    /// Whoever is blocked, or whose credential is gone, loses the sockets that are open.
    private func wireBlocks() {
        access.observers.append { [unowned access, unowned self] in
            self.review { access.dismissal(of: $0) }
            self.chatSockets.dismiss { access.dismissal(of: $0) }
            self.chat.dismiss { access.dismissal(of: $0) }
        }
        cluster.blocks.observers.append { [unowned self] notice in
            let message = notice.message ?? "Your access has been blocked."
            self.review { $0.userID == notice.user ? message : nil }
            if notice.concerns(.chat) {
                self.chatSockets.dismiss { $0.userID == notice.user ? message : nil }
                self.chat.dismiss { $0.userID == notice.user ? message : nil }
            }
            if notice.concerns(.mcp) { self.gateway.dismiss(user: notice.user) }
            self.accessKeeper.wake()
        }
    }

    private func databaseChanged(_ state: StoreState, _ log: Log) {
        switch state {
        case .starting: readiness.database = .starting
        case .ready:
            readiness.database = .ready(engine: store.engine)
            flows.history.storeIsReady()
            flows.monitored.readAgain()
            accessKeeper.wake()
            log.info("database connected", id: .databaseConnected, fields: ["engine": store.engine])
            guard importIsDue, let imports else { return }
            importIsDue = false
            io.spawn { await imports.apply(to: self.store, self.log) }
        case .unavailable(let reason, _):
            if case .unavailable = readiness.database { return }
            readiness.database = .unavailable(engine: store.engine, reason: reason)
            log.error(
                "database is not available, serving from memory and trying again",
                id: .databaseLost, fields: ["engine": store.engine, "error": reason])
        }
    }

    private func addRoutes(
        _ build: HouseBuilder, _ loop: @escaping () -> RingIO.Statistics
    ) throws(StartError) {
        let apiLog = build.log(.api)
        let serverCounts = { [unowned coordinator] in
            (healthy: coordinator.statistics.activeServers, all: coordinator.registry.count)
        }
        let health = HealthRoutes(
            readiness: readiness, now: { [clock] in clock.now }, startedAt: clock.now,
            servers: serverCounts,
            checks: HealthChecks(readiness: readiness, servers: serverCounts, loop: loop))
        let audit = access.audit
        let servers = ServerRoutes(
            io: io, store: store, coordinator: coordinator, audit: audit,
            discovery: try build.discovery(), log: apiLog)
        let tools = ToolRoutes(
            io: io, store: store, coordinator: coordinator, gateway: gateway, access: access,
            log: apiLog)
        let circuits = CircuitRoutes(
            io: io, store: store, coordinator: coordinator, audit: audit, log: apiLog)
        let events = EventRoutes(
            io: io, hub: hub, shards: shards, coordinator: coordinator, webSockets: webSockets,
            settings: configuration.webSocket,
            crossing: { [unowned cluster] in cluster.bus.forward($0) }, audit: audit)
        let cached = CacheRoutes(cache: cache, clock: clock, audit: audit)
        let people = PeopleContext(
            io: io, store: store, access: access, keeper: accessKeeper, log: apiLog,
            blocked: { [unowned cluster] in cluster.blocks.announce($0) })
        let logins = Logins(
            io: io, access: access, store: store, keeper: accessKeeper, log: build.log(.access))
        logins.loggedIn = { [unowned cluster] person in cluster.bus.publish(.login(person)) }
        let monitoring = MonitoringRoutes(
            io: io, store: store, tracker: flows, log: build.log(.flowTracker))
        api.add { router in
            AuthRoutes(context: people, logins: logins).add(to: &router)
            ResourceMetadata(access: access).add(to: &router)
            OpenAPIRoutes(routes: { [unowned api] in api.routes }).add(to: &router)
            web.add(to: &router)
            OverviewRoutes(context: people, coordinator: coordinator, gateway: gateway)
                .add(to: &router)
            UserRoutes(context: people).add(to: &router)
            BlockRoutes(context: people).add(to: &router)
            RoleRoutes(context: people).add(to: &router)
            TeamRoutes(context: people).add(to: &router)
            TokenRoutes(context: people).add(to: &router)
            health.add(to: &router)
            mcpEndpoint.add(to: &router)
            servers.add(to: &router)
            tools.add(to: &router)
            circuits.add(to: &router)
            events.add(to: &router)
            cached.add(to: &router)
            metrics.add(to: &router, isOpen: !configuration.telemetry.metricsNeedToken)
            monitoring.add(to: &router)
            ConfigurationRoutes(current: { [unowned self] in self.configuration })
                .add(to: &router)
            ChatRoutes(chat: chat, sockets: chatSockets, webSockets: build.webSockets)
                .add(to: &router)
            router.on(
                .get, "/api/v1/cluster", .viewer, "Shows what this host does with others".described
            ) { [unowned self] call in
                var report = self.cluster.report
                report["is_leader"] = .bool(self.store.database.isLeader)
                call.respond(HTTPResponse(json: report))
            }
        }
    }
}

extension LiveServer {
    /// One entry of `initial_status`.
    fileprivate var snapshot: JSONValue {
        [
            "name": .string(name), "health_status": .string(status.rawValue),
            "circuit_state": .string(record.health.circuitState),
            "last_health_check": Timestamp.json(record.health.lastCheck),
        ]
    }
}
