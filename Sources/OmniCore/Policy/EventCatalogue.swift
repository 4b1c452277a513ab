/// The events the hub publishes, and the metadata from which the dashboard builds its filter forms.
///
/// Names and structure are the original's; the options are the values that are really emitted.
public enum EventType: String, Hashable, Sendable, CaseIterable {
    case mcpStatusChange = "mcp_status_change"
    case circuitBreakerState = "circuit_breaker_state"
    case mcpHealthCheck = "mcp_health_check"
    case mcpAutoDisabled = "mcp_auto_disabled"
    case userLogin = "user_login"
    case userAction = "user_action"
    case systemHealth = "system_health"
    case componentHealth = "component_health"
    case cacheStatistics = "cache_stats"
    case cacheInvalidated = "cache_invalidated"
    case promptGuardViolation = "prompt_guard_violation"
    case promptGuardUserBlocked = "prompt_guard_user_blocked"

    // Sent to everybody, outside subscriptions.
    case initialStatus = "initial_status"
    case ping
    case healthEvent = "health_event"
    case systemMetrics = "system_metrics"

    public var audience: EventFacts.Audience {
        switch self {
        case .initialStatus, .ping, .healthEvent, .systemMetrics: .everyone
        default: .subscribers
        }
    }
}

public struct EventCatalogue: Sendable {
    public enum Category: String, Sendable, CaseIterable { case mcp, user, system, audit }

    public struct Field: Sendable {
        public var name: String
        public var label: String
        /// select, multiselect, text or number.
        public var kind: String
        public var options: [String]
        /// The options come from `/api/v1/events/mcp-list`.
        public var isDynamic: Bool
    }

    public struct Entry: Sendable {
        public var type: EventType
        public var category: Category
        public var label: String
        public var description: String
        public var icon: String
        public var severities: [EventSeverity]
        public var fields: [Field]
    }

    public let entries: [Entry]

    /// The events one can subscribe to.
    public init() {
        entries = Self.mcpEntries + Self.userEntries + Self.systemEntries + Self.auditEntries
    }

    public func entry(for type: EventType) -> Entry? { entries.first { $0.type == type } }

    /// `{"categories":[…]}`: the `data` of a metadata reply and the body of
    /// `/api/v1/events/metadata`.
    public func metadata() -> [UInt8] {
        var json = JSONWriter(reserving: 4_096)
        json.object { json in
            json.memberArray("categories") { json in
                for category in Category.allCases { write(category, to: &json) }
            }
        }
        return json.take()
    }

    private func write(_ category: Category, to json: inout JSONWriter) {
        json.object { json in
            json.member("id", category.rawValue)
            json.member("label", category.rawValue.uppercased())
            json.memberArray("events") { json in
                for entry in entries where entry.category == category { write(entry, to: &json) }
            }
        }
    }

    private func write(_ entry: Entry, to json: inout JSONWriter) {
        json.object { json in
            json.member("id", entry.type.rawValue)
            json.member("label", entry.label)
            json.member("description", entry.description)
            json.member("icon", entry.icon)
            json.member("severity_levels", entry.severities.map(\.rawValue))
            json.memberArray("fields") { json in
                for field in entry.fields {
                    json.object { json in
                        json.member("name", field.name)
                        json.member("label", field.label)
                        json.member("type", field.kind)
                        json.member("options", field.options)
                        json.member("dynamic", field.isDynamic)
                    }
                }
            }
        }
    }

    // MARK: Entries

    private static let mcpNames = Field(
        name: "mcp_names", label: "MCP Servers", kind: "multiselect", options: [], isDynamic: true)

    private static func severity(_ severities: [EventSeverity]) -> Field {
        Field(
            name: "severity", label: "Severity", kind: "multiselect",
            options: severities.map(\.rawValue), isDynamic: false)
    }

    private static func status(_ name: String, _ label: String) -> Field {
        Field(
            name: name, label: label, kind: "select",
            options: HealthStatus.allCases.map(\.rawValue), isDynamic: false)
    }

