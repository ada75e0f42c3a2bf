-- 042: a copy of usage.alerts for lists and messages, written by the process of webhooks. A row is a function of its record, so writing it again changes
-- nothing; copy_progress says below which offset of the topic all valid records are here.

CREATE TABLE IF NOT EXISTS {database}.usage_alerts {on_cluster}
(
    namespace LowCardinality(String),
    appended_at DateTime64(6, 'UTC') COMMENT 'of the record on usage.alerts',
    alert_id String COMMENT 'of rule, account, subscription, period and threshold',
    version UInt32 COMMENT 'odd: it fired; even: it recovered',
    episode UInt32 COMMENT '1, 2, …: how often it has fired in this period',
    state LowCardinality(String) COMMENT 'fired, recovered',
    rule String, rule_version UInt32,
    account_id String,
    subscription String COMMENT 'empty: the account is watched',
    measure LowCardinality(String) COMMENT 'usage, spend, balance',
    metric LowCardinality(String) COMMENT 'meter.profile of usage; currency of spend and balance',
    period_start DateTime64(6, 'UTC') COMMENT '1970: a balance, which has no period',
    period_end DateTime64(6, 'UTC'),
    threshold String COMMENT 'as in the rule',
    `limit` String COMMENT 'the value that the threshold came to, decimal text',
    direction LowCardinality(String) COMMENT 'rising, falling',
    value String COMMENT 'what was measured, decimal text',
    as_of DateTime64(6, 'UTC'),
    checkpoint UInt32 COMMENT 'the last one then; 0: none',
    catalog_offset UInt64,
    generations Array(UInt32), partitions Array(UInt32),
    next_offsets Array(UInt64) COMMENT 'all events below these positions were counted'
)
ENGINE = {engine:ReplacingMergeTree}
ORDER BY (namespace, appended_at, alert_id, version)
SETTINGS index_granularity = 1024, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'alerts that fired and recovered, in the order of usage.alerts';
