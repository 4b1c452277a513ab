/// Everything that decides who may do what, read at once: `Access` keeps it in memory.
struct AccessTables: Sendable, Equatable {
    var roles: [RoleRecord] = []
    var users: [UserRecord] = []
    /// SHA-256 of a person's API key, in hexadecimal, and whose it is.
    var apiKeys: [HashedCredential] = []
    var tokens: [HashedCredential] = []
    var sessions: [HashedCredential] = []
    var teams: [TeamRecord] = []
    var members: [TeamMember] = []
    var overrides: [OverrideRecord] = []
    var blocks: [UserBlock] = []
}

/// What is looked up by its hash: a token, a session, a key.
struct HashedCredential: Sendable, Equatable {
    /// Of its own row.
    var id: Int
    var userID: Int
    /// SHA-256, in lower-case hexadecimal.
    var hash: String
    /// Microseconds since 1970 UTC; nil: never.
    var expiresAt: Int64?
}

/// One row of `auth_service.teams`.
struct TeamRecord: Sendable, Equatable {
    var id: Int
    var name: String
    var description: String?
    var mcpAccess: [String]
    /// JSON text; kept, not interpreted.
    var resourceAccess: String
    var rateLimit: Int?
    var costLimit: Double?
}

struct TeamMember: Sendable, Equatable {
    var teamID: Int
    var userID: Int
}

/// One row of `auth_service.user_overrides`.
struct OverrideRecord: Sendable, Equatable {
    var userID: Int
    /// Servers taken away.
    var mcpRestrictions: [String]
    /// JSON text.
    var toolRestrictions: String
    var rateLimit: Int?
    var costLimit: Double?
}

struct NewSession: Sendable, Equatable {
    var userID: Int
    var hash: String
    var expiresAt: Int64
    var address: String?
    var userAgent: String?
}

/// One row of `auth_service.auth_audit`.
struct AuditRecord: Sendable, Equatable {
    enum Outcome: String, Sendable { case done, denied, failed }

    var id = 0
    /// Microseconds since 1970 UTC.
    var timestamp: Int64
    /// The row of the person who did it, if there is one.
    var userID: Int?
    /// Who did it: a name or an address.
    var actor: String
    /// `user.create`, `token.revoke`, `request`, …
    var action: String
    var target: String?
    var outcome: Outcome
    var reason: String?
    var address: String?
    var requestID: String?
    /// How often the same was denied in a row.
    var repeated = 1
}

/// One row of `omni2.audit_logs`, of what people see of it: a call, a question.
struct ActivityRecord: Sendable, Equatable {
    var id: Int
    var timestamp: Int64
    var userID: Int?
    var question: String
    var server: String?
    var tool: String?
    var isSuccess: Bool
    var durationMilliseconds: Int?
    var cost: Double?
    var source: String?
}
