/// Users, roles, tokens and blocks: what `Access` decides by.
protocol AccessStore: AnyObject {
    /// Statements can be run.
    var isReady: Bool { get }
    func roles() async throws(StoreError) -> [RoleRecord]
    func role(named name: String) async throws(StoreError) -> RoleRecord?
    func users() async throws(StoreError) -> [UserRecord]
    func user(id: Int) async throws(StoreError) -> UserRecord?
    /// Throws `.conflict` when the user name or e-mail is taken, `.notFound` for an unknown role.
    func insert(user: NewUser) async throws(StoreError) -> UserRecord

    /// Throws `.conflict` when the hash is there already, `.notFound` for an unknown user.
    func insert(token: NewToken) async throws(StoreError) -> TokenRecord
    /// Of one user, or of all.
    func tokens(ofUser id: Int?) async throws(StoreError) -> [TokenRecord]
    /// Expired ones are found too: the caller looks at `expiresAt`.
    func token(hash: String) async throws(StoreError) -> TokenRecord?
    func deleteToken(id: Int) async throws(StoreError)
    /// Says when a token was used last; one that is gone meanwhile is no error.
    func touchToken(id: Int, at time: Int64) async throws(StoreError)

    func blocks() async throws(StoreError) -> [UserBlock]
    func block(ofUser id: Int) async throws(StoreError) -> UserBlock?
    /// Replaces what was there.
    func write(block: UserBlock) async throws(StoreError)
    func deleteBlock(ofUser id: Int) async throws(StoreError)

    /// Called on the ring when somebody changed what decides access (NOTIFY, or our own write).
    var accessChanged: () -> Void { get set }
    func accessTables() async throws(StoreError) -> AccessTables

    /// The record's `id` is not looked at. Throws `.conflict` when the name is taken.
    func insert(role: RoleRecord) async throws(StoreError) -> Int
    func update(role: RoleRecord) async throws(StoreError)
    /// Throws `.conflict` while somebody has the role.
    func deleteRole(id: Int) async throws(StoreError)

    /// Throws `.conflict` when the user name or e-mail is taken.
    func update(user: UserRecord) async throws(StoreError)
    /// With tokens, sessions, memberships and override.
    func deleteUser(id: Int) async throws(StoreError)
    /// Nil for a user without a password; throws `.notFound`.
    func passwordHash(ofUser id: Int) async throws(StoreError) -> String?
    func setPasswordHash(ofUser id: Int, to hash: String?) async throws(StoreError)
    func setAPIKeyHash(ofUser id: Int, to hash: String?) async throws(StoreError)
    /// Somebody who is gone meanwhile is no error.
    func touchLogin(ofUser id: Int, at time: Int64) async throws(StoreError)

    func insert(team: TeamRecord) async throws(StoreError) -> Int
    func update(team: TeamRecord) async throws(StoreError)
    func deleteTeam(id: Int) async throws(StoreError)
    /// Throws `.notFound` for an unknown team or user; being in it already is no error.
    func insert(member: TeamMember) async throws(StoreError)
    func delete(member: TeamMember) async throws(StoreError)
    func write(override: OverrideRecord) async throws(StoreError)
    func deleteOverride(ofUser id: Int) async throws(StoreError)

    func insert(session: NewSession) async throws(StoreError) -> Int
    /// One that is gone meanwhile is no error.
    func deleteSession(id: Int) async throws(StoreError)
    func deleteSessions(ofUser id: Int) async throws(StoreError)
    func pruneSessions(before time: Int64) async throws(StoreError)

    func append(audit records: [AuditRecord]) async throws(StoreError)
    /// Newest first.
    func audit(limit: Int) async throws(StoreError) -> [AuditRecord]
    func pruneAudit(before time: Int64, limit: Int) async throws(StoreError) -> Int

    /// Dollars by user, of what succeeded since `time`.
    func costs(since time: Int64) async throws(StoreError) -> [Int: Double]
    func queries(since time: Int64) async throws(StoreError) -> (count: Int, cost: Double)
    /// Newest first.
    func activity(limit: Int) async throws(StoreError) -> [ActivityRecord]
}

/// One row of `auth_service.roles`.
struct RoleRecord: Sendable, Equatable {
    var id: Int
    var name: String
    var description: String?
    /// Server names; `*` is all of them.
    var mcpAccess: [String]
    /// JSON text, in any of the dialects a reader must accept.
    var toolRestrictions: String
    /// `admin`, `view` or `none`.
    var dashboardAccess: String
    /// Requests per hour.
    var rateLimit: Int
    /// Dollars per day.
    var costLimitDaily: Double
    /// Seconds.
    var tokenExpiry: Int
    /// `chat`, `mcp`; nil where nobody has said.
    var services: [String]?
}

/// One row of `auth_service.users`, without its secrets.
struct UserRecord: Sendable, Equatable {
    var id: Int
    var username: String
    var name: String?
    var email: String?
    var role: String?
    var isActive: Bool
    /// Requests per hour, instead of the role's.
    var rateLimitOverride: Int?
}

struct NewUser: Sendable, Equatable {
    var username: String
    var name: String?
    var email: String?
    /// The role's name.
    var role: String
}

/// One row of `auth_service.mcp_access_tokens`. Times are microseconds since 1970 UTC.
struct TokenRecord: Sendable, Equatable {
    var id: Int
    var userID: Int
    var name: String?
    var createdAt: Int64
    var lastUsedAt: Int64?
    var expiresAt: Int64?
}

struct NewToken: Sendable, Equatable {
    var userID: Int
    /// SHA-256 of the whole token, in lower-case hexadecimal.
    var hash: String
    var name: String?
    var expiresAt: Int64?
}

/// One row of `omni2.user_blocks`.
struct UserBlock: Sendable, Equatable {
    var userID: Int
    var isBlocked = true
    var reason: String?
    /// What the user is told.
    var message: String?
    /// Microseconds since 1970 UTC.
    var blockedAt: Int64
    var blockedBy: Int?
    /// Of `chat` and `mcp`.
    var services: [String]
}
