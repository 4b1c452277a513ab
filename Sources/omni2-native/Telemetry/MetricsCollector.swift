import OmniCore
import OmniIO

/// Reads every family from the services that know it, when somebody asks.
final class MetricsCollector {
    private let requests: RequestMetrics
    private let door: Door
    private let gateway: Gateway
    private let coordinator: Coordinator
    private let cache: Cache
    private let hub: WebSocketHub
    private let journal: Journal
    private let tracer: Tracer
    private let loop: () -> RingIO.Statistics
    private let readiness: Readiness
    private let work: WorkMetrics
    private let startedAt: Double
    var exporter: OTLPExporter?
    /// Labels made once per server.
    private var serverLabels: [Int: ServerLabels] = [:]
    private let statusLabels: [HealthStatus: MetricLabels]
    private let versionLabels = MetricLabels(MetricFamilies.build, [Main.version])
    private let succeededLabels = MetricLabels(MetricFamilies.databaseStatements, ["success"])
    private let failedLabels = MetricLabels(MetricFamilies.databaseStatements, ["error"])
    private let signalLabels: [(TelemetrySettings.Signal, MetricLabels)]

    private struct ServerLabels {
        let name: String
        let state: MetricLabels
    }

    init(
        requests: RequestMetrics, door: Door, gateway: Gateway, coordinator: Coordinator,
        cache: Cache, hub: WebSocketHub, journal: Journal, tracer: Tracer, readiness: Readiness,
        work: WorkMetrics, startedAt: WallTime, loop: @escaping () -> RingIO.Statistics
    ) {
        self.requests = requests
        self.door = door
        self.gateway = gateway
        self.coordinator = coordinator
        self.cache = cache
        self.hub = hub
        self.journal = journal
        self.tracer = tracer
        self.readiness = readiness
        self.work = work
        self.loop = loop
        self.startedAt = Double(startedAt.nanosecondsSince1970) * 1e-9
        statusLabels = Dictionary(
            uniqueKeysWithValues: HealthStatus.allCases.map {
                ($0, MetricLabels(MetricFamilies.servers, [$0.rawValue]))
            })
        signalLabels = TelemetrySettings.Signal.allCases.map {
            ($0, MetricLabels(MetricFamilies.spansExported, [$0.rawValue]))
        }
    }

    /// In the order of `MetricFamilies.all`.
    func collect(into sink: inout any MetricSink) {
        collectHTTP(into: &sink)
        collectTools(into: &sink)
        collectUpstreams(into: &sink)
        collectServers(into: &sink)
        collectCache(into: &sink)
        collectHub(into: &sink)
        collectLoop(into: &sink)
        collectDatabase(into: &sink)
        work.collect(into: &sink)
        collectExport(into: &sink)
        collectProcess(into: &sink)
    }

    // MARK: Requests

    private func collectHTTP(into sink: inout any MetricSink) {
        sink.begin(MetricFamilies.httpRequests)
        for series in requests.http {
            sink.value(Double(series.duration.count), series.labels)
        }
        sink.begin(MetricFamilies.httpDuration)
        for series in requests.http { sink.histogram(series.duration, series.labels) }
        sink.begin(MetricFamilies.httpResponseSize)
        // One per method and route: the last of its statuses.
        var told: Set<MetricLabels> = []
        for series in requests.http.reversed() where told.insert(series.sizeLabels).inserted {
            sink.value(Double(series.lastBytes), series.sizeLabels)
        }
        sink.only(MetricFamilies.httpConnections, door.count)
    }

    private func collectTools(into sink: inout any MetricSink) {
        sink.begin(MetricFamilies.toolExecutions)
        for series in requests.tools {
            sink.value(Double(series.succeeded), series.succeededLabels)
            sink.value(Double(series.failed), series.failedLabels)
        }
        sink.begin(MetricFamilies.toolDuration)
        for series in requests.tools { sink.histogram(series.duration, series.labels) }
        sink.only(MetricFamilies.toolsCoalesced, gateway.caller.statistics.coalesced)
        sink.only(MetricFamilies.sessions, gateway.sessions.count)
    }

    private func collectUpstreams(into sink: inout any MetricSink) {
        sink.begin(MetricFamilies.upstreamRequests)
        for series in requests.upstreams {
            for outcome in series.outcomes.values {
                sink.value(Double(outcome.count), outcome.labels)
            }
        }
        sink.begin(MetricFamilies.upstreamDuration)
        for series in requests.upstreams { sink.histogram(series.duration, series.labels) }
        sink.begin(MetricFamilies.upstreamErrors)
        for series in requests.upstreams {
            for (status, outcome) in series.outcomes where status != "ok" {
                sink.value(
                    Double(outcome.count),
                    MetricLabels(
                        MetricFamilies.upstreamErrors, [series.mcp, series.method, status]))
            }
        }
    }

    // MARK: Servers

