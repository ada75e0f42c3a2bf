-- 037: what copy_progress says is copied of usage.invoices outlives a loss of power, like rejections below their mark (033): a worker goes on
-- from the mark, and compares all with the topic only where ClickHouse has fewer versions than were copied.

ALTER TABLE {database}.invoices {on_cluster} MODIFY SETTING fsync_after_insert = 1, fsync_part_directory = 1;

ALTER TABLE {database}.invoice_lines {on_cluster} MODIFY SETTING fsync_after_insert = 1, fsync_part_directory = 1;

ALTER TABLE {database}.invoice_drafts {on_cluster} MODIFY SETTING fsync_after_insert = 1, fsync_part_directory = 1;

ALTER TABLE {database}.invoice_draft_lines {on_cluster} MODIFY SETTING fsync_after_insert = 1, fsync_part_directory = 1;
