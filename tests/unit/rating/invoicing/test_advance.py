"""Fees in advance, trials and cancellations over a subscription's whole chain of invoices, closed step by step. No
usage."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rating.invoices.ledger import StandingInvoices
from schemas.ledgers.invoice_record import Invoice
from schemas.values.instants import rfc3339
from tests.unit.rating.builders import Shelf, us
from tests.unit.rating.invoicing.builders import close

PLANS = {
    "basic": [("seat", "30", True), ("support", "10", False)],
    "pro": [("seat", "60", True), ("vip", "5.99", True)],
}
BASE = {"code": "s", "account": "acme", "plan": "basic", "start": "2024-01-01T00:00:00Z"}
FAR = "2025-01-01T00:00:00Z"


def catalog(**subscription: Any) -> Shelf:
    """Fees in advance and in arrears, of 30- and 31-day months in UTC, without grace."""
    shelf = Shelf()
    for product in ("seat", "support", "vip"):
        shelf.add("product", {"code": product, "kind": "flat"})
    for code, fees in PLANS.items():
        charges = [
            {"product": name, "price": {"model": "flat", "amount": amount}, "in_advance": ahead}
            for name, amount, ahead in fees
        ]
        shelf.add("plan", {"code": code, "currency": "USD", "grace_seconds": 0, "charges": charges})
    shelf.add("account", {"code": "acme"})
    shelf.add("subscription", BASE | subscription)
    return shelf


def told(invoices: list[Invoice]) -> list[list[str]]:
    """Each invoice's lines: kind, charge, days of the year it is for, amount."""
    return [
        [
            f"{line.kind} {line.charge} {rfc3339(line.period_start)[5:10]}..{rfc3339(line.period_end)[5:10]} "
            f"{line.amount}"
            for line in invoice.lines
        ]
        for invoice in invoices
    ]


OPENING = ["flat seat 01-01..02-01 30.00"]
JANUARY = ["flat support 01-01..02-01 10.00", "flat seat 02-01..03-01 30.00"]


def test_a_fee_in_advance_is_billed_at_the_start_and_then_with_the_period_before() -> None:
    result, standing = catalog(), StandingInvoices()
    assert close(result, standing, "2023-12-31T23:59:59Z") == []
    opening = close(result, standing, "2024-01-01T00:00:00Z")
    assert told(opening) == [OPENING]
    assert (opening[0].period_start, opening[0].period_end) == (us(BASE["start"]), us(BASE["start"]))
    assert close(result, standing, "2024-01-31T23:59:59Z") == []
    january = close(result, standing, "2024-02-01T00:00:00Z")
    assert told(january) == [JANUARY]
    assert (january[0].sequence, january[0].predecessor) == (1, opening[0].invoice_id)
    february = close(result, standing, "2024-03-01T00:00:00Z")
    assert told(february) == [["flat support 02-01..03-01 10.00", "flat seat 03-01..04-01 30.00"]]
    assert february[0].sequence == 0


def test_an_upgrade_credits_what_was_billed_ahead_and_bills_the_rest() -> None:
    result, standing = catalog(), StandingInvoices()
    close(result, standing, "2024-02-01T00:00:00Z")
    result.add("subscription", BASE | {"plan": "pro", "change_at": "2024-02-15T00:00:00Z"})
    (february,) = close(result, standing, "2024-03-01T00:00:00Z")
    assert told([february]) == [
        [
            "flat support 02-01..02-15 4.83",  # 14 of 29 days of 10
            "flat seat 02-15..03-01 31.03",  # 15 of 29 days of 60
            "flat vip 02-15..03-01 3.10",  # 15 of 29 days of 5.99
            "flat seat 03-01..04-01 60.00",
            "flat vip 03-01..04-01 5.99",
            "adjustment seat 02-01..03-01 -15.52",  # 14 of 29 days of 30 are 14.48
        ]
    ]
    credit = february.lines[-1]
    assert credit.adjusts == february.predecessor
    assert credit.note == "2024-02-01T00:00:00Z to 2024-03-01T00:00:00Z: 14.48 instead of 30, billed in advance"
    assert "14 of 29 days of the period: 30 becomes 14.482758620690"[:-1] in credit.steps


