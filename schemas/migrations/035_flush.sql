-- 035: a flush is one insert. usage_flush stores nothing; its views fill the four tables that have no order among each other. What a match measured
-- stands in usage_records alone: usage_events keeps which profiles matched, and why others could not measure the event.

CREATE TABLE IF NOT EXISTS {database}.usage_flush {on_cluster}
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
    append_time DateTime64(3, 'UTC'),
    fate UInt8 COMMENT '0: it counts; 1: a duplicate; 2: a conflict, which is rejected',
    first_generation UInt32, first_partition UInt32, first_offset UInt64, first_index UInt32
)
ENGINE = Null
COMMENT 'the events of a flush on their way: views of it fill usage_events, usage_identities, usage_records and duplicate_events';

-- Workers of the release before write usage_events themselves, and must not once its views are gone: they would move their cursor past events without
-- records and identities. So nobody writes it from here until the columns are gone that they name, from when on the engine refuses their inserts.
ALTER TABLE {database}.usage_events {on_cluster} ADD CONSTRAINT IF NOT EXISTS being_migrated CHECK false;

DROP VIEW IF EXISTS {database}.usage_records_view {on_cluster};

DROP VIEW IF EXISTS {database}.usage_identities_view {on_cluster};

ALTER TABLE {database}.usage_events {on_cluster}
    DROP COLUMN IF EXISTS match_profile_versions,
    DROP COLUMN IF EXISTS match_quantities,
    DROP COLUMN IF EXISTS match_unique_values,
    DROP COLUMN IF EXISTS match_dimensions;

ALTER TABLE {database}.usage_events {on_cluster} DROP CONSTRAINT IF EXISTS being_migrated;

CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.usage_events_view {on_cluster} TO {database}.usage_events AS
SELECT namespace, account_id, event_name, timestamp, source, idempotency_key, identity, content_hash, properties,
    match_profile_ids, unmeterable_profile_ids, unmeterable_reasons, generation, partition, offset, `index`, append_time, dated
FROM {database}.usage_flush WHERE fate = 0;

CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.usage_identities_view {on_cluster} TO {database}.usage_identities AS
SELECT identity, generation, partition, offset, `index`, content_hash, append_time, namespace
FROM {database}.usage_flush WHERE fate = 0;

CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.usage_records_view {on_cluster} TO {database}.usage_records AS
SELECT namespace, profile_id, profile_version, account_id, timestamp, quantity, unique_value, dimensions,
    generation, partition, offset, `index`, append_time
FROM {database}.usage_flush
ARRAY JOIN match_profile_ids AS profile_id, match_profile_versions AS profile_version,
    match_quantities AS quantity, match_unique_values AS unique_value, match_dimensions AS dimensions
WHERE fate = 0;

CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.duplicate_events_view {on_cluster} TO {database}.duplicate_events AS
SELECT namespace, account_id, event_name, timestamp, source, idempotency_key, generation, partition, offset, `index`,
    first_generation, first_partition, first_offset, first_index, append_time
FROM {database}.usage_flush WHERE fate = 1;
