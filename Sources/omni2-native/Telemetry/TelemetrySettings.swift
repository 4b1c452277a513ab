import OmniCore
import OmniIO

/// Where telemetry goes and how: the configuration's section, refined by OpenTelemetry's own
/// `OTEL_*` variables, which win where both speak (they are set per unit, by drop-in).
struct TelemetrySettings {
    enum Signal: String, CaseIterable {
        case traces, metrics, logs
    }

    /// By signal; absent where it is not exported.
    var endpoints: [Signal: String] = [:]
    var headers: [HTTPClientRequest.Header] = []
    var timeout = Duration.seconds(10)
    var interval: Duration
    var metricsInterval: Duration
    var tracer = Tracer.Settings()
    var resource: OTLP.Resource
    /// Variables that could not be read, for the journal: (name, why it was ignored).
    var ignored: [(name: String, reason: String)] = []

    init(_ section: Configuration.Telemetry, _ environment: Environment, version: String) {
        interval = section.exportInterval
        metricsInterval = max(section.exportInterval, .seconds(10))
        resource = Self.resource(environment, version: version)
        if environment["OTEL_SDK_DISABLED"]?.lowercased() == "true" { return }
        readEndpoints(section, environment)
        readHeaders(environment)
        readTimes(environment)
        tracer.isOn = endpoints[.traces] != nil
        tracer.ratio = section.sampleRatio
        readSampler(environment)
        if let text = environment["OTEL_BSP_MAX_QUEUE_SIZE"] {
            if let count = Int(text), (512...1_000_000).contains(count) {
                tracer.spansMax = count
            } else {
                ignore("OTEL_BSP_MAX_QUEUE_SIZE", "it is not a number from 512 to 1000000")
            }
        }
    }

    private mutating func ignore(_ name: String, _ reason: String) {
        ignored.append((name, reason))
    }

    // MARK: Endpoints

    private mutating func readEndpoints(
        _ section: Configuration.Telemetry, _ environment: Environment
    ) {
        let base = environment["OTEL_EXPORTER_OTLP_ENDPOINT"] ?? section.otlpEndpoint
        for signal in Signal.allCases {
            let name = signal.rawValue.uppercased()
            if environment["OTEL_\(name)_EXPORTER"] == "none" { continue }
            if let own = environment["OTEL_EXPORTER_OTLP_\(name)_ENDPOINT"] {
                // A signal's own address is used as it is; the common one gets a path (§ OTLP/HTTP).
                endpoints[signal] = own
            } else if let base, isWanted(signal, section, environment) {
                endpoints[signal] =
                    base + (base.hasSuffix("/") ? "" : "/") + "v1/" + signal.rawValue
            }
        }
        for (signal, url) in endpoints where !Configuration.isWebURL(url) {
            endpoints[signal] = nil
            ignore("the \(signal.rawValue) endpoint", "\(url) is not an http or https URL")
        }
        for name in ["OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"] {
            if let text = environment[name], text != "http/protobuf" {
                ignore(name, "this daemon speaks http/protobuf")
            }
        }
    }

    private func isWanted(
        _ signal: Signal, _ section: Configuration.Telemetry, _ environment: Environment
    ) -> Bool {
        environment["OTEL_\(signal.rawValue.uppercased())_EXPORTER"] == "otlp"
            || section.signals.contains(signal.rawValue)
    }

    /// `name=value,name=value`, percent encoded as W3C Baggage.
    private mutating func readHeaders(_ environment: Environment) {
        guard let text = environment["OTEL_EXPORTER_OTLP_HEADERS"] else { return }
        for pair in text.split(separator: ",") {
            guard let (name, value) = Self.pair(pair) else {
                ignore("OTEL_EXPORTER_OTLP_HEADERS", "\"\(pair)\" is not name=value")
                continue
            }
            headers.append(.init(name, value))
        }
    }

    private mutating func readTimes(_ environment: Environment) {
        for (name, path) in [
            ("OTEL_EXPORTER_OTLP_TIMEOUT", \TelemetrySettings.timeout),
            ("OTEL_BSP_SCHEDULE_DELAY", \.interval),
            ("OTEL_METRIC_EXPORT_INTERVAL", \.metricsInterval),
        ] {
            guard let text = environment[name] else { continue }
            if let milliseconds = Int64(text), (1...3_600_000).contains(milliseconds) {
                self[keyPath: path] = .milliseconds(milliseconds)
            } else {
                ignore(name, "it is not a number of milliseconds from 1 to 3600000")
            }
        }
    }

    private mutating func readSampler(_ environment: Environment) {
        let argument = environment["OTEL_TRACES_SAMPLER_ARG"].flatMap(Double.init)
        switch environment["OTEL_TRACES_SAMPLER"] {
        case nil, "parentbased_traceidratio"?:
            if let argument { tracer.ratio = argument }
        case "parentbased_always_on"?: tracer.ratio = 1
        case "parentbased_always_off"?: tracer.ratio = 0
        case "always_on"?: (tracer.ratio, tracer.isParentBased) = (1, false)
        case "always_off"?: tracer.isOn = false
        case "traceidratio"?:
            tracer.ratio = argument ?? 1
            tracer.isParentBased = false
        case let other?: ignore("OTEL_TRACES_SAMPLER", "\(other) is not known here")
        }
        if !(0...1).contains(tracer.ratio) {
            ignore("OTEL_TRACES_SAMPLER_ARG", "it is not from 0 to 1")
            tracer.ratio = 1
        }
    }

    // MARK: Resource

    private static func resource(_ environment: Environment, version: String) -> OTLP.Resource {
        var values: [(String, String)] = [
            ("service.name", "omni2-native"), ("service.version", version),
            ("host.name", Process.hostName), ("process.pid", String(Process.id)),
            ("telemetry.sdk.name", "omni2-native"), ("telemetry.sdk.language", "swift"),
            ("telemetry.sdk.version", version),
        ]
        func set(_ name: String, _ value: String) {
            values.removeAll { $0.0 == name }
            values.append((name, value))
        }
        for text in environment["OTEL_RESOURCE_ATTRIBUTES"]?.split(separator: ",") ?? [] {
            if let (name, value) = pair(text) { set(name, value) }
        }
        if let name = environment["OTEL_SERVICE_NAME"] { set("service.name", name) }
        return OTLP.Resource(
            attributes: values.map { OTLP.Attribute($0.0, $0.1) },
            scopeVersion: version)
    }

    private static func pair(_ text: Substring) -> (String, String)? {
        guard let equals = text.firstIndex(of: "=") else { return nil }
        let name = text[..<equals].trimmed
        let value = text[text.index(after: equals)...].trimmed
        guard !name.isEmpty else { return nil }
        let bytes = Array(value.utf8)
        let decoded = bytes.withRawSpan { span in
            PercentEncoding.decoded(
                span, ByteRange(offset: 0, count: span.byteCount), as: .path)
        }
        return (name, decoded ?? value)
    }
}

extension Substring {
    fileprivate var trimmed: String {
        String(drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
    }
}
