import OmniCore

/// One row of `omni2.mcp_servers`: what an operator said about an MCP server, and what we know of it.
struct ServerRecord: Sendable, Equatable {
    var id: Int
    var configuration: ServerConfiguration
    var health: ServerHealth
    /// Microseconds since 1970 UTC.
    var createdAt: Int64
    var updatedAt: Int64

    var name: String { configuration.name }
}

/// The columns an operator writes. A change of any of them reloads the server.
struct ServerConfiguration: Sendable, Equatable {
    var name: String
    /// `http(s)://…` for the HTTP transports, `stdio:COMMAND` for a child process.
    var url: String
    var description: String?
    /// `active`, `inactive` or `error`.
    var status = "active"
    /// `http`, `sse`, `http-streamable` (`http_streamable` is read as the same) or `stdio`.
    var transport = "http-streamable"
    /// Seconds one call may take; the column's default means `[MCP] CallTimeoutSec=`.
    var timeoutSeconds = standardTimeoutSeconds
    static let standardTimeoutSeconds = 30
    /// Attempts in all when connecting.
    var maxRetries = 2
    var retryDelaySeconds = 1.0
    var authentication: Authentication = .none
    /// Openings in a row that disable the server.
    var maxFailureCycles = 3
    var canAutoEnable = true
    /// `meta_data`: `{"stdio": {"command": …, "args": […], "env": {…}}, "omni2": {"cache_policy": …,
    /// "ttl": …, "scope": …, "tools": {NAME: {…}}}}`. JSON text.
    var metaData = "{}"

    enum Authentication: Sendable, Equatable {
        case none
        case bearer(token: String)
        case apiKey(header: String, key: String)
        case headers([Header])
        /// OAuth 2.1 client credentials: a token is fetched and renewed with them.
        case oauth(OAuthClient)
        /// There is one of this `auth_type`, and why it cannot be read (encrypted with a key we do not
        /// have). Calls fail instead of going out without it; writing this leaves the stored value
        /// as it is.
        case unreadable(type: String, reason: String)
    }

    struct OAuthClient: Sendable, Equatable {
        var tokenURL: String
        var id: String
        var secret: String
        var scope: String?
        /// The audience to ask for (RFC 8707); nil is the server's own URL, empty asks for none.
        var resource: String?
        /// In the form's body instead of HTTP Basic.
        var sendsSecretInBody = false
    }

    struct Header: Sendable, Equatable {
        var name: String
        var value: String
    }

    var isActive: Bool { status == "active" }
}

/// The columns the daemon writes. They do not count as a change of the registry.
struct ServerHealth: Sendable, Equatable {
    /// `unknown`, `loading`, `healthy`, `disconnected`, `circuit_open`, `disabled`; what the
    /// original wrote (`unhealthy`) is read too.
    var status = "unknown"
    var lastCheck: Int64?
    var errorCount = 0
    /// `closed`, `open` or `half_open`.
    var circuitState = "closed"
    var consecutiveFailures = 0
    var failureCycleCount = 0
    var lastRecoveryAttempt: Int64?
    var totalDowntimeSeconds = 0
    var autoDisabledAt: Int64?
    var autoDisabledReason: String?
}

/// One row of `omni2.mcp_health_log`.
struct HealthLogEntry: Sendable, Equatable {
    var id = 0
    var serverID: Int
    /// Microseconds since 1970 UTC.
    var timestamp: Int64
    var status: String
    var responseTimeMilliseconds: Int?
    var errorMessage: String?
    /// `load`, `load_failed`, `health_check_success`, `health_check_failed`, `circuit_opened`,
    /// `circuit_closed`, `recovery_attempt`, `recovery_success`, `recovery_failed`,
    /// `manually_enabled`, `manually_disabled`, `auto_disabled`.
    var eventType: String
    /// JSON text.
    var metaData: String?
}

/// One row of `omni2.mcp_tools`.
struct ToolRecord: Sendable, Equatable {
    var name: String
    var description: String?
    /// JSON text.
    var inputSchema: String
}

// Secrets never reach a log by accident: only the kind is printed.
extension ServerConfiguration.Authentication: CustomStringConvertible {
    var description: String {
        switch self {
        case .none: "none"
        case .bearer: "bearer ***"
        case .apiKey(let header, _): "api_key \(header): ***"
        case .headers(let headers):
            "custom_headers " + headers.map { "\($0.name): ***" }.joined(separator: ", ")
        case .oauth(let client): "oauth2 \(client.id): ***"
        case .unreadable(let type, let reason): "\(type), unreadable: \(reason)"
        }
    }
}

extension ServerConfiguration.Header: CustomStringConvertible {
    var description: String { "\(name): ***" }
}

extension ServerConfiguration.OAuthClient: CustomStringConvertible {
    var description: String { "\(id): ***" }
}
