import OmniCore
import OmniIO

/// The statements on flows, the audit trail, and who is watched.
struct FlowStatements {
    let saveFlow: String
    let saveAudit: String
    let flows: String
    let flow: String
    let prune: String
    let monitored: String
    let stopMonitoring: String
    let costSince: String
    let welcome: String

    init(_ dialect: SQLDialect) {
        let flow = dialect.table("omni2", "interaction_flows")
        saveFlow = """
            INSERT INTO \(flow) (session_id, user_id, conversation_id, flow_data, source, \
            created_at, completed_at) VALUES ($1, $2, $3, \(dialect.json(value: "$4")), $5, \
            \(dialect.time(value: "$6")), \(dialect.time(value: "$7"))) \
            ON CONFLICT (session_id) DO UPDATE SET flow_data = excluded.flow_data, \
            completed_at = excluded.completed_at
            """
        let audit = dialect.table("omni2", "audit_logs")
        // One row per question, however often the statement is repeated.
        saveAudit = """
            INSERT INTO \(audit) (user_id, "timestamp", question, success, duration_ms, \
            result_summary, error_message, llm_tokens_used, was_blocked, block_reason, cost_usd, \
            session_id, tools_used, mcp_servers_used, source, request_id) \
            SELECT CAST($1 AS INTEGER), \(dialect.time(value: "$2")), $3, \
            \(dialect.flag(value: "$4")), CAST($5 AS INTEGER), $6, $7, CAST($8 AS INTEGER), \
            \(dialect.flag(value: "$9")), $10, CAST($11 AS NUMERIC), \(dialect.uuid(value: "$12")), \
            \(dialect.json(value: "$13")), \(dialect.list(value: "$14")), $15, $16 \
            WHERE NOT EXISTS (SELECT 1 FROM \(audit) WHERE session_id = \(dialect.uuid(value: "$12")))
            """
        let columns = """
            session_id, user_id, conversation_id, \(dialect.json("flow_data")), source, \
            \(dialect.time("created_at")), \(dialect.time("completed_at"))
            """
        flows = """
            SELECT \(columns) FROM \(flow) AS flow WHERE user_id = $1 \
            AND (CAST($3 AS TEXT) IS NULL OR source = $3) \
            AND (CAST($4 AS BIGINT) IS NULL OR flow.created_at >= \(dialect.time(value: "$4"))) \
            AND (CAST($5 AS BIGINT) IS NULL OR flow.created_at < \(dialect.time(value: "$5"))) \
            AND (CAST($6 AS TEXT) IS NULL OR \(dialect.holdsEvent("flow.flow_data", "$6"))) \
            ORDER BY flow.created_at DESC LIMIT $2
            """
        self.flow = "SELECT \(columns) FROM \(flow) AS flow WHERE session_id = $1"
        prune = """
            DELETE FROM \(flow) WHERE session_id IN (SELECT session_id FROM \(flow) \
            WHERE created_at < \(dialect.time(value: "$1")) ORDER BY created_at LIMIT $2)
            """
        let configuration = dialect.table("omni2", "omni2_config")
        monitored = """
            SELECT config_key, \(dialect.json("config_value")) FROM \(configuration) \
            WHERE config_key LIKE 'monitor_user_%' AND is_active IS NOT FALSE
            """
        stopMonitoring = "DELETE FROM \(configuration) WHERE config_key = $1"
        let greeting = dialect.table("omni2", "chat_welcome_config")
        // The person's own goes before the role's, the role's before everybody's.
        welcome = """
            SELECT welcome_message, show_usage_info FROM \(greeting) WHERE welcome_message \
            IS NOT NULL AND ((config_type = 'user' AND target_id = $1) OR (config_type = 'role' \
            AND target_id = (SELECT id FROM \(dialect.table("auth_service", "roles")) \
            WHERE name = $2)) OR config_type = 'default') ORDER BY CASE config_type \
            WHEN 'user' THEN 0 WHEN 'role' THEN 1 ELSE 2 END LIMIT 1
            """
        costSince = """
            SELECT CAST(COALESCE(SUM(cost_usd), 0) AS DOUBLE PRECISION) AS cost, \
            COALESCE(SUM(llm_tokens_used), 0) AS tokens FROM \(audit) \
            WHERE user_id = $1 AND "timestamp" >= \(dialect.time(value: "$2")) AND success
            """
    }

