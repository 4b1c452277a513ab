-- The registry: MCP servers, their tools, their health, and settings.
--
-- The tables and columns of OMNI2 in SQLite's types: times are microseconds since 1970 UTC, JSON
-- and lists are JSON text, booleans 0 and 1. Each writer tells the daemon itself: there is no NOTIFY.

CREATE TABLE IF NOT EXISTS mcp_servers (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    url TEXT NOT NULL,
    description TEXT,
    status TEXT DEFAULT 'active',
    protocol TEXT DEFAULT 'http',
    timeout_seconds INTEGER DEFAULT 30,
    max_retries INTEGER DEFAULT 2,
    retry_delay_seconds REAL DEFAULT 1.0,
    auth_type TEXT,
    auth_config TEXT,
    last_health_check INTEGER,
    health_status TEXT DEFAULT 'unknown',
    error_count INTEGER DEFAULT 0,
    pt_score INTEGER,
    pt_last_run INTEGER,
    pt_status TEXT,
    circuit_state TEXT DEFAULT 'closed',
    consecutive_failures INTEGER DEFAULT 0,
    last_recovery_attempt INTEGER,
    total_downtime_seconds INTEGER DEFAULT 0,
    failure_cycle_count INTEGER DEFAULT 0,
    max_failure_cycles INTEGER DEFAULT 3,
    auto_disabled_at INTEGER,
    auto_disabled_reason TEXT,
    can_auto_enable INTEGER DEFAULT 1,
    meta_data TEXT,
    created_at INTEGER DEFAULT (unixepoch() * 1000000),
    updated_at INTEGER DEFAULT (unixepoch() * 1000000)
);
CREATE INDEX IF NOT EXISTS idx_mcp_servers_circuit_state
    ON mcp_servers (circuit_state);

CREATE TABLE IF NOT EXISTS mcp_tools (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    mcp_server_id INTEGER NOT NULL REFERENCES mcp_servers (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    description TEXT,
    input_schema TEXT,
    created_at INTEGER DEFAULT (unixepoch() * 1000000),
    updated_at INTEGER DEFAULT (unixepoch() * 1000000),
    UNIQUE (mcp_server_id, name)
);

CREATE TABLE IF NOT EXISTS mcp_health_log (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    mcp_server_id INTEGER NOT NULL REFERENCES mcp_servers (id) ON DELETE CASCADE,
    "timestamp" INTEGER DEFAULT (unixepoch() * 1000000),
    status TEXT,
    response_time_ms INTEGER,
    error_message TEXT,
    meta_data TEXT,
    event_type TEXT
);
CREATE INDEX IF NOT EXISTS idx_mcp_health_log_server
    ON mcp_health_log (mcp_server_id);
CREATE INDEX IF NOT EXISTS idx_mcp_health_log_timestamp
    ON mcp_health_log ("timestamp");
CREATE INDEX IF NOT EXISTS idx_mcp_health_log_event_type
    ON mcp_health_log (event_type);

CREATE TABLE IF NOT EXISTS omni2_config (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    config_key TEXT NOT NULL UNIQUE,
    config_value TEXT NOT NULL,
    description TEXT,
    is_active INTEGER DEFAULT 1,
    created_at INTEGER DEFAULT (unixepoch() * 1000000),
    updated_at INTEGER DEFAULT (unixepoch() * 1000000)
);
