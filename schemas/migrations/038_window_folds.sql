-- 038: windows of many checkpoints as one. A slice is a minute long, so that a window has a row for each minute in which something came; a fold
-- rolls up all the slices from the fold before it up to its own number, once. usage_windows keeps its rows, for what is asked as of a checkpoint
-- between two folds.
CREATE TABLE IF NOT EXISTS {database}.usage_window_folds {on_cluster}
(
    namespace LowCardinality(String),
    profile_id LowCardinality(String),
    profile_version UInt32,
    account_id String,
    dimensions LowCardinality(String),
    window_start DateTime64(6, 'UTC'),
    window_seconds UInt32 COMMENT 'size of the window: 60, 3600 or 86400',
    checkpoint UInt32 COMMENT 'the fold: the slices above the fold before it, up to this one',
    epoch UInt32 COMMENT 'rows of other epochs than the newest one count for nothing',
    count UInt64,
    sum Decimal(76, 12),
    max Decimal(38, 12),
    min Decimal(38, 12),
    latest_timestamp DateTime64(6, 'UTC'),
    latest_key String,
    latest Decimal(38, 12),
    unique_state AggregateFunction(uniqExact, String)
)
ENGINE = {engine:ReplacingMergeTree}
ORDER BY (namespace, profile_id, account_id, dimensions, window_start, checkpoint, profile_version, window_seconds, epoch)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'roll-up of usage_records by window and fold; without backfills, whose windows usage_windows has';

CREATE TABLE IF NOT EXISTS {database}.usage_folds {on_cluster}
(
    namespace LowCardinality(String) COMMENT 'one that has events in the fold''s slices; empty: all of the fold is written',
    number UInt32 COMMENT 'checkpoint that the fold ends with; 0: an epoch begins',
    epoch UInt32
)
ENGINE = {engine:ReplacingMergeTree}
ORDER BY (namespace, epoch, number)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'folds that may be read, written after the last window of each; the epoch is the greatest of the empty namespace';
