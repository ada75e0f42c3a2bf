-- 048: credit notes in the order in which they are listed, so that a page reads a page. A row of invoice_lists for each instant at which an invoice
-- was credited, in the list of the namespace's notes and in that of its account's; period_start is that instant.

CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.credit_note_lists_view {on_cluster} TO {database}.invoice_lists AS
SELECT namespace, false AS draft, 'note' AS list, of, note_at AS period_start, invoice_id, version, predecessor, subscription, sequence, account_id,
    plan, plan_version, period_end, time_zone, run_id, checkpoint, catalog_offset, as_of, state, currency, total, body
FROM (
    SELECT namespace, invoice_id, version, predecessor, subscription, sequence, account_id, plan, plan_version, period_end, time_zone, run_id,
        checkpoint, catalog_offset, as_of, state, currency, total, body,
        arrayJoin(arrayDistinct(arrayMap(note -> parseDateTime64BestEffortOrZero(JSONExtractString(note, 'at'), 6, 'UTC'),
            JSONExtractArrayRaw(body, 'credit_notes')))) AS note_at
    FROM {database}.invoices WHERE position(body, '"credit_notes"') > 0
)
ARRAY JOIN ['', account_id] AS of;

-- What stood before this migration; what is inserted twice is one row.
INSERT INTO {database}.invoice_lists
SELECT namespace, false AS draft, 'note' AS list, of, note_at AS period_start, invoice_id, version, predecessor, subscription, sequence, account_id,
    plan, plan_version, period_end, time_zone, run_id, checkpoint, catalog_offset, as_of, state, currency, total, body
FROM (
    SELECT namespace, invoice_id, version, predecessor, subscription, sequence, account_id, plan, plan_version, period_end, time_zone, run_id,
        checkpoint, catalog_offset, as_of, state, currency, total, body,
        arrayJoin(arrayDistinct(arrayMap(note -> parseDateTime64BestEffortOrZero(JSONExtractString(note, 'at'), 6, 'UTC'),
            JSONExtractArrayRaw(body, 'credit_notes')))) AS note_at
    FROM {database}.invoices WHERE position(body, '"credit_notes"') > 0
)
ARRAY JOIN ['', account_id] AS of;
