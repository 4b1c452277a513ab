-- What was done: flows, activities, the audit trail, prompts that were refused.

CREATE TABLE IF NOT EXISTS omni2.interaction_flows (
    session_id uuid PRIMARY KEY
);
ALTER TABLE omni2.interaction_flows
    ADD COLUMN IF NOT EXISTS user_id integer,
    ADD COLUMN IF NOT EXISTS conversation_id uuid,
    ADD COLUMN IF NOT EXISTS flow_data jsonb,
    ADD COLUMN IF NOT EXISTS source varchar(50),
    ADD COLUMN IF NOT EXISTS created_at timestamp DEFAULT now(),
    ADD COLUMN IF NOT EXISTS completed_at timestamp;
CREATE INDEX IF NOT EXISTS idx_interaction_flows_user
    ON omni2.interaction_flows (user_id, created_at);
CREATE INDEX IF NOT EXISTS idx_interaction_flows_conversation
    ON omni2.interaction_flows (conversation_id);
CREATE INDEX IF NOT EXISTS idx_interaction_flows_created
    ON omni2.interaction_flows (created_at);

CREATE TABLE IF NOT EXISTS omni2.user_activities (
    activity_id uuid PRIMARY KEY DEFAULT gen_random_uuid()
);
ALTER TABLE omni2.user_activities
    ADD COLUMN IF NOT EXISTS conversation_id uuid,
    ADD COLUMN IF NOT EXISTS session_id uuid,
    ADD COLUMN IF NOT EXISTS user_id integer,
    ADD COLUMN IF NOT EXISTS sequence_num integer,
    ADD COLUMN IF NOT EXISTS activity_type varchar(50),
    ADD COLUMN IF NOT EXISTS activity_data jsonb,
    ADD COLUMN IF NOT EXISTS duration_ms integer,
    ADD COLUMN IF NOT EXISTS created_at timestamptz DEFAULT now();
CREATE INDEX IF NOT EXISTS idx_user_activities_conversation
    ON omni2.user_activities (conversation_id, sequence_num);
CREATE INDEX IF NOT EXISTS idx_user_activities_user
    ON omni2.user_activities (user_id, created_at);

CREATE TABLE IF NOT EXISTS omni2.audit_logs (
    id serial PRIMARY KEY,
    user_id integer,
    "timestamp" timestamptz DEFAULT now(),
    question text NOT NULL,
    success boolean NOT NULL
);
ALTER TABLE omni2.audit_logs
    ADD COLUMN IF NOT EXISTS mcp_target varchar(255),
    ADD COLUMN IF NOT EXISTS tool_called varchar(255),
    ADD COLUMN IF NOT EXISTS tool_params jsonb,
    ADD COLUMN IF NOT EXISTS duration_ms integer,
    ADD COLUMN IF NOT EXISTS result_summary text,
    ADD COLUMN IF NOT EXISTS error_message text,
    ADD COLUMN IF NOT EXISTS error_id varchar(50),
    ADD COLUMN IF NOT EXISTS slack_channel varchar(100),
    ADD COLUMN IF NOT EXISTS slack_user_id varchar(50),
    ADD COLUMN IF NOT EXISTS slack_message_ts varchar(50),
    ADD COLUMN IF NOT EXISTS slack_thread_ts varchar(50),
    ADD COLUMN IF NOT EXISTS llm_confidence numeric(3, 2),
    ADD COLUMN IF NOT EXISTS llm_reasoning text,
    ADD COLUMN IF NOT EXISTS llm_tokens_used integer,
    ADD COLUMN IF NOT EXISTS ip_address inet,
    ADD COLUMN IF NOT EXISTS user_agent text,
    ADD COLUMN IF NOT EXISTS was_blocked boolean DEFAULT false,
    ADD COLUMN IF NOT EXISTS block_reason text,
    ADD COLUMN IF NOT EXISTS cost_usd numeric(12, 6),
    ADD COLUMN IF NOT EXISTS session_id uuid,
    ADD COLUMN IF NOT EXISTS tools_used jsonb,
    ADD COLUMN IF NOT EXISTS mcp_servers_used text[],
    ADD COLUMN IF NOT EXISTS source varchar(20) DEFAULT 'ws_chat';
CREATE INDEX IF NOT EXISTS idx_audit_logs_user
    ON omni2.audit_logs (user_id, "timestamp");
CREATE INDEX IF NOT EXISTS idx_audit_logs_timestamp
    ON omni2.audit_logs ("timestamp");

CREATE TABLE IF NOT EXISTS omni2.prompt_injection_log (
    id serial PRIMARY KEY
);
ALTER TABLE omni2.prompt_injection_log
    ADD COLUMN IF NOT EXISTS user_id integer,
    ADD COLUMN IF NOT EXISTS message text,
    ADD COLUMN IF NOT EXISTS injection_score numeric,
    ADD COLUMN IF NOT EXISTS action varchar(20),
    ADD COLUMN IF NOT EXISTS detected_at timestamptz DEFAULT now();
CREATE INDEX IF NOT EXISTS idx_prompt_injection_log_user
    ON omni2.prompt_injection_log (user_id, detected_at);