    private static var mcpEntries: [Entry] {
        [
            Entry(
                type: .mcpStatusChange, category: .mcp, label: "MCP Status Change",
                description: "A server's health changed", icon: "🔄",
                severities: [.info, .high, .critical],
                fields: [
                    mcpNames, status("old_status", "Old Status"),
                    status("new_status", "New Status"), severity([.info, .high, .critical]),
                ]),
            Entry(
                type: .circuitBreakerState, category: .mcp, label: "Circuit Breaker State",
                description: "Calls to a server were stopped, tested or let through again",
                icon: "⚡", severities: [.info, .high, .critical],
                fields: [
                    mcpNames,
                    Field(
                        name: "state", label: "State", kind: "multiselect",
                        options: CircuitState.Name.allCases.map(\.rawValue), isDynamic: false),
                    severity([.info, .high, .critical]),
                ]),
            Entry(
                type: .mcpHealthCheck, category: .mcp, label: "Health Check",
                description: "A server was checked", icon: "🏥", severities: [.info, .high],
                fields: [
                    mcpNames,
                    Field(
                        name: "health_status", label: "Health", kind: "multiselect",
                        options: HealthStatus.allCases.map(\.rawValue), isDynamic: false),
                    severity([.info, .high]),
                ]),
            Entry(
                type: .mcpAutoDisabled, category: .mcp, label: "Auto-Disabled",
                description: "A server failed too often and was taken out of service", icon: "🚫",
                severities: [.critical],
                fields: [
                    mcpNames,
                    Field(
                        name: "failure_cycles", label: "Minimum failure cycles", kind: "number",
                        options: [], isDynamic: false),
                ]),
        ]
    }

    private static let userRoles = Field(
        name: "user_roles", label: "Roles", kind: "multiselect",
        options: ["super_admin", "admin", "developer", "dba", "analyst", "viewer"],
        isDynamic: false)

    private static var userEntries: [Entry] {
        [
            Entry(
                type: .userLogin, category: .user, label: "User Login",
                description: "Somebody signed in", icon: "🔐", severities: [.info],
                fields: [userRoles]),
            Entry(
                type: .userAction, category: .user, label: "User Action",
                description: "An operator changed something", icon: "👤",
                severities: [.info, .medium],
                fields: [
                    Field(
                        name: "action_type", label: "Action", kind: "multiselect",
                        options: ["enable_mcp", "disable_mcp", "reload_mcp", "delete_mcp"],
                        isDynamic: false),
                    userRoles,
                ]),
        ]
    }

    private static var systemEntries: [Entry] {
        [
            Entry(
                type: .systemHealth, category: .system, label: "System Health",
                description: "Processor, memory and server counts of this host", icon: "📊",
                severities: [.info], fields: []),
            Entry(
                type: .componentHealth, category: .system, label: "Component Health",
                description: "The daemon lost or regained the database or Redis", icon: "🧩",
                severities: [.info, .high], fields: [severity([.info, .high])]),
            Entry(
                type: .cacheStatistics, category: .system, label: "Cache Statistics",
                description: "Hits, misses and size of the tool cache", icon: "🗃️",
                severities: [.info], fields: []),
            Entry(
                type: .cacheInvalidated, category: .system, label: "Cache Invalidated",
                description: "Cached results were ended before their time", icon: "🧹",
                severities: [.info], fields: [mcpNames]),
        ]
    }

    private static var auditEntries: [Entry] {
        [
            Entry(
                type: .promptGuardViolation, category: .audit, label: "Prompt Guard Violation",
                description: "A message looked like an injection", icon: "🛡️",
                severities: [.medium, .high], fields: []),
            Entry(
                type: .promptGuardUserBlocked, category: .audit, label: "User Blocked",
                description: "The prompt guard blocked a user", icon: "⛔", severities: [.critical],
                fields: []),
        ]
    }
}
