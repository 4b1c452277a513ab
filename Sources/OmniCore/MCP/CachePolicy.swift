/// Whether answers of a server's tools may be kept: the registry's word, which annotations can only
/// veto. Never on by itself, because read-only and idempotent say nothing about whether the answer
/// stays the same (a clock's `get_current_time` is both).
public struct CachePolicy: Hashable, Sendable {
    public enum Mode: String, Hashable, Sendable, CaseIterable {
        case off
        /// The tools the operator named.
        case listed
        /// Every tool of the server that says it is read-only.
        case readOnly = "read_only"
    }

    /// Who shares an entry.
    public enum Sharing: String, Hashable, Sendable, CaseIterable {
        case shared, role, user
    }

    public var mode: Mode
    /// nil: the cache's default.
    public var timeToLive: Duration?
    public var sharing: Sharing
    /// For `listed`: the server's own tool names.
    public var tools: Set<String>
    /// The operator insists against a tool's own annotations. Only for `listed`.
    public var overridesVeto: Bool

    public init(
        mode: Mode = .off, timeToLive: Duration? = nil, sharing: Sharing = .user,
        tools: Set<String> = [], overridesVeto: Bool = false
    ) {
        self.mode = mode
        self.timeToLive = timeToLive
        self.sharing = sharing
        self.tools = tools
        self.overridesVeto = overridesVeto
    }

    public static let off = CachePolicy()

    public enum Decision: Hashable, Sendable {
        case yes
        case no(Reason)
    }

    public enum Reason: UInt8, Hashable, Sendable {
        case policyIsOff, notListed
        /// `readOnlyHint` is false, or (for `read_only`) not said.
        case notReadOnly
        /// `destructiveHint` is said to be true.
        case destructive
        // Of a single call or answer:
        case incomplete, isError, task, secondLeg, tooLarge

        public var sentence: StaticString {
            switch self {
            case .policyIsOff: "caching is off for this server"
            case .notListed: "the tool is not listed for caching"
            case .notReadOnly: "the tool does not say that it is read-only"
            case .destructive: "the tool says that it is destructive"
            case .incomplete: "the result is not complete"
            case .isError: "the result is an error"
            case .task: "the call makes a task"
            case .secondLeg: "the call answers a question of the server"
            case .tooLarge: "the result is too large"
            }
        }
    }

    /// Whether calls of this tool may be cached at all. Asked when a list or a policy changes.
    public func cacheable(tool: String, annotations: ToolAnnotations) -> Decision {
        switch mode {
        case .off: return .no(.policyIsOff)
        case .listed:
            guard tools.contains(tool) else { return .no(.notListed) }
            if overridesVeto { return .yes }
            // Silence is no veto here: the operator named the tool, and most servers say nothing.
            if annotations.saidReadOnly == false { return .no(.notReadOnly) }
        case .readOnly:
            guard annotations.isReadOnly else { return .no(.notReadOnly) }
        }
        return annotations.saidDestructive == true ? .no(.destructive) : .yes
    }

    /// Whether this call may be answered from the cache or fill it.
    public static func cacheable(call parameters: MCPParameters) -> Decision {
        if parameters.task != nil { return .no(.task) }
        if parameters.inputResponses != nil || parameters.requestState != nil {
            return .no(.secondLeg)
        }
        return .yes
    }

    /// Whether this answer may be stored.
    public static func storable(_ result: ResultFacts, bytesMax: Int) -> Decision {
        switch result.completeness {
        case .complete: break
        case .task: return .no(.task)
        case .inputRequired, .other: return .no(.incomplete)
        }
        if result.isError { return .no(.isError) }
        return result.whole.count <= bytesMax ? .yes : .no(.tooLarge)
    }
}
