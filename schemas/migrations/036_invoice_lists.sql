-- 036: invoices and drafts in the order in which they are listed, so that a page reads a page. A row for each list that a version stands in: of the
-- namespace, of its account, of its subscription, of its billing run. Filled by the tables themselves, whoever writes them.

CREATE TABLE IF NOT EXISTS {database}.invoice_lists {on_cluster}
(
    namespace LowCardinality(String),
    draft Bool COMMENT 'of invoice_drafts; else of invoices',
    list LowCardinality(String) COMMENT 'all, account, subscription, run',
    of String COMMENT 'account, subscription or run whose list it is; empty in the list of all',
    period_start DateTime64(6, 'UTC'),
    invoice_id String,
    version UInt32,
    predecessor String, subscription String, sequence UInt32, account_id String, plan String, plan_version UInt32,
    period_end DateTime64(6, 'UTC'), time_zone String,
    run_id String, checkpoint UInt32, catalog_offset UInt64, as_of DateTime64(6, 'UTC'),
    state LowCardinality(String), currency LowCardinality(String), total Decimal(38, 12), body String
)
ENGINE = {engine:ReplacingMergeTree}
ORDER BY (namespace, draft, list, of, period_start, invoice_id, version)
SETTINGS index_granularity = 256, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'invoices and drafts by list, each in the order of its pages; what it has is in invoices and invoice_drafts';

CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.invoice_lists_view {on_cluster} TO {database}.invoice_lists AS
SELECT namespace, false AS draft, list, of, period_start, invoice_id, version, predecessor, subscription, sequence, account_id, plan, plan_version,
    period_end, time_zone, run_id, checkpoint, catalog_offset, as_of, state, currency, total, body
FROM {database}.invoices
ARRAY JOIN ['all', 'account', 'subscription', 'run'] AS list, ['', account_id, subscription, run_id] AS of;

CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.draft_lists_view {on_cluster} TO {database}.invoice_lists AS
SELECT namespace, true AS draft, list, of, period_start, invoice_id, version, predecessor, subscription, sequence, account_id, plan, plan_version,
    period_end, time_zone, run_id, checkpoint, catalog_offset, as_of, state, currency, total, body
FROM {database}.invoice_drafts
ARRAY JOIN ['all', 'account', 'subscription', 'run'] AS list, ['', account_id, subscription, run_id] AS of;

-- What stood before this migration; what is inserted twice is one row.
INSERT INTO {database}.invoice_lists
SELECT namespace, false AS draft, list, of, period_start, invoice_id, version, predecessor, subscription, sequence, account_id, plan, plan_version,
    period_end, time_zone, run_id, checkpoint, catalog_offset, as_of, state, currency, total, body
FROM {database}.invoices
ARRAY JOIN ['all', 'account', 'subscription', 'run'] AS list, ['', account_id, subscription, run_id] AS of;

INSERT INTO {database}.invoice_lists
SELECT namespace, true AS draft, list, of, period_start, invoice_id, version, predecessor, subscription, sequence, account_id, plan, plan_version,
    period_end, time_zone, run_id, checkpoint, catalog_offset, as_of, state, currency, total, body
FROM {database}.invoice_drafts
ARRAY JOIN ['all', 'account', 'subscription', 'run'] AS list, ['', account_id, subscription, run_id] AS of;
