-- Whose an identity is, so that it can be forgotten when it matters no more: W + the log's retention, never where a namespace lifts the
-- age (stream_processors/forgetting.py). Rows from before have none and stay.

ALTER TABLE {database}.usage_identities {on_cluster} ADD COLUMN IF NOT EXISTS namespace LowCardinality(String);

ALTER TABLE {database}.usage_identities_view {on_cluster} MODIFY QUERY
SELECT identity, generation, partition, offset, `index`, content_hash, append_time, namespace FROM {database}.usage_events;
