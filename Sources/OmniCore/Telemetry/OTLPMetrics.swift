/// Measurements as one `ExportMetricsServiceRequest`: cumulative since the daemon's start.
public struct OTLPMetrics: MetricSink {
    private let resource: OTLP.Resource
    private let start: UInt64
    private let now: UInt64
    private var metrics = ProtobufWriter(reserving: 16 << 10)
    private var family: MetricFamily?
    private var points = ProtobufWriter()

    /// Times in nanoseconds since 1970.
    public init(_ resource: OTLP.Resource, startedAt start: UInt64, now: UInt64) {
        self.resource = resource
        self.start = start
        self.now = now
    }

    public consuming func finished() -> [UInt8] {
        endFamily()
        return OTLP.request(metrics, of: resource)
    }

    public mutating func begin(_ family: MetricFamily) {
        endFamily()
        self.family = family
        points = ProtobufWriter()
    }

    /// A family without values is left out: there is nothing to say.
    private mutating func endFamily() {
        guard let family, !points.bytes.isEmpty else { return }
        let points = points
        metrics.message(2) { metric in
            // OpenTelemetry's names carry no `_total`; a Prometheus behind it adds it again.
            metric.text(1, family.name)
            metric.text(2, family.help)
            metric.text(3, family.unit)
            switch family.kind {
            case .gauge: metric.message(5) { $0.raw(points) }
            case .counter:
                metric.message(7) { sum in
                    sum.raw(points)
                    sum.number(2, 2)
                    sum.truth(3, true)
                }
            case .histogram:
                metric.message(9) { histogram in
                    histogram.raw(points)
                    histogram.number(2, 2)
                }
            case .summary: metric.message(11) { $0.raw(points) }
            }
        }
    }

    public mutating func value(_ value: Double, _ labels: MetricLabels?) {
        let (start, now) = (start, now)
        points.message(1) { point in
            point.fixed64(2, start)
            point.fixed64(3, now)
            point.double(4, value)
            Self.write(labels, field: 7, into: &point)
        }
    }

    public mutating func histogram(_ histogram: Histogram, _ labels: MetricLabels?) {
        let (start, now) = (start, now)
        points.message(1) { point in
            point.fixed64(2, start)
            point.fixed64(3, now)
            point.fixed64(4, histogram.count)
            point.double(5, histogram.sum)
            point.packed(6, fixed64: histogram.counts)
            point.packed(7, fixed64: histogram.bounds.map(\.bitPattern))
            for case let exemplar? in histogram.exemplars {
                point.message(8) { writer in
                    writer.fixed64(2, UInt64(exemplar.secondsSince1970 * 1e9))
                    writer.double(3, exemplar.value)
                    writer.identifier(4, exemplar.spanID)
                    writer.identifier(5, exemplar.traceID.high, exemplar.traceID.low)
                }
            }
            Self.write(labels, field: 9, into: &point)
        }
    }

    public mutating func summary(_ summary: RecentQuantiles, _ labels: MetricLabels?) {
        let (start, now) = (start, now)
        points.message(1) { point in
            point.fixed64(2, start)
            point.fixed64(3, now)
            point.fixed64(4, summary.count)
            point.double(5, summary.sum)
            for (quantile, value) in zip(summaryQuantiles, summary.quantiles(summaryQuantiles)) {
                point.message(6) { writer in
                    writer.double(1, quantile)
                    writer.double(2, value)
                }
            }
            Self.write(labels, field: 7, into: &point)
        }
    }

    private static func write(
        _ labels: MetricLabels?, field: Int, into writer: inout ProtobufWriter
    ) {
        guard let labels else { return }
        OTLP.write(
            zip(labels.names, labels.values).map { OTLP.Attribute($0, $1) },
            field: field, into: &writer)
    }
}

extension MetricFamily {
    /// The unit is part of the name, as Prometheus has it; OTLP also says it in UCUM.
    fileprivate var unit: String {
        if name.hasSuffix("_seconds") { return "s" }
        if name.hasSuffix("_bytes") { return "By" }
        return ""
    }
}
