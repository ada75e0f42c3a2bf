-- 022: which events came without a timestamp, so that a gateway's clock dated them.
ALTER TABLE {database}.usage_events {on_cluster}
    ADD COLUMN IF NOT EXISTS dated Bool DEFAULT false COMMENT 'it came without a timestamp: the timestamp is what the gateway''s clock said (false for events metered before this column)';
