import OmniCore
import OmniIO

/// Sends spans, measurements and journal records to an OpenTelemetry collector: OTLP over HTTP, in
/// batches, each signal by a task of its own so that none waits for another.
///
/// A collector that is away costs nobody anything: what waits is bounded, a batch is tried five
/// times, and what could not be sent is dropped and counted.
final class OTLPExporter {
    typealias Signal = TelemetrySettings.Signal

    private static let attemptsMax = 5
    private static let logsMax = 4096
    private static let batchMax = 512
    private static let answerBytesMax = 64 << 10

    private let io: any IO
    private let http: HTTPClient
    private let settings: TelemetrySettings
    private let tracer: Tracer
    private let log: Log
    private let startedAt: UInt64
    /// Tells all measurements.
    var collect: (inout any MetricSink) -> Void = { _ in }
    private var logs: [LogExport] = []
    private var isStopping = false
    private var failing: Set<Signal> = []
    private var wakeTicket: WaitTicket?
    private var running = 0
    private(set) var exported: [Signal: UInt64] = [:]
    private(set) var dropped: [Signal: UInt64] = [:]

    init(io: any IO, http: HTTPClient, settings: TelemetrySettings, tracer: Tracer, log: Log) {
        self.io = io
        self.http = http
        self.settings = settings
        self.tracer = tracer
        self.log = log
        startedAt = tracer.now
    }

    func start() {
        for (name, reason) in settings.ignored {
            log.warning("\(name) is ignored: \(reason)")
        }
        if settings.endpoints.isEmpty { return }
        log.info(
            "telemetry is exported",
            fields: [
                "signals": settings.endpoints.keys.map(\.rawValue).sorted(),
                "sample_ratio": settings.tracer.ratio,
            ])
        tracer.batchIsReady = { [weak self] in self?.hurry() }
        for signal in settings.endpoints.keys {
            running += 1
            io.spawn {
                await self.run(signal)
                self.running -= 1
            }
        }
    }

    /// Sends what is there, once, within the deadline.
    func stop(until deadline: MonotonicTime) async {
        isStopping = true
        while running > 0, io.now < deadline {
            hurry()
            await io.sleep(until: io.now + .milliseconds(20))
        }
    }

    /// Takes a copy of a journal record. Bounded; what the exporter itself says is left out, or a
    /// failing collector would feed on its own failures.
    func said(_ record: JournalRecord) {
        guard settings.endpoints[.logs] != nil, record.service != .telemetry else { return }
        guard logs.count < Self.logsMax else {
            dropped[.logs, default: 0] += 1
            return
        }
        logs.append(LogExport(record, at: tracer.now, RequestContext.current?.trace))
    }

    // MARK: Sending

    private func run(_ signal: Signal) async {
        while true {
            let wait = signal == .metrics ? settings.metricsInterval : settings.interval
            if !isStopping { await pause(wait, wakes: signal == .traces) }
            let isLast = isStopping
            while let (body, count) = batch(signal) {
                await send(signal, body, count, isLast: isLast)
                if signal == .metrics { break }
            }
            if isLast { return }
        }
    }

    private func pause(_ time: Duration, wakes: Bool) async {
        let end = io.now + time
        // In steps, so that a stop is noticed soon whichever task it is.
        while io.now < end, !isStopping {
            let ticket = io.makeTicket()
            if wakes { wakeTicket = ticket }
            if await io.wait(for: ticket, until: min(end, io.now + .milliseconds(500))) { return }
        }
    }

    private func hurry() {
        guard let ticket = wakeTicket else { return }
        wakeTicket = nil
        io.wake(ticket)
    }

