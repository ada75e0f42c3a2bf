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

CREATE TABLE IF NOT EXISTS {database}.usage_backfills {on_cluster}
(
    namespace LowCardinality(String),
    profile_id LowCardinality(String),
    profile_version UInt32,
    start DateTime64(6, 'UTC') COMMENT 'from here on it counts all events, in place of the versions before it',
    checkpoint UInt32,
    ends Map(UInt64, UInt64) COMMENT '(generation << 32) + partition to next offset: so far it reaches'
)
ENGINE = {engine:ReplacingMergeTree}
ORDER BY (namespace, profile_id, profile_version, checkpoint)
COMMENT 'backfills that are rolled up, for the views below; the catalog says the same (kind backfill)';

CREATE OR REPLACE VIEW {database}.usage_total {on_cluster} AS
WITH (
    SELECT groupArray((profile_version, start, checkpoint, ends)) FROM {database}.usage_backfills
    WHERE namespace = {namespace:String} AND profile_id = {profile_id:String}
) AS backfills
SELECT account_id,
    count() AS count,
    sum(toDecimal256(quantity, 12)) AS sum,
    max(quantity) AS max,
    min(quantity) AS min,
    argMax(quantity, (timestamp, unique_value)) AS latest,
    uniqExact(unique_value) AS count_unique
FROM {database}.usage_records FINAL
WHERE namespace = {namespace:String} AND profile_id = {profile_id:String}
    AND timestamp >= toDateTime64({period_start:String}, 6, 'UTC') AND timestamp < toDateTime64({period_end:String}, 6, 'UTC')
    AND (checkpoint = 0 OR arrayExists(one -> checkpoint = one.3, backfills))
    AND NOT arrayExists(one -> profile_version < one.1 AND timestamp >= one.2 AND if(checkpoint > 0, checkpoint <= one.3,
        offset < one.4[bitShiftLeft(toUInt64(generation), 32) + partition]), backfills)
    AND (generation, partition, offset, `index`) NOT IN (
        SELECT generation, partition, offset, `index` FROM {database}.voided_events WHERE namespace = {namespace:String})
GROUP BY account_id
COMMENT 'totals of one profile over [period_start, period_end), UTC, by account, without voided events, with backfills';

CREATE OR REPLACE VIEW {database}.usage_daily {on_cluster} AS
SELECT namespace, profile_id, account_id, toDate(timestamp, 'UTC') AS day,
    count() AS count,
    sum(toDecimal256(quantity, 12)) AS sum,
    max(quantity) AS max,
    min(quantity) AS min,
    argMax(quantity, (timestamp, unique_value)) AS latest,
    uniqExact(unique_value) AS count_unique
FROM (SELECT * FROM {database}.usage_records FINAL) AS records
LEFT ANY JOIN (
    SELECT namespace, profile_id, groupArray((profile_version, start, checkpoint, ends)) AS backfills FROM {database}.usage_backfills
    GROUP BY namespace, profile_id
) AS known USING (namespace, profile_id)
WHERE (checkpoint = 0 OR arrayExists(one -> checkpoint = one.3, backfills))
    AND NOT arrayExists(one -> profile_version < one.1 AND timestamp >= one.2 AND if(checkpoint > 0, checkpoint <= one.3,
        offset < one.4[bitShiftLeft(toUInt64(generation), 32) + partition]), backfills)
    AND (generation, partition, offset, `index`) NOT IN (
        SELECT generation, partition, offset, `index` FROM {database}.voided_events)
GROUP BY namespace, profile_id, account_id, day
COMMENT 'totals by UTC day, without voided events, with backfills; counts and sums of days add up, unique counts do not';
