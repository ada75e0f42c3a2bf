"""Which periods are due: chains without gaps, in the account's calendar, and never twice."""

from __future__ import annotations

from typing import Any

import pytest

from rating.close.announced_runs import run_id
from rating.invoices.ledger import StandingInvoices
from rating.invoicing.due import ChainPosition, Due, current_span, further_invoice_due
from rating.invoicing.run_plan import make_plan
from rating.subscriptions.timeline import Timeline, timeline
from schemas.ledgers.invoice_record import Invoice
from schemas.values.instants import rfc3339
from tests.unit.rating.builders import ACCOUNT, FEE, PLAN, SUBSCRIPTION, ZONE, Shelf, invoice_of, shelf, us


def line_of(expected: Shelf) -> Timeline:
    line = timeline(expected.view(), "acme-basic")
    assert line is not None
    return line


def billing(due: Due, **changes: Any) -> Invoice:
    fields = {
        "namespace": due.namespace, "invoice_id": due.invoice_id, "predecessor": due.position.predecessor,
        "subscription": due.subscription,
        "period_start": due.start_us, "period_end": due.end_us, "run_id": "run_1", "account_id": due.account_id,
    }  # fmt: skip
    return invoice_of(**fields | changes)


def due_of(expected: Shelf, standing: StandingInvoices, as_of: str) -> list[Due]:
    plan = make_plan(expected.view(), standing, us(as_of), {})
    assert plan.problems == ()
    return [planned.due for planned in plan.billings]


def spans(due: list[Due]) -> list[tuple[str, str]]:
    return [(rfc3339(item.start_us), rfc3339(item.end_us)) for item in due]


def test_a_period_is_due_from_its_end_and_grace_on() -> None:
    assert due_of(shelf(), StandingInvoices(), "2013-02-01T05:59:59Z") == []
    assert spans(due_of(shelf(), StandingInvoices(), "2013-02-01T06:00:00Z")) == [
        ("2013-01-01T05:00:00Z", "2013-02-01T05:00:00Z")
    ]


def test_a_year_is_caught_up_as_one_chain_across_daylight_saving() -> None:
    due = due_of(shelf(), StandingInvoices(), "2014-01-02T00:00:00Z")
    assert len(due) == 12
    assert spans(due)[2:4] == [
        ("2013-03-01T05:00:00Z", "2013-04-01T04:00:00Z"),
        ("2013-04-01T04:00:00Z", "2013-05-01T04:00:00Z"),
    ]
    assert [item.position.predecessor for item in due] == ["", *(item.invoice_id for item in due[:-1])]
    assert [item.start_us for item in due[1:]] == [item.end_us for item in due[:-1]]


def test_what_stands_is_not_due_again_and_the_next_period_starts_where_it_ended_as_stored() -> None:
    standing = StandingInvoices()
    january = due_of(shelf(), standing, "2013-02-02T00:00:00Z")[0]
    moved = us("2013-02-01T03:00:00Z")  # as if the account had lived in another zone then
    assert standing.apply(billing(january, period_end=moved))
    assert due_of(shelf(), standing, "2013-02-02T00:00:00Z") == []
    february = due_of(shelf(), standing, "2013-03-02T00:00:00Z")
    assert spans(february) == [("2013-02-01T03:00:00Z", "2013-03-01T05:00:00Z")]
    assert february[0].position.predecessor == january.invoice_id


def test_a_start_within_a_month_makes_a_short_first_period_and_an_end_a_short_last_one() -> None:
    result = shelf(start="2013-01-15", end="2013-02-10")
    assert spans(due_of(result, StandingInvoices(), "2014-01-01T00:00:00Z")) == [
        ("2013-01-15T05:00:00Z", "2013-02-01T05:00:00Z"),
        ("2013-02-01T05:00:00Z", "2013-02-10T05:00:00Z"),
    ]


def test_an_anchor_moves_the_periods() -> None:
    result = shelf(start="2013-01-31", billing_anchor="2013-01-31")
    assert spans(due_of(result, StandingInvoices(), "2013-04-01T00:00:00Z")) == [
        ("2013-01-31T05:00:00Z", "2013-02-28T05:00:00Z"),
        ("2013-02-28T05:00:00Z", "2013-03-31T04:00:00Z"),
    ]


def test_a_subscription_stays_on_the_plan_version_it_was_published_with() -> None:
    result = shelf()
    result.add("plan", PLAN | {"name": "dearer"})
    assert due_of(result, StandingInvoices(), "2013-02-02T00:00:00Z")[0].plan_version == 1
    result.add("subscription", SUBSCRIPTION | {"plan_version": 2})
    assert due_of(result, StandingInvoices(), "2013-02-02T00:00:00Z")[0].plan_version == 2


def test_a_subscription_without_its_plan_is_a_problem_that_does_not_stop_the_others() -> None:
    result = shelf()
    result.add("subscription", SUBSCRIPTION | {"code": "lost", "plan": "none"})
    planned = make_plan(result.view(), StandingInvoices(), us("2013-02-02T00:00:00Z"), {})
    assert [item.due.subscription for item in planned.billings] == ["acme-basic"]
    assert len(planned.problems) == 1
    assert "subscription lost: plan none" in planned.problems[0]


