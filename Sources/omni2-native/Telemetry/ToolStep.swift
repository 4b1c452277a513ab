import OmniCore
import OmniIO

/// One tool call in the figures and, when its trace is recorded, a span: from where it came in to
/// its outcome, whoever answered it.
final class ToolStep {
    /// What the steps below have as parent.
    let trace: TraceContext?
    private let tool: String
    private let startedAt = MonotonicTime.read()
    private let telemetry: Telemetry
    /// Nil where it is not recorded, and when it has ended.
    private(set) var span: Span?
    private var hasEnded = false

    init(_ tool: String, of user: String, in parent: TraceContext?, by telemetry: Telemetry) {
        self.tool = tool
        self.telemetry = telemetry
        span = telemetry.step("tools/call \(tool)", .server, in: parent)
        span?.set("mcp.method.name", "tools/call")
        span?.set("rpc.system.name", "jsonrpc")
        span?.set("gen_ai.operation.name", "execute_tool")
        span?.set("gen_ai.tool.name", tool)
        span?.set("enduser.id", user)
        trace = span?.context ?? parent
    }

    /// A second round of the same call is no call of its own.
    func end(_ outcome: ToolOutcome) {
        guard !hasEnded else { return }
        hasEnded = true
        var failure: (type: String, text: String)?
        switch outcome {
        case .result(_, let mark): if let mark { span?.set("omni2.cache.hit", mark.isHit) }
        case .refused(let code, let text, _): failure = (String(code), text)
        case .unavailable(let state, _): failure = ("circuit_\(state)", "not available")
        case .failed(let reason): failure = ("upstream", reason)
        case .cancelled: failure = ("cancelled", "the caller took it back")
        case .tooLarge: failure = ("too_large", "the result is too large")
        }
        if let failure { span?.fail(failure.type, failure.text) }
        telemetry.toolEnded(
            tool, since: startedAt, succeeded: failure == nil, trace: span?.context)
        span?.end()
        span = nil
    }
}
