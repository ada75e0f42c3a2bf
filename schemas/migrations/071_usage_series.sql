-- 071: for analysts, usage by hour, local day, week or month, over windows where there are any; events with what they counted for; names of the
-- catalog. `schemas/README.md`, "SQL for analysts", shows how they are used.

-- A window counts where it lies in one bucket, in the period, and on one side of each backfill's start ("whole"); of all others, the records do.
-- As in the API's usage query, accounts with a voided event in the period are totalled of records alone, and so is what lies beyond the last
-- checkpoint that is rolled up; the log's append times, given a day for clocks that differ, say which records that can be.
CREATE OR REPLACE VIEW {database}.usage_series {on_cluster} AS
WITH
    parseDateTime64BestEffort({period_start:String}, 6, 'UTC') AS period_from,
    parseDateTime64BestEffort({period_end:String}, 6, 'UTC') AS period_to,
    at -> toDateTime(dateTrunc({step:String}, at, {time_zone:String}), {time_zone:String}) AS bucket_of,
    (SELECT max(number) FROM {database}.usage_checkpoints) AS cut,
    (SELECT mapFromArrays(groupArray(bitShiftLeft(toUInt64(generation), 32) + partition), groupArray(next_offset))
        FROM {database}.usage_checkpoints FINAL WHERE number = (SELECT max(number) FROM {database}.usage_checkpoints)) AS cut_ends,
    (SELECT max(as_of) - INTERVAL 1 DAY FROM {database}.usage_checkpoints
        WHERE number = (SELECT max(number) FROM {database}.usage_checkpoints)) AS appended_from,
    (SELECT max((epoch, number)) FROM {database}.usage_folds WHERE namespace = {namespace:String}
        AND number <= (SELECT max(number) FROM {database}.usage_checkpoints)
        AND epoch = (SELECT max(epoch) FROM {database}.usage_folds WHERE namespace = '')) AS fold,
    (SELECT groupArray((profile_version, start, checkpoint, ends)) FROM {database}.usage_backfills
        WHERE namespace = {namespace:String} AND profile_id = {profile_id:String}) AS backfills,
    (SELECT mapFromArrays(groupArray(profile_version), groupArray(window_seconds)) FROM {database}.profile_versions FINAL
        WHERE namespace = {namespace:String} AND profile_id = {profile_id:String}) AS sizes,
    (SELECT groupArray(profile_version) FROM {database}.profile_versions FINAL
        WHERE namespace = {namespace:String} AND profile_id = {profile_id:String} AND aggregation = 'latest') AS keyed,
    -- Whether any window may not be whole: where none is, no record but the last ones is read.
    (SELECT max(arrayExists(edge -> edge % window_seconds != 0, edges)) FROM (
        SELECT arrayConcat([toUnixTimestamp(parseDateTime64BestEffort({period_start:String}, 6, 'UTC')), toUnixTimestamp(parseDateTime64BestEffort({period_end:String}, 6, 'UTC'))],
            arrayMap(step -> toUnixTimestamp(toDateTime(dateTrunc({step:String}, parseDateTime64BestEffort({period_start:String}, 6, 'UTC')
                + toIntervalMinute(15 * step), {time_zone:String}), {time_zone:String})),
                range(toUInt64(intDiv(dateDiff('second', parseDateTime64BestEffort({period_start:String}, 6, 'UTC'), parseDateTime64BestEffort({period_end:String}, 6, 'UTC')), 900) + 1))),
            (SELECT groupArray(toUnixTimestamp(start)) FROM {database}.usage_backfills
                WHERE namespace = {namespace:String} AND profile_id = {profile_id:String})) AS edges
        ) AS all_edges CROSS JOIN (
        SELECT DISTINCT window_seconds FROM {database}.profile_versions
            WHERE namespace = {namespace:String} AND profile_id = {profile_id:String}) AS of_versions) AS ragged
SELECT account_id, dimensions, bucket, sum(part_count) AS count, sum(part_sum) AS sum, max(part_max) AS max, min(part_min) AS min,
    tupleElement(max(part_latest), 3) AS latest, uniqExactMerge(part_unique) AS count_unique,
    tupleElement(max(part_latest), 1) AS latest_timestamp, uniqExactMergeState(part_unique) AS unique_state
