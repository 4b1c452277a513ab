-- What was done: flows, activities, the audit trail, prompts that were refused.

CREATE TABLE IF NOT EXISTS interaction_flows (
    session_id TEXT PRIMARY KEY NOT NULL,
    user_id INTEGER,
    conversation_id TEXT,
    flow_data TEXT,
    source TEXT,
    created_at INTEGER DEFAULT (unixepoch() * 1000000),
    completed_at INTEGER
);
CREATE INDEX IF NOT EXISTS idx_interaction_flows_user
    ON interaction_flows (user_id, created_at);
CREATE INDEX IF NOT EXISTS idx_interaction_flows_conversation
    ON interaction_flows (conversation_id);
CREATE INDEX IF NOT EXISTS idx_interaction_flows_created
    ON interaction_flows (created_at);

CREATE TABLE IF NOT EXISTS user_activities (
    activity_id TEXT PRIMARY KEY NOT NULL,
    conversation_id TEXT,
    session_id TEXT,
    user_id INTEGER,
    sequence_num INTEGER,
    activity_type TEXT,
    activity_data TEXT,
    duration_ms INTEGER,
    created_at INTEGER DEFAULT (unixepoch() * 1000000)
);
CREATE INDEX IF NOT EXISTS idx_user_activities_conversation
    ON user_activities (conversation_id, sequence_num);
CREATE INDEX IF NOT EXISTS idx_user_activities_user
    ON user_activities (user_id, created_at);

CREATE TABLE IF NOT EXISTS audit_logs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id INTEGER,
    "timestamp" INTEGER DEFAULT (unixepoch() * 1000000),
    question TEXT NOT NULL,
    success INTEGER NOT NULL,
    mcp_target TEXT,
    tool_called TEXT,
    tool_params TEXT,
    duration_ms INTEGER,
    result_summary TEXT,
    error_message TEXT,
    error_id TEXT,
    slack_channel TEXT,
    slack_user_id TEXT,
    slack_message_ts TEXT,
    slack_thread_ts TEXT,
    llm_confidence REAL,
    llm_reasoning TEXT,
    llm_tokens_used INTEGER,
    ip_address TEXT,
    user_agent TEXT,
    was_blocked INTEGER DEFAULT 0,
    block_reason TEXT,
    cost_usd REAL,
    session_id TEXT,
    tools_used TEXT,
    mcp_servers_used TEXT,
    source TEXT DEFAULT 'ws_chat'
);
CREATE INDEX IF NOT EXISTS idx_audit_logs_user
    ON audit_logs (user_id, "timestamp");
CREATE INDEX IF NOT EXISTS idx_audit_logs_timestamp
    ON audit_logs ("timestamp");

CREATE TABLE IF NOT EXISTS prompt_injection_log (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id INTEGER,
    message TEXT,
    injection_score REAL,
    action TEXT,
    detected_at INTEGER DEFAULT (unixepoch() * 1000000)
);
CREATE INDEX IF NOT EXISTS idx_prompt_injection_log_user
    ON prompt_injection_log (user_id, detected_at);