    private func collectServers(into sink: inout any MetricSink) {
        let servers = coordinator.registry.servers
        let labelled = servers.map { ($0, labels(of: $0)) }
        sink.begin(MetricFamilies.circuitState)
        for (server, labels) in labelled {
            sink.value(coordinator.breaker.state(of: server.id).number, labels)
        }
        sink.begin(MetricFamilies.circuitFailures)
        for (server, labels) in labelled {
            sink.value(Double(coordinator.breaker.timesOpened(server.id)), labels)
        }
        sink.only(MetricFamilies.circuitRefusals, coordinator.breaker.counts.refusals)
        sink.begin(MetricFamilies.servers)
        var counts: [HealthStatus: Int] = [:]
        for server in servers { counts[server.status, default: 0] += 1 }
        for status in HealthStatus.allCases {
            sink.value(Double(counts[status] ?? 0), statusLabels[status])
        }
        sink.begin(MetricFamilies.serverUp)
        for (server, labels) in labelled { sink.value(server.phase == .up ? 1 : 0, labels) }
        sink.begin(MetricFamilies.serverLatency)
        for (server, labels) in labelled {
            guard let check = server.lastCheck else { continue }
            sink.value(Double(check.responseTime.nanosecondsClamped) * 1e-9, labels)
        }
        if serverLabels.count > servers.count {
            let known = Set(servers.map(\.id))
            serverLabels = serverLabels.filter { known.contains($0.key) }
        }
    }

    /// All families by server have the one label `mcp`.
    private func labels(of server: LiveServer) -> MetricLabels {
        if let known = serverLabels[server.id], known.name == server.name { return known.state }
        let labels = MetricLabels(MetricFamilies.circuitState, [server.name])
        serverLabels[server.id] = ServerLabels(name: server.name, state: labels)
        return labels
    }

    // MARK: Cache and dashboards

    private func collectCache(into sink: inout any MetricSink) {
        let statistics = cache.statistics
        sink.only(MetricFamilies.cacheSize, statistics.size)
        sink.only(MetricFamilies.cacheCapacity, statistics.sizeMax)
        sink.only(MetricFamilies.cacheBytes, statistics.bytes)
        sink.only(MetricFamilies.cacheHits, statistics.hits)
        sink.only(MetricFamilies.cacheMisses, statistics.misses)
        sink.only(MetricFamilies.cacheEvictions, statistics.evictions)
        sink.only(MetricFamilies.cacheExpirations, statistics.expirations)
        sink.only(MetricFamilies.cacheInvalidations, statistics.invalidations)
        sink.only(MetricFamilies.cacheSiblingReads, statistics.siblingHits)
    }

    private func collectHub(into sink: inout any MetricSink) {
        let fanout = hub.fanout.statistics
        sink.only(MetricFamilies.webSocketConnections, hub.count)
        sink.only(MetricFamilies.webSocketPublished, fanout.published)
        sink.only(MetricFamilies.webSocketFrames, fanout.deliveries)
        sink.only(MetricFamilies.webSocketSends, fanout.flights)
        sink.only(MetricFamilies.webSocketDropped, hub.statistics.stalled)
        sink.only(MetricFamilies.webSocketResyncs, hub.statistics.resyncs)
        sink.only(MetricFamilies.webSocketResumed, hub.statistics.resumed)
        sink.only(MetricFamilies.webSocketLag, hub.fanout.lagMax)
        sink.begin(MetricFamilies.fanoutDuration)
        sink.histogram(fanout.drainTime, nil)
    }

    // MARK: The loop, the database, export, the process

    private func collectLoop(into sink: inout any MetricSink) {
        let loop = loop()
        sink.begin(MetricFamilies.turnDuration)
        sink.histogram(loop.turnTime, nil)
        sink.begin(MetricFamilies.reactorLag)
        sink.summary(loop.lag, nil)
        sink.only(MetricFamilies.completions, loop.completions)
        sink.only(MetricFamilies.submissions, loop.submissions)
        sink.only(MetricFamilies.enters, loop.turns)
        sink.only(MetricFamilies.inFlight, loop.awaited)
        sink.only(MetricFamilies.journalDropped, journal.droppedCount)
    }

    private func collectDatabase(into sink: inout any MetricSink) {
        var isUp = false
        if case .ready = readiness.database { isUp = true }
        sink.only(MetricFamilies.databaseUp, isUp ? 1 : 0)
        sink.begin(MetricFamilies.databaseStatements)
        sink.histogram(requests.statementsSucceeded, succeededLabels)
        sink.histogram(requests.statementsFailed, failedLabels)
    }

    private func collectExport(into sink: inout any MetricSink) {
        sink.begin(MetricFamilies.spansExported)
        for (signal, labels) in signalLabels {
            sink.value(Double(exporter?.exported[signal] ?? 0), labels)
        }
        sink.begin(MetricFamilies.spansDropped)
        for (signal, labels) in signalLabels {
            let more = signal == .traces ? tracer.droppedCount : 0
            sink.value(Double((exporter?.dropped[signal] ?? 0) + more), labels)
        }
    }

    private func collectProcess(into sink: inout any MetricSink) {
        sink.begin(MetricFamilies.build)
        sink.value(1, versionLabels)
        let usage = ProcessUsage.now()
        sink.only(MetricFamilies.processCPU, usage.cpuSeconds)
        sink.only(MetricFamilies.processResident, usage.residentBytes)
        sink.only(MetricFamilies.processVirtual, usage.virtualBytes)
        sink.only(MetricFamilies.processShared, usage.sharedBytes)
        sink.only(MetricFamilies.processDescriptors, usage.descriptors)
        sink.only(MetricFamilies.processDescriptorsMax, usage.descriptorsMax)
        sink.only(MetricFamilies.processStart, startedAt)
        sink.only(MetricFamilies.processThreads, usage.threads)
    }
}

extension CircuitState.Name {
    fileprivate var number: Double {
        switch self {
        case .closed: 0
        case .open: 1
        case .halfOpen: 2
        case .disabled: 3
        }
    }
}
