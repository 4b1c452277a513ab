import OmniCore
import OmniIO

/// The statements of the audit trail, and what `/stats` and `/activity` read from the history.
struct AuditStatements {
    let append: String
    let audit: String
    let prune: String
    let costs: String
    let queries: String
    let activity: String

    init(_ dialect: SQLDialect) {
        let audits = dialect.table("auth_service", "auth_audit")
        let log = dialect.table("omni2", "audit_logs")
        append = """
            INSERT INTO \(audits) ("timestamp", user_id, actor, action, target, outcome, reason, \
            ip_address, request_id, repeated) VALUES (\(dialect.time(value: "$1")), $2, $3, $4, \
            $5, $6, $7, $8, $9, $10)
            """
        audit = """
            SELECT id, \(dialect.time("\"timestamp\"")), user_id, actor, action, target, outcome, \
            reason, ip_address, request_id, repeated FROM \(audits) ORDER BY id DESC LIMIT $1
            """
        prune = """
            DELETE FROM \(audits) WHERE id IN (SELECT id FROM \(audits) \
            WHERE "timestamp" < \(dialect.time(value: "$1")) LIMIT $2)
            """
        costs = """
            SELECT user_id, sum(cost_usd) AS cost FROM \(log) \
            WHERE "timestamp" >= \(dialect.time(value: "$1")) AND success \
            AND cost_usd IS NOT NULL AND user_id IS NOT NULL GROUP BY user_id ORDER BY user_id
            """
        queries = """
            SELECT count(*) AS queries, sum(cost_usd) AS cost FROM \(log) \
            WHERE "timestamp" >= \(dialect.time(value: "$1"))
            """
        activity = """
            SELECT id, \(dialect.time("\"timestamp\"")), user_id, question, mcp_target, \
            tool_called, success, duration_ms, cost_usd, source FROM \(log) \
            ORDER BY "timestamp" DESC, id DESC LIMIT $1
            """
    }

    func command(_ record: AuditRecord) -> SQLCommand {
        SQLCommand(
            append,
            [
                SQLValue(record.timestamp), SQLValue(record.userID), SQLValue(record.actor),
                SQLValue(record.action), SQLValue(record.target),
                SQLValue(record.outcome.rawValue), SQLValue(record.reason),
                SQLValue(record.address), SQLValue(record.requestID), SQLValue(record.repeated),
            ])
    }

    func record(_ row: SQLRow) -> AuditRecord {
        AuditRecord(
            id: row.int("id") ?? 0, timestamp: row.integer("timestamp") ?? 0,
            userID: row.int("user_id"), actor: row.text("actor") ?? "",
            action: row.text("action") ?? "", target: row.text("target"),
            outcome: AuditRecord.Outcome(rawValue: row.text("outcome") ?? "") ?? .done,
            reason: row.text("reason"), address: row.text("ip_address"),
            requestID: row.text("request_id"), repeated: row.int("repeated") ?? 1)
    }

    func activity(_ row: SQLRow) -> ActivityRecord {
        ActivityRecord(
            id: row.int("id") ?? 0, timestamp: row.integer("timestamp") ?? 0,
            userID: row.int("user_id"), question: row.text("question") ?? "",
            server: row.text("mcp_target"), tool: row.text("tool_called"),
            isSuccess: row.flag("success") ?? false,
            durationMilliseconds: row.int("duration_ms"), cost: row.real("cost_usd"),
            source: row.text("source"))
    }
}
