public import OmniCore

/// Which request the work at hand belongs to. Set where a request comes in, inherited by every task
/// born in it, and read where something is said about it: journal, statements, calls to others.
public struct RequestContext: Sendable {
    public let requestID: String
    /// Where the request stands in its trace; nil when it belongs to none.
    public var trace: TraceContext?
    /// The caller's W3C baggage, passed on to servers.
    public let baggage: String?

    public init(requestID: String, trace: TraceContext?, baggage: String? = nil) {
        self.requestID = requestID
        self.trace = trace
        self.baggage = baggage
    }

    /// Written out: what the macro generates is named in the debug information by where it was built.
    private static let taskLocal = TaskLocal<RequestContext?>(wrappedValue: nil)

    public static var current: RequestContext? { taskLocal.get() }

    /// Runs `body`, and every task born in it, as part of this request.
    public func run<Result>(_ body: () -> Result) -> Result {
        Self.taskLocal.withValue(self, operation: body)
    }
}
