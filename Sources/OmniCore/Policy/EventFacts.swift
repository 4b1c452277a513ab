/// What can be asked of an event when deciding who gets it, taken out once when it is published, so
/// that no JSON is read per subscriber. Texts are kept in lower case: filters compare without case.
public struct EventFacts: Hashable, Sendable {
    public enum Audience: Hashable, Sendable {
        /// Whoever has a subscription that matches.
        case subscribers
        /// Every connection of the hub, whatever it subscribed to (ping, metrics, health_event).
        case everyone
        /// The watchers of one user's flow.
        case flow(user: Int64)
    }

    public let type: String
    public let audience: Audience
    /// The server the event is about, as it is written: access compares exactly.
    public let mcpName: String?
    let mcpNameLowercased: String?
    /// The tool of that server the event names, if any.
    public let tool: String?
    /// It tells what a person did: only administrators get it.
    public let isAboutPeople: Bool
    public let severity: String?
    public let oldStatus: String?
    public let newStatus: String?
    /// The new state of a breaker event.
    public let state: String?
    public let healthStatus: String?
    public let failureCycles: Int?
    public let userRole: String?
    public let actionType: String?

    public init(
        type: String, audience: Audience = .subscribers, mcpName: String? = nil,
        severity: String? = nil, oldStatus: String? = nil, newStatus: String? = nil,
        state: String? = nil, healthStatus: String? = nil, failureCycles: Int? = nil,
        userRole: String? = nil, actionType: String? = nil, tool: String? = nil,
        isAboutPeople: Bool = false
    ) {
        self.tool = tool
        self.isAboutPeople = isAboutPeople || Self.isAboutPeople(type)
        self.type = type.lowercased()
        self.audience = audience
        self.mcpName = mcpName
        mcpNameLowercased = mcpName?.lowercased()
        self.severity = severity?.lowercased()
        self.oldStatus = oldStatus?.lowercased()
        self.newStatus = newStatus?.lowercased()
        self.state = state?.lowercased()
        self.healthStatus = healthStatus?.lowercased()
        self.failureCycles = failureCycles
        self.userRole = userRole?.lowercased()
        self.actionType = actionType?.lowercased()
    }

    /// From an event that came as JSON (the Redis channel, a test broadcast).
    public init(type: String, audience: Audience = .subscribers, data: JSONValue) {
        func text(_ name: String) -> String? { data[name]?.string }
        self.init(
            type: type, audience: audience, mcpName: text("mcp_name"),
            severity: text("severity"), oldStatus: text("old_status"),
            newStatus: text("new_status"), state: text("new_state") ?? text("state"),
            healthStatus: text("health_status"),
            failureCycles: data["failure_cycles"]?.int.map { Int(clamping: $0) },
            userRole: text("user_role") ?? text("role"), actionType: text("action_type"),
            tool: text("tool") ?? text("tool_name"),
            isAboutPeople: ["user_id", "user_email", "username"].contains { data[$0] != nil })
    }

    private static func isAboutPeople(_ type: String) -> Bool {
        ["user_", "prompt_guard_", "access_"].contains { type.lowercased().hasPrefix($0) }
    }
}
