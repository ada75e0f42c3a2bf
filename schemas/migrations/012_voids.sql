-- Voided events (schemas/voids.py). Events and records stay; who totals leaves out what was voided below the cut that is read.

CREATE TABLE IF NOT EXISTS {database}.usage_voids {on_cluster}
(
    namespace LowCardinality(String),
    source String,
    idempotency_key String,
    identity FixedString(16) CODEC(NONE),
    reason String,
    author String,
    generation UInt32, partition UInt32, offset UInt64,
    append_time DateTime64(3, 'UTC')
)
ENGINE = {engine:ReplacingMergeTree}
ORDER BY (namespace, generation, partition, offset)
COMMENT 'every void of usage.events, also those without effect, which are in rejected_events too';

CREATE TABLE IF NOT EXISTS {database}.voided_events {on_cluster}
(
    namespace LowCardinality(String),
    account_id String,
    event_name LowCardinality(String),
    timestamp DateTime64(6, 'UTC'),
    source String,
    idempotency_key String,
    match_profile_ids Array(LowCardinality(String)) COMMENT 'the profiles that had measured the event',
    generation UInt32, partition UInt32, offset UInt64, `index` UInt32,
    append_time DateTime64(3, 'UTC'),
    void_generation UInt32, void_partition UInt32, void_offset UInt64,
    void_append_time DateTime64(3, 'UTC'),
    reason String,
    author String
)
ENGINE = {engine:ReplacingMergeTree}
ORDER BY (namespace, account_id, timestamp, generation, partition, offset, `index`)
COMMENT 'events that were taken back: the position of each, and that of the first void that meant it';

CREATE OR REPLACE VIEW {database}.usage_total {on_cluster} AS
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
    AND (generation, partition, offset, `index`) NOT IN (
        SELECT generation, partition, offset, `index` FROM {database}.voided_events WHERE namespace = {namespace:String})
GROUP BY account_id
COMMENT 'totals of one profile over [period_start, period_end), UTC, by account, without voided events';

CREATE OR REPLACE VIEW {database}.usage_daily {on_cluster} AS
SELECT namespace, profile_id, account_id, toDate(timestamp, 'UTC') AS day,
    count() AS count,
    sum(toDecimal256(quantity, 12)) AS sum,
    max(quantity) AS max,
    min(quantity) AS min,
    argMax(quantity, (timestamp, unique_value)) AS latest,
    uniqExact(unique_value) AS count_unique
FROM {database}.usage_records FINAL
WHERE (generation, partition, offset, `index`) NOT IN (
    SELECT generation, partition, offset, `index` FROM {database}.voided_events)
GROUP BY namespace, profile_id, account_id, day
COMMENT 'totals by UTC day, without voided events; counts and sums of days add up, unique counts do not';
