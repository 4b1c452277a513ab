import OmniCore
import OmniIO

/// Watches every registered server and brings back those that went away.
///
/// Four loops run on the ring, none of which waits for another: the *cycle* checks all connected
/// servers at the same time and reports the state of the system; the *recovery* loop tries servers
/// that are down when their time on the ladder has come; the *registry* keeps step with the rows; the
/// *writer* brings health back into the rows. Between cycles failed calls and lost sessions are acted
/// on at once. What an outcome means is in `Coordinator+Outcomes`, loading in `Coordinator+Loading`,
/// trying again in `Coordinator+Recovery`, what people may order in `Coordinator+Orders`.
final class Coordinator {
    /// What the cache and the gateway must know to serve what is there and nothing else.
    enum ServerChange {
        /// Connected and listed.
        case available(LiveServer)
        /// No longer connected; it is being recovered.
        case unavailable(LiveServer)
        /// What it offers has changed while connected.
        case catalogueChanged(LiveServer)
        /// Its circuit opened or closed: what it offers goes out of the lists, or comes back.
        case circuitChanged(LiveServer)
        /// Its configuration changed: what `old` said no longer holds, `new` is being loaded.
        case reloaded(old: LiveServer, new: LiveServer)
        /// Deleted or disabled.
        case unloaded(LiveServer)
    }

    struct Statistics: Sendable, Equatable {
        /// Connected ones.
        var activeServers = 0
        /// Down, and waiting for their next attempt or in the middle of it.
        var recoveryQueue = 0
        /// Circuits that are open or half open.
        var circuitsOpen = 0
    }

    /// For telemetry, since the start.
    struct Counts: Sendable, Equatable {
        var cycles: UInt64 = 0
        var checks: UInt64 = 0
        var checksFailed: UInt64 = 0
        var recoveries: UInt64 = 0
        var recoveriesFailed: UInt64 = 0
        var autoDisabled: UInt64 = 0
    }

    let io: any IO
    let store: any Store
    let registry: Registry
    let breaker: CircuitBreaker
    let writer: HealthWriter
    let log: Log
    var publish: (ServiceEvent) -> Void
    /// Told after each change, in the order they were added.
    var observers: [(ServerChange) -> Void] = []

    var settings: CoordinatorSettings
    var counts = Counts()
    var recovery = RecoveryQueue()
    let recoveryAlarm: Alarm
    var loadQueue: [LiveServer] = []
    var loadsUnderWay = 0
    let seed: UInt64
    private(set) var isStopping = false
    /// False on a host that leaves health checks to another one.
    var mayCheck: () -> Bool = { true }
    var isAdopting = false
    private let cycleAlarm: Alarm
    private let host = HostMetrics()
    private let firstLoads: Promise<Void>
    private let cyclesEnded: Promise<Void>
    private let recoveryEnded: Promise<Void>
    private let circuitDefaults: CircuitBreakerConfiguration
    private var isCircuitConfigurationKnown = false

    /// `circuits` is the configuration file's word; the store's, once readable, goes over it.
    init(
        io: any IO, store: any Store, journal: Journal, settings: CoordinatorSettings,
        circuits: CircuitBreakerConfiguration, publish: @escaping (ServiceEvent) -> Void,
        makeSession: @escaping (ServerRecord) -> any WatchedServer
    ) {
        self.io = io
        self.store = store
        self.settings = settings
        self.publish = publish
        log = Log(journal, service: .coordinator)
        breaker = CircuitBreaker(
            log: Log(journal, service: .circuitBreaker), configuration: circuits,
            now: { io.now })
        circuitDefaults = circuits
        writer = HealthWriter(io: io, store: store, log: log, settings: settings)
        registry = Registry(
            io: io, store: store, writer: writer, log: log, settings: settings,
            makeSession: makeSession)
        seed = SplitMix64.mix(io.wallMicroseconds)
        recoveryAlarm = Alarm(io)
        cycleAlarm = Alarm(io)
        firstLoads = Promise(io)
        cyclesEnded = Promise(io)
        recoveryEnded = Promise(io)
        registry.changed = { [unowned self] in self.registryChanged($0) }
        registry.wasRead = { [unowned self] in self.noteFirstLoads() }
        breaker.changed = { [unowned self] in self.circuitChanged($0) }
    }

    // MARK: Life

    /// Begins to watch; returns at once. The store may be away.
    func start() {
        followStore()
        writer.start()
        registry.start()
        io.spawn { await self.runCycles() }
        io.spawn { await self.runRecovery() }
        io.spawn { await self.readCircuitConfiguration() }
    }

    /// Said when the first servers are there, in the order an operator expects.
    func announce() {
        log.info(
            "MCP Coordinator started",
            fields: [
                "interval": settings.interval, "backoff": settings.backoff.map(\.logText),
                "check_timeout": settings.checkTimeout,
            ])
    }

    /// True when the registry has been read and every server in it has been tried once.
    func firstLoadsEnded(until deadline: MonotonicTime) async -> Bool {
        await firstLoads.value(until: deadline) != nil
    }

