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
