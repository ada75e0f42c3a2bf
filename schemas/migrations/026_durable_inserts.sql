-- What the cursor vouches for outlives a loss of power: an insert into these tables answers when its part is on the disk, files and
-- folder. Merged parts are left to the kernel, since what they were merged from stays for eight minutes (old_parts_lifetime).

ALTER TABLE {database}.usage_events {on_cluster} MODIFY SETTING fsync_after_insert = 1, fsync_part_directory = 1;

ALTER TABLE {database}.usage_identities {on_cluster} MODIFY SETTING fsync_after_insert = 1, fsync_part_directory = 1;

ALTER TABLE {database}.usage_records {on_cluster} MODIFY SETTING fsync_after_insert = 1, fsync_part_directory = 1;

ALTER TABLE {database}.usage_batches {on_cluster} MODIFY SETTING fsync_after_insert = 1, fsync_part_directory = 1;

ALTER TABLE {database}.duplicate_events {on_cluster} MODIFY SETTING fsync_after_insert = 1, fsync_part_directory = 1;

ALTER TABLE {database}.usage_voids {on_cluster} MODIFY SETTING fsync_after_insert = 1, fsync_part_directory = 1;

ALTER TABLE {database}.voided_events {on_cluster} MODIFY SETTING fsync_after_insert = 1, fsync_part_directory = 1;

ALTER TABLE {database}.usage_progress {on_cluster} MODIFY SETTING fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS {database}.usage_topics {on_cluster}
(
    generation UInt32,
    topic_id String COMMENT 'as Kafka names the topic; another one under the same name is another log',
    recorded_at DateTime64(6, 'UTC')
)
ENGINE = {engine:ReplacingMergeTree}
ORDER BY (generation, recorded_at)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'the log that the cursors of a generation were written for; the first row of a generation stands';

CREATE TABLE IF NOT EXISTS {database}.usage_given_up {on_cluster}
(
    generation UInt32, partition UInt32,
    from_offset UInt64, next_offset UInt64,
    namespace LowCardinality(String),
    events UInt64 COMMENT 'events of the namespace that were acknowledged there and are in no other row',
    reason String,
    author String,
    given_up_at DateTime64(6, 'UTC')
)
ENGINE = {engine:ReplacingMergeTree}
ORDER BY (generation, partition, from_offset, next_offset, namespace)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'offsets of usage.events that were given up by hand (`weir log give-up`), copied from usage.catalog';

CREATE TABLE IF NOT EXISTS {database}.acknowledged_events {on_cluster}
(
    writer String COMMENT 'one process that appends to usage.events: a gateway, a worker that admits, a command',
    namespace LowCardinality(String),
    generation UInt32, partition UInt32,
    bucket DateTime('UTC') COMMENT 'ten minutes',
    next_offset UInt64 COMMENT 'after the last packed batch that is counted',
    events UInt64 COMMENT 'since the writer began'
)
ENGINE = {engine:ReplacingMergeTree}(events)
ORDER BY (writer, namespace, generation, partition, bucket)
COMMENT 'what was acknowledged, by the writers'' own count and not by the log; a writer that was killed had counted some seconds less';

CREATE TABLE IF NOT EXISTS {database}.copy_progress {on_cluster}
(
    topic LowCardinality(String),
    partition UInt32,
    next_offset UInt64
)
ENGINE = {engine:ReplacingMergeTree}
ORDER BY (topic, partition, next_offset)
COMMENT 'how far a topic is copied; read as max(next_offset)';
