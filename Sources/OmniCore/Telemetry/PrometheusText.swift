/// Measurements as Prometheus reads them: the text format 0.0.4, or OpenMetrics 1.0 for those who
/// ask for it, with the traces that observations belong to.
public struct PrometheusText: MetricSink {
    public enum Format: Sendable {
        case text, openMetrics

        public var contentType: StaticString {
            switch self {
            case .text: "text/plain; version=0.0.4; charset=utf-8"
            case .openMetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8"
            }
        }
    }

    private let format: Format
    private var bytes: [UInt8] = []
    private var family = MetricFamily("", .gauge, "")

    public init(_ format: Format, reserving count: Int = 0) {
        self.format = format
        bytes.reserveCapacity(count)
    }

    /// The whole text.
    public consuming func finished() -> [UInt8] {
        if format == .openMetrics { append("# EOF\n") }
        return bytes
    }

    public mutating func begin(_ family: MetricFamily) {
        self.family = family
        let name = format == .text ? family.seriesName : family.name
        append("# HELP ")
        append(name)
        append(" ")
        append(family.help)
        append("\n# TYPE ")
        append(name)
        append(" ")
        append(family.kind.rawValue)
        append("\n")
    }

    public mutating func value(_ value: Double, _ labels: MetricLabels?) {
        append(family.seriesName)
        append(labels: labels)
        append(" ")
        append(number: value)
        append("\n")
    }

    public mutating func histogram(_ histogram: Histogram, _ labels: MetricLabels?) {
        var sum: UInt64 = 0
        for (index, count) in histogram.counts.enumerated() {
            sum += count
            let isLast = index == histogram.bounds.count
            append(family.name)
            append("_bucket")
            append(labels: labels, "le", isLast ? nil : histogram.bounds[index])
            append(" ")
            append(number: Double(sum))
            if format == .openMetrics, !histogram.exemplars.isEmpty,
                let exemplar = histogram.exemplars[index]
            {
                append(exemplar)
            }
            append("\n")
        }
        appendEnd(histogram.sum, histogram.count, labels)
    }

    public mutating func summary(_ summary: RecentQuantiles, _ labels: MetricLabels?) {
        for (quantile, value) in zip(summaryQuantiles, summary.quantiles(summaryQuantiles)) {
            append(family.name)
            append(labels: labels, "quantile", quantile)
            append(" ")
            append(number: value)
            append("\n")
        }
        appendEnd(summary.sum, summary.count, labels)
    }

    // MARK: Pieces

    private mutating func appendEnd(_ sum: Double, _ count: UInt64, _ labels: MetricLabels?) {
        append(family.name)
        append("_sum")
        append(labels: labels)
        append(" ")
        append(number: sum)
        append("\n")
        append(family.name)
        append("_count")
        append(labels: labels)
        append(" ")
        append(number: Double(count))
        append("\n")
    }

    private mutating func append(_ exemplar: Histogram.Exemplar) {
        append(" # {trace_id=\"")
        append(exemplar.traceID.text)
        append("\",span_id=\"")
        append(TraceContext.text(exemplar.spanID))
        append("\"} ")
        append(number: exemplar.value)
        append(" ")
        append(number: exemplar.secondsSince1970)
    }

    private mutating func append(labels: MetricLabels?) {
        guard let labels, !labels.text.isEmpty else { return }
        append("{")
        append(labels.text)
        append("}")
    }

    /// With one more label, whose value is a number; nil is `+Inf`.
    private mutating func append(labels: MetricLabels?, _ name: String, _ value: Double?) {
        append("{")
        if let labels, !labels.text.isEmpty {
            append(labels.text)
            append(",")
        }
        append(name)
        append("=\"")
        if let value { append(bound: value) } else { append("+Inf") }
        append("\"}")
    }

    /// OpenMetrics wants bounds as floating point numbers, always.
    private mutating func append(bound: Double) {
        if format == .openMetrics { append("\(bound)") } else { append(number: bound) }
    }

    private mutating func append(number: Double) {
        if number.isNaN { return append("NaN") }
        // Whole numbers as such: counters stay exact and short.
        if number.magnitude < 9e15, number == number.rounded() {
            append(whole: Int64(number))
        } else if number.isInfinite {
            append(number < 0 ? "-Inf" : "+Inf")
        } else {
            append("\(number)")
        }
    }

    private mutating func append(whole number: Int64) {
        if number < 0 { bytes.append(UInt8(ascii: "-")) }
        let start = bytes.count
        var rest = number.magnitude
        repeat {
            bytes.append(UInt8(ascii: "0") + UInt8(rest % 10))
            rest /= 10
        } while rest > 0
        bytes[start...].reverse()
    }

    private mutating func append(_ text: String) { bytes.append(contentsOf: text.utf8) }
}
