-- Every table is a ReplacingMergeTree whose sorting key ends in the position (or in what names the row), so that a
-- replayed write collapses. Read with FINAL. Instants are UTC. {database}, {on_cluster} and {engine:…} are filled in by
-- schemas/migrations/__init__.py.

CREATE TABLE IF NOT EXISTS {database}.usage_batches {on_cluster}
(
    generation UInt32, partition UInt32, offset UInt64,
    namespace LowCardinality(String),
    events UInt32 COMMENT 'accepted events in the packed batch',
    catalog_offset UInt64 COMMENT 'the batch is matched against exactly this catalog',
    append_time DateTime64(3, 'UTC')
)
ENGINE = {engine:ReplacingMergeTree}
PARTITION BY toYYYYMM(append_time)
ORDER BY (generation, partition, offset)
COMMENT 'one row a packed batch of usage.events: what was accepted';

CREATE TABLE IF NOT EXISTS {database}.usage_events {on_cluster}
(
    namespace LowCardinality(String),
    account_id String,
    event_name LowCardinality(String),
    timestamp DateTime64(6, 'UTC') CODEC(Delta(8), ZSTD(1)),
    source LowCardinality(String),
    idempotency_key String CODEC(ZSTD(1)),
    identity FixedString(16) CODEC(NONE),
    content_hash FixedString(8) CODEC(NONE),
    properties String CODEC(ZSTD(1)),
    match_profile_ids Array(LowCardinality(String)) COMMENT 'meter.profile, one an event and matching profile version',
    match_profile_versions Array(UInt32),
    match_quantities Array(Decimal(38, 12)),
    match_unique_values Array(String) COMMENT 'count_unique: canonical JSON of the value; latest: the idempotency key; else empty',
    match_dimensions Array(String) COMMENT 'canonical JSON object of the dimensions, empty where there are none',
    unmeterable_profile_ids Array(LowCardinality(String)),
    unmeterable_reasons Array(LowCardinality(String)),
    generation UInt32, partition UInt32, offset UInt64 CODEC(Delta(8), ZSTD(1)), `index` UInt32,
    append_time DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1))
)
ENGINE = {engine:ReplacingMergeTree}
PARTITION BY toYYYYMMDD(append_time)
ORDER BY (namespace, account_id, event_name, timestamp, generation, partition, offset, `index`)
COMMENT 'counted events and their matches, the journal';

CREATE TABLE IF NOT EXISTS {database}.usage_identities {on_cluster}
(
    identity FixedString(16) CODEC(NONE),
    generation UInt32, partition UInt32, offset UInt64 CODEC(ZSTD(1)), `index` UInt32 CODEC(ZSTD(1)),
    content_hash FixedString(8) CODEC(NONE),
    append_time DateTime64(3, 'UTC') CODEC(ZSTD(1))
)
ENGINE = {engine:ReplacingMergeTree}
PARTITION BY toYYYYMMDD(append_time)
ORDER BY (identity, generation, partition, offset, `index`)
SETTINGS index_granularity = 1024
COMMENT 'the store of deduplication';

