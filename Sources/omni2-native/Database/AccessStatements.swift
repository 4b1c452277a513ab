import OmniCore
import OmniIO

/// The statements of `AccessStore`, and its rows as records.
struct AccessStatements {
    let roles: String
    let roleNamed: String
    let users: String
    let userByID: String
    let insertUser: String
    let tokens: String
    let tokensOfUser: String
    let tokenByHash: String
    let insertToken: String
    let deleteToken: String
    let touchToken: String
    let blocks: String
    let blockOfUser: String
    let writeBlock: String
    let deleteBlock: String

    init(_ dialect: SQLDialect) {
        let role = dialect.table("auth_service", "roles")
        roles = """
            SELECT id, name, description, \(dialect.list("mcp_access")), \
            \(dialect.json("tool_restrictions")), dashboard_access, rate_limit, \
            cost_limit_daily, token_expiry, \(dialect.list("omni_services")) FROM \(role)
            """
        roleNamed = roles + " WHERE name = $1"
        let user = dialect.table("auth_service", "users")
        users = """
            SELECT u.id, u.username, u.name, u.email, r.name AS role, u.active, \
            u.rate_limit_override FROM \(user) AS u LEFT JOIN \(role) AS r ON r.id = u.role_id
            """
        userByID = users + " WHERE u.id = $1"
        insertUser = """
            INSERT INTO \(user) (username, name, email, role_id) \
            SELECT $1, $2, $3, id FROM \(role) WHERE name = $4 RETURNING id
            """
        let token = dialect.table("auth_service", "mcp_access_tokens")
        let tokenColumns = """
            id, user_id, name, \(dialect.time("created_at")), \(dialect.time("last_used_at")), \
            \(dialect.time("expires_at"))
            """
        tokens = "SELECT \(tokenColumns) FROM \(token) ORDER BY id"
        tokensOfUser = "SELECT \(tokenColumns) FROM \(token) WHERE user_id = $1 ORDER BY id"
        tokenByHash = "SELECT \(tokenColumns) FROM \(token) WHERE token_hash = $1"
        insertToken = """
            INSERT INTO \(token) (user_id, token_hash, name, expires_at, created_at) \
            VALUES ($1, $2, $3, \(dialect.time(value: "$4")), \(dialect.now)) \
            RETURNING \(tokenColumns)
            """
        deleteToken = "DELETE FROM \(token) WHERE id = $1"
        touchToken = """
            UPDATE \(token) SET last_used_at = \(dialect.time(value: "$2")) WHERE id = $1
            """
        let block = dialect.table("omni2", "user_blocks")
        blocks = """
            SELECT user_id, is_blocked, block_reason, custom_block_message, \
            \(dialect.time("blocked_at")), blocked_by, \(dialect.list("blocked_services")) \
            FROM \(block)
            """
        blockOfUser = blocks + " WHERE user_id = $1"
        writeBlock = """
            INSERT INTO \(block) (user_id, is_blocked, block_reason, custom_block_message, \
            blocked_at, blocked_by, blocked_services) VALUES ($1, $2, $3, $4, \
            \(dialect.time(value: "$5")), $6, \(dialect.list(value: "$7"))) \
            ON CONFLICT (user_id) DO UPDATE SET is_blocked = excluded.is_blocked, \
            block_reason = excluded.block_reason, \
            custom_block_message = excluded.custom_block_message, \
            blocked_at = excluded.blocked_at, blocked_by = excluded.blocked_by, \
            blocked_services = excluded.blocked_services
            """
        deleteBlock = "DELETE FROM \(block) WHERE user_id = $1"
    }

    func role(_ row: SQLRow) -> RoleRecord {
        RoleRecord(
            id: row.int("id") ?? 0, name: row.text("name") ?? "",
            description: row.text("description"), mcpAccess: Self.list(row, "mcp_access") ?? [],
            toolRestrictions: row.text("tool_restrictions") ?? "{}",
            dashboardAccess: row.text("dashboard_access") ?? "none",
            rateLimit: row.int("rate_limit") ?? 100,
            costLimitDaily: row.real("cost_limit_daily") ?? 10,
            tokenExpiry: row.int("token_expiry") ?? 3600,
            services: Self.list(row, "omni_services"))
    }

    func user(_ row: SQLRow) -> UserRecord {
        UserRecord(
            id: row.int("id") ?? 0, username: row.text("username") ?? "",
            name: row.text("name"), email: row.text("email"), role: row.text("role"),
            isActive: row.flag("active") ?? true,
            rateLimitOverride: row.int("rate_limit_override"))
    }

    func token(_ row: SQLRow) -> TokenRecord {
        TokenRecord(
            id: row.int("id") ?? 0, userID: row.int("user_id") ?? 0, name: row.text("name"),
            createdAt: row.integer("created_at") ?? 0, lastUsedAt: row.integer("last_used_at"),
            expiresAt: row.integer("expires_at"))
    }

    func block(_ row: SQLRow) -> UserBlock {
        UserBlock(
            userID: row.int("user_id") ?? 0, isBlocked: row.flag("is_blocked") ?? true,
            reason: row.text("block_reason"), message: row.text("custom_block_message"),
            blockedAt: row.integer("blocked_at") ?? 0, blockedBy: row.int("blocked_by"),
            services: Self.list(row, "blocked_services") ?? [])
    }

    func values(_ block: UserBlock) -> [SQLValue] {
        [
            SQLValue(block.userID), SQLValue(block.isBlocked), SQLValue(block.reason),
            SQLValue(block.message), SQLValue(block.blockedAt), SQLValue(block.blockedBy),
            SQLValue(JSONValue(block.services).text),
        ]
    }

    /// A JSON array of texts; what is none reads as NULL.
    static func list(_ row: SQLRow, _ column: String) -> [String]? {
        guard let text = row.text(column), let value = try? JSONValue(parsing: text) else {
            return nil
        }
        return value.strings
    }
}
