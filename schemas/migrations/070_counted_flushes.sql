-- 070: a view costs an insert 2 to 4 ms of CPU whether or not it has rows. A flush without copies of events comes by a table that has no view for them; all that
-- counts is filled as by usage_flush (035), which takes the others.
CREATE TABLE IF NOT EXISTS {database}.usage_flush_counted {on_cluster}
(
    namespace LowCardinality(String),
    account_id String,
    event_name LowCardinality(String),
    timestamp DateTime64(6, 'UTC'),
    source LowCardinality(String),
    idempotency_key String,
    identity FixedString(16),
    content_hash FixedString(8),
    properties String,
    dated Bool,
    match_profile_ids Array(LowCardinality(String)) COMMENT 'meter.profile, one a matching profile version',
    match_profile_versions Array(UInt32),
    match_quantities Array(Decimal(38, 12)),
    match_unique_values Array(String) COMMENT 'count_unique: canonical JSON of the value; latest: the idempotency key; else empty',
    match_dimensions Array(LowCardinality(String)) COMMENT 'canonical JSON object of the dimensions, empty where there are none',
    unmeterable_profile_ids Array(LowCardinality(String)),
    unmeterable_reasons Array(LowCardinality(String)),
    generation UInt32, partition UInt32, offset UInt64, `index` UInt32,
    append_time DateTime64(3, 'UTC')
)
ENGINE = Null
COMMENT 'the events of a flush on their way, all of which count: views of it fill usage_events, usage_identities and usage_records';

CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.usage_events_counted_view {on_cluster} TO {database}.usage_events AS
SELECT namespace, account_id, event_name, timestamp, source, idempotency_key, identity, content_hash, properties,
    match_profile_ids, unmeterable_profile_ids, unmeterable_reasons, generation, partition, offset, `index`, append_time, dated
FROM {database}.usage_flush_counted;

CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.usage_identities_counted_view {on_cluster} TO {database}.usage_identities AS
SELECT identity, generation, partition, offset, `index`, content_hash, append_time, namespace
FROM {database}.usage_flush_counted;

CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.usage_records_counted_view {on_cluster} TO {database}.usage_records AS
SELECT namespace, profile_id, profile_version, account_id, timestamp, quantity, unique_value, dimensions,
    generation, partition, offset, `index`, append_time
FROM {database}.usage_flush_counted
ARRAY JOIN match_profile_ids AS profile_id, match_profile_versions AS profile_version,
    match_quantities AS quantity, match_unique_values AS unique_value, match_dimensions AS dimensions;
