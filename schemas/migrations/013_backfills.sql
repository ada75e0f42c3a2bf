-- Backfills of profile versions over older events (schemas/backfills.py). A backfilled record belongs to a checkpoint by its column, not by
-- its position, so that what stood as of earlier checkpoints stays.

ALTER TABLE {database}.usage_records {on_cluster} ADD COLUMN IF NOT EXISTS
    checkpoint UInt32 DEFAULT 0 COMMENT '0: counts from the checkpoint that its position lies below; else a backfill''s: from that one';

ALTER TABLE {database}.usage_windows {on_cluster} ADD COLUMN IF NOT EXISTS
    backfilled UInt8 DEFAULT 0 COMMENT '1: rolls up the records of the backfill that the checkpoint names';

CREATE TABLE IF NOT EXISTS {database}.backfill_records {on_cluster}
(
    backfill LowCardinality(String) COMMENT 'namespace/meter/version#part',
    namespace LowCardinality(String),
    profile_id LowCardinality(String),
    profile_version UInt32,
    account_id String,
    timestamp DateTime64(6, 'UTC') CODEC(Delta(8), ZSTD(1)),
    quantity Decimal(38, 12) CODEC(ZSTD(1)),
    unique_value String CODEC(ZSTD(1)),
    dimensions LowCardinality(String),
    generation UInt32, partition UInt32, offset UInt64 CODEC(Delta(8), ZSTD(1)), `index` UInt32,
    append_time DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1))
)
ENGINE = {engine:ReplacingMergeTree}
PARTITION BY (backfill, toYYYYMM(append_time))
ORDER BY (namespace, profile_id, account_id, timestamp, generation, partition, offset, `index`, profile_version)
COMMENT 'records of a backfill under way: usage_records gets them with its checkpoint, then they are dropped';

CREATE TABLE IF NOT EXISTS {database}.backfill_progress {on_cluster}
(
    backfill String,
    from_checkpoint UInt32, to_checkpoint UInt32 COMMENT 'this pass reads the events between the two cuts',
    day UInt32 COMMENT 'append day, yyyymmdd; 0: nothing yet, 99999999: the pass is done',
    account_id String, timestamp DateTime64(6, 'UTC'),
    generation UInt32, partition UInt32, offset UInt64, `index` UInt32,
    events_read UInt64, events_total UInt64, records UInt64,
    updated_at DateTime64(3, 'UTC')
)
ENGINE = {engine:ReplacingMergeTree}
ORDER BY (backfill, to_checkpoint, day, events_read, from_checkpoint)
COMMENT 'how far a backfill has got: a row a page, the greatest one counts; every record up to it is in backfill_records';
