-- 061: what `weir generation recover` carried over, record by record. Only the number of events was known before (usage_carried, 032), and a
-- record that a worker metered after all, while it was being carried over, hid as many events that the log had lost.
CREATE TABLE IF NOT EXISTS {database}.carried_records {on_cluster}
(
    generation UInt32 COMMENT 'the one that was left', partition UInt32, offset UInt64,
    append_time DateTime64(3, 'UTC') COMMENT 'in the log that was left: another one under its name may have another record at the offset',
    namespace LowCardinality(String),
    events UInt32 COMMENT 'of the packed batch; 0: a void'
)
ENGINE = {engine:ReplacingMergeTree}
ORDER BY (generation, partition, offset, append_time)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'records that were not metered when they were carried over to the next generation; one with its offset and append time in usage_batches has been metered since';
