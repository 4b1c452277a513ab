import OmniCore
import OmniIO

/// What one request did, checkpoint by checkpoint: a tree whose roots are the first gate and whatever
/// went wrong outside of any.
///
///     auth_check → block_check → usage_check → mcp_permission_check → tool_filter → llm_thinking
///                                                                         └─────────┴─► cache_lookup
///                                                                                       circuit_check
///                                                                                       tool_call
///                                                                                       llm_complete
///
/// Noting a checkpoint appends one value. Everything else (text, streams, tables) is done by the
/// tracker when the request has been answered, except for users who are watched live.
final class Flow {
    /// Where the request came from: the original's words, and `rest` for its REST calls.
    enum Source: String, Sendable {
        case chat
        case gateway = "mcp_gateway"
        case rest
    }

    let id: FlowID
    let source: Source
    /// 0 for whoever has no row in `users`: the operator.
    let user: Int
    let conversation: FlowID?
    let requestID: String
    /// Where its row belongs in the trace of the request; nil where it is no part of one.
    let trace: TraceContext?
    /// Microseconds since 1970 UTC.
    let began: UInt64
    private(set) var ended: UInt64?
    private(set) var checkpoints: [Checkpoint] = []
    /// Checkpoints beyond the limit: counted, not kept.
    private(set) var dropped = 0
    /// The gate passed last: the parent of the next one.
    private(set) var tip = FlowNode.none
    /// Live watchers see each checkpoint as it comes. Decided once, when the flow begins.
    let isLive: Bool
    /// How many checkpoints have been streamed.
    var streamed = 0
    private var calls = 0
    private unowned let tracker: FlowTracker

    init(
        id: FlowID, source: Source, user: Int, conversation: FlowID?, requestID: String,
        trace: TraceContext?, began: UInt64, isLive: Bool, tracker: FlowTracker
    ) {
        self.id = id
        self.source = source
        self.user = user
        self.conversation = conversation
        self.requestID = requestID
        self.trace = trace
        self.began = began
        self.isLive = isLive
        self.tracker = tracker
        checkpoints.reserveCapacity(10)
    }

    var isEnded: Bool { ended != nil }

    /// A gate was passed, or not; the next one is its child.
    func gate(_ kind: CheckpointKind, passed: Bool = true, _ fields: [Checkpoint.Field] = []) {
        tip = note(
            kind, under: tip, [("status", passed ? "passed" : "failed")] + fields)
    }

    /// `took` is told where the checkpoint is the end of something.
    @discardableResult
    func note(
        _ kind: CheckpointKind, under parent: FlowNode, took: Duration? = nil,
        _ fields: [Checkpoint.Field] = []
    ) -> FlowNode {
        guard !isEnded else { return parent }
        guard checkpoints.count < tracker.checkpointsMax else {
            dropped += 1
            return parent
        }
        let last = checkpoints.last?.time ?? 0
        let checkpoint = Checkpoint(
            kind: kind, id: tracker.nextID(), parent: parent.index,
            time: max(tracker.wallTime, last + 1), duration: took, fields: fields)
        checkpoints.append(checkpoint)
        tracker.noted(checkpoint, in: self)
        return FlowNode(index: checkpoints.count - 1)
    }

    /// Something went wrong outside of any call.
    func fail(_ reason: String) { note(.error, under: .none, [("error", .string(reason))]) }

    /// A call of a tool begins, under the gate passed last or under what the model was thinking.
    func call(_ tool: String, of server: String, under parent: FlowNode? = nil) -> FlowCall {
        calls += 1
        return FlowCall(
            flow: self, parent: parent ?? tip, number: calls, server: server, tool: tool,
            began: tracker.now)
    }

    /// Once; later calls do nothing.
    func finish() {
        guard !isEnded else { return }
        ended = max(tracker.wallTime, checkpoints.last?.time ?? 0)
        tracker.finished(self)
    }

    /// Flows that nobody finishes in time are saved as they are.
    func cutOff() {
        note(.error, under: .none, [("error", "too many flows at a time, saved unfinished")])
        finish()
    }
}

/// One call of a tool inside a flow. Its checkpoints are brothers, told from those of parallel calls
/// by `call`.
struct FlowCall {
    enum Lookup: String {
        case hit, stale, miss
        /// Another host's result.
        case remote
        /// The same call is under way: its result is waited for.
        case joined
        /// The tool's results are not cached.
        case off
    }

    let flow: Flow
    let parent: FlowNode
    let number: Int
    let server: String
    let tool: String
    let began: MonotonicTime

    private var names: [Checkpoint.Field] {
        [("mcp", .string(server)), ("tool", .string(tool)), ("call", JSONValue(number))]
    }

    func looked(_ lookup: Lookup) {
        let isHit = lookup == .hit || lookup == .stale || lookup == .remote
        flow.note(
            .cacheLookup, under: parent,
            names + [("result", .string(lookup.rawValue)), ("hit", .bool(isHit))])
    }

    func circuit(_ state: String, passed: Bool) {
        flow.note(
            .circuitCheck, under: parent,
            names + [("status", passed ? "passed" : "failed"), ("state", .string(state))])
    }

    func ended(_ outcome: ToolOutcome, at now: MonotonicTime) {
        var fields = names
        fields.append(("source", .string(flow.source.rawValue)))
        fields.append(("status", outcome.isSuccess ? "passed" : "failed"))
        fields.append(("outcome", .string(outcome.word)))
        if let error = outcome.problem { fields.append(("error", .string(error))) }
        flow.note(.toolCall, under: parent, took: now - began, fields)
    }
}

extension ToolOutcome {
    /// For analytics: how the call ended, in a word.
    fileprivate var word: String {
        switch self {
        case .result(let result, let mark):
            if Self.isError(result) { "tool_error" } else if mark != nil { "cached" } else { "ok" }
        case .refused: "refused"
        case .unavailable: "unavailable"
        case .failed(let reason): reason.hasPrefix("timed out") ? "timed_out" : "failed"
        case .cancelled: "cancelled"
        case .tooLarge: "too_large"
        }
    }

    var isSuccess: Bool {
        if case .result(let result, _) = self { !Self.isError(result) } else { false }
    }

    fileprivate var problem: String? {
        switch self {
        case .result(let result, _): Self.isError(result) ? "the tool reported an error" : nil
        case .refused(let code, let message, _): "\(message.prefix(500)) (\(code))"
        case .unavailable(let state, _): "circuit \(state)"
        case .failed(let reason): String(reason.prefix(500))
        case .cancelled: "the caller took it back"
        case .tooLarge(let limit): "larger than \(limit) bytes"
        }
    }

    private static func isError(_ result: [UInt8]) -> Bool {
        result.withRawSpan { bytes in
            ResultFacts.read(ByteRange(offset: 0, count: bytes.byteCount), in: bytes).isError
        }
    }
}
