-- The analysts' views of invoices: what stands and is not void, with the amounts that finance asks for, and the plan that each line was priced
-- by. Their columns of before come first, in their order. `schemas/README.md`, "SQL for analysts", shows how they are used.

CREATE OR REPLACE VIEW {database}.standing_invoices {on_cluster}
(
    namespace LowCardinality(String),
    invoice_id String,
    version UInt32,
    predecessor String,
    subscription String,
    sequence UInt32,
    account_id String,
    plan String COMMENT 'at the end of the period; what a line was priced by, standing_invoice_lines.plan says',
    plan_version UInt32,
    period_start DateTime64(6, 'UTC') COMMENT 'included',
    period_end DateTime64(6, 'UTC') COMMENT 'not included; the same as period_start where only fees in advance are billed',
    time_zone String COMMENT 'of the account: its local dates are toDate(period_start, time_zone)',
    run_id String,
    checkpoint UInt32,
    catalog_offset UInt64,
    as_of DateTime64(6, 'UTC'),
    state LowCardinality(String) COMMENT 'finalized or paid',
    currency LowCardinality(String),
    total Decimal(38, 12) COMMENT 'the sum of its lines: subtotal less credits_applied',
    body String COMMENT 'JSON: payments, credit notes, terms',
    subtotal Decimal(38, 12) COMMENT 'what was billed, before tax and before prepaid credits: revenue is this, not total',
    credits_applied Decimal(38, 12) COMMENT 'what prepaid credits paid of the subtotal',
    amount_paid Decimal(38, 12) COMMENT 'payments, less what was paid back',
    amount_credited Decimal(38, 12) COMMENT 'credit notes: so much of the total need not be paid',
    amount_due Decimal(38, 12) COMMENT 'what is still to be paid, below zero: to be paid back; as the API says',
    due_date Nullable(Date32) COMMENT 'local date by which it is to be paid',
    number String COMMENT 'legal number; empty before it is given'
) AS
SELECT namespace, invoice_id, version, predecessor, subscription, sequence, account_id, plan, plan_version, period_start, period_end,
    time_zone, run_id, checkpoint, catalog_offset, as_of, state, currency, total, body,
    ifNull(toDecimal128OrNull(JSONExtractString(body, 'subtotal'), 12), total) AS subtotal,
    subtotal - total AS credits_applied,
    arraySum(arrayMap(one -> toDecimal128(JSONExtractString(one, 'amount'), 12), JSONExtractArrayRaw(body, 'payments'))) AS amount_paid,
    arraySum(arrayMap(one -> toDecimal128(JSONExtractString(one, 'amount'), 12), JSONExtractArrayRaw(body, 'credit_notes'))) AS amount_credited,
    if(total < 0, least(total - amount_paid - amount_credited, toDecimal128(0, 12)), greatest(total - amount_paid - amount_credited, toDecimal128(0, 12))) AS amount_due,
    toDate32OrNull(JSONExtractString(body, 'due_date')) AS due_date,
    numbers.number AS number
FROM (SELECT * FROM {database}.invoices FINAL ORDER BY version DESC LIMIT 1 BY namespace, invoice_id) AS newest
LEFT ANY JOIN (SELECT namespace, invoice_id, number FROM {database}.invoice_numbers) AS numbers USING (namespace, invoice_id)
WHERE state != 'void'
COMMENT 'invoices that stand, without void ones: amounts add up to what the API says. Void ones and earlier versions: invoices FINAL';

