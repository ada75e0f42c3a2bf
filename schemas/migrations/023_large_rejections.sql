-- What was too large to be kept whole is known by its size and hash, and read again from its origin.
ALTER TABLE {database}.rejected_events {on_cluster} ADD COLUMN IF NOT EXISTS original_size Int64 DEFAULT -1
    COMMENT 'where only the beginning of the original is kept: the bytes of all of it, which is at the origin position as long as that log has it';
ALTER TABLE {database}.rejected_events {on_cluster} ADD COLUMN IF NOT EXISTS original_hash String COMMENT 'its BLAKE2b-128, hexadecimal';
