import OmniIO

/// The files of `sql/`, written here by `sql/embed.sh`: edit those, never this.
enum EmbeddedMigrations {
    static let postgresql = [
        SQLMigration(
            version: 1, name: "registry",
            text: #"""
                -- The registry: MCP servers, their tools, their health, and settings.
                --
                -- Names and types are OMNI2's. A database that has its tables already is adopted: what exists
                -- stays, what is missing is added.

                CREATE SCHEMA IF NOT EXISTS omni2;

                CREATE TABLE IF NOT EXISTS omni2.mcp_servers (
                    id serial PRIMARY KEY,
                    name varchar(100) NOT NULL UNIQUE,
                    url varchar(500) NOT NULL
                );
                ALTER TABLE omni2.mcp_servers
                    ADD COLUMN IF NOT EXISTS description text,
                    ADD COLUMN IF NOT EXISTS status varchar(20) DEFAULT 'active',
                    ADD COLUMN IF NOT EXISTS protocol varchar(20) DEFAULT 'http',
                    ADD COLUMN IF NOT EXISTS timeout_seconds integer DEFAULT 30,
                    ADD COLUMN IF NOT EXISTS max_retries integer DEFAULT 2,
                    ADD COLUMN IF NOT EXISTS retry_delay_seconds numeric(4, 2) DEFAULT 1.0,
                    ADD COLUMN IF NOT EXISTS auth_type varchar(20),
                    ADD COLUMN IF NOT EXISTS auth_config jsonb,
                    ADD COLUMN IF NOT EXISTS last_health_check timestamptz,
                    ADD COLUMN IF NOT EXISTS health_status varchar(20) DEFAULT 'unknown',
                    ADD COLUMN IF NOT EXISTS error_count integer DEFAULT 0,
                    ADD COLUMN IF NOT EXISTS pt_score integer,
                    ADD COLUMN IF NOT EXISTS pt_last_run timestamptz,
                    ADD COLUMN IF NOT EXISTS pt_status varchar(20),
                    ADD COLUMN IF NOT EXISTS circuit_state varchar(20) DEFAULT 'closed',
                    ADD COLUMN IF NOT EXISTS consecutive_failures integer DEFAULT 0,
                    ADD COLUMN IF NOT EXISTS last_recovery_attempt timestamp,
                    ADD COLUMN IF NOT EXISTS total_downtime_seconds integer DEFAULT 0,
                    ADD COLUMN IF NOT EXISTS failure_cycle_count integer DEFAULT 0,
                    ADD COLUMN IF NOT EXISTS max_failure_cycles integer DEFAULT 3,
                    ADD COLUMN IF NOT EXISTS auto_disabled_at timestamptz,
                    ADD COLUMN IF NOT EXISTS auto_disabled_reason text,
                    ADD COLUMN IF NOT EXISTS can_auto_enable boolean DEFAULT true,
                    ADD COLUMN IF NOT EXISTS meta_data jsonb,
                    ADD COLUMN IF NOT EXISTS created_at timestamptz DEFAULT now(),
                    ADD COLUMN IF NOT EXISTS updated_at timestamptz DEFAULT now();
                CREATE INDEX IF NOT EXISTS idx_mcp_servers_circuit_state
                    ON omni2.mcp_servers (circuit_state);

                CREATE TABLE IF NOT EXISTS omni2.mcp_tools (
                    id serial PRIMARY KEY,
                    mcp_server_id integer NOT NULL REFERENCES omni2.mcp_servers (id) ON DELETE CASCADE,
                    name varchar(255) NOT NULL,
                    UNIQUE (mcp_server_id, name)
                );
                ALTER TABLE omni2.mcp_tools
                    ADD COLUMN IF NOT EXISTS description text,
                    ADD COLUMN IF NOT EXISTS input_schema jsonb,
                    ADD COLUMN IF NOT EXISTS created_at timestamptz DEFAULT now(),
                    ADD COLUMN IF NOT EXISTS updated_at timestamptz DEFAULT now();

                CREATE TABLE IF NOT EXISTS omni2.mcp_health_log (
                    id serial PRIMARY KEY,
                    mcp_server_id integer NOT NULL REFERENCES omni2.mcp_servers (id) ON DELETE CASCADE,
                    "timestamp" timestamptz DEFAULT now()
                );
                ALTER TABLE omni2.mcp_health_log
                    ADD COLUMN IF NOT EXISTS status varchar(20),
                    ADD COLUMN IF NOT EXISTS response_time_ms integer,
                    ADD COLUMN IF NOT EXISTS error_message text,
                    ADD COLUMN IF NOT EXISTS meta_data jsonb,
                    ADD COLUMN IF NOT EXISTS event_type varchar(50);
                CREATE INDEX IF NOT EXISTS idx_mcp_health_log_server
                    ON omni2.mcp_health_log (mcp_server_id);
                CREATE INDEX IF NOT EXISTS idx_mcp_health_log_timestamp
                    ON omni2.mcp_health_log ("timestamp");
                CREATE INDEX IF NOT EXISTS idx_mcp_health_log_event_type
                    ON omni2.mcp_health_log (event_type);

                CREATE TABLE IF NOT EXISTS omni2.omni2_config (
                    id serial PRIMARY KEY,
                    config_key varchar(100) NOT NULL UNIQUE,
                    config_value jsonb NOT NULL
                );
                ALTER TABLE omni2.omni2_config
                    ADD COLUMN IF NOT EXISTS description text,
                    ADD COLUMN IF NOT EXISTS is_active boolean DEFAULT true,
                    ADD COLUMN IF NOT EXISTS created_at timestamptz DEFAULT now(),
                    ADD COLUMN IF NOT EXISTS updated_at timestamptz DEFAULT now();

                -- Whoever changes what an operator configures is heard at once. Health, which is written on each
                -- check, makes no noise: the columns compared are those of the configuration.
                CREATE OR REPLACE FUNCTION omni2.notify_registry() RETURNS trigger
                    LANGUAGE plpgsql AS
                $$
                DECLARE
                    changed omni2.mcp_servers%ROWTYPE;
                BEGIN
                    IF TG_OP = 'DELETE' THEN
                        changed := OLD;
                    ELSE
                        changed := NEW;
                    END IF;
                    PERFORM pg_notify(
                        'omni2_registry',
                        json_build_object('op', lower(TG_OP), 'id', changed.id, 'name', changed.name)::text);
                    RETURN NULL;
                END
                $$;

                DROP TRIGGER IF EXISTS omni2_registry_rows ON omni2.mcp_servers;
                CREATE TRIGGER omni2_registry_rows
                    AFTER INSERT OR DELETE ON omni2.mcp_servers
                    FOR EACH ROW EXECUTE FUNCTION omni2.notify_registry();

                -- JSON is compared as text: an adopted column may be json, which has no equality.
                DROP TRIGGER IF EXISTS omni2_registry_configuration ON omni2.mcp_servers;
                CREATE TRIGGER omni2_registry_configuration
                    AFTER UPDATE ON omni2.mcp_servers
                    FOR EACH ROW
                    WHEN (
                        (OLD.id, OLD.name, OLD.url, OLD.description, OLD.status, OLD.protocol,
                            OLD.timeout_seconds, OLD.max_retries, OLD.retry_delay_seconds, OLD.auth_type,
                            OLD.auth_config::text, OLD.max_failure_cycles, OLD.can_auto_enable,
                            OLD.meta_data::text)
                        IS DISTINCT FROM
                        (NEW.id, NEW.name, NEW.url, NEW.description, NEW.status, NEW.protocol,
                            NEW.timeout_seconds, NEW.max_retries, NEW.retry_delay_seconds, NEW.auth_type,
                            NEW.auth_config::text, NEW.max_failure_cycles, NEW.can_auto_enable,
                            NEW.meta_data::text)
                    )
                    EXECUTE FUNCTION omni2.notify_registry();
                """#),
        SQLMigration(
            version: 2, name: "people",
            text: #"""
                -- Who may come in: users, roles, tokens, teams. OMNI2 keeps them in a schema of their own.

                CREATE SCHEMA IF NOT EXISTS auth_service;

                CREATE TABLE IF NOT EXISTS auth_service.roles (
                    id serial PRIMARY KEY,
                    name varchar(50) NOT NULL UNIQUE
                );
                ALTER TABLE auth_service.roles
                    ADD COLUMN IF NOT EXISTS description text,
                    ADD COLUMN IF NOT EXISTS mcp_access text[] DEFAULT '{}',
                    ADD COLUMN IF NOT EXISTS tool_restrictions jsonb DEFAULT '{}',
                    ADD COLUMN IF NOT EXISTS dashboard_access varchar(20) DEFAULT 'none',
                    ADD COLUMN IF NOT EXISTS rate_limit integer DEFAULT 100,
                    ADD COLUMN IF NOT EXISTS cost_limit_daily numeric(10, 2) DEFAULT 10.00,
                    ADD COLUMN IF NOT EXISTS token_expiry integer DEFAULT 3600,
                    ADD COLUMN IF NOT EXISTS omni_services text[],
                    ADD COLUMN IF NOT EXISTS created_at timestamptz DEFAULT now(),
                    ADD COLUMN IF NOT EXISTS updated_at timestamptz DEFAULT now();

                -- A fresh installation knows no servers yet: which of them developers and analysts see is granted
                -- by an operator.
                INSERT INTO auth_service.roles
                    (name, description, mcp_access, dashboard_access, rate_limit, cost_limit_daily,
                        token_expiry, omni_services)
                SELECT seed.*
                FROM (VALUES
                    ('super_admin', 'Everything', '{*}'::text[], 'admin', 10000, 1000.00, 7200,
                        '{chat,mcp}'::text[]),
                    ('developer', 'The servers granted, with statistics', '{}', 'view', 5000, 100.00, 3600,
                        '{chat,mcp}'),
                    ('analyst', 'The servers granted, with statistics', '{}', 'view', 1000, 50.00, 3600,
                        '{chat,mcp}'),
                    ('viewer', 'Looks on', '{}', 'view', 100, 10.00, 1800, '{chat}')
                ) AS seed
                WHERE NOT EXISTS (SELECT 1 FROM auth_service.roles);

                CREATE TABLE IF NOT EXISTS auth_service.users (
                    id serial PRIMARY KEY,
                    username varchar(100) NOT NULL UNIQUE,
                    email varchar(255) UNIQUE,
                    role_id integer REFERENCES auth_service.roles (id),
                    api_key_hash varchar(255) UNIQUE
                );
                ALTER TABLE auth_service.users
                    ADD COLUMN IF NOT EXISTS name varchar(255),
                    ADD COLUMN IF NOT EXISTS email varchar(255),
                    ADD COLUMN IF NOT EXISTS role_id integer,
                    ADD COLUMN IF NOT EXISTS password_hash varchar(255),
                    ADD COLUMN IF NOT EXISTS api_key_hash varchar(255),
                    ADD COLUMN IF NOT EXISTS active boolean DEFAULT true,
                    ADD COLUMN IF NOT EXISTS rate_limit_override integer,
                    ADD COLUMN IF NOT EXISTS last_login_at timestamptz,
                    ADD COLUMN IF NOT EXISTS created_at timestamptz DEFAULT now(),
                    ADD COLUMN IF NOT EXISTS updated_at timestamptz DEFAULT now();

                -- token_hash: SHA-256 of the whole token in hexadecimal. Rows of OMNI2 hold bcrypt there, which no
                -- look-up finds: such tokens are issued anew.
                CREATE TABLE IF NOT EXISTS auth_service.mcp_access_tokens (
                    id serial PRIMARY KEY,
                    user_id integer NOT NULL REFERENCES auth_service.users (id) ON DELETE CASCADE,
                    token_hash varchar(255) NOT NULL
                );
                ALTER TABLE auth_service.mcp_access_tokens
                    ADD COLUMN IF NOT EXISTS name varchar(255),
                    ADD COLUMN IF NOT EXISTS created_at timestamptz DEFAULT now(),
                    ADD COLUMN IF NOT EXISTS last_used_at timestamptz,
                    ADD COLUMN IF NOT EXISTS expires_at timestamptz;
                CREATE UNIQUE INDEX IF NOT EXISTS idx_mcp_access_tokens_hash
                    ON auth_service.mcp_access_tokens (token_hash);
                CREATE INDEX IF NOT EXISTS idx_mcp_access_tokens_user
                    ON auth_service.mcp_access_tokens (user_id);

                CREATE TABLE IF NOT EXISTS auth_service.teams (
                    id serial PRIMARY KEY,
                    name varchar(100) NOT NULL UNIQUE
                );
                ALTER TABLE auth_service.teams
                    ADD COLUMN IF NOT EXISTS description text,
                    ADD COLUMN IF NOT EXISTS mcp_access text[] DEFAULT '{}',
                    ADD COLUMN IF NOT EXISTS resource_access jsonb DEFAULT '{}',
                    ADD COLUMN IF NOT EXISTS team_rate_limit integer,
                    ADD COLUMN IF NOT EXISTS team_cost_limit numeric(10, 2),
                    ADD COLUMN IF NOT EXISTS created_at timestamptz DEFAULT now(),
                    ADD COLUMN IF NOT EXISTS updated_at timestamptz DEFAULT now();

                CREATE TABLE IF NOT EXISTS auth_service.team_members (
                    team_id integer NOT NULL REFERENCES auth_service.teams (id) ON DELETE CASCADE,
                    user_id integer NOT NULL REFERENCES auth_service.users (id) ON DELETE CASCADE,
                    UNIQUE (team_id, user_id)
                );

                CREATE TABLE IF NOT EXISTS auth_service.user_overrides (
                    user_id integer NOT NULL UNIQUE REFERENCES auth_service.users (id) ON DELETE CASCADE
                );
                ALTER TABLE auth_service.user_overrides
                    ADD COLUMN IF NOT EXISTS mcp_restrictions text[] DEFAULT '{}',
                    ADD COLUMN IF NOT EXISTS tool_restrictions jsonb DEFAULT '{}',
                    ADD COLUMN IF NOT EXISTS custom_rate_limit integer,
                    ADD COLUMN IF NOT EXISTS custom_cost_limit numeric(10, 2);

                CREATE TABLE IF NOT EXISTS omni2.user_blocks (
                    user_id integer PRIMARY KEY
                );
                ALTER TABLE omni2.user_blocks
                    ADD COLUMN IF NOT EXISTS is_blocked boolean DEFAULT true,
                    ADD COLUMN IF NOT EXISTS block_reason text,
                    ADD COLUMN IF NOT EXISTS custom_block_message text,
                    ADD COLUMN IF NOT EXISTS blocked_at timestamp DEFAULT now(),
                    ADD COLUMN IF NOT EXISTS blocked_by integer,
                    ADD COLUMN IF NOT EXISTS blocked_services text[];

                CREATE TABLE IF NOT EXISTS omni2.user_usage_limits (
                    user_id integer NOT NULL UNIQUE
                );
                ALTER TABLE omni2.user_usage_limits
                    ADD COLUMN IF NOT EXISTS period_days integer DEFAULT 30,
                    ADD COLUMN IF NOT EXISTS max_requests integer,
                    ADD COLUMN IF NOT EXISTS max_tokens integer,
                    ADD COLUMN IF NOT EXISTS max_cost numeric(12, 4),
                    ADD COLUMN IF NOT EXISTS is_active boolean DEFAULT true,
                    ADD COLUMN IF NOT EXISTS last_reset_at timestamptz DEFAULT now(),
                    ADD COLUMN IF NOT EXISTS created_at timestamptz DEFAULT now(),
                    ADD COLUMN IF NOT EXISTS updated_at timestamptz DEFAULT now();

                CREATE TABLE IF NOT EXISTS omni2.chat_welcome_config (
                    id serial PRIMARY KEY,
                    config_type varchar(20) NOT NULL,
                    target_id integer,
                    UNIQUE (config_type, target_id)
                );
                ALTER TABLE omni2.chat_welcome_config
                    ADD COLUMN IF NOT EXISTS welcome_message text,
                    ADD COLUMN IF NOT EXISTS show_usage_info boolean DEFAULT true,
                    ADD COLUMN IF NOT EXISTS created_at timestamptz DEFAULT now(),
                    ADD COLUMN IF NOT EXISTS updated_at timestamptz DEFAULT now();
                """#),
        SQLMigration(
            version: 3, name: "history",
            text: #"""
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
                """#),
        SQLMigration(
            version: 4, name: "access",
            text: #"""
                -- Sessions of people, the audit trail of access, and notices of every change that decides who may
                -- do what.

                CREATE TABLE IF NOT EXISTS auth_service.user_sessions (
                    id serial PRIMARY KEY,
                    user_id integer NOT NULL REFERENCES auth_service.users (id) ON DELETE CASCADE,
                    token_hash varchar(255) NOT NULL
                );
                ALTER TABLE auth_service.user_sessions
                    ADD COLUMN IF NOT EXISTS created_at timestamptz DEFAULT now(),
                    ADD COLUMN IF NOT EXISTS expires_at timestamptz,
                    ADD COLUMN IF NOT EXISTS ip_address text,
                    ADD COLUMN IF NOT EXISTS user_agent text;
                CREATE UNIQUE INDEX IF NOT EXISTS idx_user_sessions_hash
                    ON auth_service.user_sessions (token_hash);
                CREATE INDEX IF NOT EXISTS idx_user_sessions_user
                    ON auth_service.user_sessions (user_id);

                -- Who did what, to what, from where: administrative changes and denials alike.
                CREATE TABLE IF NOT EXISTS auth_service.auth_audit (
                    id serial PRIMARY KEY
                );
                ALTER TABLE auth_service.auth_audit
                    ADD COLUMN IF NOT EXISTS "timestamp" timestamptz DEFAULT now(),
                    ADD COLUMN IF NOT EXISTS user_id integer,
                    ADD COLUMN IF NOT EXISTS actor text,
                    ADD COLUMN IF NOT EXISTS action text,
                    ADD COLUMN IF NOT EXISTS target text,
                    ADD COLUMN IF NOT EXISTS outcome varchar(20),
                    ADD COLUMN IF NOT EXISTS reason text,
                    ADD COLUMN IF NOT EXISTS ip_address text,
                    ADD COLUMN IF NOT EXISTS request_id text,
                    ADD COLUMN IF NOT EXISTS repeated integer DEFAULT 1;
                CREATE INDEX IF NOT EXISTS idx_auth_audit_timestamp
                    ON auth_service.auth_audit ("timestamp");

                CREATE OR REPLACE FUNCTION auth_service.notify_access() RETURNS trigger
                    LANGUAGE plpgsql AS
                $$
                BEGIN
                    PERFORM pg_notify('omni2_access', TG_TABLE_NAME);
                    RETURN NULL;
                END
                $$;

                -- Not for `last_used_at` and `last_login_at`, which every use writes.
                DROP TRIGGER IF EXISTS omni2_access_changed ON auth_service.roles;
                CREATE TRIGGER omni2_access_changed
                    AFTER INSERT OR DELETE OR UPDATE OR TRUNCATE ON auth_service.roles
                    FOR EACH STATEMENT EXECUTE FUNCTION auth_service.notify_access();
                DROP TRIGGER IF EXISTS omni2_access_changed ON auth_service.users;
                CREATE TRIGGER omni2_access_changed
                    AFTER INSERT OR DELETE OR TRUNCATE OR UPDATE OF
                        username, name, email, role_id, password_hash, api_key_hash, active, rate_limit_override
                    ON auth_service.users
                    FOR EACH STATEMENT EXECUTE FUNCTION auth_service.notify_access();
                DROP TRIGGER IF EXISTS omni2_access_changed ON auth_service.mcp_access_tokens;
                CREATE TRIGGER omni2_access_changed
                    AFTER INSERT OR DELETE OR TRUNCATE OR UPDATE OF user_id, token_hash, name, expires_at
                    ON auth_service.mcp_access_tokens
                    FOR EACH STATEMENT EXECUTE FUNCTION auth_service.notify_access();
                DROP TRIGGER IF EXISTS omni2_access_changed ON auth_service.user_sessions;
                CREATE TRIGGER omni2_access_changed
                    AFTER INSERT OR DELETE OR TRUNCATE OR UPDATE ON auth_service.user_sessions
                    FOR EACH STATEMENT EXECUTE FUNCTION auth_service.notify_access();
                DROP TRIGGER IF EXISTS omni2_access_changed ON auth_service.teams;
                CREATE TRIGGER omni2_access_changed
                    AFTER INSERT OR DELETE OR UPDATE OR TRUNCATE ON auth_service.teams
                    FOR EACH STATEMENT EXECUTE FUNCTION auth_service.notify_access();
                DROP TRIGGER IF EXISTS omni2_access_changed ON auth_service.team_members;
                CREATE TRIGGER omni2_access_changed
                    AFTER INSERT OR DELETE OR UPDATE OR TRUNCATE ON auth_service.team_members
                    FOR EACH STATEMENT EXECUTE FUNCTION auth_service.notify_access();
                DROP TRIGGER IF EXISTS omni2_access_changed ON auth_service.user_overrides;
                CREATE TRIGGER omni2_access_changed
                    AFTER INSERT OR DELETE OR UPDATE OR TRUNCATE ON auth_service.user_overrides
                    FOR EACH STATEMENT EXECUTE FUNCTION auth_service.notify_access();
                DROP TRIGGER IF EXISTS omni2_access_changed ON omni2.user_blocks;
                CREATE TRIGGER omni2_access_changed
                    AFTER INSERT OR DELETE OR UPDATE OR TRUNCATE ON omni2.user_blocks
                    FOR EACH STATEMENT EXECUTE FUNCTION auth_service.notify_access();
                """#),
        SQLMigration(
            version: 5, name: "request_identity",
            text: #"""
                -- Which request a question came with: the `X-Request-ID` that journal, flow and answer carry, too.

                ALTER TABLE omni2.audit_logs
                    ADD COLUMN IF NOT EXISTS request_id text;
                """#),
    ]

    static let sqlite = [
        SQLMigration(
            version: 1, name: "registry",
            text: #"""
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
                """#),
        SQLMigration(
            version: 2, name: "people",
            text: #"""
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
                """#),
        SQLMigration(
            version: 3, name: "history",
            text: #"""
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
                """#),
        SQLMigration(
            version: 4, name: "access",
            text: #"""
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
                """#),
        SQLMigration(
            version: 5, name: "request_identity",
            text: #"""
                -- Which request a question came with: the `X-Request-ID` that journal, flow and answer carry, too.

                ALTER TABLE audit_logs ADD COLUMN request_id TEXT;
                """#),
    ]
}
