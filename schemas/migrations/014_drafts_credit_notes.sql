-- Drafts of invoices, apart from what was billed: nothing that sums invoices can count one. Once the invoice of the same id stands, its
-- draft is history; a draft in state withdrawn is none any longer. `open_drafts` has the others. Numbers of credit notes.

CREATE TABLE IF NOT EXISTS {database}.invoice_drafts {on_cluster} AS {database}.invoices
ENGINE = {engine:ReplacingMergeTree}
ORDER BY (namespace, invoice_id, version)
COMMENT 'every valid version of every draft; versions of their own, the greatest is the draft';

CREATE TABLE IF NOT EXISTS {database}.invoice_draft_lines {on_cluster} AS {database}.invoice_lines
ENGINE = {engine:ReplacingMergeTree}
ORDER BY (namespace, invoice_id, version, number)
COMMENT 'lines of every version of every draft';

CREATE VIEW IF NOT EXISTS {database}.open_drafts {on_cluster} AS
SELECT * FROM (SELECT * FROM {database}.invoice_drafts FINAL ORDER BY version DESC LIMIT 1 BY namespace, invoice_id)
WHERE state = 'draft' AND (namespace, invoice_id) NOT IN (SELECT namespace, invoice_id FROM {database}.invoices)
COMMENT 'what has ended and is not billed: refreshed by each close, perhaps awaiting approval or held (body)';

CREATE TABLE IF NOT EXISTS {database}.credit_note_numbers {on_cluster}
(
    namespace LowCardinality(String),
    credit_note_id String COMMENT 'the invoice, -C and which of its credit notes it is',
    rank UInt64,
    number String
)
ENGINE = {engine:ReplacingMergeTree}
ORDER BY (namespace, credit_note_id)
COMMENT 'gapless in a namespace, a series apart from that of invoices; number as it is printed';
