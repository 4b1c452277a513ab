import OmniCore
import OmniIO

/// The statements behind `AccessTables` and behind changes of users, roles, teams and overrides.
struct PeopleStatements {
    let apiKeys: String
    let tokens: String
    let sessions: String
    let teams: String
    let members: String
    let overrides: String

    let insertRole: String
    let updateRole: String
    let deleteRole: String
    let usersOfRole: String
    let updateUser: String
    let deleteUser: String
    let passwordHash: String
    let setPassword: String
    let setAPIKey: String
    let touchLogin: String
    let insertTeam: String
    let updateTeam: String
    let deleteTeam: String
    let insertMember: String
    let deleteMember: String
    let writeOverride: String
    let deleteOverride: String
    let insertSession: String
    let deleteSession: String
    let deleteSessionsOfUser: String
    let pruneSessions: String

    init(_ dialect: SQLDialect) {
        func table(_ name: String) -> String { dialect.table("auth_service", name) }
        let now = dialect.now
        apiKeys = """
            SELECT id, id AS user_id, api_key_hash AS token_hash, NULL AS expires_at \
            FROM \(table("users")) WHERE api_key_hash IS NOT NULL ORDER BY id
            """
        tokens = """
            SELECT id, user_id, token_hash, \(dialect.time("expires_at")) \
            FROM \(table("mcp_access_tokens")) ORDER BY id
            """
        sessions = """
            SELECT id, user_id, token_hash, \(dialect.time("expires_at")) \
            FROM \(table("user_sessions")) ORDER BY id
            """
        teams = """
            SELECT id, name, description, \(dialect.list("mcp_access")), \
            \(dialect.json("resource_access")), team_rate_limit, team_cost_limit \
            FROM \(table("teams"))
            """
        members = "SELECT team_id, user_id FROM \(table("team_members")) ORDER BY 1, 2"
        overrides = """
            SELECT user_id, \(dialect.list("mcp_restrictions")), \
            \(dialect.json("tool_restrictions")), custom_rate_limit, custom_cost_limit \
            FROM \(table("user_overrides")) ORDER BY user_id
            """
        insertRole = """
            INSERT INTO \(table("roles")) (name, description, mcp_access, tool_restrictions, \
            dashboard_access, rate_limit, cost_limit_daily, token_expiry, omni_services) \
            VALUES ($1, $2, \(dialect.list(value: "$3")), \(dialect.json(value: "$4")), \
            $5, $6, $7, $8, \(dialect.list(value: "$9"))) RETURNING id
            """
        updateRole = """
            UPDATE \(table("roles")) SET name = $1, description = $2, \
            mcp_access = \(dialect.list(value: "$3")), \
            tool_restrictions = \(dialect.json(value: "$4")), dashboard_access = $5, \
            rate_limit = $6, cost_limit_daily = $7, token_expiry = $8, \
            omni_services = \(dialect.list(value: "$9")), updated_at = \(now) WHERE id = $10
            """
        deleteRole = "DELETE FROM \(table("roles")) WHERE id = $1"
        usersOfRole = "SELECT count(*) AS people FROM \(table("users")) WHERE role_id = $1"
        updateUser = """
            UPDATE \(table("users")) SET username = $1, name = $2, email = $3, \
            role_id = (SELECT id FROM \(table("roles")) WHERE name = $4), \
            active = $5, rate_limit_override = $6, \
            updated_at = \(now) WHERE id = $7
            """
        deleteUser = "DELETE FROM \(table("users")) WHERE id = $1"
        passwordHash = "SELECT password_hash FROM \(table("users")) WHERE id = $1"
        setPassword = """
            UPDATE \(table("users")) SET password_hash = $1, updated_at = \(now) WHERE id = $2
            """
        setAPIKey = """
            UPDATE \(table("users")) SET api_key_hash = $1, updated_at = \(now) WHERE id = $2
            """
        touchLogin = """
            UPDATE \(table("users")) SET last_login_at = \(dialect.time(value: "$1")) WHERE id = $2
            """
        insertTeam = """
            INSERT INTO \(table("teams")) (name, description, mcp_access, resource_access, \
            team_rate_limit, team_cost_limit) VALUES ($1, $2, \(dialect.list(value: "$3")), \
            \(dialect.json(value: "$4")), $5, $6) RETURNING id
            """
        updateTeam = """
            UPDATE \(table("teams")) SET name = $1, description = $2, \
            mcp_access = \(dialect.list(value: "$3")), \
            resource_access = \(dialect.json(value: "$4")), team_rate_limit = $5, \
            team_cost_limit = $6, updated_at = \(now) WHERE id = $7
            """
        deleteTeam = "DELETE FROM \(table("teams")) WHERE id = $1"
        insertMember = """
            INSERT INTO \(table("team_members")) (team_id, user_id) VALUES ($1, $2) \
            ON CONFLICT (team_id, user_id) DO NOTHING
            """
        deleteMember = "DELETE FROM \(table("team_members")) WHERE team_id = $1 AND user_id = $2"
        writeOverride = """
            INSERT INTO \(table("user_overrides")) (user_id, mcp_restrictions, \
            tool_restrictions, custom_rate_limit, custom_cost_limit) VALUES ($1, \
            \(dialect.list(value: "$2")), \(dialect.json(value: "$3")), $4, $5) \
            ON CONFLICT (user_id) DO UPDATE SET mcp_restrictions = excluded.mcp_restrictions, \
            tool_restrictions = excluded.tool_restrictions, \
            custom_rate_limit = excluded.custom_rate_limit, \
            custom_cost_limit = excluded.custom_cost_limit
            """
        deleteOverride = "DELETE FROM \(table("user_overrides")) WHERE user_id = $1"
        insertSession = """
            INSERT INTO \(table("user_sessions")) (user_id, token_hash, expires_at, ip_address, \
            user_agent, created_at) VALUES ($1, $2, \(dialect.time(value: "$3")), $4, $5, \
            \(now)) RETURNING id
            """
        deleteSession = "DELETE FROM \(table("user_sessions")) WHERE id = $1"
        deleteSessionsOfUser = "DELETE FROM \(table("user_sessions")) WHERE user_id = $1"
        pruneSessions = """
            DELETE FROM \(table("user_sessions")) WHERE expires_at < \(dialect.time(value: "$1"))
            """
    }

