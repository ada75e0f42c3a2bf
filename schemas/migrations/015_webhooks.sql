-- Webhooks (rating/webhooks): what is to be delivered and what came of it. A row of a greater step stands, so queueing again
-- what is queued, or was delivered, changes nothing.

CREATE TABLE IF NOT EXISTS {database}.webhook_deliveries {on_cluster}
(
    namespace LowCardinality(String),
    message_id String COMMENT 'the header webhook-id',
    replay String COMMENT 'empty: the first delivery; else which replay asked for it',
    invoice_id String,
    version UInt32,
    type LowCardinality(String),
    appended_at DateTime64(6, 'UTC') COMMENT 'of the version on usage.invoices',
    queued_at DateTime64(6, 'UTC'),
    state LowCardinality(String) COMMENT 'waiting, delivered, given_up',
    attempts UInt32,
    first_at DateTime64(6, 'UTC') COMMENT 'first attempt; 1970: none',
    last_at DateTime64(6, 'UTC') COMMENT 'last attempt; 1970: none',
    next_at DateTime64(6, 'UTC') COMMENT 'not before; 1970: at once',
    status UInt16 COMMENT 'of the last answer; 0: there was none',
    refused_at DateTime64(6, 'UTC') COMMENT 'last attempt that failed; 1970: none',
    refused_status UInt16 COMMENT 'what it was answered',
    error String COMMENT 'and why it failed',
    step UInt64
)
ENGINE = {engine:ReplacingMergeTree}(step)
ORDER BY (namespace, message_id, replay)
COMMENT 'one row a version and replay, with its last outcome';

CREATE TABLE IF NOT EXISTS {database}.webhook_replays {on_cluster}
(
    namespace LowCardinality(String),
    replay String,
    asked_at DateTime64(6, 'UTC'),
    author String,
    asked String COMMENT 'JSON: since, invoice_id, given_up',
    messages UInt64
)
ENGINE = {engine:ReplacingMergeTree}
ORDER BY (namespace, asked_at, replay)
COMMENT 'who asked for what to be sent again; written after its deliveries';

CREATE TABLE IF NOT EXISTS {database}.webhook_progress {on_cluster}
(
    partition UInt32,
    next_offset UInt64,
    at DateTime64(6, 'UTC')
)
ENGINE = {engine:ReplacingMergeTree}(next_offset)
ORDER BY partition
COMMENT 'below next_offset (read as the maximum) every version of usage.invoices is queued';
