"""A change of fees that were billed in advance for a long period: settled on an invoice of its own at the change, once,
whatever comes after."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from rating.invoices.chain import invoices_built_on, periods_to_reissue
from rating.invoices.ledger import StandingInvoices
from rating.invoicing.run_plan import build_invoices, make_plan
from schemas.ledgers.checkpoints import Run
from schemas.ledgers.invoice_claims import VOID
from schemas.ledgers.invoice_record import body_of
from schemas.values.instants import DAY, rfc3339
from tests.unit.rating.builders import us
from tests.unit.rating.invoicing.change_builders import BASE, PLANS, catalog, close, last, move


def test_an_upgrade_of_a_year_is_billed_at_the_change_and_not_eleven_months_later() -> None:
    result, standing = catalog(), StandingInvoices()
    assert close(result, standing, "2026-01-01") == [["flat seat 26-01-01..27-01-01 365.00"]]
    assert close(result, standing, "2026-04-30") == []
    move(result, "plus", "2026-05-01")
    assert close(result, standing, "2026-04-30") == []  # it is agreed, and has not come
    assert close(result, standing, "2026-05-01") == [
        [
            "flat seat 26-05-01..27-01-01 490.00",
            "flat vip 26-05-01..27-01-01 24.50",
            "adjustment seat 26-01-01..27-01-01 -245.00",
        ]
    ]
    change = last(standing)
    assert (change.period_start, change.period_end, change.sequence) == (
        us(BASE["start"]),
        us(BASE["start"]),
        1,
    )
    assert (change.plan, body_of(change).change, body_of(change).due_date) == (
        "plus",
        "2026-05-01T00:00:00Z",
        "2026-05-31",
    )
    for day in ("2026-05-01", "2026-05-02", "2026-12-31"):
        assert close(result, standing, day) == []
    assert close(result, standing, "2027-01-01") == [
        ["flat seat 27-01-01..28-01-01 730.00", "flat vip 27-01-01..28-01-01 36.50"]
    ]
    assert last(standing).sequence == 2


def test_a_downgrade_is_credited_at_the_change_and_a_second_change_settled_again() -> None:
    result, standing = catalog(), StandingInvoices()
    close(result, standing, "2026-01-01")
    move(result, "pro", "2026-05-01")
    close(result, standing, "2026-05-03")
    move(result, "basic", "2026-12-02")
    assert close(result, standing, "2026-12-05") == [
        ["flat seat 26-12-02..27-01-01 30.00", "adjustment seat 26-05-01..27-01-01 -60.00"]
    ]
    assert close(result, standing, "2027-01-01") == [["flat seat 27-01-01..28-01-01 365.00"]]


def test_in_the_second_year_it_follows_the_invoice_of_the_first() -> None:
    result, standing = catalog(), StandingInvoices()
    close(result, standing, "2027-01-01")
    move(result, "pro", "2027-05-01")
    assert close(result, standing, "2027-05-01") == [
        ["flat seat 27-05-01..28-01-01 490.00", "adjustment seat 27-01-01..28-01-01 -245.00"]
    ]
    assert close(result, standing, "2028-01-01") == [["flat seat 28-01-01..29-01-01 730.00"]]


def test_a_month_is_settled_with_its_period_and_a_quarter_at_once() -> None:
    for interval, expected in (("month", 0), ("quarter", 1)):
        result, standing = catalog(interval), StandingInvoices()
        close(result, standing, "2026-01-01")
        move(result, "pro", "2026-01-15")
        assert len(close(result, standing, "2026-01-20")) == expected


def test_a_discount_of_half_is_taken_off_what_the_change_bills_and_credits() -> None:
    result, standing = catalog(discounts=[{"code": "half", "percent": "50"}]), StandingInvoices()
    assert close(result, standing, "2026-01-01") == [
        ["flat seat 26-01-01..27-01-01 365.00", "discount discount:half 26-01-01..27-01-01 -182.50"]
    ]
    move(result, "pro", "2026-05-01")
    assert close(result, standing, "2026-05-01") == [
        [
            "flat seat 26-05-01..27-01-01 490.00",
            "discount discount:half 26-01-01..27-01-01 -122.50",
            "adjustment seat 26-01-01..27-01-01 -245.00",
        ]
    ]
    assert Decimal(last(standing).total) == Decimal("122.50")
    move(result, "basic", "2026-12-02")
    (lines,) = close(result, standing, "2026-12-02")
    assert lines[1:] == [
        "adjustment discount:half 26-01-01..27-01-01 15.00",
        "adjustment seat 26-05-01..27-01-01 -60.00",
    ]
    assert Decimal(last(standing).total) == Decimal("-15.00")
    (year,) = close(result, standing, "2027-01-01")
    assert year == ["flat seat 27-01-01..28-01-01 365.00", "discount discount:half 27-01-01..28-01-01 -182.50"]


def test_what_was_known_when_the_fee_was_billed_needs_no_further_invoice() -> None:
    result, standing = catalog(), StandingInvoices()
    move(result, "pro", "2026-05-01")
    assert close(result, standing, "2026-03-01") == [
        ["flat seat 26-01-01..26-05-01 120.00", "flat seat 26-05-01..27-01-01 490.00"]
    ]
    assert close(result, standing, "2026-06-01") == []


def test_a_change_that_is_yet_to_come_waits_until_it_does() -> None:
    result, standing = catalog(), StandingInvoices()
    close(result, standing, "2026-01-01")
    move(result, "pro", "2026-05-01")
    close(result, standing, "2026-05-01")
    result.add("subscription", BASE | {"change_at": "2026-12-02T00:00:00Z"}, published="2026-09-01T00:00:00Z")
    assert close(result, standing, "2026-12-01") == []
    assert close(result, standing, "2026-12-02") == [
        ["flat seat 26-12-02..27-01-01 30.00", "adjustment seat 26-05-01..27-01-01 -60.00"]
    ]


def test_voiding_it_bills_the_change_again_and_what_it_counts_on_stays() -> None:
    result, standing = catalog(), StandingInvoices()
    close(result, standing, "2026-01-01")
    opening = last(standing)
    move(result, "pro", "2026-05-01")
    close(result, standing, "2026-05-01")
    change = last(standing)
    chain = standing.chain("air", "s")
    assert invoices_built_on(chain, opening.invoice_id) == [change.invoice_id]
    assert invoices_built_on(chain, change.invoice_id) == []
    void = {"reason": "r", "author": "a", "at": "", "head": change.invoice_id, "voids": []}
    body = '{"change": "2026-05-01T00:00:00Z", "void": ' + str(void).replace("'", '"') + "}"
    assert standing.apply(replace(change, version=2, state=VOID, body=body))
    assert list(periods_to_reissue(standing.chain("air", "s"))) == []
    assert close(result, standing, "2026-05-02") == [
        ["flat seat 26-05-01..27-01-01 490.00", "adjustment seat 26-01-01..27-01-01 -245.00"]
    ]
    repeated_last = last(standing)
    close(result, standing, "2027-01-01")
    assert invoices_built_on(standing.chain("air", "s"), repeated_last.invoice_id) == [last(standing).invoice_id]


def test_a_plan_that_requires_approval_makes_a_draft_of_it() -> None:
    result, standing = catalog(approval="required"), StandingInvoices()
    plan = make_plan(result.view(), standing, us("2026-01-01T00:00:00Z"), {}, "drafts")
    assert len(plan.billings) == 1
    invoices, _ = build_invoices(plan, {}, Run("run", 1, 0, 0, {}))
    assert standing.apply(invoices[0])  # as if it was approved
    assert make_plan(result.view(), standing, us("2026-06-01T00:00:00Z"), {}).waiting == 0
    move(result, "pro", "2026-05-01")
    assert make_plan(result.view(), standing, us("2026-06-01T00:00:00Z"), {}).waiting == 1
    assert len(make_plan(result.view(), standing, us("2026-06-01T00:00:00Z"), {}, "drafts").billings) == 1


@settings(max_examples=25)
@given(
    st.lists(st.tuples(st.integers(1, 700), st.sampled_from(sorted(PLANS))), max_size=5),
    st.lists(st.integers(0, 800), min_size=1, max_size=8),
    st.sampled_from(["year", "quarter"]),
    st.sampled_from([(), ({"code": "d", "percent": "33"},), ({"code": "d", "amount": "100", "product": "seat"},)]),
)
def test_whenever_it_is_closed_the_fees_and_discounts_of_all_periods_come_to_the_same(
    changes: list[tuple[int, str]], closes: list[int], interval: str, discounts: tuple[dict[str, Any], ...]
) -> None:
    """Fees by charge and day, and totals, against closes that knew every change from the beginning."""
    start, totals = us(BASE["start"]), []
    days = dict(changes)
    plans = ["basic", *(plan for _, plan in sorted(days.items()))]  # one that says the same plan again changes nothing
    changes = [
        (day, plan)
        for (day, plan), previous_plan in zip(sorted(days.items()), plans, strict=False)
        if plan != previous_plan
    ]
    for known in (False, True):
        result, standing = catalog(interval, discounts=list(discounts)), StandingInvoices()
        steps: list[tuple[int, int, str]] = [(start + day * DAY, 1, "") for day in sorted(closes)]
        steps += [(start + day * DAY, 0, plan) for day, plan in sorted(changes)]
        for at_us, what, plan in sorted(steps, key=lambda step: (step[1] if known else 0, step[0], step[1])):
            if what:
                close(result, standing, at_us)
            else:
                result.add(
                    "subscription",
                    BASE | {"plan": plan, "change_at": rfc3339(at_us)},
                    published=rfc3339(at_us if not known else 0),
                )
        close(result, standing, start + 1095 * DAY)
        by_charge: dict[str, Decimal] = {}
        for invoice in standing.invoices("air"):
            for line in invoice.lines:
                by_charge[line.charge] = by_charge.get(line.charge, Decimal(0)) + Decimal(line.amount)
        totals.append(by_charge)
    for charge in totals[0].keys() | totals[1].keys():
        value, second_value = (total.get(charge, Decimal(0)) for total in totals)
        assert abs(value - second_value) <= Decimal("0.05") * max(1, len(changes)), (
            charge,
            totals,
        )  # each part is rounded by itself
