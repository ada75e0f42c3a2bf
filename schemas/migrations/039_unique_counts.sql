-- 039: the analysts' totals count distinct values as the API does: those of versions of count_unique alone, since a version of latest keeps its events'
-- idempotency keys in their place, and all others nothing; and of two events of one instant and key they take the greater as the latest, as it does.

CREATE OR REPLACE VIEW {database}.usage_total {on_cluster} AS
WITH (
    SELECT groupArray((profile_version, start, checkpoint, ends)) FROM {database}.usage_backfills
    WHERE namespace = {namespace:String} AND profile_id = {profile_id:String}
) AS backfills
SELECT account_id,
    count() AS count,
    sum(toDecimal256(quantity, 12)) AS sum,
    max(quantity) AS max,
    min(quantity) AS min,
    argMax(quantity, (timestamp, unique_value, quantity)) AS latest,
    uniqExactIf(unique_value, unique_value != '' AND profile_version NOT IN (
        SELECT profile_version FROM {database}.profile_versions
        WHERE namespace = {namespace:String} AND profile_id = {profile_id:String} AND aggregation = 'latest')) AS count_unique
FROM {database}.usage_records FINAL
WHERE namespace = {namespace:String} AND profile_id = {profile_id:String}
    AND timestamp >= toDateTime64({period_start:String}, 6, 'UTC') AND timestamp < toDateTime64({period_end:String}, 6, 'UTC')
    AND (checkpoint = 0 OR arrayExists(one -> checkpoint = one.3, backfills))
    AND NOT arrayExists(one -> profile_version < one.1 AND timestamp >= one.2 AND if(checkpoint > 0, checkpoint <= one.3,
        offset < one.4[bitShiftLeft(toUInt64(generation), 32) + partition]), backfills)
    AND (generation, partition, offset, `index`) NOT IN (
        SELECT generation, partition, offset, `index` FROM {database}.voided_events WHERE namespace = {namespace:String})
GROUP BY account_id
COMMENT 'totals of one profile over [period_start, period_end), UTC, by account, without voided events, with backfills';

CREATE OR REPLACE VIEW {database}.usage_daily {on_cluster} AS
SELECT namespace, profile_id, account_id, toDate(timestamp, 'UTC') AS day,
    count() AS count,
    sum(toDecimal256(quantity, 12)) AS sum,
    max(quantity) AS max,
    min(quantity) AS min,
    argMax(quantity, (timestamp, unique_value, quantity)) AS latest,
    uniqExactIf(unique_value, unique_value != '' AND (namespace, profile_id, profile_version) NOT IN (
        SELECT namespace, profile_id, profile_version FROM {database}.profile_versions WHERE aggregation = 'latest')) AS count_unique
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
GROUP BY namespace, profile_id, account_id, day
COMMENT 'totals by UTC day, without voided events, with backfills; counts and sums of days add up, unique counts do not';
