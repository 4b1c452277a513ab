import OmniCore
import OmniIO

/// What services tell about the work they do: spans and figures of requests, calls and statements.
///
/// Costs a comparison where nothing is recorded. Where a request is in its trace travels in
/// `RequestContext`; a step below it has the step above as parent.
final class Telemetry {
    let tracer: Tracer
    let requests = RequestMetrics()
    private let io: any IO
    private let clock: WallClock

    init(_ tracer: Tracer, io: any IO, clock: WallClock) {
        self.tracer = tracer
        self.io = io
        self.clock = clock
    }

    /// Counts, and records no spans.
    convenience init(io: any IO) {
        let clock = WallClock(io)
        self.init(.off(clock), io: io, clock: clock)
    }

    private var secondsSince1970: Double { Double(clock.now.nanosecondsSince1970) * 1e-9 }

    private func seconds(since start: MonotonicTime) -> Double {
        Double((MonotonicTime.read() - start).nanosecondsClamped) * 1e-9
    }

    // MARK: HTTP

    /// The context of everything done for this request; its span ends with the answer.
    func received(_ exchange: HTTPExchange) -> RequestContext {
        let request = exchange.request
        let parent = request.header("traceparent").flatMap {
            TraceContext(parent: $0, state: request.header("tracestate"))
        }
        var context = RequestContext(
            requestID: exchange.requestID, trace: tracer.enter(parent),
            baggage: Baggage.accepted(request.header("baggage")))
        guard let span = tracer.begin(request.method.name, .server, in: context.trace) else {
            return context
        }
        span.set("http.request.method", request.method.name)
        span.set("url.path", request.path)
        span.set("url.scheme", "http")
        span.set("omni2.request_id", exchange.requestID)
        span.set("client.address", ifPresent: exchange.peerAddress?.host)
        span.set("user_agent.original", ifPresent: request.header("User-Agent"))
        exchange.span = span
        context.trace = span.context
        return context
    }

    /// Called once per request, when its answer is complete or nobody waits for it any more.
    func answered(_ exchange: HTTPExchange) {
        let status = exchange.status
        requests.answered(
            method: exchange.request.method, route: exchange.route, status: status,
            seconds: seconds(since: exchange.receivedAt), bytes: exchange.bodyBytes,
            trace: exchange.span?.context, at: secondsSince1970)
        guard let span = exchange.span else { return }
        exchange.span = nil
        span.rename(exchange.request.method.name + " " + exchange.route)
        span.set("http.route", exchange.route)
        span.set("http.response.status_code", status)
        if status >= 500 { span.fail(String(status)) }
        span.end()
    }

    // MARK: Tools

    /// A step of the request at hand; nil where it is not recorded.
    func step(
        _ name: @autoclosure () -> String, _ kind: SpanRecord.Kind = .internal,
        in parent: TraceContext?
    ) -> Span? {
        tracer.begin(name(), kind, in: parent)
    }

    func toolEnded(
        _ name: String, since start: MonotonicTime, succeeded: Bool, trace: TraceContext?
    ) {
        requests.called(
            tool: name, succeeded: succeeded, seconds: seconds(since: start), trace: trace,
            at: secondsSince1970)
    }

    // MARK: MCP servers

    func asked(
        _ mcp: String, _ method: String, since start: MonotonicTime, _ error: UpstreamError?
    ) {
        requests.asked(
            mcp: mcp, method: method, status: error?.typeWord ?? "ok",
            seconds: seconds(since: start))
    }

    // MARK: Statements

    func statementBegins(_ text: String, system: String) -> Statement {
        Statement(
            span: statementSpan(text, system: system, in: RequestContext.current?.trace),
            start: MonotonicTime.read())
    }

    func statementSpan(_ text: String, system: String, in parent: TraceContext?) -> Span? {
        lazy var operation = String(text.prefix { $0 != " " && $0 != "\n" })
        let span = step(operation, .client, in: parent)
        span?.set("db.system.name", system)
        span?.set("db.operation.name", operation)
        // With placeholders: values are not part of it.
        span?.set("db.query.text", text)
        return span
    }

    func statementEnded(_ statement: Statement, error: String?) {
        requests.ran(
            statementSeconds: seconds(since: statement.start), succeeded: error == nil)
        if let error { statement.span?.fail("database", error) }
        statement.span?.end()
    }

    struct Statement {
        let span: Span?
        let start: MonotonicTime
    }
}

extension RequestContext {
    /// What a request to somebody else says about where it belongs.
    func headers(_ trace: TraceContext?) -> [HTTPClientRequest.Header] {
        var headers = [HTTPClientRequest.Header("X-Request-ID", requestID)]
        if let trace {
            headers.append(.init("traceparent", trace.parent))
            if !trace.state.isEmpty { headers.append(.init("tracestate", trace.state)) }
        }
        if let baggage { headers.append(.init("baggage", baggage)) }
        return headers
    }
}

extension TraceContext {
    /// This position as MCP carries Trace Context in `params._meta` (SEP-414).
    func changes(baggage: String?) -> [JSONSplice.Change] {
        var changes: [JSONSplice.Change] = [.init("traceparent", parentJSON)]
        if !state.isEmpty { changes.append(.init("tracestate", value: .string(state))) }
        if let baggage { changes.append(.init("baggage", value: .string(baggage))) }
        return changes
    }
}
