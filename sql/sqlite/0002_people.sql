-- Who may come in: users, roles, tokens, teams.

CREATE TABLE IF NOT EXISTS roles (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    description TEXT,
    mcp_access TEXT DEFAULT '[]',
    tool_restrictions TEXT DEFAULT '{}',
    dashboard_access TEXT DEFAULT 'none',
    rate_limit INTEGER DEFAULT 100,
    cost_limit_daily REAL DEFAULT 10.00,
    token_expiry INTEGER DEFAULT 3600,
    omni_services TEXT,
    created_at INTEGER DEFAULT (unixepoch() * 1000000),
    updated_at INTEGER DEFAULT (unixepoch() * 1000000)
);

-- A fresh installation knows no servers yet: which of them developers and analysts see is granted
-- by an operator.
INSERT INTO roles
    (name, description, mcp_access, dashboard_access, rate_limit, cost_limit_daily,
        token_expiry, omni_services)
VALUES
    ('super_admin', 'Everything', '["*"]', 'admin', 10000, 1000.0, 7200, '["chat","mcp"]'),
    ('developer', 'The servers granted, with statistics', '[]', 'view', 5000, 100.0, 3600,
        '["chat","mcp"]'),
    ('analyst', 'The servers granted, with statistics', '[]', 'view', 1000, 50.0, 3600,
        '["chat","mcp"]'),
    ('viewer', 'Looks on', '[]', 'view', 100, 10.0, 1800, '["chat"]');

CREATE TABLE IF NOT EXISTS users (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    username TEXT NOT NULL UNIQUE,
    name TEXT,
    email TEXT UNIQUE,
    role_id INTEGER REFERENCES roles (id),
    password_hash TEXT,
    api_key_hash TEXT UNIQUE,
    active INTEGER DEFAULT 1,
    rate_limit_override INTEGER,
    last_login_at INTEGER,
    created_at INTEGER DEFAULT (unixepoch() * 1000000),
    updated_at INTEGER DEFAULT (unixepoch() * 1000000)
);

CREATE TABLE IF NOT EXISTS mcp_access_tokens (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    token_hash TEXT NOT NULL,
    name TEXT,
    created_at INTEGER DEFAULT (unixepoch() * 1000000),
    last_used_at INTEGER,
    expires_at INTEGER
);
CREATE UNIQUE INDEX IF NOT EXISTS idx_mcp_access_tokens_hash
    ON mcp_access_tokens (token_hash);
CREATE INDEX IF NOT EXISTS idx_mcp_access_tokens_user
    ON mcp_access_tokens (user_id);

CREATE TABLE IF NOT EXISTS teams (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    description TEXT,
    mcp_access TEXT DEFAULT '[]',
    resource_access TEXT DEFAULT '{}',
    team_rate_limit INTEGER,
    team_cost_limit REAL,
    created_at INTEGER DEFAULT (unixepoch() * 1000000),
    updated_at INTEGER DEFAULT (unixepoch() * 1000000)
);

CREATE TABLE IF NOT EXISTS team_members (
    team_id INTEGER NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    UNIQUE (team_id, user_id)
);

CREATE TABLE IF NOT EXISTS user_overrides (
    user_id INTEGER NOT NULL UNIQUE REFERENCES users (id) ON DELETE CASCADE,
    mcp_restrictions TEXT DEFAULT '[]',
    tool_restrictions TEXT DEFAULT '{}',
    custom_rate_limit INTEGER,
    custom_cost_limit REAL
);

CREATE TABLE IF NOT EXISTS user_blocks (
    user_id INTEGER PRIMARY KEY,
    is_blocked INTEGER DEFAULT 1,
    block_reason TEXT,
    custom_block_message TEXT,
    blocked_at INTEGER DEFAULT (unixepoch() * 1000000),
    blocked_by INTEGER,
    blocked_services TEXT
);

CREATE TABLE IF NOT EXISTS user_usage_limits (
    user_id INTEGER NOT NULL UNIQUE,
    period_days INTEGER DEFAULT 30,
    max_requests INTEGER,
    max_tokens INTEGER,
    max_cost REAL,
    is_active INTEGER DEFAULT 1,
    last_reset_at INTEGER DEFAULT (unixepoch() * 1000000),
    created_at INTEGER DEFAULT (unixepoch() * 1000000),
    updated_at INTEGER DEFAULT (unixepoch() * 1000000)
);

CREATE TABLE IF NOT EXISTS chat_welcome_config (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    config_type TEXT NOT NULL,
    target_id INTEGER,
    welcome_message TEXT,
    show_usage_info INTEGER DEFAULT 1,
    created_at INTEGER DEFAULT (unixepoch() * 1000000),
    updated_at INTEGER DEFAULT (unixepoch() * 1000000),
    UNIQUE (config_type, target_id)
);