    /// Ends the loops, closes every session and writes what is left, within `deadline`.
    func stop(until deadline: MonotonicTime) async {
        guard !isStopping else { return }
        isStopping = true
        cycleAlarm.ring()
        recoveryAlarm.ring()
        await registry.stop()
        let servers = registry.servers
        let closed = Countdown(io, from: servers.count)
        for server in servers {
            server.countDowntime(until: io.now)
            if server.record.health.totalDowntimeSeconds > 0 {
                writer.note(server.record.health, of: server.id)
            }
            server.enter(.retired, at: io.now)
            io.spawn {
                await server.session.close(until: deadline)
                closed.step()
            }
        }
        let areClosed = await closed.ended(until: deadline)
        await writer.stop(until: deadline)
        await cyclesEnded.value(until: deadline)
        await recoveryEnded.value(until: deadline)
        log.info(
            "MCP Coordinator stopped",
            fields: ["servers": servers.count, "all_sessions_closed": areClosed])
    }

    /// From a reload of the configuration: what runs already keeps its deadlines.
    func apply(_ settings: CoordinatorSettings) {
        self.settings = settings
        registry.settings = settings
        writer.settings = settings
        cycleAlarm.ring()
    }

    var statistics: Statistics {
        var statistics = Statistics(circuitsOpen: breaker.openCount)
        for server in registry.servers {
            switch server.phase {
            case .up: statistics.activeServers += 1
            case .down: statistics.recoveryQueue += 1
            case .loading, .retired: break
            }
        }
        return statistics
    }

    // MARK: Store

    private func followStore() {
        let (stateChanged, registryChanged) = (store.stateChanged, store.registryChanged)
        store.stateChanged = { [weak self] state in
            stateChanged(state)
            if state == .ready { self?.storeIsReady() }
        }
        store.registryChanged = { [weak self] in
            registryChanged()
            self?.registry.requestReading()
        }
    }

    private func storeIsReady() {
        writer.storeIsReady()
        registry.requestReading()
        if !isCircuitConfigurationKnown { io.spawn { await self.readCircuitConfiguration() } }
    }

    private func readCircuitConfiguration() async {
        do throws(StoreError) {
            let text = try await store.configurationValue(CircuitBreakerConfiguration.key)
            guard !isCircuitConfigurationKnown, !isStopping else { return }
            isCircuitConfigurationKnown = true
            if let text { adoptCircuits(text) }
        } catch {
            // Read again when the store is ready; until then the file's word holds.
            log.debug("circuit configuration unreadable", fields: ["error": "\(error)"])
        }
    }

    private func adoptCircuits(_ text: String) {
        do {
            let json = try JSONValue(parsing: text)
            apply(try circuitDefaults.applying(json))
        } catch {
            log.error(
                "circuit configuration in the store is wrong, ignoring it",
                fields: ["key": CircuitBreakerConfiguration.key, "error": "\(error)"])
        }
    }

    func apply(_ circuits: CircuitBreakerConfiguration) {
        isCircuitConfigurationKnown = true
        breaker.configure(circuits)
        for server in registry.servers {
            followClosedCircuit(of: server, reason: "circuit breaker configured")
        }
    }

    // MARK: The cycle

    private func runCycles() async {
        var began = io.now
        while !isStopping {
            await cycleAlarm.wait(until: began + settings.interval)
            if isStopping { break }
            // Rung by new settings: the cycle may not be due yet.
            guard io.now >= began + settings.interval else { continue }
            began = io.now
            await runCycle(until: began + settings.interval)
        }
        cyclesEnded.fulfil(())
    }

    private func runCycle(until end: MonotonicTime) async {
        let servers =
            mayCheck() ? registry.servers.filter { $0.phase == .up && !$0.isBeingChecked } : []
        let checks = Countdown(io, from: servers.count)
        for server in servers {
            io.spawn {
                await self.check(server)
                checks.step()
            }
        }
        let longest = io.now + settings.checkTimeout + settings.checkGrace + settings.checkGrace
        _ = await checks.ended(until: min(end, longest))
        guard !isStopping else { return }
        counts.cycles += 1
        countDowntimes()
        let sample = await host.sample(io)
        guard !isStopping else { return }
        publish(.systemMetrics(statistics, sample))
        publish(.systemHealth(statistics, sample))
    }

    private func countDowntimes() {
        for server in registry.servers where server.phase == .down {
            let before = server.record.health.totalDowntimeSeconds
            server.countDowntime(until: io.now)
            if server.record.health.totalDowntimeSeconds != before {
                writer.note(server.record.health, of: server.id)
            }
        }
    }

    /// A sign of life from a connected server. `isNeutral`: asked for by a failed call, so that its
    /// success says nothing about the calls and leaves their failures counted.
    func check(_ server: LiveServer, isNeutral: Bool = false) async {
        guard server.phase == .up, !server.isBeingChecked,
            case .admitted(let pass) = breaker.admit(server.id)
        else { return }
        let epoch = server.epoch
        server.lastCheckBegan = io.now
        let result = await attempt(server, until: io.now + settings.checkTimeout)
        guard server.epoch == epoch else { return breaker.abandoned(pass) }
        counts.checks += 1
        switch result {
        case .success(let check):
            if isNeutral { breaker.abandoned(pass) } else { breaker.succeeded(pass) }
            answered(server, check, isNeutral: isNeutral)
        case .failure(let failure):
            counts.checksFailed += 1
            checkFailed(server, failure, pass)
        }
    }

    // MARK: Ends

    func recoveryHasEnded() { recoveryEnded.fulfil(()) }

    func noteFirstLoads() {
        guard registry.isKnown, !firstLoads.isFulfilled else { return }
        if loadQueue.isEmpty, registry.servers.allSatisfy({ $0.phase != .loading }) {
            firstLoads.fulfil(())
        }
    }
}
