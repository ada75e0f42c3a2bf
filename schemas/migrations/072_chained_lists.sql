-- 072: invoices of one period stand in their lists by subscription and, of one subscription, as its chain goes on: an interim invoice beside the period's
-- own, a void one beside what was issued anew. Until now they stood by their ids, which are hashes. A sorting key cannot be changed, so the lists of 036 and
-- 048 are dropped and filled again from what they are of, and hold less until that is done; an older rating service can read them.

DROP VIEW IF EXISTS {database}.invoice_lists_view {on_cluster} SYNC;

DROP VIEW IF EXISTS {database}.draft_lists_view {on_cluster} SYNC;

DROP VIEW IF EXISTS {database}.credit_note_lists_view {on_cluster} SYNC;

DROP TABLE IF EXISTS {database}.invoice_lists {on_cluster} SYNC;

CREATE TABLE IF NOT EXISTS {database}.invoice_lists {on_cluster}
(
    namespace LowCardinality(String),
    draft Bool COMMENT 'of invoice_drafts; else of invoices',
    list LowCardinality(String) COMMENT 'all, account, subscription, run, note',
    of String COMMENT 'account, subscription or run whose list it is; empty in the list of all',
    period_start DateTime64(6, 'UTC') COMMENT 'in the lists of credit notes, when the note was made',
    place String COMMENT 'in its chain: subscription and sequence, which sort as they do; empty in the lists of credit notes',
    invoice_id String,
    version UInt32,
    predecessor String, subscription String, sequence UInt32, account_id String, plan String, plan_version UInt32,
    period_end DateTime64(6, 'UTC'), time_zone String,
    run_id String, checkpoint UInt32, catalog_offset UInt64, as_of DateTime64(6, 'UTC'),
    state LowCardinality(String), currency LowCardinality(String), total Decimal(38, 12), body String
)
ENGINE = {engine:ReplacingMergeTree}
ORDER BY (namespace, draft, list, of, period_start, place, invoice_id, version)
SETTINGS index_granularity = 256, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'invoices and drafts by list, each in the order of its pages; what it has is in invoices and invoice_drafts';

CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.invoice_lists_view {on_cluster} TO {database}.invoice_lists AS
SELECT namespace, false AS draft, list, of, period_start, concat(subscription, ' ', leftPad(toString(sequence), 10, '0')) AS place,
    invoice_id, version, predecessor, subscription, sequence, account_id, plan, plan_version,
    period_end, time_zone, run_id, checkpoint, catalog_offset, as_of, state, currency, total, body
FROM {database}.invoices
ARRAY JOIN ['all', 'account', 'subscription', 'run'] AS list, ['', account_id, subscription, run_id] AS of;

CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.draft_lists_view {on_cluster} TO {database}.invoice_lists AS
SELECT namespace, true AS draft, list, of, period_start, concat(subscription, ' ', leftPad(toString(sequence), 10, '0')) AS place,
    invoice_id, version, predecessor, subscription, sequence, account_id, plan, plan_version,
    period_end, time_zone, run_id, checkpoint, catalog_offset, as_of, state, currency, total, body
FROM {database}.invoice_drafts
ARRAY JOIN ['all', 'account', 'subscription', 'run'] AS list, ['', account_id, subscription, run_id] AS of;

CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.credit_note_lists_view {on_cluster} TO {database}.invoice_lists AS
SELECT namespace, false AS draft, 'note' AS list, of, note_at AS period_start, '' AS place, invoice_id, version, predecessor, subscription, sequence, account_id,
    plan, plan_version, period_end, time_zone, run_id, checkpoint, catalog_offset, as_of, state, currency, total, body
FROM (
    SELECT namespace, invoice_id, version, predecessor, subscription, sequence, account_id, plan, plan_version, period_end, time_zone, run_id,
        checkpoint, catalog_offset, as_of, state, currency, total, body,
        arrayJoin(arrayDistinct(arrayMap(note -> parseDateTime64BestEffortOrZero(JSONExtractString(note, 'at'), 6, 'UTC'),
            JSONExtractArrayRaw(body, 'credit_notes')))) AS note_at
    FROM {database}.invoices WHERE position(body, '"credit_notes"') > 0
)
ARRAY JOIN ['', account_id] AS of;

-- What stands; what is inserted twice is one row.
INSERT INTO {database}.invoice_lists
SELECT namespace, false AS draft, list, of, period_start, concat(subscription, ' ', leftPad(toString(sequence), 10, '0')) AS place,
    invoice_id, version, predecessor, subscription, sequence, account_id, plan, plan_version,
    period_end, time_zone, run_id, checkpoint, catalog_offset, as_of, state, currency, total, body
FROM {database}.invoices
ARRAY JOIN ['all', 'account', 'subscription', 'run'] AS list, ['', account_id, subscription, run_id] AS of;

INSERT INTO {database}.invoice_lists
SELECT namespace, true AS draft, list, of, period_start, concat(subscription, ' ', leftPad(toString(sequence), 10, '0')) AS place,
    invoice_id, version, predecessor, subscription, sequence, account_id, plan, plan_version,
    period_end, time_zone, run_id, checkpoint, catalog_offset, as_of, state, currency, total, body
FROM {database}.invoice_drafts
ARRAY JOIN ['all', 'account', 'subscription', 'run'] AS list, ['', account_id, subscription, run_id] AS of;

INSERT INTO {database}.invoice_lists
SELECT namespace, false AS draft, 'note' AS list, of, note_at AS period_start, '' AS place, invoice_id, version, predecessor, subscription, sequence, account_id,
    plan, plan_version, period_end, time_zone, run_id, checkpoint, catalog_offset, as_of, state, currency, total, body
FROM (
    SELECT namespace, invoice_id, version, predecessor, subscription, sequence, account_id, plan, plan_version, period_end, time_zone, run_id,
        checkpoint, catalog_offset, as_of, state, currency, total, body,
        arrayJoin(arrayDistinct(arrayMap(note -> parseDateTime64BestEffortOrZero(JSONExtractString(note, 'at'), 6, 'UTC'),
            JSONExtractArrayRaw(body, 'credit_notes')))) AS note_at
    FROM {database}.invoices WHERE position(body, '"credit_notes"') > 0
)
ARRAY JOIN ['', account_id] AS of;
