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
