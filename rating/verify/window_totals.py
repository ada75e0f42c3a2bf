"""usage_windows against usage_records, slice by slice, and folds against usage_windows (DESIGN invariants 7 and 8).

A backfilled record belongs to the checkpoint that its column names, any other to the slice of its position.
The SQL here shares nothing with the roll-up's: another way to find a record's slice, its window and its aggregates.
"""

from __future__ import annotations

from typing import Final

from rating.verify.difference import Findings, VerifyProgress
from rating.verify.scope import Scope
from schemas.catalog.profiles import profile_versions
from schemas.ledgers.checkpoints import rolled_up
from schemas.values.instants import rfc3339

_REMEDY: Final = "`weir copies rebuild windows` rolls every checkpoint up again from the records"
_DAY: Final = 86_400

# One row a window: side 0 is recomputed, side 1 stored. Unique states are equal iff neither gains by a union with the
# other.
_SQL: Final = """
SELECT version, account, dims, start, seconds, checkpoint,
    maxIf(shown, side = 0) AS expected, maxIf(shown, side = 1) AS found,
    uniqExactMergeIf(uniques, side = 0) AS expected_uniques, uniqExactMergeIf(uniques, side = 1) AS found_uniques,
    count() OVER () AS differences
FROM (
    SELECT version, account, dims, start, seconds, checkpoint, 0 AS side,
        toString((count(), sum(toDecimal256(quantity, 12)), max(quantity), min(quantity),
            max((us, unique_value, quantity)), max(backfilled))) AS shown,
        uniqExactStateIf(unique_value, has({unique:Array(UInt32)}, version)) AS uniques
    FROM (
        SELECT profile_version AS version, account_id AS account, toString(dimensions) AS dims, quantity, unique_value,
            toUnixTimestamp64Micro(timestamp) AS us,
            transform(version, {versions:Array(UInt32)}, {sizes:Array(UInt32)}, toUInt32(86400)) AS seconds,
            us - us % (toInt64(seconds) * 1000000) AS start, if(own > 0, own, slices.number) AS checkpoint,
            toUInt8(own > 0) AS backfilled
        FROM (
            SELECT * EXCEPT checkpoint, checkpoint AS own FROM usage_records FINAL
            WHERE namespace = {ns:String} AND profile_id = {profile:String} AND checkpoint <= {k:UInt32}
        ) AS records
        ASOF INNER JOIN (
            SELECT generation, partition, from_offset, next_offset, number FROM usage_checkpoints FINAL
            WHERE number <= {k:UInt32} AND from_offset < next_offset
        ) AS slices
        ON records.generation = slices.generation AND records.partition = slices.partition
            AND records.offset >= slices.from_offset
        WHERE records.offset < slices.next_offset
    )
    GROUP BY version, account, dims, start, seconds, checkpoint
    UNION ALL
    SELECT profile_version, account_id, toString(dimensions), toUnixTimestamp64Micro(window_start), window_seconds,
        checkpoint, 1, toString((count, sum, max, min, (toUnixTimestamp64Micro(latest_timestamp), latest_key, latest),
            backfilled)),
        unique_state
    FROM usage_windows FINAL
    WHERE namespace = {ns:String} AND profile_id = {profile:String} AND checkpoint <= {k:UInt32}
)
GROUP BY version, account, dims, start, seconds, checkpoint
HAVING expected != found OR expected_uniques != found_uniques OR expected_uniques != uniqExactMerge(uniques)
ORDER BY version, account, dims, start, seconds, checkpoint
LIMIT {room:UInt32}"""


