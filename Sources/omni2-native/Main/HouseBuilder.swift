import OmniCore
import OmniIO

/// Makes each service out of the configuration. No service knows another's settings.
struct HouseBuilder {
    let configuration: Configuration
    let environment: Environment
    let limits: Limits
    let io: any IO
    let journal: Journal
    let manager: ServiceManager
    let activated: ActivatedSockets
    let clock: WallClock
    let telemetrySettings: TelemetrySettings
    let telemetry: Telemetry

    init(
        _ configuration: Configuration, _ environment: Environment, limits: Limits, io: any IO
    ) throws(StartError) {
        self.configuration = configuration
        self.environment = environment
        self.limits = limits
        self.io = io
        clock = WallClock(io)
        journal = Journal.standard(
            level: configuration.log.level, environment: environment,
            limits: JournalLimits(
                recordsMax: limits.journalRecordsMax, queueBytesMax: limits.journalBytesMax,
                rateRecordsMax: limits.journalRateRecordsMax,
                rateWindow: limits.journalRateWindow))
        manager = Self.manager(environment, Log(journal, service: .main))
        telemetrySettings = TelemetrySettings(
            configuration.telemetry, environment, version: Main.version)
        let seed = Digest.random(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        telemetry = Telemetry(
            Tracer(telemetrySettings.tracer, clock: clock, seed: seed), io: io, clock: clock)
        do throws(SystemError) {
            activated = try ActivatedSockets(environment)
            try Files.makeDirectory(configuration.directories.state)
            try Files.makeDirectory(configuration.directories.runtime)
        } catch {
            throw .system(error)
        }
    }

    /// A manager that cannot be reached is no reason not to serve.
    private static func manager(_ environment: Environment, _ log: Log) -> ServiceManager {
        do throws(SystemError) {
            return try ServiceManager(environment)
        } catch {
            log.warning(
                "$NOTIFY_SOCKET cannot be reached, going on without systemd's notices",
                fields: ["error": error])
            return ServiceManager()
        }
    }

    func log(_ service: Service) -> Log { Log(journal, service: service) }

    func logControl() -> LogControl {
        let log = log(.main)
        return LogControl("org.omni2.Native1", journal, io: io) { before, after in
            log.notice(
                "[Log] Level= is \(after.name) now, was \(before.name), by systemctl "
                    + "service-log-level; the next reload or restart takes the configured one",
                id: .configurationReloaded, fields: ["setting": "[Log] Level="])
        }
    }

    // MARK: Below

    func store() -> SQLStore {
        var settings = SQLStore.Settings()
        settings.healthLogDays = Self.days(configuration.database.retention)
        if let key = configuration.access.encryptionKey {
            settings.key = SecretBox(key: Self.bytes(hexadecimal: key))
        }
        guard let url = configuration.database.url else {
            return .sqlite(io, path: "\(configuration.directories.state)/omni2.db", settings)
        }
        var engine = PostgresEngine.Settings()
        engine.pool.connectionsMax = configuration.database.connections
        engine.pool.connectTimeout = configuration.database.connectTimeout
        engine.pool.statementTimeout = configuration.database.statementTimeout
        engine.pool.waitingMax = limits.statementsQueuedMax
        engine.callTimeout = configuration.database.statementTimeout
        return .postgresql(io, url: databaseURL(url), settings, engine)
    }

    /// Nil keeps the log for ever.
    private static func days(_ retention: Duration) -> Int? {
        let days = retention.components.seconds / 86_400
        return days > 36_500 ? nil : max(1, Int(days))
    }

    /// With the password that comes as a credential of its own, as libpq takes it in a URL.
    private func databaseURL(_ url: Secret) -> String {
        guard let password = configuration.database.password else { return url.revealed }
        var encoded = ""
        for byte in password.revealed.utf8 {
            let digits = String(byte, radix: 16)
            encoded += "%" + (digits.utf8.count == 1 ? "0" : "") + digits
        }
        return url.revealed + (url.revealed.contains("?") ? "&" : "?") + "password=" + encoded
    }

    /// The configuration has checked that these are 64 digits.
    private static func bytes(hexadecimal text: Secret) -> [UInt8] {
        var writer = ByteWriter(capacity: 32)
        Array(text.revealed.utf8).withRawSpan { digits in
            _ = Hex.decode(
                digits, ByteRange(offset: 0, count: digits.byteCount), into: &writer)
        }
        return writer.array()
    }

    func imports() throws(StartError) -> ServerImport? {
        guard let path = configuration.mcp.importFile else { return nil }
        do throws(ServerImport.Problem) {
            return try ServerImport(path: path)
        } catch {
            throw .importFile(error)
        }
    }

    // MARK: Services

    func hub() throws(StartError) -> WebSocketHub {
        do throws(SystemError) {
            let events = try KeptEventLog(
                manager: manager, activated: activated, log: log(.webSocket)
            ).open(
                bytesMax: limits.eventLogBytesMax, entriesMax: limits.eventLogEventsMax,
                first: io.wallMicroseconds)
            return try WebSocketHub(
                io: io, clock: clock, settings: hubSettings, events: events,
                log: log(.webSocket))
        } catch {
            throw .system(error)
        }
    }

    func shards(_ hub: WebSocketHub) throws(StartError) -> Shards {
        do throws(SystemError) {
            return try Shards(hub, io: io, count: limits.ringsMax, log: log(.webSocket)) { number in
                Shard.Plan(
                    number: number, count: limits.ringsMax, home: io.address, hub: hubSettings,
                    webSocket: webSockets.limits, ring: limits.ring)
            }
        } catch {
            throw .system(error)
        }
    }

    private var hubSettings: WebSocketHub.Settings {
        let section = configuration.webSocket
        var settings = WebSocketHub.Settings()
        settings.fanout.subscribersMax = limits.subscribersMax
        settings.fanout.logBytesMax = limits.eventLogBytesMax
        settings.fanout.logEventsMax = limits.eventLogEventsMax
        settings.fanout.classesMax = limits.filterClassesMax
        settings.subscriptionsMax = limits.subscriptionsPerConnectionMax
        settings.publishedBytesMax = limits.eventBytesMax
        settings.sendBufferBytes = Int32(limits.subscriberSendBufferBytes)
        settings.perIdentityMax = section.perIdentityMax
        settings.perAddressMax = section.perAddressMax
        settings.pingInterval = section.pingInterval
        settings.staleTime = section.staleTimeout
        settings.stallTime = section.stallTimeout
        settings.resyncsLagging = section.lagPolicy == .resync
        return settings
    }

    var webSockets: WebSocketShared {
        WebSocketShared(
            limits: WebSocketLimits(
                frameBytesMax: limits.messageBytesMax, messageBytesMax: limits.messageBytesMax))
    }

    /// How sessions with servers are made, all over one client.
    func upstreams() throws(StartError) -> (ServerRecord) -> Upstream {
        let http: HTTPClient
        do throws(SystemError) {
            http = try HTTPClient(io: io)
        } catch {
            throw .system(error)
        }
        let (io, environment, deadlines, log) = (io, environment, upstreamDeadlines, log(.gateway))
        let telemetry = telemetry
        let unitSockets = configuration.mcp.unitSockets
        let verdicts = EraVerdicts()
        return { record in
            Upstream(
                record: record, io: io, http: http, deadlines: deadlines, environment: environment,
                unitSockets: unitSockets, verdicts: verdicts, telemetry: telemetry, log: log)
        }
    }

    func coordinator(
        _ store: SQLStore, _ hub: WebSocketHub, _ makeUpstream: @escaping (ServerRecord) -> Upstream
    ) -> Coordinator {
        Coordinator(
            io: io, store: store, journal: journal,
            settings: CoordinatorSettings(configuration.coordinator),
            circuits: CircuitBreakerConfiguration(configuration.circuitBreaker),
            publish: { [unowned hub] in hub.publish($0) },
            makeSession: { WatchedUpstream(makeUpstream($0)) })
    }

    private var upstreamDeadlines: UpstreamDeadlines {
        let section = configuration.mcp
        var deadlines = UpstreamDeadlines()
        deadlines.connect = section.connectTimeout
        deadlines.handshake = section.handshakeTimeout
        deadlines.list = section.listTimeout
        deadlines.stop = section.stopTimeout
        deadlines.messageBytesMax = limits.resultBytesMax
        deadlines.pagesMax = limits.pagesPerListMax
        deadlines.itemsMax = limits.itemsPerServerMax
        return deadlines
    }

    func cache() throws(StartError) -> Cache {
        do throws(SystemError) {
            let segments = CacheSegments(
                manager: manager, activated: activated, log: log(.cache))
            segments.dropUnknown(
                besides: Listeners.activatedNames + ["cache"]
                    + HandoverNames.ours(in: activated))
            return try Cache(
                io: io, settings: configuration.cache, segments: segments,
                stateDirectory: configuration.directories.state, log: log(.cache))
        } catch {
            throw .system(error)
        }
    }

    /// Nil where no socket is configured.
    func cacheDoor(_ cache: Cache) throws(StartError) -> CacheDoor? {
        if let passed = activated["cache"].first {
            return cacheDoor(cache, passed.descriptor, isActivated: true)
        }
        guard let path = configuration.cache.socket, let address = SocketAddress(path) else {
            return nil
        }
        do throws(SystemError) {
            let socket = try Sockets.listen(on: address, backlog: 128, packets: true)
            offerToGroup(path)
            return cacheDoor(cache, socket.take(), isActivated: false)
        } catch {
            throw .cannotListen(path, error)
        }
    }

    private func cacheDoor(_ cache: Cache, _ descriptor: Int32, isActivated: Bool) -> CacheDoor {
        CacheDoor(
            io: io, descriptor: descriptor, isActivated: isActivated, cache: cache,
            allowsSameUser: configuration.cache.allowsSameUser, log: log(.cache))
    }

    private func offerToGroup(_ path: String) {
        let group = configuration.cache.socketGroup
        do throws(SystemError) {
            try Sockets.setGroup(path, named: group)
        } catch {
            log(.cache).info(
                "cache socket is for the daemon's user and group only",
                fields: ["socket": path, "group": group, "error": error])
        }
    }

    func gateway(
        _ cache: Cache, _ coordinator: Coordinator, _ access: Access,
        _ makeUpstream: @escaping (ServerRecord) -> Upstream
    ) -> Gateway {
        var settings = Gateway.Settings()
        settings.callTime = configuration.mcp.callTimeout
        settings.listTime = configuration.mcp.listTimeout
        let sessions = GatewaySessions(
            io: io, countMax: limits.sessionsMax, idleTime: configuration.mcp.sessionIdleTimeout)
        return Gateway(
            io: io, settings: settings, sessions: sessions, cache: cache, coordinator: coordinator,
            access: access, slots: callSlots(),
            personal: PersonalUpstreams(io: io, make: makeUpstream), telemetry: telemetry,
            log: log(.gateway))
    }

    // MARK: Telemetry

    func exporter() throws(StartError) -> OTLPExporter {
        do throws(SystemError) {
            return OTLPExporter(
                io: io, http: try HTTPClient(io: io), settings: telemetrySettings,
                tracer: telemetry.tracer, log: log(.telemetry))
        } catch {
            throw .system(error)
        }
    }

    func collector(
        _ door: Door, _ gateway: Gateway, _ coordinator: Coordinator, _ cache: Cache,
        _ hub: WebSocketHub, _ readiness: Readiness, _ work: WorkMetrics,
        loop: @escaping () -> RingIO.Statistics
    ) -> MetricsCollector {
        MetricsCollector(
            requests: telemetry.requests, door: door, gateway: gateway, coordinator: coordinator,
            cache: cache, hub: hub, journal: journal, tracer: telemetry.tracer,
            readiness: readiness, work: work, startedAt: clock.now, loop: loop)
    }

    func chat(
        _ gateway: Gateway, _ access: Access, _ flows: FlowTracker, _ gates: FlowGates,
        _ store: SQLStore
    ) throws(StartError) -> Chat {
        let section = configuration.chat
        var settings = Chat.Settings()
        settings.timeout = section.timeout
        settings.iterationsMax = section.iterationsMax
        settings.prices = section.prices
        let http: HTTPClient
        do throws(SystemError) {
            http = try HTTPClient(io: io)
        } catch {
            throw .system(error)
        }
        let model: (any LanguageModel)? =
            switch section.provider {
            case .none: nil
            case .anthropic:
                AnthropicModel(
                    name: section.model, url: section.url, key: section.apiKey,
                    tokensMax: section.tokensMax, http: http, io: io)
            case .openai:
                OpenAIModel(
                    name: section.model, url: section.url, key: section.apiKey,
                    tokensMax: section.tokensMax, http: http, io: io)
            }
        return Chat(
            io: io, settings: settings, model: model, gateway: gateway, access: access,
            flows: flows, gates: gates, store: store, log: log(.chat))
    }

    func cluster(_ hub: WebSocketHub, _ cache: Cache) -> Cluster {
        Cluster(
            io: io, target: configuration.redis.url.flatMap { RedisTarget($0.revealed) },
            streamEntriesMax: configuration.flowTracker.streamEntriesMax, hub: hub, cache: cache,
            log: log(.cluster))
    }

    func flows(_ store: SQLStore) -> FlowTracker {
        let log = log(.flowTracker)
        var settings = FlowTracker.Settings()
        settings.isEnabled = configuration.flowTracker.isEnabled
        settings.slowTime = configuration.flowTracker.slowTime
        settings.flowsMax = limits.flowsMax
        settings.checkpointsMax = limits.checkpointsPerFlowMax
        let spool = RowSpool(
            io: io, directory: "\(configuration.directories.state)/history",
            bytesMax: limits.spoolBytesMax)
        return FlowTracker(
            io: io, settings: settings, monitored: MonitoredUsers(io: io, store: store, log: log),
            history: FlowHistory(io: io, store: store, spool: spool, log: log), log: log)
    }

    // MARK: The door

    func api(_ access: Access) -> API {
        API(
            io: io, access: access, hosts: Self.hosts(configuration),
            origins: Self.origins(configuration), telemetry: telemetry, log: log(.api))
    }

    func webFiles() -> WebFiles {
        let root = Self.webRoot(configuration)
        let files = WebFiles(root: root)
        Self.tell(of: files, root, log(.api))
        return files
    }

    static func webRoot(_ configuration: Configuration) -> String {
        configuration.http.webRoot ?? WebFiles.standardRoot(executable: Process.executable)
    }

    static func tell(of files: WebFiles, _ root: String, _ log: Log) {
        for problem in files.problems {
            log.warning("a file of the dashboard is left out", fields: ["file": problem])
        }
        if files["index.html"] == nil {
            log.warning(
                "there is no dashboard; [HTTP] WebRoot= says where its files are",
                fields: ["root": root])
        }
    }

    static func hosts(_ configuration: Configuration) -> HostPolicy {
        HostPolicy(names: configuration.http.allowedHosts)
    }

    static func origins(_ configuration: Configuration) -> OriginPolicy {
        OriginPolicy(origins: configuration.http.allowedOrigins)
    }

    func access() throws(StartError) -> Access {
        let path = configuration.access.adminTokenFile
        let token: AdminToken.Loaded
        do throws(AdminToken.LoadError) {
            token = try AdminToken.load(path)
        } catch {
            throw .adminToken(error)
        }
        if let fresh = token.fresh {
            log(.access).notice(
                "made an administrator token", id: .adminTokenCreated, fields: ["file": path])
            // Once, and only to a person: the journal never sees it.
            if Console.isTerminal { Console.error("administrator token: \(fresh)\n") }
        }
        let section = configuration.access
        let settings = Access.Settings(
            adminToken: SecretHash(bytes: token.hash), ownUser: Process.user,
            proxies: TrustedProxies(section.trustedProxies), resource: section.resource,
            authorizationServers: section.authorizationServers, scopes: section.scopes)
        return Access(
            io: io, settings: settings, webTokens: try webTokens(),
            audit: Audit(io: io, log: log(.access)), log: log(.access))
    }

    private func webTokens() throws(StartError) -> WebTokens {
        let section = configuration.access
        let settings = WebTokens.Settings(
            secret: section.jwtSecret.map { Array($0.revealed.utf8) }, keySet: section.jwks,
            issuers: section.issuers, audiences: section.audiences, roleClaim: section.roleClaim)
        return WebTokens(io: io, http: try httpClient(), settings: settings, log: log(.access))
    }

    private func httpClient(publicOnly: Bool = false) throws(StartError) -> HTTPClient {
        var settings = HTTPClient.Settings()
        settings.reachesPublicOnly = publicOnly
        settings.transfersMax = 64
        do throws(SystemError) {
            return try HTTPClient(io: io, settings: settings)
        } catch {
            throw .system(error)
        }
    }

    func discovery() throws(StartError) -> Discovery {
        Discovery(
            io: io, http: try httpClient(publicOnly: !configuration.mcp.mayDiscoverPrivate),
            deadlines: upstreamDeadlines, log: log(.gateway))
    }

    func callSlots() -> CallSlots {
        var settings = CallSlots.Settings()
        settings.perServerMax = configuration.mcp.callsPerServerMax
        settings.perPrincipalMax = configuration.access.callsPerPrincipalMax
        settings.waitingMax = configuration.access.callsWaitingMax
        return CallSlots(io: io, settings: settings)
    }

    func door(_ api: API, _ hub: WebSocketHub, _ shards: Shards, _ journal: Journal) -> Door {
        let door = Door(
            io: io, limits: Door.Limits(connectionsMax: limits.connectionsMax), log: log(.api))
        door.welcome = Self.welcome(limits, clock, api, telemetry)
        door.elsewhere = { [unowned shards] in shards.seats }
        door.turnBegin = { [unowned shards] in shards.readMail() }
        door.turnEnd = { [unowned hub, unowned shards] in
            // First, so that other rings begin to send while this one does.
            shards.sendMail()
            hub.turnEnds()
            journal.flush()
        }
        door.otherTimer = { [unowned hub] token in
            if token.kind == HotKind.hub.rawValue { hub.fired(token) }
        }
        door.otherCompletions = { [fanout = hub.fanout] completions in
            if completions[0].token.kind == HotKind.flight.rawValue { fanout.flown(completions) }
        }
        return door
    }

    /// How new connections are spoken to; after a reload the next ones get other limits.
    static func welcome(
        _ limits: Limits, _ clock: WallClock, _ api: API, _ telemetry: Telemetry
    ) -> (Listener) -> any Conversation {
        var conversation = HTTPConversation.Limits()
        conversation.http = HTTPLimits(
            requestLineBytesMax: limits.targetBytesMax, headerBytesMax: limits.headerBytesMax,
            headerCountMax: limits.headerFieldsMax, bodyBytesMax: limits.bodyBytesMax)
        conversation.headTime = limits.headerTimeout
        conversation.bodyTime = limits.bodyTimeout
        conversation.idleTime = limits.idleTimeout
        conversation.sendTime = limits.sendTimeout
        let shared = HTTPConversation.Shared(
            limits: conversation, makeRequestID: RequestIDs().next, date: { [clock] in clock.date },
            ended: telemetry.answered,
            handle: { [unowned api] in api.handle($0) })
        return { _ in HTTPConversation(shared) }
    }
}
