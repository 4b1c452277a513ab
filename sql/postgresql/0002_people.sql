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