    private func batch(_ signal: Signal) -> (body: [UInt8], count: Int)? {
        switch signal {
        case .traces:
            return tracer.take().map { (OTLP.traces($0, of: settings.resource), $0.count) }
        case .logs:
            let records = Array(logs.prefix(Self.batchMax))
            logs.removeFirst(records.count)
            return records.isEmpty
                ? nil : (OTLP.logs(records, of: settings.resource), records.count)
        case .metrics:
            var sink: any MetricSink = OTLPMetrics(
                settings.resource, startedAt: startedAt, now: tracer.now)
            collect(&sink)
            guard let metrics = sink as? OTLPMetrics else { return nil }
            return (metrics.finished(), 1)
        }
    }

    private func send(_ signal: Signal, _ body: [UInt8], _ count: Int, isLast: Bool) async {
        var delay = RetryDelay(first: .seconds(1), longest: .seconds(30))
        for attempt in 1...(isLast ? 1 : Self.attemptsMax) {
            switch await post(signal, body) {
            case .accepted:
                exported[signal, default: 0] += UInt64(count)
                if failing.remove(signal) != nil {
                    log.notice("the collector answers again", fields: ["signal": signal.rawValue])
                }
                return
            case .refused(let reason):
                failed(signal, reason)
                return drop(signal, count)
            case .away(let reason, let retryAfter):
                failed(signal, reason)
                if attempt == Self.attemptsMax || isStopping { break }
                let chance = Double(Digest.random(1)[0]) / 255
                await pause(max(retryAfter ?? .zero, delay.next(chance)), wakes: false)
            }
        }
        drop(signal, count)
    }

    private func drop(_ signal: Signal, _ count: Int) {
        dropped[signal, default: 0] += UInt64(count)
        if signal == .traces { tracer.drop(count) }
    }

    /// Said once per outage.
    private func failed(_ signal: Signal, _ reason: String) {
        guard failing.insert(signal).inserted else { return }
        log.warning(
            "the collector does not take our telemetry, retrying", id: .exportFailing,
            fields: [
                "signal": signal.rawValue, "url": settings.endpoints[signal], "error": reason,
            ])
    }

    private enum Outcome {
        case accepted
        /// Trying again would not help.
        case refused(String)
        case away(String, retryAfter: Duration?)
    }

    private func post(_ signal: Signal, _ body: [UInt8]) async -> Outcome {
        guard let url = settings.endpoints[signal] else { return .refused("no endpoint") }
        var request = HTTPClientRequest("POST", url, headers: settings.headers, body: body)
        request.headers.append(.init("Content-Type", "application/x-protobuf"))
        request.isRepeatable = true
        let deadline = io.now + settings.timeout
        do throws(HTTPClientError) {
            let response = try await http.send(request, until: deadline)
            let status = response.status
            let text = try await response.collect(bytesMax: Self.answerBytesMax, until: deadline)
            switch status {
            case 200..<300: return .accepted
            // What OTLP names as worth another attempt.
            case 429, 502, 503, 504:
                let seconds = response.header("retry-after").flatMap { Int64($0) }
                return .away(
                    "HTTP \(status)", retryAfter: seconds.map { .seconds(min(max($0, 0), 300)) })
            default: return .refused("HTTP \(status): \(HTTPRefusal.excerpt(text))")
            }
        } catch {
            return .away("\(UpstreamError(error))", retryAfter: nil)
        }
    }
}

extension LogExport {
    fileprivate init(_ record: JournalRecord, at time: UInt64, _ trace: TraceContext?) {
        var attributes = [OTLP.Attribute("service", record.service.rawValue)]
        if let id = record.id { attributes.append(.init("message_id", id.rawValue)) }
        attributes += record.fields.pairs.map { .init($0.name, $0.value) }
        self.init(
            nanosecondsSince1970: time, severity: record.level.openTelemetryNumber,
            severityName: record.level.name, message: record.message, attributes: attributes,
            trace: trace)
    }
}

extension LogLevel {
    /// The first number of its range (OpenTelemetry logs data model, SeverityNumber).
    fileprivate var openTelemetryNumber: Int64 {
        switch self {
        case .critical: 21
        case .error: 17
        case .warning: 13
        case .notice: 10
        case .info: 9
        case .debug: 5
        }
    }
}
