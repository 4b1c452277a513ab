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
        self.type = type.lowercased()
        self.isAboutPeople = isAboutPeople || Self.isAboutPeople(lowercased: self.type)
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
        let bytes = data.bytes
        self = unsafe EventFacts(
            type: type, audience: audience, data: ByteRange(offset: 0, count: bytes.count),
            in: bytes.span.bytes)
    }

    /// From validated JSON, in one walk. The last of equal names counts.
    public init(
        type: String, audience: Audience = .subscribers, data: ByteRange, in bytes: RawSpan
    ) {
        var finding = Finding()
        var members = JSONMembers(of: data, in: bytes)
        while let member = members.next(in: bytes) { finding.note(member, bytes) }
        self.init(
            type: type, audience: audience, mcpName: finding.mcpName, severity: finding.severity,
            oldStatus: finding.oldStatus, newStatus: finding.newStatus,
            state: finding.newState ?? finding.state, healthStatus: finding.healthStatus,
            failureCycles: finding.failureCycles, userRole: finding.userRole ?? finding.role,
            actionType: finding.actionType, tool: finding.tool ?? finding.toolName,
            isAboutPeople: finding.isAboutPeople)
    }

    /// What a walk over the members of `data` has found.
    private struct Finding {
        var mcpName: String?
        var severity: String?
        var oldStatus: String?
        var newStatus: String?
        var newState: String?
        var state: String?
        var healthStatus: String?
        var failureCycles: Int?
        var userRole: String?
        var role: String?
        var actionType: String?
        var tool: String?
        var toolName: String?
        var isAboutPeople = false

        mutating func note(_ member: JSONMember, _ bytes: RawSpan) {
            func text() -> String? { JSONScanner.string(member.value, in: bytes) }
            switch JSONScanner.string(member.name, in: bytes) {
            case "mcp_name": mcpName = text()
            case "severity": severity = text()
            case "old_status": oldStatus = text()
            case "new_status": newStatus = text()
            case "new_state": newState = text()
            case "state": state = text()
            case "health_status": healthStatus = text()
            case "failure_cycles":
                failureCycles = JSONScanner.wholeNumber(member.value, in: bytes).map {
                    Int(clamping: $0)
                }
            case "user_role": userRole = text()
            case "role": role = text()
            case "action_type": actionType = text()
            case "tool": tool = text()
            case "tool_name": toolName = text()
            case "user_id", "user_email", "username": isAboutPeople = true
            default: break
            }
        }
    }

    private static func isAboutPeople(lowercased type: String) -> Bool {
        type.hasPrefix("user_") || type.hasPrefix("prompt_guard_") || type.hasPrefix("access_")
    }
}