@pytest.mark.parametrize("start", ["9998-12-01T00:00:00Z", "9998-12-01"])
def test_a_start_beyond_the_calendar_does_not_stop_the_others(start: str) -> None:
    result = shelf()
    result.add("subscription", SUBSCRIPTION | {"code": "far", "start": start})
    planned = make_plan(result.view(), StandingInvoices(), us("2013-02-02T00:00:00Z"), {})
    assert [item.due.subscription for item in planned.billings] == ["acme-basic"]
    assert len(planned.problems) == 1
    assert "subscription far: " in planned.problems[0]


def test_a_charge_that_cannot_be_resolved_holds_its_subscription_back_as_a_whole() -> None:
    result = shelf()
    result.add("product", FEE, retired=True)
    planned = make_plan(result.view(), StandingInvoices(), us("2013-04-02T00:00:00Z"), {})
    assert planned.billings == ()
    assert planned.problems == (
        "subscription acme-basic: plan basic version 1, charge fee: there is no product fee; publish it",
    )


def test_two_catalog_offsets_with_the_same_meaning_give_equal_plans() -> None:
    result = shelf()
    previous_next_offset = result.catalog.next_offset
    result.add("account", {"code": "other", "time_zone": "UTC"})
    as_of = us("2013-04-02T00:00:00Z")
    before_it = make_plan(result.view(previous_next_offset), StandingInvoices(), as_of, {}).billings
    assert before_it == make_plan(result.view(), StandingInvoices(), as_of, {}).billings
    result.add("subscription", SUBSCRIPTION | {"code": "second"})
    assert before_it != make_plan(result.view(), StandingInvoices(), as_of, {}).billings


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2013-01-01T04:59:59Z", None),
        ("2013-01-01T05:00:00Z", ("2013-01-01T05:00:00Z", "2013-02-01T05:00:00Z")),
        ("2013-03-20T00:00:00Z", ("2013-03-01T05:00:00Z", "2013-04-01T04:00:00Z")),
        ("2013-06-01T00:00:00Z", None),
    ],
)
def test_the_current_period_is_the_one_around_now(now: str, expected: tuple[str, str] | None) -> None:
    result = current_span(line_of(shelf(end="2013-05-15")), None, us(now))
    assert (result and (rfc3339(result[0].start_us), rfc3339(result[0].end_us))) == expected


def test_the_current_period_follows_what_was_billed() -> None:
    moved = us("2013-02-01T03:00:00Z")
    for now, span in {
        "2013-02-15T00:00:00Z": (moved, us("2013-03-01T05:00:00Z")),
        "2013-01-15T00:00:00Z": (us("2013-01-01T05:00:00Z"), us("2013-02-01T05:00:00Z")),
    }.items():
        result = current_span(line_of(shelf()), moved, us(now))
        assert result is not None
        assert (result[0].start_us, result[0].end_us) == span
        assert result[1] is not None
        assert result[1].start_us == result[0].end_us


def test_only_a_subscription_that_ended_and_is_billed_gets_an_invoice_of_adjustments_alone() -> None:
    result, standing = shelf(end="2013-03-01"), StandingInvoices()
    january, february = due_of(result, standing, "2013-04-01T00:00:00Z")
    for due in (january, february):
        assert further_invoice_due(line_of(result), standing) is None
        assert standing.apply(billing(due, time_zone=ZONE))
    second_due = further_invoice_due(line_of(result), standing)
    assert second_due is not None
    assert (second_due.position, second_due.start_us) == (
        ChainPosition(february.invoice_id, 1),
        february.start_us,
    )
    assert second_due.invoice_id not in (january.invoice_id, february.invoice_id)


def test_a_chain_takes_the_first_successor_only() -> None:
    standing = StandingInvoices()
    january, february = due_of(shelf(), standing, "2013-03-02T00:00:00Z")
    assert standing.apply(billing(january))
    assert not standing.apply(billing(january, period_end=0))
    assert standing.apply(billing(february))
    assert not standing.apply(billing(february, invoice_id="inv_other", predecessor=january.invoice_id))
    assert [item.invoice_id for item in standing.chain("air", "acme-basic")] == [
        january.invoice_id,
        february.invoice_id,
    ]


def test_runs_of_different_namespaces_instants_and_attempts_differ() -> None:
    names = {run_id("a", 12, 3), run_id("a1", 2, 3), run_id("a", 1, 23), run_id("a", 12, 4)}
    assert len(names) == 4
    assert run_id("a", 12, 3) in names


def test_a_retired_subscription_is_billed_until_it_was_retired() -> None:
    result = shelf()
    result.add("account", ACCOUNT, retired=True)
    result.add("subscription", SUBSCRIPTION, retired=True, published="2013-02-10T12:00:00Z")
    assert spans(due_of(result, StandingInvoices(), "2014-01-01T00:00:00Z")) == [
        ("2013-01-01T05:00:00Z", "2013-02-01T05:00:00Z"),
        ("2013-02-01T05:00:00Z", "2013-02-10T12:00:00Z"),
    ]


def test_retiring_changes_no_end_that_has_come_and_bills_nothing_before_the_start() -> None:
    result = shelf(end="2013-01-20T00:00:00Z")
    result.add("subscription", SUBSCRIPTION | {"end": "2013-01-20T00:00:00Z"}, True, "2013-06-01T00:00:00Z")
    assert spans(due_of(result, StandingInvoices(), "2014-01-01T00:00:00Z")) == [
        ("2013-01-01T05:00:00Z", "2013-01-20T00:00:00Z")
    ]
    early = shelf()
    early.add("subscription", SUBSCRIPTION, True, "2012-12-01T00:00:00Z")
    assert due_of(early, StandingInvoices(), "2014-01-01T00:00:00Z") == []
