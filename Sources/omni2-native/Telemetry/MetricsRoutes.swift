import OmniCore
import OmniIO

/// `/metrics`: for Prometheus, in the format its Accept header asks for.
final class MetricsRoutes {
    private let collector: MetricsCollector
    /// As long as the last answer: the next one is written without growing.
    private var lastBytes = 32 << 10

    init(_ collector: MetricsCollector) { self.collector = collector }

    func add(to router: inout Router, isOpen: Bool) {
        router.on(
            .get, "/metrics", isOpen ? .open : .authenticated,
            "Shows the figures to Prometheus".described.answering(.ok, type: "text/plain")
        ) { [unowned self] call in call.respond(self.answer(to: call.request)) }
    }

    private func answer(to request: HTTPRequest) -> HTTPResponse {
        let wantsOpenMetrics =
            request.header("Accept")?.contains("application/openmetrics-text") ?? false
        let format: PrometheusText.Format = wantsOpenMetrics ? .openMetrics : .text
        var sink: any MetricSink = PrometheusText(format, reserving: lastBytes + 4096)
        collector.collect(into: &sink)
        guard let text = sink as? PrometheusText else {
            preconditionFailure("the sink of a scrape became another one")
        }
        var response = HTTPResponse(.ok)
        response.contentType = format.contentType
        response.body = text.finished()
        lastBytes = response.body.count
        return response
    }
}
