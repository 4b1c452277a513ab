import OmniCore
import OmniIO

/// The statements on what hangs on a server (health log, tools), and on `omni2_config`.
struct RegistryStatements {
    let healthLog: String
    let prune: String
    let tools: String
    let deleteTools: String
    let configurationValue: String
    let setConfigurationValue: String
    private let insertEntry: String
    private let insertTool: String

    init(_ dialect: SQLDialect) {
        let log = dialect.table("omni2", "mcp_health_log")
        healthLog = """
            SELECT id, mcp_server_id, \(dialect.time("timestamp")), status, response_time_ms, \
            error_message, event_type, \(dialect.json("meta_data")) FROM \(log) AS log \
            WHERE mcp_server_id = $1 ORDER BY log.timestamp DESC, id DESC LIMIT $2
            """
        insertEntry = """
            INSERT INTO \(log) (mcp_server_id, "timestamp", status, response_time_ms, \
            error_message, event_type, meta_data) VALUES ($1, \(dialect.time(value: "$2")), $3, \
            $4, $5, $6, \(dialect.json(value: "$7")))
            """
        prune = """
            DELETE FROM \(log) WHERE id IN (SELECT id FROM \(log) WHERE "timestamp" < \
            \(dialect.time(value: "$1")) ORDER BY "timestamp" LIMIT $2)
            """
        let table = dialect.table("omni2", "mcp_tools")
        tools = """
            SELECT name, description, \(dialect.json("input_schema")) FROM \(table) \
            WHERE mcp_server_id = $1 ORDER BY id
            """
        deleteTools = "DELETE FROM \(table) WHERE mcp_server_id = $1"
        // A server that lists a name twice is not worth a failure: the first one stays.
        insertTool = """
            INSERT INTO \(table) (mcp_server_id, name, description, input_schema) \
            VALUES ($1, $2, $3, \(dialect.json(value: "$4"))) \
            ON CONFLICT (mcp_server_id, name) DO NOTHING
            """
        let configuration = dialect.table("omni2", "omni2_config")
        configurationValue = """
            SELECT \(dialect.json("config_value")) FROM \(configuration) \
            WHERE config_key = $1 AND is_active IS NOT FALSE
            """
        setConfigurationValue = """
            INSERT INTO \(configuration) AS old (config_key, config_value) \
            VALUES ($1, \(dialect.json(value: "$2"))) ON CONFLICT (config_key) DO UPDATE SET \
            config_value = excluded.config_value, is_active = TRUE, updated_at = \(dialect.now)
            """
    }

    func append(_ entry: HealthLogEntry) -> SQLCommand {
        SQLCommand(
            insertEntry,
            [
                SQLValue(entry.serverID), SQLValue(entry.timestamp), SQLValue(entry.status),
                SQLValue(entry.responseTimeMilliseconds), SQLValue(entry.errorMessage),
                SQLValue(entry.eventType), SQLValue(entry.metaData),
            ])
    }

    func entry(_ row: SQLRow) -> HealthLogEntry {
        HealthLogEntry(
            id: row.int("id") ?? 0, serverID: row.int("mcp_server_id") ?? 0,
            timestamp: row.integer("timestamp") ?? 0, status: row.text("status") ?? "",
            responseTimeMilliseconds: row.int("response_time_ms"),
            errorMessage: row.text("error_message"), eventType: row.text("event_type") ?? "",
            metaData: row.text("meta_data"))
    }

    func insert(_ tool: ToolRecord, server: Int) -> SQLCommand {
        SQLCommand(
            insertTool,
            [
                SQLValue(server), SQLValue(tool.name), SQLValue(tool.description),
                SQLValue(tool.inputSchema),
            ])
    }

    func tool(_ row: SQLRow) -> ToolRecord {
        ToolRecord(
            name: row.text("name") ?? "", description: row.text("description"),
            inputSchema: row.text("input_schema") ?? "{}")
    }
}
