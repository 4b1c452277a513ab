import OmniCore

/// What is counted while requests are answered: HTTP, tools, MCP servers, statements.
///
/// Everything else at `/metrics` is read from the services when it is asked for. Tables are bounded:
/// a label set beyond `seriesMax` is counted under "other".
final class RequestMetrics {
    static let seriesMax = 2000

    struct HTTPSeries {
        let labels: MetricLabels
        let sizeLabels: MetricLabels
        var duration = Histogram(bounds: Histogram.requestBounds)
        var lastBytes = 0
    }

    struct ToolSeries {
        let labels: MetricLabels
        let succeededLabels: MetricLabels
        let failedLabels: MetricLabels
        var succeeded: UInt64 = 0
        var failed: UInt64 = 0
        var duration = Histogram(bounds: Histogram.toolBounds)
    }

    struct UpstreamSeries {
        let labels: MetricLabels
        let mcp: String
        let method: String
        var duration = Histogram(bounds: Histogram.toolBounds)
        /// By `status`; the errors among them are the families' `error_type` as well.
        var outcomes: [String: (count: UInt64, labels: MetricLabels)] = [:]
    }

    private struct HTTPKey: Hashable {
        let method: String
        let route: String
        let status: Int
    }

    private struct UpstreamKey: Hashable {
        let mcp: String
        let method: String
    }

    private var httpIndex: [HTTPKey: Int] = [:]
    private(set) var http: [HTTPSeries] = []
    private var toolIndex: [String: Int] = [:]
    private(set) var tools: [ToolSeries] = []
    private var upstreamIndex: [UpstreamKey: Int] = [:]
    private(set) var upstreams: [UpstreamSeries] = []
    private(set) var statementsSucceeded = Histogram(bounds: Histogram.requestBounds)
    private(set) var statementsFailed = Histogram(bounds: Histogram.requestBounds)

    static let other = "other"

    // MARK: HTTP

    /// `route` is a pattern, never a path: strangers must not be able to make series.
    func answered(
        method: HTTPMethod, route: String, status: Int, seconds: Double, bytes: Int,
        trace: TraceContext?, at secondsSince1970: Double
    ) {
        let index = index(method: method.name, route, status)
        http[index].lastBytes = bytes
        if let trace, trace.isSampled {
            http[index].duration.observe(
                seconds, trace: trace, secondsSince1970: secondsSince1970)
        } else {
            http[index].duration.observe(seconds)
        }
    }

    private func index(method: String, _ route: String, _ status: Int) -> Int {
        let key = HTTPKey(method: method, route: route, status: status)
        if let index = httpIndex[key] { return index }
        http.append(
            HTTPSeries(
                labels: MetricLabels(
                    MetricFamilies.httpRequests, [method, route, String(status)]),
                sizeLabels: MetricLabels(MetricFamilies.httpResponseSize, [method, route])))
        httpIndex[key] = http.count - 1
        return http.count - 1
    }

    // MARK: Tools

    func called(
        tool name: String, succeeded: Bool, seconds: Double, trace: TraceContext?,
        at secondsSince1970: Double
    ) {
        let index = toolIndex(of: name)
        if succeeded { tools[index].succeeded += 1 } else { tools[index].failed += 1 }
        if let trace, trace.isSampled {
            tools[index].duration.observe(
                seconds, trace: trace, secondsSince1970: secondsSince1970)
        } else {
            tools[index].duration.observe(seconds)
        }
    }

    private func toolIndex(of name: String) -> Int {
        if let index = toolIndex[name] { return index }
        if tools.count >= Self.seriesMax, name != Self.other { return toolIndex(of: Self.other) }
        tools.append(
            ToolSeries(
                labels: MetricLabels(MetricFamilies.toolDuration, [name]),
                succeededLabels: MetricLabels(MetricFamilies.toolExecutions, [name, "success"]),
                failedLabels: MetricLabels(MetricFamilies.toolExecutions, [name, "error"])))
        toolIndex[name] = tools.count - 1
        return tools.count - 1
    }

    // MARK: MCP servers

    func asked(mcp: String, method: String, status: String, seconds: Double) {
        let index = upstreamIndex(of: mcp, method)
        upstreams[index].duration.observe(seconds)
        if upstreams[index].outcomes[status] == nil {
            let (mcp, method) = (upstreams[index].mcp, upstreams[index].method)
            upstreams[index].outcomes[status] = (
                0, MetricLabels(MetricFamilies.upstreamRequests, [mcp, method, status])
            )
        }
        upstreams[index].outcomes[status]?.count += 1
    }

    private func upstreamIndex(of mcp: String, _ method: String) -> Int {
        let key = UpstreamKey(mcp: mcp, method: method)
        if let index = upstreamIndex[key] { return index }
        if upstreams.count >= Self.seriesMax, mcp != Self.other {
            return upstreamIndex(of: Self.other, Self.other)
        }
        upstreams.append(
            UpstreamSeries(
                labels: MetricLabels(MetricFamilies.upstreamDuration, [mcp, method]), mcp: mcp,
                method: method))
        upstreamIndex[key] = upstreams.count - 1
        return upstreams.count - 1
    }

    // MARK: Statements

    func ran(statementSeconds seconds: Double, succeeded: Bool) {
        if succeeded {
            statementsSucceeded.observe(seconds)
        } else {
            statementsFailed.observe(seconds)
        }
    }
}

extension UpstreamError {
    /// A word of a small set, for a label.
    var typeWord: String {
        switch self {
        case .transport: "transport"
        case .timedOut: "timeout"
        case .unanswered: "unanswered"
        case .sessionExpired: "session_expired"
        case .rpc: "rpc"
        case .protocolViolation: "protocol"
        case .tooLarge: "too_large"
        case .notConnected: "not_connected"
        case .overloaded: "overloaded"
        case .stopped: "cancelled"
        }
    }
}
