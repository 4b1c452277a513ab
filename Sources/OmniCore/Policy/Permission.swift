/// What somebody may do, all of it: the one value that routes, MCP methods, events and limits ask.
///
/// Made by `AccessRules` out of role, teams and override; never changed, but replaced as a whole.
public struct Permission: Hashable, Sendable {
    /// What a role may be let into as a whole: `omni_services`.
    public enum Service: String, Hashable, Sendable, CaseIterable {
        case chat, mcp
    }

    /// `dashboard_access`: each includes what stands before it.
    public enum Dashboard: String, Hashable, Sendable, Comparable {
        case none, view, operate, admin

        private var rank: Int {
            switch self {
            case .none: 0
            case .view: 1
            case .operate: 2
            case .admin: 3
            }
        }

        public static func < (left: Self, right: Self) -> Bool { left.rank < right.rank }
    }

    /// Servers, and within them tools, resources and prompts.
    public var items: EffectiveAccess
    public var services: Set<Service>
    public var dashboard: Dashboard
    /// Requests per hour; nil: as many as one likes.
    public var requestsPerHour: Int?
    /// Dollars per day; nil: as many as one likes.
    public var costPerDay: Double?
    /// How long a session of a person lasts, in seconds.
    public var sessionSeconds: Int

    public init(
        items: EffectiveAccess, services: Set<Service>, dashboard: Dashboard,
        requestsPerHour: Int? = nil, costPerDay: Double? = nil, sessionSeconds: Int = 3600
    ) {
        self.items = items
        self.services = services
        self.dashboard = dashboard
        self.requestsPerHour = requestsPerHour
        self.costPerDay = costPerDay
        self.sessionSeconds = sessionSeconds
    }

    /// The operator's: the administrator's token, root on the Unix socket.
    public static let everything = Permission(
        items: .everything, services: Set(Service.allCases), dashboard: .admin)
    public static let nothing = Permission(items: .nothing, services: [], dashboard: .none)

    public var isAdministrator: Bool { dashboard == .admin }
    /// May act on servers, cache and monitoring, and not on people.
    public var isOperator: Bool { dashboard >= .operate }

    /// Events about servers need `dashboard`, events about people the administrator.
    public var events: EventAccess {
        EventAccess(
            items: dashboard == .none ? .nothing : items, isAdministrator: isAdministrator,
            isMember: dashboard != .none)
    }
}

/// Which events somebody gets. Connections of equal access share one verdict per event.
public struct EventAccess: Hashable, Sendable {
    public var items: EffectiveAccess
    /// Events about people: log-ins, actions, what the prompt guard found.
    public var isAdministrator: Bool
    /// Events about the host: metrics, pings, what operators publish.
    public var isMember: Bool

    public init(items: EffectiveAccess, isAdministrator: Bool, isMember: Bool = true) {
        self.items = items
        self.isAdministrator = isAdministrator
        self.isMember = isMember
    }

    public static let everything = EventAccess(items: .everything, isAdministrator: true)
    public static let nothing = EventAccess(
        items: .nothing, isAdministrator: false, isMember: false)

    public func maySee(server: String) -> Bool { items.maySee(server: server) }

    public func maySee(_ event: EventFacts) -> Bool {
        if event.isAboutPeople, !isAdministrator { return false }
        guard let server = event.mcpName else { return isMember }
        guard items.maySee(server: server) else { return false }
        return event.tool.map { items.mayCall(tool: $0, on: server) } ?? true
    }
}
