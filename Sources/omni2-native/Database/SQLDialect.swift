/// What the two engines write differently. Statements are composed of these pieces once, when the
/// store is made.
struct SQLDialect {
    enum Engine: String {
        case sqlite, postgresql
    }

    let engine: Engine

    /// SQLite has no schemas: `omni2.mcp_servers` is its `mcp_servers`.
    func table(_ schema: String, _ name: String) -> String {
        engine == .sqlite ? name : "\(schema).\(name)"
    }

    /// A column of time, read as microseconds since 1970 UTC.
    func time(_ column: String) -> String {
        engine == .sqlite
            ? column : "(extract(epoch FROM \(column)) * 1000000)::bigint AS \(bare(column))"
    }

    /// A value of microseconds since 1970 UTC, written into a column of time.
    func time(value: String) -> String {
        engine == .sqlite
            ? value : "(timestamptz 'epoch' + \(value)::bigint * interval '1 microsecond')"
    }

    /// SQLite's clock counts milliseconds, as a day number.
    var now: String {
        engine == .sqlite
            ? "CAST(round((julianday('now') - 2440587.5) * 86400000) * 1000 AS INTEGER)" : "now()"
    }

    /// A column of JSON, read as text.
    func json(_ column: String) -> String {
        engine == .sqlite ? column : "\(column)::text AS \(bare(column))"
    }

    /// JSON text, written into a column of JSON.
    func json(value: String) -> String {
        engine == .sqlite ? "json(\(value))" : "\(value)::jsonb"
    }

    /// A column of texts, read as a JSON array.
    func list(_ column: String) -> String {
        engine == .sqlite ? column : "to_json(\(column))::text AS \(bare(column))"
    }

    /// A JSON array of texts, written into a column of texts. NULL stays NULL.
    func list(value: String) -> String {
        engine == .sqlite
            ? "json(\(value))"
            : "(CASE WHEN \(value)::text IS NOT NULL THEN "
                + "ARRAY(SELECT json_array_elements_text(\(value)::text::json)) END)"
    }

    /// A truth value in a list of values of other types.
    func flag(value: String) -> String {
        engine == .sqlite ? value : "(\(value)::integer <> 0)"
    }

    func uuid(value: String) -> String { engine == .sqlite ? value : "\(value)::uuid" }

    /// Whether one of a flow's events is of a type.
    func holdsEvent(_ column: String, _ type: String) -> String {
        engine == .sqlite
            ? "EXISTS (SELECT 1 FROM json_each(\(column), '$.events') AS event "
                + "WHERE json_extract(event.value, '$.event_type') = \(type))"
            : "\(column)->'events' @> jsonb_build_array(jsonb_build_object('event_type', \(type)))"
    }

    private func bare(_ column: String) -> String {
        column.split(separator: ".").last.map(String.init) ?? column
    }
}
