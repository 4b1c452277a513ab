/// The effective permission: role, narrowed by teams, narrowed by the user's override.
///
///     servers = role ∩ (teams, together) − override       `*` of a role means what the teams have
///     tools   = role's restrictions, and the override's
///     limits  = the smallest of role, teams, override; `rate_limit_override` replaces the rate
///
/// What cannot be read gives nothing: a restriction that nobody understands is not a permission.
public struct AccessRules: Hashable, Sendable {
    public struct Role: Hashable, Sendable {
        public var name: String
        public var servers: [String]
        /// JSON text, in any of the dialects.
        public var restrictions: String
        public var dashboard: String
        public var requestsPerHour: Int?
        public var costPerDay: Double?
        public var sessionSeconds: Int
        /// nil: nobody has said, all of them.
        public var services: [String]?

        public init(
            name: String, servers: [String], restrictions: String = "{}",
            dashboard: String = "none", requestsPerHour: Int? = nil, costPerDay: Double? = nil,
            sessionSeconds: Int = 3600, services: [String]? = nil
        ) {
            self.name = name
            self.servers = servers
            self.restrictions = restrictions
            self.dashboard = dashboard
            self.requestsPerHour = requestsPerHour
            self.costPerDay = costPerDay
            self.sessionSeconds = sessionSeconds
            self.services = services
        }
    }

    public struct Team: Hashable, Sendable {
        public var servers: [String]
        public var requestsPerHour: Int?
        public var costPerDay: Double?

        public init(servers: [String], requestsPerHour: Int? = nil, costPerDay: Double? = nil) {
            self.servers = servers
            self.requestsPerHour = requestsPerHour
            self.costPerDay = costPerDay
        }
    }

    public struct Override: Hashable, Sendable {
        /// Servers taken away.
        public var servers: [String]
        public var restrictions: String
        public var requestsPerHour: Int?
        public var costPerDay: Double?

        public init(
            servers: [String] = [], restrictions: String = "{}", requestsPerHour: Int? = nil,
            costPerDay: Double? = nil
        ) {
            self.servers = servers
            self.restrictions = restrictions
            self.requestsPerHour = requestsPerHour
            self.costPerDay = costPerDay
        }
    }

    public var role: Role
    public var teams: [Team]
    public var override: Override?
    /// `users.rate_limit_override`: instead of all other rates.
    public var rateOverride: Int?

    /// The role that may do everything, whatever its row says.
    public static let superAdministrator = "super_admin"

    public init(
        role: Role, teams: [Team] = [], override: Override? = nil, rateOverride: Int? = nil
    ) {
        self.role = role
        self.teams = teams
        self.override = override
        self.rateOverride = rateOverride
    }

    public var permission: Permission {
        var restrictions = Self.restrictions(role.restrictions)
        if let override { restrictions.narrow(by: Self.restrictions(override.restrictions)) }
        let isSuper = role.name == Self.superAdministrator
        return Permission(
            items: EffectiveAccess(servers: servers, restrictions: restrictions),
            services: Set((role.services ?? Self.allServices).compactMap(Permission.Service.init)),
            dashboard: isSuper ? .admin : Permission.Dashboard(rawValue: role.dashboard) ?? .none,
            requestsPerHour: rateOverride
                ?? smallest(role.requestsPerHour, \.requestsPerHour, override?.requestsPerHour),
            costPerDay: smallest(role.costPerDay, \.costPerDay, override?.costPerDay),
            sessionSeconds: role.sessionSeconds)
    }

    /// Texts that nobody understands, for the journal.
    public var unreadable: [String] {
        [role.restrictions, override?.restrictions].compactMap { $0 }.filter {
            Self.read($0) == nil
        }
    }

    private static let allServices = Permission.Service.allCases.map(\.rawValue)

    private var servers: ServerAccess {
        var result = ServerAccess(role.servers)
        if !teams.isEmpty { result.narrow(to: ServerAccess(teams.flatMap(\.servers))) }
        if let override { result.remove(override.servers) }
        return result
    }

    private func smallest<Value: Comparable>(
        _ ofRole: Value?, _ ofTeam: KeyPath<Team, Value?>, _ ofOverride: Value?
    ) -> Value? {
        ([ofRole, ofOverride] + teams.map { $0[keyPath: ofTeam] }).compactMap { $0 }.min()
    }

    private static func restrictions(_ text: String) -> ToolRestrictions {
        read(text) ?? ToolRestrictions(servers: [:], others: .none)
    }

    private static func read(_ text: String) -> ToolRestrictions? {
        do throws(ToolRestrictions.ReadError) {
            return try ToolRestrictions(.string(text))
        } catch {
            return nil
        }
    }
}
