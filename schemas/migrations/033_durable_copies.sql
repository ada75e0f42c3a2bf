-- What a mark says is done outlives a loss of power, like what the cursor vouches for (026): windows below the checkpoints that are rolled up,
-- what backfills counted below their pages, rejections below copy_progress, and deliveries below webhook_progress. The other copies of ledgers have
-- no mark: at each start they are compared with their topics.

ALTER TABLE {database}.usage_windows {on_cluster} MODIFY SETTING fsync_after_insert = 1, fsync_part_directory = 1;

ALTER TABLE {database}.profile_versions {on_cluster} MODIFY SETTING fsync_after_insert = 1, fsync_part_directory = 1;

ALTER TABLE {database}.usage_checkpoints {on_cluster} MODIFY SETTING fsync_after_insert = 1, fsync_part_directory = 1;

ALTER TABLE {database}.usage_backfills {on_cluster} MODIFY SETTING fsync_after_insert = 1, fsync_part_directory = 1;

ALTER TABLE {database}.backfill_records {on_cluster} MODIFY SETTING fsync_after_insert = 1, fsync_part_directory = 1;

ALTER TABLE {database}.backfill_progress {on_cluster} MODIFY SETTING fsync_after_insert = 1, fsync_part_directory = 1;

ALTER TABLE {database}.rejected_events {on_cluster} MODIFY SETTING fsync_after_insert = 1, fsync_part_directory = 1;

ALTER TABLE {database}.webhook_deliveries {on_cluster} MODIFY SETTING fsync_after_insert = 1, fsync_part_directory = 1;