FROM (
    SELECT account_id, dimensions, bucket_of(timestamp) AS bucket, count() AS part_count, sum(toDecimal256(quantity, 12)) AS part_sum,
        max(quantity) AS part_max, min(quantity) AS part_min, max((timestamp, unique_value, quantity)) AS part_latest,
        uniqExactStateIf(unique_value, unique_value != '' AND NOT has(keyed, profile_version)) AS part_unique
    FROM {database}.usage_records FINAL
    WHERE namespace = {namespace:String} AND profile_id = {profile_id:String} AND timestamp >= period_from AND timestamp < period_to
        AND (append_time >= appended_from OR notEmpty(backfills))
        AND if(checkpoint > 0, checkpoint > cut, offset >= cut_ends[bitShiftLeft(toUInt64(generation), 32) + partition])
        AND (checkpoint = 0 OR arrayExists(backfill -> checkpoint = backfill.3, backfills))
        AND NOT arrayExists(backfill -> profile_version < backfill.1 AND timestamp >= backfill.2 AND if(checkpoint > 0, checkpoint <= backfill.3,
            offset < backfill.4[bitShiftLeft(toUInt64(generation), 32) + partition]), backfills)
        AND account_id NOT IN (SELECT account_id FROM {database}.voided_events WHERE namespace = {namespace:String}
            AND timestamp >= parseDateTime64BestEffort({period_start:String}, 6, 'UTC') AND timestamp < parseDateTime64BestEffort({period_end:String}, 6, 'UTC'))
    GROUP BY account_id, dimensions, bucket
    UNION ALL
    SELECT account_id, dimensions, bucket_of(timestamp) AS bucket, count() AS part_count, sum(toDecimal256(quantity, 12)) AS part_sum,
        max(quantity) AS part_max, min(quantity) AS part_min, max((timestamp, unique_value, quantity)) AS part_latest,
        uniqExactStateIf(unique_value, unique_value != '' AND NOT has(keyed, profile_version)) AS part_unique
    FROM {database}.usage_records FINAL
    WHERE ragged AND namespace = {namespace:String} AND profile_id = {profile_id:String} AND timestamp >= period_from AND timestamp < period_to
        AND if(checkpoint > 0, checkpoint <= cut, offset < cut_ends[bitShiftLeft(toUInt64(generation), 32) + partition])
        AND (checkpoint = 0 OR arrayExists(backfill -> checkpoint = backfill.3, backfills))
        AND NOT arrayExists(backfill -> profile_version < backfill.1 AND timestamp >= backfill.2 AND if(checkpoint > 0, checkpoint <= backfill.3,
            offset < backfill.4[bitShiftLeft(toUInt64(generation), 32) + partition]), backfills)
        AND NOT (
            toInt64(intDiv(toUnixTimestamp(timestamp), greatest(sizes[profile_version], 1)) * greatest(sizes[profile_version], 1)) AS first,
            toDateTime64(first, 6, 'UTC') AS window_from, toDateTime64(first + sizes[profile_version], 6, 'UTC') AS window_to,
            window_from >= period_from AND window_to <= period_to AND bucket_of(window_from) = bucket_of(window_to - INTERVAL 1 SECOND)
                AND NOT arrayExists(backfill -> window_from < backfill.2 AND backfill.2 < window_to, backfills)).4
        AND account_id NOT IN (SELECT account_id FROM {database}.voided_events WHERE namespace = {namespace:String}
            AND timestamp >= parseDateTime64BestEffort({period_start:String}, 6, 'UTC') AND timestamp < parseDateTime64BestEffort({period_end:String}, 6, 'UTC'))
    GROUP BY account_id, dimensions, bucket
    UNION ALL
    SELECT account_id, dimensions, bucket_of(timestamp) AS bucket, count() AS part_count, sum(toDecimal256(quantity, 12)) AS part_sum,
        max(quantity) AS part_max, min(quantity) AS part_min, max((timestamp, unique_value, quantity)) AS part_latest,
        uniqExactStateIf(unique_value, unique_value != '' AND NOT has(keyed, profile_version)) AS part_unique
    FROM {database}.usage_records FINAL
    WHERE namespace = {namespace:String} AND profile_id = {profile_id:String} AND timestamp >= period_from AND timestamp < period_to
        AND account_id IN (SELECT account_id FROM {database}.voided_events WHERE namespace = {namespace:String}
            AND timestamp >= parseDateTime64BestEffort({period_start:String}, 6, 'UTC') AND timestamp < parseDateTime64BestEffort({period_end:String}, 6, 'UTC'))
        AND (generation, partition, offset, `index`) NOT IN (
            SELECT generation, partition, offset, `index` FROM {database}.voided_events WHERE namespace = {namespace:String})
        AND (checkpoint = 0 OR arrayExists(backfill -> checkpoint = backfill.3, backfills))
        AND NOT arrayExists(backfill -> profile_version < backfill.1 AND timestamp >= backfill.2 AND if(checkpoint > 0, checkpoint <= backfill.3,
            offset < backfill.4[bitShiftLeft(toUInt64(generation), 32) + partition]), backfills)
    GROUP BY account_id, dimensions, bucket
    UNION ALL
    SELECT account_id, dimensions, bucket_of(window_start) AS bucket, sum(`count`) AS part_count, sum(`sum`) AS part_sum, max(`max`) AS part_max,
        min(`min`) AS part_min, max((latest_timestamp, latest_key, latest)) AS part_latest, uniqExactMergeState(unique_state) AS part_unique
    FROM (
        SELECT * EXCEPT backfilled FROM {database}.usage_windows FINAL
        WHERE namespace = {namespace:String} AND profile_id = {profile_id:String} AND checkpoint <= cut
            AND if(backfilled, arrayExists(backfill -> checkpoint = backfill.3, backfills), checkpoint > fold.2)
        UNION ALL
        SELECT * EXCEPT epoch FROM {database}.usage_window_folds FINAL
        WHERE namespace = {namespace:String} AND profile_id = {profile_id:String} AND checkpoint <= fold.2 AND epoch = fold.1)
    WHERE window_start >= period_from AND window_start + toIntervalSecond(window_seconds) <= period_to
        AND bucket_of(window_start) = bucket_of(window_start + toIntervalSecond(window_seconds) - INTERVAL 1 SECOND)
        AND NOT arrayExists(backfill -> window_start < backfill.2 AND backfill.2 < window_start + toIntervalSecond(window_seconds), backfills)
        AND NOT arrayExists(backfill -> profile_version < backfill.1 AND window_start >= backfill.2 AND checkpoint <= backfill.3, backfills)
        AND account_id NOT IN (SELECT account_id FROM {database}.voided_events WHERE namespace = {namespace:String}
            AND timestamp >= parseDateTime64BestEffort({period_start:String}, 6, 'UTC') AND timestamp < parseDateTime64BestEffort({period_end:String}, 6, 'UTC'))
    GROUP BY account_id, dimensions, bucket
)
GROUP BY account_id, dimensions, bucket
COMMENT 'usage of one profile over [period_start, period_end), UTC, by account, dimensions and step (hour, day, week, month, quarter, year) of a time zone; bucket: its start. Of several rows counts and sums add up, unique ones by uniqExactMerge(unique_state)';

