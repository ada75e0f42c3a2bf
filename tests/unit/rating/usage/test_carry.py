"""Values that are carried over: through the one query, by bucket, account and dimensions."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from rating.usage import Measured, Usage, UsageGroup, UsageQuery, looking_back, render
from rating.usage.carry import carried, carried_in_order
from schemas.catalog.meters import Profile
from schemas.ledgers.checkpoints import Cut

LEVEL = Measured("m.level", "latest", ((1, 100),), carry_over=True)


def query(start: int, end: int, buckets: tuple[int, ...] = ()) -> UsageQuery:
    return UsageQuery("n", LEVEL, start, end, by_account=True, buckets_us=buckets, dimensions=("d",))


def answer(request: UsageQuery, events: list[tuple[str, int, int]]) -> list[UsageGroup]:
    """What ClickHouse answers to a query by buckets: (account, instant, value) in order of time."""
    rows = []
    for account in sorted({event for event, _, _ in events}):
        for begins, ends in request.intervals():
            values = [value for event, at, value in events if event == account and begins <= at < ends]
            if values:
                rows.append(UsageGroup(Usage(Decimal(values[-1]), len(values)), account, begins, ("x",)))
    return rows


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 99), st.integers(-5, 5)), max_size=12),
    st.sets(st.integers(1, 90), min_size=1, max_size=5),
    st.booleans(),
)
def test_each_bucket_has_the_last_value_before_its_end(
    events: list[tuple[str, int, int]], starts: set[int], by_time: bool
) -> None:
    events.sort(key=lambda item: item[1])
    edges = tuple(sorted(starts))
    result = query(edges[0], 95, edges if by_time else ())
    rows = carried(result, answer(looking_back(result), events))
    expected = []
    for account in ("a", "b"):
        for begins, ends in result.intervals():
            previous_events = [value for event, at, value in events if event == account and at < ends]
            within = [value for event, at, value in events if event == account and begins <= at < ends]
            if previous_events:
                usage = Usage(Decimal(previous_events[-1]), len(within))
                expected.append(UsageGroup(usage, account, begins if by_time else None, ("x",)))
    assert rows == expected


def test_values_of_one_text_are_carried_each_by_itself() -> None:
    """A number 1 and a text "1": the price adds up what both have last, though one of them has had no event."""
    groups = [
        UsageGroup(Usage(Decimal(seats), 1), "a", begins, ("1",), json_values=(value,))
        for seats, begins, value in ((3, 0, '"1"'), (4, 0, "1"), (5, 50, '"1"'))
    ]
    by_value = sorted(groups, key=lambda row: (row.json_values, row.bucket_us))
    for result in (carried(query(50, 95), groups), list(carried_in_order(query(50, 95), by_value))):
        assert {row.json_values: row.usage for row in result} == {
            ('"1"',): Usage(Decimal(5), 1),
            ("1",): Usage(Decimal(4), 0),
        }


def test_the_query_looks_back_to_the_first_instant_by_both_plans() -> None:
    result = query(250, 1000, (250, 500))
    back = looking_back(result)
    assert back.intervals() == ((0, 250), (250, 500), (500, 1000))
    sql = render(back)
    assert (sql.parameters["start"], sql.parameters["buckets"]) == (0, [0, 250, 500])
    cut = Cut(1, {(1, 0): 5}, 0, 0)
    windows = UsageQuery("n", LEVEL, 250, 1000, as_of=cut, rolled_up=cut, plan="windows")
    assert looking_back(windows).intervals() == ((0, 250), (250, 1000))


def test_only_the_latest_value_is_carried_over() -> None:
    assert Profile(code="p", aggregation="latest", property=("v",), carry_over=True).carry_over
    with pytest.raises(ValidationError, match="carry_over goes with aggregation latest only"):
        Profile(code="p", aggregation="sum", property=("v",), carry_over=True)
