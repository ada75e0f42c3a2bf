-- Views for analysts: the same totals as the API, live. Every aggregation stands in a column of its own; which of them is a
-- profile's quantity, its meter says. `usage_total` takes parameters, e.g.
--   SELECT * FROM usage_total(namespace = 'default', profile_id = 'song.plays',
--                             period_start = '2026-01-01 05:00:00', period_end = '2026-02-01 05:00:00')

CREATE VIEW IF NOT EXISTS {database}.usage_total {on_cluster} AS
SELECT account_id,
    count() AS count,
    sum(toDecimal256(quantity, 12)) AS sum,
    max(quantity) AS max,
    min(quantity) AS min,
    argMax(quantity, (timestamp, unique_value)) AS latest,
    uniqExact(unique_value) AS count_unique
FROM {database}.usage_records FINAL
WHERE namespace = {namespace:String} AND profile_id = {profile_id:String}
    AND timestamp >= toDateTime64({period_start:String}, 6, 'UTC') AND timestamp < toDateTime64({period_end:String}, 6, 'UTC')
GROUP BY account_id
COMMENT 'totals of one profile over [period_start, period_end), UTC, by account';

CREATE VIEW IF NOT EXISTS {database}.usage_daily {on_cluster} AS
SELECT namespace, profile_id, account_id, toDate(timestamp, 'UTC') AS day,
    count() AS count,
    sum(toDecimal256(quantity, 12)) AS sum,
    max(quantity) AS max,
    min(quantity) AS min,
    argMax(quantity, (timestamp, unique_value)) AS latest,
    uniqExact(unique_value) AS count_unique
FROM {database}.usage_records FINAL
GROUP BY namespace, profile_id, account_id, day
COMMENT 'totals by UTC day; counts and sums of days add up, unique counts do not';

CREATE VIEW IF NOT EXISTS {database}.standing_invoices {on_cluster} AS
SELECT * FROM {database}.invoices FINAL
ORDER BY version DESC
LIMIT 1 BY namespace, invoice_id
COMMENT 'the version of each invoice that stands';

CREATE VIEW IF NOT EXISTS {database}.standing_invoice_lines {on_cluster} AS
SELECT lines.*, standing.subscription, standing.account_id, standing.currency, standing.state, standing.checkpoint
FROM {database}.invoice_lines AS lines FINAL
INNER JOIN {database}.standing_invoices AS standing
    ON lines.namespace = standing.namespace AND lines.invoice_id = standing.invoice_id AND lines.version = standing.version
COMMENT 'lines of the standing versions, with what one joins for';
