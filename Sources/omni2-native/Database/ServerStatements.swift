import OmniCore
import OmniIO

/// The statements on `mcp_servers`, and its rows as records.
struct ServerStatements {
    let select: String
    let selectOne: String
    let insert: String
    let update: String
    let delete: String
    let writeHealth: String
    /// PostgreSQL's alone.
    let tellHealth = "SELECT pg_notify('omni2_health', $1)"
    let authentication: AuthenticationColumns

    init(_ dialect: SQLDialect, _ authentication: AuthenticationColumns) {
        self.authentication = authentication
        let table = dialect.table("omni2", "mcp_servers")
        let columns = """
            id, name, url, description, status, protocol, timeout_seconds, max_retries, \
            retry_delay_seconds, auth_type, \(dialect.json("auth_config")), max_failure_cycles, \
            can_auto_enable, \(dialect.json("meta_data")), health_status, \
            \(dialect.time("last_health_check")), error_count, circuit_state, \
            consecutive_failures, failure_cycle_count, \(dialect.time("last_recovery_attempt")), \
            total_downtime_seconds, \(dialect.time("auto_disabled_at")), auto_disabled_reason, \
            \(dialect.time("created_at")), \(dialect.time("updated_at"))
            """
        // As text: an adopted column may be json, which is no jsonb.
        let kept = "(CASE WHEN $14 = 1 THEN CAST(auth_config AS text) ELSE $13 END)"
        select = "SELECT \(columns) FROM \(table) ORDER BY id"
        selectOne = "SELECT \(columns) FROM \(table) WHERE id = $1"
        insert = """
            INSERT INTO \(table) (name, url, description, status, protocol, timeout_seconds, \
            max_retries, retry_delay_seconds, max_failure_cycles, can_auto_enable, meta_data, \
            auth_type, auth_config, created_at, updated_at) \
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, \(dialect.json(value: "$11")), $12, \
            \(dialect.json(value: "$13")), \(dialect.now), \(dialect.now)) RETURNING \(columns)
            """
        update = """
            UPDATE \(table) SET name = $1, url = $2, description = $3, status = $4, \
            protocol = $5, timeout_seconds = $6, max_retries = $7, retry_delay_seconds = $8, \
            max_failure_cycles = $9, can_auto_enable = $10, \
            meta_data = \(dialect.json(value: "$11")), \
            auth_type = CASE WHEN $14 = 1 THEN auth_type ELSE $12 END, \
            auth_config = \(dialect.json(value: kept)), \
            updated_at = \(dialect.now) WHERE id = $15 RETURNING \(columns)
            """
        delete = "DELETE FROM \(table) WHERE id = $1"
        writeHealth = """
            UPDATE \(table) SET health_status = $1, last_health_check = \(dialect.time(value: "$2")), \
            error_count = $3, circuit_state = $4, consecutive_failures = $5, \
            failure_cycle_count = $6, last_recovery_attempt = \(dialect.time(value: "$7")), \
            total_downtime_seconds = $8, auto_disabled_at = \(dialect.time(value: "$9")), \
            auto_disabled_reason = $10 WHERE id = $11
            """
    }

    /// `$1` to `$13` of `insert`; with `$14` of `update`.
    func values(_ configuration: ServerConfiguration) -> (values: [SQLValue], keeps: SQLValue) {
        let columns = authentication.columns(of: configuration.authentication)
        let values = [
            SQLValue(configuration.name), SQLValue(configuration.url),
            SQLValue(configuration.description), SQLValue(configuration.status),
            SQLValue(configuration.transport), SQLValue(configuration.timeoutSeconds),
            SQLValue(configuration.maxRetries), SQLValue(configuration.retryDelaySeconds),
            SQLValue(configuration.maxFailureCycles), SQLValue(configuration.canAutoEnable),
            SQLValue(configuration.metaData), SQLValue(columns.type), SQLValue(columns.config),
        ]
        return (values, SQLValue(columns.isKept))
    }

    func values(_ health: ServerHealth, id: Int) -> [SQLValue] {
        [
            SQLValue(health.status), SQLValue(health.lastCheck), SQLValue(health.errorCount),
            SQLValue(health.circuitState), SQLValue(health.consecutiveFailures),
            SQLValue(health.failureCycleCount), SQLValue(health.lastRecoveryAttempt),
            SQLValue(health.totalDowntimeSeconds), SQLValue(health.autoDisabledAt),
            SQLValue(health.autoDisabledReason), SQLValue(id),
        ]
    }

    /// A column that is NULL, as an adopted row may have it, reads as its default.
    func record(_ row: SQLRow) -> ServerRecord {
        var configuration = ServerConfiguration(
            name: row.text("name") ?? "", url: row.text("url") ?? "")
        configuration.description = row.text("description")
        configuration.status = row.text("status") ?? "active"
        configuration.transport = Self.transport(row.text("protocol") ?? "http")
        configuration.timeoutSeconds = row.int("timeout_seconds") ?? 30
        configuration.maxRetries = row.int("max_retries") ?? 2
        configuration.retryDelaySeconds = row.real("retry_delay_seconds") ?? 1
        configuration.authentication = authentication.authentication(
            type: row.text("auth_type"), config: row.text("auth_config"))
        configuration.maxFailureCycles = row.int("max_failure_cycles") ?? 3
        configuration.canAutoEnable = row.flag("can_auto_enable") ?? true
        configuration.metaData = row.text("meta_data") ?? "{}"
        return ServerRecord(
            id: row.int("id") ?? 0, configuration: configuration, health: health(row),
            createdAt: row.integer("created_at") ?? 0, updatedAt: row.integer("updated_at") ?? 0)
    }

    private func health(_ row: SQLRow) -> ServerHealth {
        var health = ServerHealth()
        health.status = row.text("health_status") ?? "unknown"
        health.lastCheck = row.integer("last_health_check")
        health.errorCount = row.int("error_count") ?? 0
        health.circuitState = row.text("circuit_state") ?? "closed"
        health.consecutiveFailures = row.int("consecutive_failures") ?? 0
        health.failureCycleCount = row.int("failure_cycle_count") ?? 0
        health.lastRecoveryAttempt = row.integer("last_recovery_attempt")
        health.totalDowntimeSeconds = row.int("total_downtime_seconds") ?? 0
        health.autoDisabledAt = row.integer("auto_disabled_at")
        health.autoDisabledReason = row.text("auto_disabled_reason")
        return health
    }

    private static func transport(_ text: String) -> String {
        text == "http_streamable" ? "http-streamable" : text
    }
}