# The same of folds: side 0 is what the windows of their checkpoints come to.
_FOLDS_SQL: Final = """
WITH (SELECT max(epoch) FROM usage_folds WHERE namespace = '') AS newest,
    (SELECT arraySort(groupUniqArray(number)) FROM usage_folds WHERE namespace = {ns:String} AND epoch = newest
        AND number <= {k:UInt32}) AS ends
SELECT version, account, dims, start, seconds, fold,
    maxIf(shown, side = 0) AS expected, maxIf(shown, side = 1) AS found,
    uniqExactMergeIf(uniques, side = 0) AS expected_uniques, uniqExactMergeIf(uniques, side = 1) AS found_uniques,
    count() OVER () AS differences
FROM (
    SELECT profile_version AS version, account_id AS account, toString(dimensions) AS dims,
        toUnixTimestamp64Micro(window_start) AS start, window_seconds AS seconds,
        arrayFirst(number -> number >= checkpoint, ends) AS fold, 0 AS side,
        toString((sum(count), sum(sum), max(max), min(min),
            max((toUnixTimestamp64Micro(latest_timestamp), latest_key, latest)))) AS shown,
        uniqExactMergeState(unique_state) AS uniques
    FROM usage_windows FINAL
    WHERE namespace = {ns:String} AND profile_id = {profile:String} AND backfilled = 0
        AND checkpoint <= arrayMax(arrayPushBack(ends, 0))
    GROUP BY version, account, dims, start, seconds, fold
    UNION ALL
    SELECT profile_version, account_id, toString(dimensions), toUnixTimestamp64Micro(window_start), window_seconds,
        checkpoint, 1, toString((count, sum, max, min, (toUnixTimestamp64Micro(latest_timestamp), latest_key, latest))),
        unique_state
    FROM usage_window_folds FINAL
    WHERE namespace = {ns:String} AND profile_id = {profile:String} AND epoch = newest AND has(ends, checkpoint)
)
GROUP BY version, account, dims, start, seconds, fold
HAVING expected != found OR expected_uniques != found_uniques OR expected_uniques != uniqExactMerge(uniques)
ORDER BY version, account, dims, start, seconds, fold
LIMIT {room:UInt32}"""


def check_windows(scope: Scope, findings: Findings, on_progress: VerifyProgress) -> None:
    """Every window up to the last checkpoint that is rolled up; all columns, exact unique values included."""
    last_number = min(rolled_up(scope.client), len(scope.checkpoints.cuts))
    _check_slices(scope, findings, last_number)
    profiles = scope.rows(
        f"SELECT namespace, profile_id FROM usage_records WHERE {scope.of_namespace} UNION DISTINCT "
        f"SELECT namespace, profile_id FROM usage_windows WHERE {scope.of_namespace}"
    )
    known = {
        (namespace, version.profile_id, version.version): version
        for namespace in {str(row[0]) for row in profiles}
        for version in profile_versions(scope.catalog.view(namespace))
    }
    for done, (namespace, profile) in enumerate(sorted((str(row[0]), str(row[1])) for row in profiles)):
        on_progress("windows from records", done, len(profiles))
        versions = [version for key, version in known.items() if key[:2] == (namespace, profile)]
        parameters: dict[str, object] = {
            "ns": namespace, "profile": profile, "k": last_number, "room": max(findings.room, 1),
        }  # fmt: skip
        profile_parameters = {
            "versions": [version.version for version in versions] or [0],
            "sizes": [version.window_seconds for version in versions] or [_DAY],
            "unique": [version.version for version in versions if version.aggregation == "count_unique"],
        }
        _compare(scope, findings, "window", _SQL, parameters | profile_parameters)
        _compare(scope, findings, "fold of windows", _FOLDS_SQL, parameters)
    on_progress("windows from records", len(profiles), len(profiles))


def _compare(scope: Scope, findings: Findings, what: str, sql: str, parameters: dict[str, object]) -> None:
    rows = scope.rows(sql, parameters)
    for version, account, dims, start, seconds, checkpoint, expected, stored_text, uniques, found_uniques, _ in rows:
        window = f"{rfc3339(start)} of {seconds} s, checkpoint {checkpoint}"
        where = f"{parameters['ns']} {parameters['profile']} version {version} account {account} {dims} {window}"
        findings.add(what, where, _shown(expected, uniques), _shown(stored_text, found_uniques), _REMEDY)
    if rows:
        findings.add_more(int(rows[0][-1]) - len(rows))


def _shown(values: str, uniques: int) -> str:
    return f"(count, sum, max, min, latest, backfilled) {values}, {uniques} unique" if values else "no window"


def _check_slices(scope: Scope, findings: Findings, last_number: int) -> None:
    """The slices as ClickHouse has them are those of the ledger, which alone decides."""
    stored: dict[int, dict[tuple[int, int], tuple[int, int]]] = {}
    for number, generation, partition, start, end in scope.rows(
        "SELECT number, generation, partition, from_offset, next_offset FROM usage_checkpoints FINAL"
        " WHERE from_offset < next_offset"
    ):
        stored.setdefault(int(number), {})[(int(generation), int(partition))] = (int(start), int(end))
    for number in range(1, last_number + 1):
        expected, stored_slice = scope.checkpoints.slice(number), stored.get(number, {})
        if expected != stored_slice:
            findings.add("checkpoint", f"usage_checkpoints {number}", expected, stored_slice, _REMEDY)
