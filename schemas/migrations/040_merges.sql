-- 040: half as much is merged. A flush makes a part in each of these tables, and merging parts was two thirds of what an event costs ClickHouse. Merges
-- wait until some ten parts of like size are there instead of five, so that a row is merged half as often; a partition with more than some fifty parts is merged
-- sooner all the same (the selector's own rule). Columns outside the sorting key are gathered column by column, not row by row. Everything merged
-- can be read as before; `ALTER TABLE … RESET SETTING` takes it back.

ALTER TABLE {database}.usage_events {on_cluster} MODIFY SETTING merge_selector_base = 10,
    vertical_merge_algorithm_min_columns_to_activate = 1, vertical_merge_algorithm_min_rows_to_activate = 16384;

ALTER TABLE {database}.usage_identities {on_cluster} MODIFY SETTING merge_selector_base = 10,
    vertical_merge_algorithm_min_columns_to_activate = 1, vertical_merge_algorithm_min_rows_to_activate = 16384;

ALTER TABLE {database}.usage_records {on_cluster} MODIFY SETTING merge_selector_base = 10,
    vertical_merge_algorithm_min_columns_to_activate = 1, vertical_merge_algorithm_min_rows_to_activate = 16384;

ALTER TABLE {database}.duplicate_events {on_cluster} MODIFY SETTING merge_selector_base = 10,
    vertical_merge_algorithm_min_columns_to_activate = 1, vertical_merge_algorithm_min_rows_to_activate = 16384;

ALTER TABLE {database}.usage_batches {on_cluster} MODIFY SETTING merge_selector_base = 10;

ALTER TABLE {database}.usage_progress {on_cluster} MODIFY SETTING merge_selector_base = 10;
