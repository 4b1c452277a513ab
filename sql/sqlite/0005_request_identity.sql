-- Which request a question came with: the `X-Request-ID` that journal, flow and answer carry, too.

ALTER TABLE audit_logs ADD COLUMN request_id TEXT;
