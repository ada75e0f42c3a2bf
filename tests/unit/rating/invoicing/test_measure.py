"""Which queries a close asks: every need of every account in one of them, and many at once where few share an
interval."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from itertools import product
from types import SimpleNamespace
from typing import Any, get_args

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError
from hypothesis import given
from hypothesis import strategies as st

from rating.invoicing.charges import Need
from rating.invoicing.measure import FEW, MAX_NAMED_BYTES, from_windows, measure, shared_queries
from rating.usage import Measured, Usage, UsageGroup
from rating.usage.measured_profile import Backfilled
from schemas.catalog.meters import Aggregation
from schemas.ledgers.checkpoints import Checkpoints, Cut
from schemas.values.record_copy import replace

CUT = Cut(3, {(1, 0): 10}, 5, 0)

needs_ = st.builds(
    Need,
    st.builds(
        Measured, st.sampled_from(["m.a", "m.b"]), st.sampled_from(get_args(Aggregation)), st.just(((1, 3600),)),
        carry_over=st.booleans(),
    ),
    st.integers(0, 5), st.integers(6, 9), st.sampled_from([(), ("region",)]),
)  # fmt: skip
accounts_ = st.sets(st.sampled_from([f"account {number} of a customer" for number in range(40)]), min_size=1)


@given(st.dictionaries(needs_, accounts_, max_size=12), st.sampled_from([None, CUT]))
def test_every_account_of_every_need_is_asked_for_once(needs: dict[Need, set[str]], as_of: Cut | None) -> None:
    counter: Counter[tuple[Need, str]] = Counter()
    for item in shared_queries("n", needs, as_of):
        query = item.query
        assert query.as_of == as_of
        if item.by_profile:
            assert as_of is None
            assert query.accounts is not None
            for need, measured in zip(item.by_profile.values(), (query.profile, *query.together), strict=True):
                assert need.profile == measured
                assert (need.start_us, need.end_us, need.dimensions) == (query.start_us, query.end_us, ())
                counter.update((need, account) for account in query.accounts)
            continue
        if item.need is not None:
            assert (query.profile, query.dimensions) == (item.need.profile, item.need.dimensions)
            assert (query.start_us, query.end_us, query.account_intervals) == (item.need.start_us, item.need.end_us, ())
            assert query.accounts is not None
            counter.update((item.need, account) for account in query.accounts)
            continue
        profiles = (query.profile, *query.together)
        assert len(item.each) == len(profiles) * len(query.account_intervals)
        for profile, (account, start, end) in product(profiles, query.account_intervals):
            need = item.each[profile.profile_id if query.together else "", account, start]
            assert (need.start_us, need.end_us) == (start, end)
            assert (profile, query.dimensions) == (need.profile, need.dimensions)
            assert not need.profile.carry_over
            counter[need, account] += 1
    assert counter == Counter({(need, account): 1 for need, accounts in needs.items() for account in accounts})


def test_thousands_who_began_at_instants_of_their_own_take_few_queries() -> None:
    profile = Measured("m.a", "sum", ((1, 3600),))
    needs = {Need(profile, number, 10_000): {f"account-{number:06}"} for number in range(5_000)}
    needs[Need(profile, 0, 20_000)] = {f"account-{number:06}" for number in range(FEW + 1)}
    queries = list(shared_queries("n", needs, CUT))
    assert len(queries) < 100
    assert [query.query.plan for query in queries].count("windows") == 1
    for query in queries:
        assert sum(len(account) for account, _, _ in query.query.account_intervals) * 2 < MAX_NAMED_BYTES


def test_the_charges_of_a_running_period_take_one_query() -> None:
    """However many there are, and whatever their aggregations; those by dimensions, carried over or backfilled have
    their own."""
    profiles = [Measured(f"m.p{number}", ("sum", "max")[number % 2], ((1, 3600),)) for number in range(40)]
    needs = {Need(profile, 0, 10): {"acme"} for profile in profiles}
    assert [len(query.by_profile) for query in shared_queries("n", needs, None)] == [40]
    assert len(list(shared_queries("n", needs, CUT))) == 40
    backfilled = Measured("m.backfilled", "sum", ((2, 60),), backfilled=(Backfilled(2, 5, (), replaces=True),))
    apart = {
        Need(Measured("m.dimensions", "sum", ((1, 3600),)), 0, 10, ("region",)): {"acme"},
        Need(Measured("m.carried", "latest", ((1, 3600),), carry_over=True), 0, 10): {"acme"},
        Need(backfilled, 0, 10): {"acme"},
        Need(profiles[0], 0, 9): {"acme"},
        Need(profiles[2], 0, 10): {"acme", "other"},
    }
    assert not any(query.by_profile for query in shared_queries("n", apart, None))


def test_many_periods_of_many_profiles_take_one_query() -> None:
    """As of an account of which nothing was billed for a year: not one for each month, nor for each charge."""
    profiles = [Measured(f"m.p{number}", ("sum", "max")[number % 2], ((1, 3600),)) for number in range(3)]
    needs = {Need(profile, month, month + 1): {"acme"} for profile in profiles for month in range(12)}
    (query,) = shared_queries("n", needs, None)
    assert len(query.query.account_intervals) == 12
    changed = replace(profiles[0], aggregation="min")  # in the first month, as an earlier version had it
    needs = {Need(changed, 0, 1) if need.profile.profile_id == "m.p0" and not need.start_us else need: {"acme"}
             for need in needs}  # fmt: skip
    assert len(list(shared_queries("n", needs, None))) == 3


def test_what_one_query_says_of_several_profiles_goes_to_each_need() -> None:
    profiles = [Measured(name, "sum", ((1, 3600),)) for name in ("m.a", "m.b", "m.c")]

    class Client:
        def __init__(self, *rows: tuple[Any, ...]) -> None:
            self.rows = rows

        def query(self, sql: str, parameters: dict[str, Any]) -> Any:
            assert parameters["profile_ids"] == ["m.a", "m.b", "m.c"]
            return SimpleNamespace(result_rows=self.rows)

    client, needs = Client(("m.a", "acme", "1.5", 2), ("m.c", "acme", "7", 1)), [Need(each, 0, 10) for each in profiles]
    totals = measure(client, "n", {need: {"acme"} for need in needs}, None, lambda *_: None)
    first = {"acme": [UsageGroup(Usage(Decimal("1.5"), 2), "acme")]}
    third = {"acme": [UsageGroup(Usage(Decimal(7), 1), "acme")]}
    assert totals == dict(zip(needs, (first, {}, third), strict=True))
    # The same of two periods.
    client = Client(("m.a", "acme", 10, "1.5", 2), ("m.c", "acme", 0, "7", 1))
    needs += [Need(each, 10, 15) for each in profiles]
    totals = measure(client, "n", {need: {"acme"} for need in needs}, None, lambda *_: None)
    assert totals == dict(zip(needs, ({}, {}, third, first, {}, {}), strict=True))


def test_what_would_read_many_records_live_is_read_from_windows() -> None:
    profiles = [Measured(name, "sum", ((1, 3600),)) for name in ("m.a", "m.b")]
    needs = {Need(profile, start, start + 10): {"acme"} for profile in profiles for start in (0, 10)}
    checkpoints = Checkpoints()
    checkpoints.cuts.append(Cut(1, {(1, 0): 7}, 0, 0))

    class Client:
        def __init__(self, code: int) -> None:
            self.code = code

        def query(self, sql: str, parameters: dict[str, Any] | None = None) -> Any:
            if "max_rows_to_read" in sql:
                raise DatabaseError(f"Code: {self.code}. DB::Exception: Limit for rows exceeded")
            if "usage_checkpoints" in sql:
                return SimpleNamespace(result_rows=[[3, 3]])
            if "usage_windows" not in sql:
                return SimpleNamespace(result_rows=[])
            assert parameters is not None
            assert parameters["checkpoint"] == 1  # the newest that this process knows
            return SimpleNamespace(result_rows=[("acme", str(parameters["start"]), 2)])

    for code in (158, 241):
        totals = measure(Client(code), "n", needs, None, lambda *_: None, checkpoints=checkpoints)
        assert totals == {need: {"acme": [UsageGroup(Usage(Decimal(need.start_us), 2), "acme")]} for need in needs}
    with pytest.raises(DatabaseError):
        measure(Client(47), "n", needs, None, lambda *_: None, checkpoints=checkpoints)
    # Without windows, or where there are more needs than are cheap one by one, records are read after all.
    (shared,) = shared_queries("n", {Need(profiles[0], 0, 10): {"acme"}}, None)
    assert list(from_windows(shared, needs, None)) == [shared]
    (shared,) = shared_queries("n", {Need(profiles[0], at, at + 1): {"acme"} for at in range(60)}, None)
    assert list(from_windows(shared, {}, checkpoints.last)) == [shared]
