-- 066: a small part is one file. A part of a table is some twelve files, each written, synced (026) and merged by itself, and at ten events a second that
-- was a third of what a flush costs ClickHouse: 45 syncs an insert into usage_flush, 12 with packed parts. What is durable when an insert is answered is
-- the same: the file is synced before the part gets its name, and its folder after it. Parts from 8 MiB on (uncompressed), and those that are there, are
-- as before. ClickHouse versions that cannot pack parts take the setting and keep writing files; `ALTER TABLE … RESET SETTING` takes it back, but what was
-- packed is read by a version that knows packed parts alone, until merges have replaced it.

ALTER TABLE {database}.usage_events {on_cluster} MODIFY SETTING min_bytes_for_full_part_storage = 8388608;

ALTER TABLE {database}.usage_identities {on_cluster} MODIFY SETTING min_bytes_for_full_part_storage = 8388608;

ALTER TABLE {database}.usage_records {on_cluster} MODIFY SETTING min_bytes_for_full_part_storage = 8388608;

ALTER TABLE {database}.duplicate_events {on_cluster} MODIFY SETTING min_bytes_for_full_part_storage = 8388608;

ALTER TABLE {database}.usage_batches {on_cluster} MODIFY SETTING min_bytes_for_full_part_storage = 8388608;

ALTER TABLE {database}.usage_progress {on_cluster} MODIFY SETTING min_bytes_for_full_part_storage = 8388608;

ALTER TABLE {database}.usage_voids {on_cluster} MODIFY SETTING min_bytes_for_full_part_storage = 8388608;

ALTER TABLE {database}.voided_events {on_cluster} MODIFY SETTING min_bytes_for_full_part_storage = 8388608;

ALTER TABLE {database}.acknowledged_records {on_cluster} MODIFY SETTING min_bytes_for_full_part_storage = 8388608;

ALTER TABLE {database}.usage_checkpoints {on_cluster} MODIFY SETTING min_bytes_for_full_part_storage = 8388608;

ALTER TABLE {database}.usage_windows {on_cluster} MODIFY SETTING min_bytes_for_full_part_storage = 8388608;