def test_a_cancellation_credits_the_rest_on_the_last_invoice() -> None:
    result, standing = catalog(), StandingInvoices()
    close(result, standing, "2024-02-01T00:00:00Z")
    result.add("subscription", BASE | {"end": "2024-02-10T00:00:00Z"})
    (last_close,) = close(result, standing, "2024-02-10T00:00:00Z")
    assert told([last_close]) == [
        ["flat support 02-01..02-10 3.10", "adjustment seat 02-01..03-01 -20.69"]  # 9 of 29 days; 30 − 9.31
    ]
    assert close(result, standing, FAR) == []


def test_a_cancellation_for_the_day_that_was_billed_to_is_credited_on_an_invoice_of_its_own() -> None:
    result, standing = catalog(), StandingInvoices()
    close(result, standing, "2024-02-01T00:00:00Z")
    result.add("subscription", BASE | {"end": "2024-02-01T00:00:00Z"})
    (alone,) = close(result, standing, "2024-02-03T00:00:00Z")
    assert told([alone]) == [["adjustment seat 02-01..03-01 -30.00"]]
    assert (alone.sequence, alone.total) == (2, "-30.00")
    assert close(result, standing, FAR) == []


def test_a_subscription_retired_is_credited_from_there_on() -> None:
    result, standing = catalog(), StandingInvoices()
    close(result, standing, "2024-01-01T00:00:00Z")
    result.add("subscription", BASE, retired=True, published="2024-01-11T00:00:00Z")
    assert told(close(result, standing, FAR)) == [
        ["flat support 01-01..01-11 3.23", "adjustment seat 01-01..02-01 -20.32"]  # 10 of 31 days; 30 − 9.68
    ]


def test_nothing_is_billed_in_a_trial_and_the_rest_of_its_period_in_arrears() -> None:
    result, standing = catalog(trial_end="2024-02-11T00:00:00Z"), StandingInvoices()
    assert told(close(result, standing, "2024-02-01T00:00:00Z")) == [[]]
    assert told(close(result, standing, "2024-03-01T00:00:00Z")) == [
        [
            "flat support 02-11..03-01 6.55",  # 19 of 29 days
            "flat seat 02-11..03-01 19.66",
            "flat seat 03-01..04-01 30.00",
        ]
    ]


def test_a_cancellation_in_the_trial_costs_nothing() -> None:
    result, standing = catalog(trial_end="2024-02-11T00:00:00Z", end="2024-01-20T00:00:00Z"), StandingInvoices()
    assert [invoice.total for invoice in close(result, standing, FAR)] == ["0.00"]


def test_a_charge_that_is_not_prorated_is_whole_once() -> None:
    result = catalog()
    charges = [
        {"product": "support", "prorated": False, "price": {"model": "flat", "amount": "10"}},
        {"product": "seat", "prorated": False, "in_advance": True, "price": {"model": "flat", "amount": "30"}},
    ]
    for code in ("whole", "other"):
        result.add("plan", {"code": code, "currency": "USD", "grace_seconds": 0, "charges": charges})
    body = BASE | {"plan": "whole", "code": "w", "start": "2024-01-20T00:00:00Z", "end": "2024-02-20T00:00:00Z"}
    result.add("subscription", body)
    result.add("subscription", body | {"plan": "other", "change_at": "2024-02-10T00:00:00Z"})
    invoices = [item for item in close(result, StandingInvoices(), FAR) if item.subscription == "w"]
    assert told(invoices) == [
        ["flat seat 01-20..02-01 30.00"],
        ["flat support 01-20..02-01 10.00", "flat seat 02-01..02-10 30.00"],
        ["flat support 02-01..02-10 10.00"],
    ]


def test_a_discount_follows_the_credit_of_the_fee_it_was_on() -> None:
    result, standing = catalog(discounts=[{"code": "ten", "percent": "10"}]), StandingInvoices()
    assert [item.total for item in close(result, standing, "2024-01-01T00:00:00Z")] == ["27.00"]
    result.add("subscription", BASE | {"end": "2024-01-16T12:00:00Z", "discounts": [{"code": "ten", "percent": "10"}]})
    (last_close,) = close(result, standing, FAR)
    assert last_close.total == "-9.00"  # 5.00 less 10 % for support, and 15.00 less 10 % back for the seat


