-- 031: by which rule a batch's numbers are measured, as the log has it.
ALTER TABLE {database}.usage_batches {on_cluster}
    ADD COLUMN IF NOT EXISTS rounds Bool DEFAULT false COMMENT 'whether numbers with more than 12 decimals are rounded; false: packed by a release in which they could not be metered';
