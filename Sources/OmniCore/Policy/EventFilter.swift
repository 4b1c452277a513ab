/// The `filters` of one subscribe message. An empty list is no condition.
///
/// The original's rules, with its vocabulary made to match: lists pass an event that lacks the
/// field, `old_status`/`new_status` do not; everything compares without case; `state` is compared
/// with the state a breaker changed to.
public struct EventFilter: Hashable, Sendable {
    public private(set) var mcpNames: [String] = []
    public private(set) var severities: [String] = []
    public private(set) var states: [String] = []
    public private(set) var healthStatuses: [String] = []
    public private(set) var userRoles: [String] = []
    public private(set) var actionTypes: [String] = []
    public private(set) var oldStatus: String?
    public private(set) var newStatus: String?
    /// The event's number must be at least this; an event without one counts as 0.
    public private(set) var failureCyclesMin: Int?

    /// Values per list beyond which the rest of a subscription is ignored.
    static let valuesMax = 1_000

    public init() {}

    /// Unknown names and values of the wrong type are ignored, as the original ignores them.
    public init(_ filters: JSONValue?) {
        guard let filters else { return }
        mcpNames = Self.list(filters["mcp_names"] ?? filters["mcp_name"])
        severities = Self.list(filters["severity"])
        states = Self.list(filters["state"])
        healthStatuses = Self.list(filters["health_status"])
        userRoles = Self.list(filters["user_roles"])
        actionTypes = Self.list(filters["action_type"])
        oldStatus = Self.one(filters["old_status"])
        newStatus = Self.one(filters["new_status"])
        failureCyclesMin = Self.number(filters["failure_cycles"])
    }

    public func matches(_ event: EventFacts) -> Bool {
        Self.passes(event.mcpNameLowercased, mcpNames)
            && Self.passes(event.severity, severities)
            && Self.passes(event.state, states)
            && Self.passes(event.healthStatus, healthStatuses)
            && Self.passes(event.userRole, userRoles)
            && Self.passes(event.actionType, actionTypes)
            && (oldStatus == nil || oldStatus == event.oldStatus)
            && (newStatus == nil || newStatus == event.newStatus)
            && (failureCyclesMin.map { event.failureCycles ?? 0 >= $0 } ?? true)
    }

    private static func passes(_ value: String?, _ allowed: [String]) -> Bool {
        guard let value, !allowed.isEmpty else { return true }
        return allowed.contains(value)
    }

    /// One text or a list of them; sorted and without repetition, so that equal filters are equal.
    private static func list(_ value: JSONValue?) -> [String] {
        let texts = value?.strings ?? value?.string.map { [$0] } ?? []
        return Set(texts.prefix(valuesMax).filter { !$0.isEmpty }.map { $0.lowercased() }).sorted()
    }

    /// A single choice; the UI's "no choice" is an empty text.
    private static func one(_ value: JSONValue?) -> String? {
        list(value).first
    }

    private static func number(_ value: JSONValue?) -> Int? {
        if let int = value?.int { return Int(clamping: int) }
        return value?.string.flatMap { Int($0) }
    }
}

/// One subscribe message.
public struct EventSubscription: Hashable, Sendable {
    public let types: [String]
    public let filter: EventFilter

    public init(types: [String], filter: EventFilter = EventFilter()) {
        self.types = Set(types.prefix(EventFilter.valuesMax).map { $0.lowercased() }).sorted()
        self.filter = filter
    }

    public func matches(_ event: EventFacts) -> Bool {
        types.contains(event.type) && filter.matches(event)
    }
}

/// All that decides which events one connection gets. Connections of equal class share one verdict.
public struct FilterClass: Hashable, Sendable {
    public let subscriptions: Set<EventSubscription>
    public let access: EventAccess
    /// Whose flow the connection watches, if any.
    public let flowUser: Int64?
    /// False for a connection that takes flow events only.
    public let isHubMember: Bool

    public init(
        subscriptions: [EventSubscription], access: EventAccess, flowUser: Int64? = nil,
        isHubMember: Bool = true
    ) {
        self.subscriptions = Set(subscriptions)
        self.access = access
        self.flowUser = flowUser
        self.isHubMember = isHubMember
    }

    /// For somebody who is only held to servers.
    public init(
        subscriptions: [EventSubscription], servers: ServerAccess, flowUser: Int64? = nil,
        isHubMember: Bool = true
    ) {
        self.init(
            subscriptions: subscriptions,
            access: EventAccess(items: EffectiveAccess(servers: servers), isAdministrator: true),
            flowUser: flowUser, isHubMember: isHubMember)
    }

    public func matches(_ event: EventFacts) -> Bool {
        // Who may watch a flow was decided when the connection was made.
        if case .flow(let user) = event.audience {
            return flowUser == user
                || isHubMember && subscriptions.contains { $0.matches(event) }
        }
        guard access.maySee(event) else { return false }
        switch event.audience {
        case .everyone, .flow: return isHubMember
        case .subscribers:
            return isHubMember && subscriptions.contains { $0.matches(event) }
        }
    }
}
