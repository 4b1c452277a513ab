-- Which request a question came with: the `X-Request-ID` that journal, flow and answer carry, too.

ALTER TABLE omni2.audit_logs
    ADD COLUMN IF NOT EXISTS request_id text;
