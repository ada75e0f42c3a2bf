"""The SQL statement that aggregates records into windows. Pure."""

from __future__ import annotations


def windows_sql(records: str, *, backfilled: bool) -> str:
    """The INSERT … SELECT of the windows of the records selected by the condition ``records``; parameter
    ``{k:UInt32}``: the checkpoint's number."""
    return _windows_sql(records, "usage_windows", "backfilled", str(int(backfilled)))


def folded_windows_sql(records: str) -> str:
    """The same into usage_window_folds. Parameters: ``{k:UInt32}``, the checkpoint that the fold ends with, and
    ``{epoch:UInt32}``."""
    return _windows_sql(records, "usage_window_folds", "epoch", "{epoch:UInt32}")


def _windows_sql(records: str, table: str, column: str, value: str) -> str:
    """``column`` is what the table has besides, ``value`` what stands in it."""
    return f"""
INSERT INTO {table} (namespace, profile_id, profile_version, account_id, dimensions, window_start, window_seconds,
    checkpoint, count, sum, max, min, latest_timestamp, latest_key, latest, unique_state, {column})
SELECT namespace, profile_id, profile_version, account_id, dimensions,
    fromUnixTimestamp64Micro(intDiv(toUnixTimestamp64Micro(timestamp), seconds * 1000000) * seconds * 1000000, 'UTC')
        AS window_start,
    toUInt32(if(versions.window_seconds = 0,
        throwIf(1, 'a record names a profile version that is not in profile_versions'),
        versions.window_seconds)) AS seconds,
    {{k:UInt32}}, count(), sum(toDecimal256(quantity, 12)), max(quantity), min(quantity),
    max(timestamp), argMax(unique_value, (timestamp, unique_value, quantity)),
    argMax(quantity, (timestamp, unique_value, quantity)),
    uniqExactStateIf(unique_value, versions.aggregation = 'count_unique'), {value} AS {column}
FROM (
    SELECT * FROM usage_records FINAL
    WHERE {records}
) AS records
LEFT ANY JOIN (
    SELECT namespace, profile_id, profile_version, window_seconds, aggregation FROM profile_versions FINAL
) AS versions USING (namespace, profile_id, profile_version)
GROUP BY namespace, profile_id, profile_version, account_id, dimensions, window_start, seconds"""
