import OmniCore

/// What a request can come by. The raw values are the original's `event_type`s, by which dashboards
/// and their SQL know them.
enum CheckpointKind: String, Sendable, CaseIterable {
    case authCheck = "auth_check"
    case blockCheck = "block_check"
    case usageCheck = "usage_check"
    case permissionCheck = "mcp_permission_check"
    case toolFilter = "tool_filter"
    case thinking = "llm_thinking"
    case cacheLookup = "cache_lookup"
    case circuitCheck = "circuit_check"
    case toolCall = "tool_call"
    case complete = "llm_complete"
    case error = "error"
}

/// One node of a flow's tree, as it was noted: made on the request's path, so it is a handful of
/// words; its text is written later.
struct Checkpoint {
    typealias Field = (name: StaticString, value: JSONValue)

    let kind: CheckpointKind
    let id: FlowID
    /// Place of the parent in the flow; -1 for a root.
    let parent: Int
    /// Microseconds since 1970 UTC; never the same twice in one flow, so that sorting keeps order.
    let time: UInt64
    /// How long it took, where it took time.
    let duration: Duration?
    let fields: [Field]
}

/// Names one node of one flow.
struct FlowNode: Sendable {
    let index: Int

    /// Nobody's child.
    static let none = FlowNode(index: -1)
}
