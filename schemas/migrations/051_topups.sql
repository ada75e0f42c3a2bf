-- 051: a copy of usage.topups for lists and messages, written by the process of webhooks. A row is a function of its record, so writing it again changes
-- nothing; copy_progress says below which offset of the topic all valid records are here.

CREATE TABLE IF NOT EXISTS {database}.usage_topups {on_cluster}
(
    namespace LowCardinality(String),
    topup_id String COMMENT 'of account, currency and number',
    version UInt32 COMMENT 'of the account''s records of this currency',
    account_id String,
    currency LowCardinality(String) COMMENT 'of the balance',
    number UInt32 COMMENT '1, 2, …: of the account''s requests of this currency',
    state LowCardinality(String) COMMENT 'requested, paid, refused, withdrawn',
    amount String COMMENT 'decimal text, in currency',
    cost String COMMENT 'what is to be paid for it, decimal text', cost_currency LowCardinality(String),
    `floor` String, target String,
    balance String COMMENT 'when it was requested',
    reference String COMMENT 'of the payment, or why it was refused',
    as_of DateTime64(6, 'UTC') COMMENT 'of that balance',
    checkpoint UInt32 COMMENT 'the last one then; 0: none',
    catalog_offset UInt64,
    generations Array(UInt32), partitions Array(UInt32),
    next_offsets Array(UInt64) COMMENT 'all events below these positions were counted',
    appended_at DateTime64(6, 'UTC') COMMENT 'of the record on usage.topups'
)
ENGINE = {engine:ReplacingMergeTree}
ORDER BY (namespace, topup_id, version)
SETTINGS index_granularity = 1024, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'top-ups of prepaid credit that were requested, paid, refused and withdrawn';
