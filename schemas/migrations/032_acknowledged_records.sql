-- 032: acknowledged records one by one. acknowledged_events (026) kept the last count of ten minutes alone, so that a merge took away what a
-- count at a cursor needs. It is written no more, and stays for older processes of a rolling upgrade.
CREATE TABLE IF NOT EXISTS {database}.acknowledged_records {on_cluster}
(
    generation UInt32, partition UInt32,
    from_offset UInt64 COMMENT 'the least of offsets',
    writer String COMMENT 'one process that appends to usage.events: a gateway, a worker that admits',
    page UInt64 COMMENT 'numbered by the writer; an insert that is retried writes the same page',
    namespace LowCardinality(String),
    offsets Array(UInt64) CODEC(Delta, ZSTD) COMMENT 'of packed batches and voids that Kafka has confirmed',
    events Array(UInt32) COMMENT 'of each; 0: a void'
)
ENGINE = {engine:ReplacingMergeTree}
ORDER BY (generation, partition, from_offset, writer, page, namespace)
COMMENT 'what was acknowledged, by the writers'' own count and not by the log; a writer that was killed has counted some seconds less';

CREATE TABLE IF NOT EXISTS {database}.usage_carried {on_cluster}
(
    generation UInt32, partition UInt32,
    next_offset UInt64 COMMENT 'records below were carried over from the generation before, whose log was not the one that was metered'
)
ENGINE = {engine:ReplacingMergeTree}
ORDER BY (generation, partition, next_offset)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'what `weir generation recover` carried over, copied from usage.catalog; read as max(next_offset)';
