-- Sessions of people, and the audit trail of access.

CREATE TABLE IF NOT EXISTS user_sessions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    token_hash TEXT NOT NULL,
    created_at INTEGER DEFAULT (unixepoch() * 1000000),
    expires_at INTEGER,
    ip_address TEXT,
    user_agent TEXT
);
CREATE UNIQUE INDEX IF NOT EXISTS idx_user_sessions_hash ON user_sessions (token_hash);
CREATE INDEX IF NOT EXISTS idx_user_sessions_user ON user_sessions (user_id);

-- Who did what, to what, from where: administrative changes and denials alike.
CREATE TABLE IF NOT EXISTS auth_audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    "timestamp" INTEGER DEFAULT (unixepoch() * 1000000),
    user_id INTEGER,
    actor TEXT,
    action TEXT,
    target TEXT,
    outcome TEXT,
    reason TEXT,
    ip_address TEXT,
    request_id TEXT,
    repeated INTEGER DEFAULT 1
);
CREATE INDEX IF NOT EXISTS idx_auth_audit_timestamp ON auth_audit ("timestamp");