    func command(_ row: HistoryRow) -> SQLCommand {
        switch row.kind {
        case .flow: SQLCommand(saveFlow, row.values)
        case .audit: SQLCommand(saveAudit, row.values)
        }
    }
}

/// One row of `interaction_flows`.
struct FlowRecord: Sendable {
    let session: String
    let user: Int
    let conversation: String?
    /// JSON text.
    let data: String
    let source: String?
    let createdAt: Int64?
    let completedAt: Int64?
}

/// Which flows of a user are wanted.
struct FlowQuery: Sendable {
    var user: Int
    var limit = 50
    var source: String?
    /// Microseconds since 1970 UTC.
    var from: Int64?
    var to: Int64?
    var checkpoint: String?
}

extension SQLStore {
    /// All of them or none. May be repeated with the same rows.
    func write(_ rows: [HistoryRow]) async throws(StoreError) {
        if rows.isEmpty { return }
        let commands = rows.map(flows.command)
        // The batch is nobody's; each row belongs to the request that it tells of.
        let steps = zip(rows, commands).compactMap { row, command in
            row.trace.flatMap { telemetry?.statementSpan(command.text, system: engine, in: $0) }
        }
        defer { for step in steps { step.end() } }
        do throws(StoreError) {
            try await runAll(commands)
        } catch {
            for step in steps { step.fail("database", "\(error)") }
            throw error
        }
    }

    /// Newest first.
    func flows(_ query: FlowQuery) async throws(StoreError) -> [FlowRecord] {
        let values = [
            SQLValue(query.user), SQLValue(query.limit), SQLValue(query.source),
            SQLValue(query.from), SQLValue(query.to), SQLValue(query.checkpoint),
        ]
        return try await rows(flows.flows, values).map(Self.flow)
    }

    func flow(session: FlowID) async throws(StoreError) -> FlowRecord? {
        try await rows(flows.flow, [.text(session.text)]).first.map(Self.flow)
    }

    private static func flow(_ row: SQLRow) -> FlowRecord {
        FlowRecord(
            session: row.text("session_id") ?? "", user: row.int("user_id") ?? 0,
            conversation: row.text("conversation_id"), data: row.text("flow_data") ?? "{}",
            source: row.text("source"), createdAt: row.integer("created_at"),
            completedAt: row.integer("completed_at"))
    }

    /// Deletes at most `limit` flows older than `time`, the oldest first.
    func pruneFlows(before time: Int64, limit: Int) async throws(StoreError) -> Int {
        try await run(SQLCommand(flows.prune, [SQLValue(time), SQLValue(limit)])).affected
    }

    // MARK: Who is watched

    private static let monitorPrefix = "monitor_user_"

    /// `expiry` in microseconds since 1970 UTC.
    func monitoredUsers() async throws(StoreError) -> [(user: Int, expiry: UInt64)] {
        try await rows(flows.monitored).compactMap { row in
            guard let key = row.text("config_key"), let text = row.text("config_value"),
                let user = Int(key.dropFirst(Self.monitorPrefix.count)),
                let seconds = (try? JSONValue(parsing: text))?["expires_at"]?.double,
                seconds > 0, seconds < 1e11
            else { return nil }
            return (user, UInt64((seconds * 1e6).rounded()))
        }
    }

    func monitor(_ user: Int, until expiry: UInt64) async throws(StoreError) {
        let value: JSONValue = ["expires_at": .double(Double(expiry) / 1e6)]
        try await setConfigurationValue("\(Self.monitorPrefix)\(user)", to: value.text)
    }

    func stopMonitoring(_ user: Int) async throws(StoreError) {
        try await run(SQLCommand(flows.stopMonitoring, [.text("\(Self.monitorPrefix)\(user)")]))
    }

    /// What somebody is greeted with in the chat; nil where nobody wrote anything.
    func welcome(user: Int?, role: String) async throws(StoreError) -> (
        message: String, showsUsage: Bool
    )? {
        let rows = try await rows(flows.welcome, [SQLValue(user), .text(role)])
        guard let row = rows.first, let message = row.text("welcome_message") else { return nil }
        return (message, row.flag("show_usage_info") ?? true)
    }

    // MARK: What was spent

    /// Dollars and tokens of a user's answered questions since `time`.
    func spent(by user: Int, since time: Int64) async throws(StoreError) -> (
        cost: Double, tokens: Int
    ) {
        let row = try await rows(flows.costSince, [SQLValue(user), SQLValue(time)]).first
        return (row?.real("cost") ?? 0, row?.int("tokens") ?? 0)
    }
}
