import OmniCore
import Testing

@Suite("Prometheus text")
struct PrometheusTextTests {
    private static let calls = MetricFamily("calls", .counter, "Calls.", labels: ["tool"])
    private static let time = MetricFamily("time_seconds", .histogram, "Time.")

    private func text(_ format: PrometheusText.Format, _ body: (inout PrometheusText) -> Void)
        -> String
    {
        var writer = PrometheusText(format)
        body(&writer)
        return String(decoding: writer.finished(), as: UTF8.self)
    }

    @Test func aCounterHasTotalInItsName() {
        let labels = MetricLabels(Self.calls, ["a\"b\\c\nd"])
        let lines = text(.text) {
            $0.begin(Self.calls)
            $0.value(3, labels)
        }
        #expect(
            lines == """
                # HELP calls_total Calls.
                # TYPE calls_total counter
                calls_total{tool="a\\"b\\\\c\\nd"} 3

                """)
    }

    @Test func openMetricsNamesTheFamilyAndEnds() {
        let lines = text(.openMetrics) {
            $0.begin(Self.calls)
            $0.value(3, MetricLabels(Self.calls, ["a"]))
        }
        #expect(
            lines == """
                # HELP calls Calls.
                # TYPE calls counter
                calls_total{tool="a"} 3
                # EOF

                """)
    }

    @Test func bucketsAreCumulative() {
        var histogram = Histogram(bounds: [0.1, 1])
        for value in [0.05, 0.1, 0.5, 3] { histogram.observe(value) }
        let lines = text(.text) {
            $0.begin(Self.time)
            $0.histogram(histogram, nil)
        }
        #expect(lines.contains(#"time_seconds_bucket{le="0.1"} 2"#))
        #expect(lines.contains(#"time_seconds_bucket{le="1"} 3"#))
        #expect(lines.contains(#"time_seconds_bucket{le="+Inf"} 4"#))
        #expect(lines.contains("time_seconds_count 4"))
        #expect(lines.contains("time_seconds_sum 3.65"))
    }

    @Test func quantilesAreExactOverTheLast() {
        var quantiles = RecentQuantiles(capacity: 100)
        #expect(quantiles.quantiles([0.5])[0].isNaN)
        for value in 1...250 { quantiles.observe(Double(value)) }
        #expect(quantiles.quantiles([0, 0.5, 0.99, 1]) == [151, 200, 249, 250])
        #expect(quantiles.count == 250)
        #expect(quantiles.sum == 31_375)
    }

    @Test(arguments: [
        (0.0, "0"), (-3.0, "-3"), (1.5, "1.5"), (8_999_999_999_999_999, "8999999999999999"),
        (.infinity, "+Inf"), (-.infinity, "-Inf"), (.nan, "NaN"),
    ])
    func numbers(_ number: Double, _ written: String) {
        let gauge = MetricFamily("g", .gauge, "G.")
        let lines = text(.text) { $0.only(gauge, number) }
        #expect(lines.hasSuffix("g \(written)\n"))
    }
}