CREATE TABLE IF NOT EXISTS {database}.usage_records {on_cluster}
(
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
PARTITION BY toYYYYMMDD(append_time)
ORDER BY (namespace, profile_id, account_id, timestamp, generation, partition, offset, `index`, profile_version)
COMMENT 'one row an event and matching profile version';

CREATE TABLE IF NOT EXISTS {database}.usage_windows {on_cluster}
(
    namespace LowCardinality(String),
    profile_id LowCardinality(String),
    profile_version UInt32,
    account_id String,
    dimensions LowCardinality(String),
    window_start DateTime64(6, 'UTC'),
    window_seconds UInt32 COMMENT 'size of the window: 60, 3600 or 86400',
    checkpoint UInt32 COMMENT 'the slice that the row rolls up; totals merge all slices',
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
ORDER BY (namespace, profile_id, account_id, dimensions, window_start, checkpoint, profile_version, window_seconds)
COMMENT 'roll-up of usage_records by window and slice; not partitioned, since one slice may hold windows of any number of years';

CREATE TABLE IF NOT EXISTS {database}.usage_progress {on_cluster}
(
    generation UInt32, partition UInt32, next_offset UInt64
)
ENGINE = {engine:ReplacingMergeTree}
ORDER BY (generation, partition, next_offset)
COMMENT 'the one cursor: read as max(next_offset); every row below it is durable';

CREATE TABLE IF NOT EXISTS {database}.usage_checkpoints {on_cluster}
(
    number UInt32,
    generation UInt32, partition UInt32,
    from_offset UInt64, next_offset UInt64,
    catalog_offset UInt64,
    as_of DateTime64(6, 'UTC'),
    backfill String
)
ENGINE = {engine:ReplacingMergeTree}
ORDER BY (number, generation, partition)
COMMENT 'checkpoints whose slice is rolled up, a row a partition; written after the last window of the slice';

CREATE TABLE IF NOT EXISTS {database}.duplicate_events {on_cluster}
(
    namespace LowCardinality(String),
    account_id String,
    event_name LowCardinality(String),
    timestamp DateTime64(6, 'UTC'),
    source LowCardinality(String),
    idempotency_key String,
    generation UInt32, partition UInt32, offset UInt64, `index` UInt32,
    first_generation UInt32, first_partition UInt32, first_offset UInt64, first_index UInt32,
    append_time DateTime64(3, 'UTC')
)
ENGINE = {engine:ReplacingMergeTree}
PARTITION BY toYYYYMM(append_time)
ORDER BY (namespace, account_id, generation, partition, offset, `index`)
COMMENT 'what was dropped as a duplicate, with the position that counted';

CREATE TABLE IF NOT EXISTS {database}.rejected_events {on_cluster}
(
    namespace LowCardinality(String),
    rejection_id FixedString(16),
    stage LowCardinality(String) COMMENT 'gateway, admit or meter',
    reason LowCardinality(String),
    detail String,
    events UInt32,
    account_id String,
    event_name String,
    idempotency_key String,
    original String CODEC(ZSTD(1)),
    origin_topic LowCardinality(String), origin_generation UInt32, origin_partition Int32, origin_offset Int64, origin_index UInt32,
    received_at DateTime64(6, 'UTC')
)
ENGINE = {engine:ReplacingMergeTree}
PARTITION BY toYYYYMM(received_at)
ORDER BY (namespace, stage, reason, received_at, rejection_id)
COMMENT 'what was refused, from usage.rejected';

CREATE TABLE IF NOT EXISTS {database}.invoices {on_cluster}
(
    namespace LowCardinality(String),
    invoice_id String,
    version UInt32,
    predecessor String,
    subscription String,
    sequence UInt32,
    account_id String,
    plan String, plan_version UInt32,
    period_start DateTime64(6, 'UTC'), period_end DateTime64(6, 'UTC'),
    time_zone String,
    run_id String, checkpoint UInt32, catalog_offset UInt64, as_of DateTime64(6, 'UTC'),
    state LowCardinality(String),
    currency LowCardinality(String),
    total Decimal(38, 12),
    body String
)
ENGINE = {engine:ReplacingMergeTree}
ORDER BY (namespace, invoice_id, version)
COMMENT 'every valid version of every invoice; the greatest version stands';

CREATE TABLE IF NOT EXISTS {database}.invoice_lines {on_cluster}
(
    namespace LowCardinality(String),
    invoice_id String,
    version UInt32,
    number UInt32,
    kind LowCardinality(String),
    charge String, product String, description String,
    profile_id String, profile_versions Array(UInt32),
    period_start DateTime64(6, 'UTC'), period_end DateTime64(6, 'UTC'),
    quantity Nullable(Decimal(76, 12)),
    events Nullable(UInt64),
    unit String,
    price String,
    amount Decimal(38, 12),
    unrounded String COMMENT 'exact decimal text, which may have more digits than a column holds',
    steps String,
    note String,
    adjusts String
)
ENGINE = {engine:ReplacingMergeTree}
ORDER BY (namespace, invoice_id, version, number)
COMMENT 'lines of every version of every invoice';

CREATE TABLE IF NOT EXISTS {database}.catalog_entries {on_cluster}
(
    namespace LowCardinality(String),
    kind LowCardinality(String),
    code String,
    version UInt32,
    retired Bool,
    valid_from Nullable(DateTime64(6, 'UTC')),
    published_at DateTime64(6, 'UTC'),
    catalog_offset UInt64,
    body String,
    author String
)
ENGINE = {engine:ReplacingMergeTree}
ORDER BY (namespace, kind, code, version)
COMMENT 'a copy of usage.catalog for analysts';

CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.usage_identities_view {on_cluster} TO {database}.usage_identities AS
SELECT identity, generation, partition, offset, `index`, content_hash, append_time FROM {database}.usage_events;

CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.usage_records_view {on_cluster} TO {database}.usage_records AS
SELECT namespace, profile_id, profile_version, account_id, timestamp, quantity, unique_value, dimensions,
    generation, partition, offset, `index`, append_time
FROM {database}.usage_events
ARRAY JOIN match_profile_ids AS profile_id, match_profile_versions AS profile_version,
    match_quantities AS quantity, match_unique_values AS unique_value, match_dimensions AS dimensions;
