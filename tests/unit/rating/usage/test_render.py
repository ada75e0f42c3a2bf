"""Golden SQL of the usage query, one of each shape; and nothing that a customer wrote ever stands in it."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, get_args

import pytest

from rating.usage import Measured, UsageQuery, render
from rating.usage.beside_windows import ANYTHING, BesideWindows, FoldEnd
from schemas.catalog.meters import Aggregation
from schemas.ledgers.checkpoints import Cut

DAY = 86_400_000_000
HOUR = 3_600_000_000
MILES = Measured("flights.miles", "sum", ((1, 86_400),))
CUT = Cut(7, {(1, 1): 40, (1, 0): 30}, 12, 99 * DAY)


def query(**changes: Any) -> UsageQuery:
    arguments: dict[str, Any] = {
        "namespace": "air",
        "profile": MILES,
        "start_us": 5 * HOUR,
        "end_us": 5 * DAY + 5 * HOUR,
    }
    return UsageQuery(**(arguments | changes))


ONE_ACCOUNT_LIVE = """\
SELECT toString(sum(part)) AS quantity, sum(events) AS events
FROM (
SELECT sum(toDecimal256(quantity, 12)) AS part, count() AS events
FROM (
    SELECT *, 1 AS one FROM usage_records FINAL
    WHERE namespace = {namespace:String}
    AND profile_id = {profile_id:String}
    AND account_id IN {accounts:Array(String)}
    AND timestamp >= fromUnixTimestamp64Micro({start:Int64}, 'UTC')
    AND timestamp < fromUnixTimestamp64Micro({end:Int64}, 'UTC')
    AND checkpoint = 0
    AND (generation, partition, offset, `index`) NOT IN (SELECT (generation, partition, offset, `index`) \
FROM voided_events \
WHERE namespace = {namespace:String} AND account_id IN {accounts:Array(String)} \
AND timestamp >= fromUnixTimestamp64Micro({start:Int64}, 'UTC') \
AND timestamp < fromUnixTimestamp64Micro({end:Int64}, 'UTC'))
) AS source
HAVING events > 0
)
HAVING events > 0
SETTINGS do_not_merge_across_partitions_select_final = 1, optimize_move_to_prewhere_if_final = 1"""


def test_one_account_live_reads_records_alone() -> None:
    rendered = render(query(accounts=("acme",)))
    assert rendered.sql == ONE_ACCOUNT_LIVE
    assert rendered.parameters == {
        "namespace": "air",
        "profile_id": "flights.miles",
        "accounts": ["acme"],
        "start": 5 * HOUR,
        "end": 5 * DAY + 5 * HOUR,
    }


VOIDED_BELOW = """FROM voided_events WHERE namespace = {namespace:String} \
AND timestamp >= fromUnixTimestamp64Micro({start:Int64}, 'UTC') \
AND timestamp < fromUnixTimestamp64Micro({end:Int64}, 'UTC') \
AND (void_offset < transform(bitShiftLeft(toUInt64(void_generation), 32) + void_partition, \
{cut_partitions:Array(UInt64)}, \
{cut_offsets:Array(UInt64)}, toUInt64(0)))"""
ALL_ACCOUNTS_AS_OF = """\
WITH (SELECT max((epoch, number)) FROM usage_folds WHERE namespace = {namespace:String} \
AND number <= {checkpoint:UInt32} AND epoch = (SELECT max(epoch) FROM usage_folds WHERE namespace = '')) AS fold
SELECT account_id, toString(sum(part)) AS quantity, sum(events) AS events
FROM (
SELECT account_id, sum(toDecimal256(quantity, 12)) AS part, count() AS events
FROM (
    SELECT *, 1 AS one FROM usage_records FINAL
    WHERE namespace = {namespace:String}
    AND profile_id = {profile_id:String}
    AND timestamp >= fromUnixTimestamp64Micro({start:Int64}, 'UTC')
    AND timestamp < fromUnixTimestamp64Micro({end:Int64}, 'UTC')
    AND checkpoint = 0
    AND (offset < transform(bitShiftLeft(toUInt64(generation), 32) + partition, {cut_partitions:Array(UInt64)}, \
{cut_offsets:Array(UInt64)}, toUInt64(0)))
    AND ((profile_version IN {versions_86400:Array(UInt32)} AND ((timestamp >= \
fromUnixTimestamp64Micro({ragged_86400_0_from:Int64}, 'UTC') AND timestamp < \
fromUnixTimestamp64Micro({ragged_86400_0_to:Int64}, 'UTC')) OR (timestamp >= \
fromUnixTimestamp64Micro({ragged_86400_1_from:Int64}, 'UTC') AND timestamp < \
fromUnixTimestamp64Micro({ragged_86400_1_to:Int64}, 'UTC')))))
    AND account_id NOT IN (SELECT account_id VOIDED)
) AS source
GROUP BY account_id
HAVING events > 0
UNION ALL
SELECT account_id, sum(`sum`) AS part, sum(`count`) AS events
FROM (
    SELECT *, 1 AS one FROM usage_windows FINAL
    WHERE namespace = {namespace:String}
    AND profile_id = {profile_id:String}
    AND checkpoint <= {checkpoint:UInt32}
    AND ((window_seconds = {size_86400:UInt32} AND ((window_start >= \
fromUnixTimestamp64Micro({whole_86400_0_from:Int64}, 'UTC') AND window_start < \
fromUnixTimestamp64Micro({whole_86400_0_to:Int64}, 'UTC')))))
    AND account_id NOT IN (SELECT account_id VOIDED)
    AND backfilled = 0
    AND checkpoint > fold.2
) AS source
GROUP BY account_id
HAVING events > 0
UNION ALL
SELECT account_id, sum(`sum`) AS part, sum(`count`) AS events
FROM (
    SELECT *, 1 AS one FROM usage_window_folds FINAL
    WHERE namespace = {namespace:String}
    AND profile_id = {profile_id:String}
    AND checkpoint <= {checkpoint:UInt32}
    AND ((window_seconds = {size_86400:UInt32} AND ((window_start >= \
fromUnixTimestamp64Micro({whole_86400_0_from:Int64}, 'UTC') AND window_start < \
fromUnixTimestamp64Micro({whole_86400_0_to:Int64}, 'UTC')))))
    AND account_id NOT IN (SELECT account_id VOIDED)
    AND checkpoint <= fold.2 AND epoch = fold.1
) AS source
GROUP BY account_id
HAVING events > 0
UNION ALL
SELECT account_id, sum(toDecimal256(quantity, 12)) AS part, count() AS events
FROM (
    SELECT *, 1 AS one FROM usage_records FINAL
    WHERE namespace = {namespace:String}
    AND profile_id = {profile_id:String}
    AND timestamp >= fromUnixTimestamp64Micro({start:Int64}, 'UTC')
    AND timestamp < fromUnixTimestamp64Micro({end:Int64}, 'UTC')
    AND checkpoint = 0
    AND (offset < transform(bitShiftLeft(toUInt64(generation), 32) + partition, {cut_partitions:Array(UInt64)}, \
{cut_offsets:Array(UInt64)}, toUInt64(0)))
    AND (generation, partition, offset, `index`) NOT IN (SELECT (generation, partition, offset, `index`) VOIDED)
    AND account_id IN (SELECT account_id VOIDED)
) AS source
GROUP BY account_id
HAVING events > 0
)
GROUP BY account_id
HAVING events > 0
ORDER BY account_id
SETTINGS do_not_merge_across_partitions_select_final = 1, optimize_move_to_prewhere_if_final = 1""".replace(
    "VOIDED", VOIDED_BELOW
)


def test_all_accounts_as_of_a_checkpoint_read_windows_and_the_ragged_edges() -> None:
    rendered = render(query(by_account=True, as_of=CUT, rolled_up=CUT, plan="windows"))
    assert rendered.sql == ALL_ACCOUNTS_AS_OF
    assert rendered.parameters == {
        "namespace": "air",
        "profile_id": "flights.miles",
        "start": 5 * HOUR,
        "end": 5 * DAY + 5 * HOUR,
        "cut_partitions": [1 << 32, (1 << 32) + 1],
        "cut_offsets": [30, 40],
        "versions_86400": [1],
        "ragged_86400_0_from": 5 * HOUR,
        "ragged_86400_0_to": DAY,
        "ragged_86400_1_from": 5 * DAY,
        "ragged_86400_1_to": 5 * DAY + 5 * HOUR,
        "size_86400": 86_400,
        "whole_86400_0_from": DAY,
        "whole_86400_0_to": 5 * DAY,
        "checkpoint": 7,
    }


def test_a_live_total_from_windows_adds_the_tail_beyond_the_last_checkpoint() -> None:
    sql = render(query(rolled_up=CUT, plan="windows")).sql
    assert "AND NOT (offset < transform(" in sql
    assert (
        "OR (append_time >= (SELECT minOrNull(append_time) FROM usage_batches WHERE namespace = {namespace:String} AND "
        in sql
    )
    assert "NOT (offset" not in render(query(rolled_up=CUT, as_of=CUT, plan="windows")).sql


FOLDS_ALONE = """\
SELECT toString(sum(part)) AS quantity, sum(events) AS events
FROM (
SELECT sum(`sum`) AS part, sum(`count`) AS events
FROM (
    SELECT *, 1 AS one FROM usage_window_folds FINAL
    WHERE namespace = {namespace:String}
    AND profile_id = {profile_id:String}
    AND account_id IN {accounts:Array(String)}
    AND checkpoint <= {checkpoint:UInt32}
    AND ((window_seconds = {size_86400:UInt32} AND ((window_start >= \
fromUnixTimestamp64Micro({whole_86400_0_from:Int64}, 'UTC') AND window_start < \
fromUnixTimestamp64Micro({whole_86400_0_to:Int64}, 'UTC')))))
    AND checkpoint <= {fold:UInt32} AND epoch = {fold_epoch:UInt32}
) AS source
HAVING events > 0
)
HAVING events > 0
SETTINGS do_not_merge_across_partitions_select_final = 1, optimize_move_to_prewhere_if_final = 1"""


def test_what_there_is_nothing_of_is_not_read() -> None:
    whole_days = query(accounts=("acme",), start_us=0, end_us=5 * DAY, rolled_up=CUT, plan="windows")
    nothing = BesideWindows(voids=False, appended=False, fold=FoldEnd(3, CUT.number))
    assert render(whole_days, beside=nothing).sql == FOLDS_ALONE

    def tables(question: UsageQuery, beside: BesideWindows) -> list[str]:
        return re.findall(r"FROM (\w+) FINAL", render(question, beside=beside).sql)

    assert tables(whole_days, replace(nothing, fold=FoldEnd(3, 0))) == ["usage_windows"]
    assert tables(whole_days, replace(nothing, fold=FoldEnd(3, 6))) == ["usage_windows", "usage_window_folds"]
    assert tables(whole_days, replace(nothing, appended=True)) == ["usage_records", "usage_window_folds"]
    assert tables(whole_days, replace(nothing, voids=True)) == ["usage_window_folds", "usage_records"]
    assert tables(query(rolled_up=CUT, plan="windows"), nothing) == ["usage_records", "usage_window_folds"]


def test_buckets_are_joined_by_their_starts() -> None:
    rendered = render(query(accounts=("acme",), buckets_us=(5 * HOUR, DAY + 5 * HOUR)))
    assert (
        "ASOF INNER JOIN (SELECT 1 AS one, fromUnixTimestamp64Micro(arrayJoin({buckets:Array(Int64)}), "
        "'UTC') AS bucket_start)"
        " AS buckets ON source.one = buckets.one AND source.timestamp >= buckets.bucket_start"
    ) in rendered.sql
    assert rendered.parameters["buckets"] == [5 * HOUR, DAY + 5 * HOUR]


def test_an_empty_cut_holds_nothing() -> None:
    assert "(offset < 0)" in render(query(as_of=Cut(1, {}, 0, 0))).sql


@pytest.mark.parametrize("aggregation", get_args(Aggregation))
@pytest.mark.parametrize("plan", ["records", "windows"])
@pytest.mark.parametrize(
    "beside", [ANYTHING, BesideWindows(False, False), BesideWindows(True, True, 5 * DAY, FoldEnd(3, 4))], ids=str
)
@pytest.mark.parametrize("as_of", [CUT, None], ids=["as of", "live"])
def test_every_value_is_bound_and_every_bound_value_stands_in_the_text(
    aggregation: Aggregation, plan: str, beside: BesideWindows, as_of: Cut | None
) -> None:
    hostile = "x') OR 1=1 --"
    rendered = render(
        query(
            namespace=hostile, profile=Measured(hostile, aggregation, ((1, 60), (2, 3600))), accounts=(hostile,),
            by_account=True, dimensions=(hostile, "b"), buckets_us=(5 * HOUR, DAY, 2 * DAY, 3 * DAY + 7),
            as_of=as_of, rolled_up=CUT, plan=plan,
        ),
        beside=beside,
    )  # fmt: skip
    assert "OR 1=1" not in rendered.sql
    assert set(re.findall(r"\{(\w+):[\w()]+\}", rendered.sql)) == set(rendered.parameters)


@pytest.mark.parametrize("aggregations", [("sum", "sum"), ("sum", "max"), ("count_unique", "latest")])
def test_profiles_of_one_query_are_answered_by_profile(aggregations: tuple[Aggregation, Aggregation]) -> None:
    hostile = "x') OR 1=1 --"
    together = tuple(Measured(*of, ((1, 60),)) for of in zip((hostile, "b"), aggregations, strict=True))
    rendered = render(query(accounts=("acme",), by_account=True, together=together))
    assert "OR 1=1" not in rendered.sql
    assert set(re.findall(r"\{(\w+):[\w()]+\}", rendered.sql)) == set(rendered.parameters)
    assert rendered.parameters["profile_ids"] == ["flights.miles", hostile, "b"]
    own_parts = aggregations != ("sum", "sum")
    assert rendered.sql.startswith(
        f"SELECT profile_id, account_id, toString({'multiIf(' if own_parts else 'sum(part)'}"
    )
    assert rendered.sql.count("GROUP BY profile_id, account_id") == 2


def test_the_total_of_all_groups_is_one_more_set_of_the_same_question() -> None:
    question = query(by_account=True, dimensions=("b",))
    groups, both = render(question), render(question, with_total=True)
    assert both.parameters == groups.parameters
    assert both.sql == (
        groups.sql.replace("SELECT account_id", "SELECT grouping(account_id, dimension_0) > 0 AS of_all, account_id", 1)
        .replace(")\nGROUP BY account_id, dimension_0", ")\nGROUP BY GROUPING SETS ((account_id, dimension_0), ())")
        .replace("ORDER BY account_id", "ORDER BY of_all DESC, account_id")
    )