CREATE OR REPLACE VIEW {database}.matched_events {on_cluster} AS
SELECT events.account_id AS account_id, events.event_name AS event_name, events.timestamp AS timestamp,
    events.source AS source, events.idempotency_key AS idempotency_key, events.properties AS properties,
    records.profile_id AS profile_id, records.profile_version AS profile_version, records.quantity AS quantity, records.dimensions AS dimensions
FROM (SELECT * FROM {database}.usage_events FINAL WHERE namespace = {namespace:String} AND account_id = {account_id:String}
    AND timestamp >= parseDateTime64BestEffort({period_start:String}, 6, 'UTC') AND timestamp < parseDateTime64BestEffort({period_end:String}, 6, 'UTC')) AS events
LEFT JOIN (SELECT * FROM {database}.counted_usage_records WHERE namespace = {namespace:String} AND account_id = {account_id:String}
    AND timestamp >= parseDateTime64BestEffort({period_start:String}, 6, 'UTC') AND timestamp < parseDateTime64BestEffort({period_end:String}, 6, 'UTC')) AS records
    USING (generation, partition, offset, `index`)
COMMENT 'events of one account over [period_start, period_end), UTC, a row for each profile that counts it, and one with an empty profile_id where none does: it is voided, or no profile matches';

CREATE OR REPLACE VIEW {database}.catalog_names {on_cluster} AS
SELECT namespace, kind, code, if(JSONExtractString(body, 'name') = '', code, JSONExtractString(body, 'name')) AS name, version, retired, published_at
FROM (SELECT * FROM {database}.catalog_entries FINAL ORDER BY version DESC LIMIT 1 BY namespace, kind, code) AS newest
COMMENT 'what each code of the catalog is called now: the name of its newest version, or the code where it has none';

CREATE OR REPLACE VIEW {database}.measured_profiles {on_cluster} AS
SELECT namespace, profile_id, max(versions.profile_version) AS version, argMax(versions.event_name, versions.profile_version) AS event_name,
    argMax(versions.aggregation, versions.profile_version) AS aggregation
FROM {database}.profile_versions AS versions
GROUP BY namespace, profile_id
COMMENT 'profiles (meter.profile) of which something was measured, as their newest version says';