    func credential(_ row: SQLRow) -> HashedCredential {
        HashedCredential(
            id: row.int("id") ?? 0, userID: row.int("user_id") ?? 0,
            hash: row.text("token_hash") ?? "", expiresAt: row.integer("expires_at"))
    }

    func team(_ row: SQLRow) -> TeamRecord {
        TeamRecord(
            id: row.int("id") ?? 0, name: row.text("name") ?? "",
            description: row.text("description"),
            mcpAccess: AccessStatements.list(row, "mcp_access") ?? [],
            resourceAccess: row.text("resource_access") ?? "{}",
            rateLimit: row.int("team_rate_limit"), costLimit: row.real("team_cost_limit"))
    }

    func member(_ row: SQLRow) -> TeamMember {
        TeamMember(teamID: row.int("team_id") ?? 0, userID: row.int("user_id") ?? 0)
    }

    func override(_ row: SQLRow) -> OverrideRecord {
        OverrideRecord(
            userID: row.int("user_id") ?? 0,
            mcpRestrictions: AccessStatements.list(row, "mcp_restrictions") ?? [],
            toolRestrictions: row.text("tool_restrictions") ?? "{}",
            rateLimit: row.int("custom_rate_limit"), costLimit: row.real("custom_cost_limit"))
    }

    func values(_ role: RoleRecord) -> [SQLValue] {
        [
            SQLValue(role.name), SQLValue(role.description),
            SQLValue(JSONValue(role.mcpAccess).text), SQLValue(role.toolRestrictions),
            SQLValue(role.dashboardAccess), SQLValue(role.rateLimit),
            SQLValue(role.costLimitDaily), SQLValue(role.tokenExpiry),
            SQLValue(role.services.map { JSONValue($0).text }),
        ]
    }

    func values(_ team: TeamRecord) -> [SQLValue] {
        [
            SQLValue(team.name), SQLValue(team.description),
            SQLValue(JSONValue(team.mcpAccess).text), SQLValue(team.resourceAccess),
            SQLValue(team.rateLimit), SQLValue(team.costLimit),
        ]
    }
}
