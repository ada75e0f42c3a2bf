-- What each profile version means, immutable: for the roll-up, and for analysts' joins.

CREATE TABLE IF NOT EXISTS {database}.profile_versions {on_cluster}
(
    namespace LowCardinality(String),
    profile_id LowCardinality(String) COMMENT 'meter.profile',
    profile_version UInt32,
    event_name String,
    aggregation LowCardinality(String),
    property Array(String) COMMENT 'path of the value; empty for count',
    filters String COMMENT 'JSON',
    dimensions Array(Array(String)),
    window_seconds UInt32
)
ENGINE = {engine:ReplacingMergeTree}
ORDER BY (namespace, profile_id, profile_version)
COMMENT 'written before the first roll-up of a record that names the version';