@pytest.mark.parametrize("trial_days", [0, 31])
def test_a_commitment_is_prorated_and_not_asked_for_at_the_start_or_in_a_trial(trial_days: int) -> None:
    result = catalog()
    fees = [
        {"product": "seat", "in_advance": True, "price": {"model": "flat", "amount": "1"}},
        {"product": "support", "price": {"model": "flat", "amount": "2"}},
    ]
    result.add(
        "plan",
        {
            "code": "least", "currency": "USD", "grace_seconds": 0, "charges": fees, "minimum_commitment": "58",
            "trial_days": trial_days,
        },
    )  # fmt: skip
    result.add("subscription", BASE | {"code": "c", "plan": "least", "end": "2024-02-16T00:00:00Z"})
    totals = [item.total for item in close(result, StandingInvoices(), FAR) if item.subscription == "c"]
    # 15 of 29 days of 58 are 30. A fee in advance, 1.00 and 0.52, is a charge of the period that it is for.
    assert totals == (["1.00", "57.52", "29.48"] if not trial_days else ["0.52", "29.48"])


days = st.integers(1, 120)


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.tuples(days, st.sampled_from(sorted(PLANS))), max_size=4),
    st.none() | days,
    st.none() | days,
    st.lists(days, max_size=5),
)
def test_step_by_step_or_all_at_once_the_same_invoices(
    changes: list[tuple[int, str]], trial: int | None, end: int | None, stops: list[int]
) -> None:
    """The catalog is known from the beginning; the close runs at any instants."""
    start = us(BASE["start"])
    day = 86_400 * 10**6

    def at(number: int) -> str:
        return rfc3339(start + number * day + 3600 * 10**6 * (number % 24))

    extra = ({} if trial is None else {"trial_end": at(trial)}) | ({} if end is None else {"end": at(end)})
    result = catalog(**extra)
    for number, plan in changes:
        result.add("subscription", BASE | extra | {"plan": plan, "change_at": at(number)})
    once, steps = StandingInvoices(), StandingInvoices()
    expected = close(result, once, start + 150 * day)
    got = [invoice for stop in [*sorted(stops), 150] for invoice in close(result, steps, start + stop * day)]
    assert got == expected
    fees = [line for invoice in expected for line in invoice.lines]
    assert all(line.kind == "flat" for line in fees)


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.tuples(days, st.sampled_from(sorted(PLANS)), st.integers(0, 40)), max_size=4),
    st.integers(1, 120),
    st.integers(0, 40),
)
def test_whatever_is_learned_late_the_chain_comes_to_what_the_final_timeline_owes(
    changes: list[tuple[int, str, int]], end: int, notice: int
) -> None:
    """Each change is published some days before it holds, or on that day; closes run then, and every ten days."""
    start = us(BASE["start"])
    day = 86_400 * 10**6
    result, standing = catalog(), StandingInvoices()
    news: dict[int, list[dict[str, Any]]] = {}
    ordered = sorted(
        {number: (plan, previous_change) for number, plan, previous_change in changes if number < end}.items()
    )
    told_at, current = 0, dict(BASE)
    for number, (plan, previous) in ordered:
        told_at = max(told_at, number - previous, 0)
        current = current | {"plan": plan, "change_at": rfc3339(start + number * day)}
        news.setdefault(told_at, []).append(current)
    told_at = max(told_at, end - notice)
    news.setdefault(told_at, []).append(current | {"end": rfc3339(start + end * day)})
    if any(number < when for when, bodies in news.items() for number in _instants(bodies, start, day)):
        return  # an instant that has passed by the time it is told stays as billed
    for today in range(200):
        for body in news.get(today, []):
            result.add("subscription", body, published=rfc3339(start + today * day))
        if today in news or today % 10 == 0:
            close(result, standing, start + today * day)
    billed = sum((Decimal(line.amount) for item in standing.chain("air", "s") for line in item.lines), Decimal(0))
    anew = StandingInvoices()
    close(result, anew, start + 200 * day)
    owed = sum((Decimal(line.amount) for item in anew.chain("air", "s") for line in item.lines), Decimal(0))
    assert billed == owed


def _instants(bodies: list[dict[str, Any]], start: int, day: int) -> list[int]:
    return [(us(body[name]) - start) // day for body in bodies for name in ("change_at", "end") if body.get(name)]