CREATE OR REPLACE VIEW {database}.standing_invoice_lines {on_cluster}
(
    namespace LowCardinality(String),
    invoice_id String,
    version UInt32,
    number UInt32,
    kind LowCardinality(String) COMMENT 'usage, flat, adjustment, discount, commitment, credit',
    charge String,
    product String,
    description String,
    profile_id String COMMENT 'meter.profile; empty where nothing was measured',
    profile_versions Array(UInt32),
    period_start DateTime64(6, 'UTC') COMMENT 'of the line, included',
    period_end DateTime64(6, 'UTC') COMMENT 'of the line, not included',
    quantity Nullable(Decimal(76, 12)),
    events Nullable(UInt64),
    unit String,
    price String COMMENT 'as pinned: JSON',
    amount Decimal(38, 12) COMMENT 'of kind credit: what prepaid credits paid, so leave that kind out of revenue',
    unrounded String,
    steps String,
    note String,
    adjusts String COMMENT 'adjustments: the invoice of the period that they are for',
    subscription String,
    account_id String,
    currency LowCardinality(String),
    state LowCardinality(String),
    checkpoint UInt32,
    plan String COMMENT 'that the line was priced by: another than the invoice''s where the subscription moved',
    plan_version UInt32
) AS
WITH
    JSONExtractString(standing.body, 'line_plans', toString(lines.number), 'plan') AS pinned,
    if(lines.kind IN ('usage', 'flat'), extract(lines.note, '^plan ([A-Za-z0-9_-]{1,64}) version \\d{1,9}(?:;|$)'), '') AS noted
SELECT lines.namespace AS namespace, lines.invoice_id AS invoice_id, lines.version AS version, lines.number AS number, lines.kind AS kind,
    lines.charge AS charge, lines.product AS product, lines.description AS description, lines.profile_id AS profile_id,
    lines.profile_versions AS profile_versions, lines.period_start AS period_start, lines.period_end AS period_end,
    lines.quantity AS quantity, lines.events AS events, lines.unit AS unit, lines.price AS price, lines.amount AS amount,
    lines.unrounded AS unrounded, lines.steps AS steps, lines.note AS note, lines.adjusts AS adjusts,
    standing.subscription AS subscription, standing.account_id AS account_id, standing.currency AS currency, standing.state AS state,
    standing.checkpoint AS checkpoint,
    multiIf(pinned != '', pinned, noted != '', noted, standing.plan) AS plan,
    multiIf(pinned != '', toUInt32(JSONExtractUInt(standing.body, 'line_plans', toString(lines.number), 'plan_version')),
        noted != '', toUInt32OrZero(extract(lines.note, '^plan [A-Za-z0-9_-]{1,64} version (\\d{1,9})(?:;|$)')),
        standing.plan_version) AS plan_version
FROM {database}.invoice_lines AS lines FINAL
INNER JOIN {database}.standing_invoices AS standing
    ON lines.namespace = standing.namespace AND lines.invoice_id = standing.invoice_id AND lines.version = standing.version
COMMENT 'lines of the invoices that stand, without void ones, with the plan that each was priced by and what one joins for';

CREATE OR REPLACE VIEW {database}.counted_usage_records {on_cluster} AS
SELECT namespace, profile_id, profile_version, account_id, timestamp, quantity, unique_value, dimensions, generation, partition, offset,
    `index`, append_time, checkpoint
FROM (SELECT * FROM {database}.usage_records FINAL) AS records
LEFT ANY JOIN (
    SELECT namespace, profile_id, groupArray((profile_version, start, checkpoint, ends)) AS backfills FROM {database}.usage_backfills
    GROUP BY namespace, profile_id
) AS known USING (namespace, profile_id)
WHERE (checkpoint = 0 OR arrayExists(one -> checkpoint = one.3, backfills))
    AND NOT arrayExists(one -> profile_version < one.1 AND timestamp >= one.2 AND if(checkpoint > 0, checkpoint <= one.3,
        offset < one.4[bitShiftLeft(toUInt64(generation), 32) + partition]), backfills)
    AND (generation, partition, offset, `index`) NOT IN (
        SELECT generation, partition, offset, `index` FROM {database}.voided_events)
COMMENT 'usage_records that count: one row an event and profile, without voided events, with backfills; sums are those of the API';

ALTER TABLE {database}.usage_records {on_cluster} MODIFY COMMENT
    'raw: one row an event and matching profile version, also of events that were voided since, with copies until they are merged; what counts is in the view counted_usage_records';

ALTER TABLE {database}.invoices {on_cluster} MODIFY COMMENT
    'every valid version of every invoice, void ones too; the greatest version stands. To add up amounts use the view standing_invoices';

ALTER TABLE {database}.invoice_lines {on_cluster} MODIFY COMMENT
    'lines of every version of every invoice, void ones too. To add up amounts use the view standing_invoice_lines';
