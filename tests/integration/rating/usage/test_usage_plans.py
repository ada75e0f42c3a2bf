"""Records alone and windows with ragged edges give the same totals, and both those of an obvious fold in Python, voided
events left out. The profile has a version of every aggregation, so that each reads records of each; the windows are
made by the roll-up's own statement."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import get_args

import pytest
from clickhouse_connect.driver.exceptions import ClickHouseError
from hypothesis import HealthCheck, given
from hypothesis import settings as bounded
from hypothesis import strategies as st

from rating.entitlements.held_entries import UsageKey
from rating.entitlements.held_usage import NO_ADVANCE, HeldUsage, MeasuredAsOf
from rating.entitlements.measuring import appended, cut_at, log_state, voided_between, whole
from rating.entitlements.merging import merges
from rating.entitlements.questions import RollingNeed
from rating.explain.counted_events import read_events
from rating.invoicing.need import Need
from rating.usage import (
    Measured,
    UsageQuery,
    measured,
    of_account_intervals,
    stream_groups,
    usage_totals,
    usage_with_total,
)
from schemas.catalog.meters import Aggregation
from schemas.clickhouse.errors import code_of
from schemas.clickhouse.replays import ANOTHER_REPLAY_SQL
from schemas.ledgers.checkpoints import Cut
from schemas.settings import Settings
from schemas.values.instants import DAY, SECOND, instant
from tests.integration.rating.usage.plan_builders import (
    ACCOUNTS,
    BEGIN,
    CUTS,
    GENERATION,
    VERSIONS,
    Engine,
    backfilled_versions,
    by_group,
    folded,
    profile_of,
    totals,
)

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def engine(settings: Settings) -> Engine:
    return Engine(settings)


edges = st.integers(-30, 7 * 24).map(lambda hours: BEGIN + hours * 3600 * SECOND)
instants = edges | st.tuples(edges, st.sampled_from([1, 60 * SECOND, 1800 * SECOND])).map(sum)


@bounded(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    aggregation=st.sampled_from(get_args(Aggregation)),
    ends=st.lists(instants, min_size=2, max_size=6, unique=True).map(sorted),
    bucketed=st.booleans(),
    accounts=st.none() | st.lists(st.sampled_from(ACCOUNTS), unique=True).map(tuple),
    by_account=st.booleans(),
    dimensions=st.sampled_from([(), ("r",), ("s.t", "r")]),
    as_of=st.none() | st.sampled_from(CUTS),
    rolled_up=st.sampled_from(CUTS),
    backfilled=st.booleans(),
)
def test_both_plans_and_a_plain_fold_agree(
    engine: Engine, aggregation: Aggregation, ends: list[int], bucketed: bool, accounts: tuple[str, ...] | None,
    by_account: bool, dimensions: tuple[str, ...], as_of: Cut | None, rolled_up: Cut,
    backfilled: bool,
) -> None:  # fmt: skip
    profile = measured(backfilled_versions(aggregation), BEGIN, BEGIN + DAY) if backfilled else profile_of(aggregation)
    rows = engine.rows
    if backfilled:
        rows = [row for row in engine.backfilled_rows if not row.replaced(as_of)]
    query = UsageQuery(
        engine.namespace, profile, ends[0], ends[-1], accounts=accounts, by_account=by_account,
        buckets_us=tuple(ends[:-1]) if bucketed else (), dimensions=dimensions, as_of=as_of,
    )  # fmt: skip
    expected = folded(rows, query)
    assert totals(engine, query) == expected
    usable = max(as_of or rolled_up, rolled_up, key=lambda cut: cut.number)
    from_windows = replace(query, plan="windows", rolled_up=usable)
    groups, total = usage_with_total(engine.client, from_windows)
    assert by_group(groups) == expected
    without_groups = folded(rows, replace(query, by_account=False, buckets_us=(), dimensions=()))
    assert without_groups == ({(None, None, ()): (total.quantity, total.events)} if total.events else {})
    if dimensions:  # as a price names them: 3 and "3" are one value, none and "" another
        for planned in (query, from_windows):
            groups = list(stream_groups(engine.client, planned))
            assert {
                (row.account_id, row.bucket_us, row.dimensions): (row.usage.quantity, row.usage.events)
                for row in groups
            } == folded(rows, query, by_text=True)
            assert len({(row.account_id, row.bucket_us, row.dimensions) for row in groups}) == len(groups)


@bounded(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    aggregation=st.sampled_from(get_args(Aggregation)),
    ends=st.lists(instants, min_size=3, max_size=6, unique=True).map(sorted),
    wanted=st.lists(st.tuples(st.sampled_from(ACCOUNTS), st.integers(0, 4), st.integers(1, 5)), min_size=1, max_size=9),
    dimensions=st.sampled_from([(), ("r",)]),
    as_of=st.none() | st.sampled_from(CUTS),
)
def test_accounts_with_intervals_of_their_own_have_what_each_has_alone(
    engine: Engine, aggregation: Aggregation, ends: list[int], wanted: list[tuple[str, int, int]],
    dimensions: tuple[str, ...], as_of: Cut | None,
) -> None:  # fmt: skip
    profile = profile_of(aggregation)
    own = {}
    for account, first, length in wanted:
        first %= len(ends) - 1
        own[account, ends[first]] = ends[min(first + length, len(ends) - 1)]
    expected = {}
    for (account, start), end in own.items():
        alone = UsageQuery(
            engine.namespace,
            profile,
            start,
            end,
            accounts=(account,),
            by_account=True,
            dimensions=dimensions,
            as_of=as_of,
        )
        expected |= {(name, start, values): found for (name, _, values), found in folded(engine.rows, alone).items()}
    each = [(account, start, end) for (account, start), end in own.items()]
    assert totals(engine, of_account_intervals(engine.namespace, profile, each, dimensions, as_of)) == expected


def test_the_events_that_explain_a_unique_count_are_as_many_as_it_counts(engine: Engine) -> None:
    for account in ACCOUNTS:
        query = UsageQuery(
            engine.namespace, profile_of("count_unique"), BEGIN, BEGIN + 7 * DAY, accounts=(account,), as_of=CUTS[1]
        )
        page = read_events(engine.client, query, limit=1000)
        assert len(page.events) == usage_totals(engine.client, query)[0].usage.quantity
        assert {VERSIONS[event.profile_version][0] for event in page.events} == {"count_unique"}


def test_profiles_have_in_one_query_what_each_has_alone(engine: Engine) -> None:
    """Of records of three profiles, each account's, voided ones left out; a profile without records has no row. All
    with one aggregation, or each with its own; over one interval, or over several that are apart or not."""
    columns = ["namespace", "profile_id", "profile_version", "account_id", "timestamp", "quantity", "unique_value",
               "generation", "partition", "offset", "index"]  # fmt: skip
    rows = [
        [engine.namespace, name, 1, row.account, instant(row.at), row.quantity + shift, row.unique,
         *row.partition, row.offset, row.number]
        for shift, name in enumerate(("alike.a", "alike.b"))
        for row in engine.rows[:: shift + 1]
    ]  # fmt: skip
    engine.client.insert("usage_records", rows, column_names=columns)
    names, aggregations = ("m.p", "alike.a", "alike.b", "alike.none"), get_args(Aggregation)
    middle, end = BEGIN + 3 * DAY, BEGIN + 5 * DAY + 1
    periods = [(name, *ends) for name in ACCOUNTS[:2] for ends in ((BEGIN + DAY, middle), (middle, end))]
    overlapping = [*periods, (ACCOUNTS[0], BEGIN + 2 * DAY, end)]
    for shift, of_each in enumerate([[same] * 4 for same in aggregations] + [[*aggregations, *aggregations]] * 6):
        profiles = [
            Measured(name, aggregation, ((1, 3600),))
            for name, aggregation in zip(names, of_each[shift % 6 :] if shift >= 6 else of_each, strict=False)
        ]
        questions = [
            UsageQuery(engine.namespace, profiles[0], BEGIN + DAY, end, accounts=ACCOUNTS[:2], by_account=True),
            of_account_intervals(engine.namespace, profiles[0], (periods, overlapping)[shift % 2], (), None),
        ]
        for question in questions:
            together = usage_totals(engine.client, replace(question, together=tuple(profiles[1:])))
            for profile in profiles:
                alone = usage_totals(engine.client, replace(question, profile=profile))
                assert bool(alone) == (profile.profile_id != "alike.none")
                rows = [row for row in together if row.profile_id == profile.profile_id]
                assert [replace(row, profile_id=None) for row in rows] == alone


def test_a_query_that_would_read_more_rows_than_it_may_is_refused(engine: Engine) -> None:
    query = UsageQuery(engine.namespace, profile_of("sum"), BEGIN, BEGIN + 7 * DAY, accounts=ACCOUNTS[:1])
    assert usage_totals(engine.client, replace(query, most_rows=1_000_000)) == usage_totals(engine.client, query)
    with pytest.raises(ClickHouseError) as refused:
        usage_totals(engine.client, replace(query, most_rows=1))
    assert code_of(refused.value) == 158


def test_sums_do_not_wrap_around_beyond_38_digits(engine: Engine) -> None:
    query = UsageQuery(engine.namespace, Measured("big.sum", "sum", ((1, 86_400),)), BEGIN, BEGIN + DAY)
    largest = Decimal("99999999999999999999999999.999999999999")
    columns = [
        "namespace",
        "profile_id",
        "profile_version",
        "account_id",
        "timestamp",
        "quantity",
        "generation",
        "offset",
    ]
    rows = [
        [engine.namespace, "big.sum", 1, "acme", instant(BEGIN), largest, GENERATION, number] for number in range(3)
    ]
    engine.client.insert("usage_records", rows, column_names=columns)
    assert usage_totals(engine.client, query)[0].usage.quantity == Decimal("299999999999999999999999999.999999999997")


@pytest.mark.parametrize("aggregation", get_args(Aggregation))
def test_without_usage_there_is_one_row_without_groups_and_none_with_them(
    engine: Engine, aggregation: Aggregation
) -> None:
    query = UsageQuery(engine.namespace, Measured("no.such", aggregation, ((1, 60),)), BEGIN, BEGIN + DAY)
    nothing = None if aggregation in ("max", "min", "latest") else Decimal(0)
    assert [(row.usage.quantity, row.usage.events) for row in usage_totals(engine.client, query)] == [(nothing, 0)]
    assert usage_totals(engine.client, replace(query, by_account=True)) == []


@pytest.mark.parametrize("aggregation", get_args(Aggregation))
def test_usage_that_is_held_and_brought_forward_is_what_the_query_says_as_of_each_cut(
    engine: Engine, aggregation: Aggregation
) -> None:
    profile, now_us = profile_of(aggregation), BEGIN + 3 * DAY + 5 * 3600 * SECOND
    needs = [Need(profile, BEGIN, BEGIN + 4 * DAY), Need(profile, BEGIN + DAY + 1, BEGIN + 2 * DAY + 60 * SECOND)]
    rolling = [RollingNeed(profile, 48 * 3600 * SECOND, 3600 * SECOND)] if merges(profile) else []
    keys: list[UsageKey] = [(account, asked) for account in ACCOUNTS for asked in (*needs, *rolling)]
    held = HeldUsage()
    went_on = 0
    for cut in (CUTS[0], CUTS[1], CUTS[3]):
        since, as_of = held.as_of, MeasuredAsOf(cut.offsets, now_us)
        advance, again = NO_ADVANCE, set(keys)
        if since is not None:
            rows = appended(
                engine.client, engine.namespace, held.profiles(), since.offsets, as_of.offsets, held.accounts()
            )
            voided = voided_between(engine.client, engine.namespace, since.offsets, as_of.offsets)
            advance = held.after(rows, voided, now_us)
            again = set(advance.stale)
            went_on += len(keys) - len(again)
        held.take(held.ahead(advance, whole(engine.client, engine.namespace, again, as_of), as_of))
        for account, asked in keys:
            start_us, end_us = BEGIN + DAY + 5 * 3600 * SECOND, BEGIN + 3 * DAY + 6 * 3600 * SECOND
            if isinstance(asked, Need):
                start_us, end_us = asked.start_us, asked.end_us
            query = UsageQuery(
                engine.namespace, profile, start_us, end_us, accounts=(account,), by_account=True,
                as_of=cut_at(cut.offsets),
            )  # fmt: skip
            expected = [group.usage for group in usage_totals(engine.client, query)]
            groups = held.usage(account, asked, now_us)
            assert groups is not None
            assert [group.usage for group in groups] == expected, (account, asked, cut.number)
    assert went_on > 0 or not merges(profile)  # some accounts had no void: what was appended was put to what was held


def test_a_replay_is_a_repair_for_who_holds_usage(engine: Engine) -> None:
    before = log_state(engine.client).repairs
    engine.client.command(ANOTHER_REPLAY_SQL)
    assert log_state(engine.client).repairs == before + 1
