"""Discounts and commitments beside fees in advance: they are of billing periods, whichever invoice carries a charge. No
usage."""

from __future__ import annotations

import calendar
import json
from collections.abc import Iterable
from contextlib import suppress
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from math import floor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from rating.invoices.ledger import StandingInvoices
from rating.invoices.transitions import ChangeRefused, voided
from rating.invoicing.run_plan import build_invoices, make_plan
from schemas.ledgers.checkpoints import Run
from schemas.ledgers.invoice_record import Invoice
from schemas.values.instants import rfc3339
from tests.unit.rating.builders import Shelf, us
from tests.unit.rating.verify.builders import verified

DAY = 86_400 * 10**6
START = us("2025-01-01T00:00:00Z")
PLANS = {"basic": {"seat": "30", "support": "10"}, "pro": {"seat": "60", "vip": "5.99"}}
AHEAD = ("seat", "vip")
BASE = {"code": "s", "account": "acme", "plan": "basic", "start": rfc3339(START)}


def catalog(plans: dict[str, dict[str, str]], **subscription: Any) -> Shelf:
    shelf = Shelf()
    for product in ("seat", "support", "vip"):
        shelf.add("product", {"code": product, "kind": "flat"})
    for code, fees in plans.items():
        charges = [
            {"product": name, "price": {"model": "flat", "amount": amount}, "in_advance": name in AHEAD}
            for name, amount in fees.items()
        ]
        shelf.add("plan", {"code": code, "currency": "USD", "grace_seconds": 0, "charges": charges})
    shelf.add("account", {"code": "acme"})
    shelf.add("subscription", BASE | subscription)
    return shelf


def close(expected: Shelf, standing: StandingInvoices, as_of: str | int) -> list[Invoice]:
    plan = make_plan(expected.view(), standing, as_of if isinstance(as_of, int) else us(as_of), {})
    assert plan.problems == ()
    invoices, problems = build_invoices(plan, {}, Run("run", 1, 0, 0, {}))
    assert problems == ()
    assert all(standing.apply(invoice) for invoice in invoices)
    return list(invoices)


def totals(invoices: Iterable[Invoice]) -> list[str]:
    return [invoice.total for invoice in invoices]


SEAT = {"basic": {"seat": "30"}}
HALF_ONCE = {"discounts": [{"code": "half", "percent": "50", "periods": 1}]}


@pytest.mark.parametrize(
    ("terms", "end", "expected", "whole"),
    [
        (HALF_ONCE, "2025-04-01T00:00:00Z", ["15.00", "30.00", "30.00", "0.00"], 75),
        ({"minimum_commitment": "30"}, "2025-04-01T00:00:00Z", ["30.00", "30.00", "30.00", "0.00"], 90),
        ({"minimum_commitment": "100"}, "2025-03-01T00:00:00Z", ["30.00", "100.00", "70.00"], 200),
        ({"discounts": [{"code": "off", "amount": "10"}]}, "2025-04-01T00:00:00Z",
        ["20.00", "20.00", "20.00", "0.00"], 60),
        (
            {"discounts": [{"code": "half", "percent": "50", "end": "2025-02-01"}]}, "2025-03-01T00:00:00Z",
            ["15.00", "30.00", "0.00"], 45,
        ),
        (
            {"discounts": [{"code": "half", "percent": "50", "start": "2025-02-01"}], "minimum_commitment": "20"},
            "2025-03-01T00:00:00Z", ["30.00", "15.00", "5.00"], 50,
        ),
    ],
)  # fmt: skip
@pytest.mark.parametrize("steps", [True, False])
def test_terms_are_of_periods_and_not_of_invoices(
    terms: Any, end: str, expected: list[str], whole: int, steps: bool
) -> None:
    result, standing = catalog(SEAT, end=end, **terms), StandingInvoices()
    for month in ("01", "02", "03") if steps else ():
        close(result, standing, f"2025-{month}-01T00:00:00Z")
    close(result, standing, "2026-01-01T00:00:00Z")  # or all of it late, at once
    assert totals(standing.chain("air", "s")) == expected
    assert sum(map(Decimal, expected)) == whole


def test_an_invoice_pins_its_own_terms_and_those_of_the_fees_in_advance() -> None:
    result, standing = catalog(SEAT, **HALF_ONCE), StandingInvoices()
    opening, january = close(result, standing, "2025-02-01T00:00:00Z")
    bodies = [json.loads(item.body) for item in (opening, january)]
    assert [[item["code"] for item in body.get("terms_ahead", {}).get("discounts", ())] for body in bodies] == [
        ["half"],
        [],
    ]
    assert [[item["code"] for item in body.get("terms", {}).get("discounts", ())] for body in bodies] == [[], ["half"]]
    (seat, half) = opening.lines
    assert [getattr(half, name) for name in ("charge", "amount", "period_start", "period_end")] == [
        "discount:half", "-15.00", seat.period_start, seat.period_end,
    ]  # fmt: skip


def test_what_a_discount_takes_in_advance_counts_in_the_period() -> None:
    result, standing = (
        catalog({"basic": {"seat": "30", "support": "100"}}, discounts=[{"code": "off", "amount": "50"}]),
        StandingInvoices(),
    )
    opening, january = close(result, standing, "2025-02-01T00:00:00Z")
    assert (opening.total, january.total) == (
        "0.00",
        "80.00",
    )  # 100 − 20, the rest of January's 50; February's seat is free
    remaining_line = january.lines[2]
    assert (remaining_line.charge, remaining_line.amount, remaining_line.note) == (
        "discount:off", "-20.00", f"-30 of it billed in advance on {opening.invoice_id}",
    )  # fmt: skip
    assert (
        sum(Decimal(step["amount"]) for step in json.loads(remaining_line.steps))
        == Decimal(remaining_line.unrounded)
        == -20
    )


def test_a_discount_on_a_fee_of_a_period_that_never_was_goes_with_the_fee() -> None:
    terms = {"discounts": [{"code": "ten", "percent": "10"}]}
    result, standing = catalog(SEAT, **terms), StandingInvoices()
    close(result, standing, "2025-02-01T00:00:00Z")
    result.add("subscription", BASE | terms | {"end": "2025-02-01T00:00:00Z"})
    (alone,) = close(result, standing, "2025-02-03T00:00:00Z")
    assert [(line.charge, line.amount) for line in alone.lines] == [
        ("seat", "-30.00"),
        ("discount:ten", "3.00"),
    ]
    assert close(result, standing, "2026-01-01T00:00:00Z") == []


def test_a_discount_that_was_agreed_within_the_period_holds_for_its_fee_in_advance_too() -> None:
    result, standing = catalog(SEAT), StandingInvoices()
    close(result, standing, "2025-01-01T00:00:00Z")
    result.add(
        "subscription", BASE | {"discounts": [{"code": "ten", "percent": "10"}]}, published="2025-01-20T00:00:00Z"
    )
    (january,) = close(result, standing, "2025-02-01T00:00:00Z")
    assert [(line.charge, line.amount) for line in january.lines] == [
        ("seat", "30.00"), ("discount:ten", "-3.00"), ("discount:ten", "-3.00"),
    ]  # fmt: skip


def old(invoice: Invoice, *reductions: tuple[str, str]) -> Invoice:
    """The invoice as the code before billed it: one lump of discounts over all its lines."""
    body = json.loads(invoice.body)
    pinned = {"discounts": [HALF_ONCE["discounts"][0]]} if reductions else None
    body = {name: value for name, value in body.items() if name not in ("terms", "terms_ahead", "terms_of")}
    body |= {"terms": pinned} if pinned else {}
    lines = [line for line in invoice.lines if ":" not in line.charge]
    own_document = {"period_start": invoice.period_start, "period_end": invoice.period_end}
    lines += [
        replace(lines[0], **own_document, kind="discount", charge=key, product="", amount=amount)
        for key, amount in reductions
    ]
    total = sum(Decimal(line.amount) for line in lines)
    body |= {"subtotal": f"{total:.2f}"}
    numbered = tuple(replace(line, number=number) for number, line in enumerate(lines, 1))
    return replace(invoice, body=json.dumps(body), lines=numbered, total=f"{total:.2f}")


def test_a_lump_of_before_is_settled_with_the_period_that_it_was_ahead_of() -> None:
    """The opening and January as they were billed before, January with the fault; February comes to what its period
    owes."""
    result, standing, new = catalog(SEAT, **HALF_ONCE), StandingInvoices(), StandingInvoices()
    opening, january = close(result, new, "2025-02-01T00:00:00Z")
    assert standing.apply(old(opening, ("discount:half", "-15.00")))
    assert standing.apply(old(january, ("discount:half", "-15.00")))
    assert totals(standing.chain("air", "s")) == ["15.00", "15.00"]
    (fault,) = verified(standing.chain("air", "s"))
    assert (
        f"{january.invoice_id} of air acme 2025-01-01T00:00:00Z, line 2, discount:half: expected 0, found -15" in fault
    )
    (february,) = close(result, standing, "2025-03-01T00:00:00Z")
    assert [(line.kind, line.charge, line.amount, line.adjusts) for line in february.lines] == [
        ("flat", "seat", "30.00", ""), ("adjustment", "discount:half", "15.00", january.invoice_id),
    ]  # fmt: skip


def test_an_opening_of_before_needs_nothing_further() -> None:
    result, standing, new = catalog(SEAT, **HALF_ONCE), StandingInvoices(), StandingInvoices()
    opening, _ = close(result, new, "2025-02-01T00:00:00Z")
    assert standing.apply(old(opening, ("discount:half", "-15.00")))
    assert totals(close(result, standing, "2025-03-01T00:00:00Z")) == ["30.00", "30.00"]
    assert verified(standing.chain("air", "s")) == []


# The same, worked out plainly by periods, in fractions.

discounts = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "product": st.sampled_from(("seat", "support")), "periods": st.integers(1, 3),
            "start": st.integers(1, 5).map(lambda month: f"2025-{month:02d}-01"),
            "end": st.integers(6, 8).map(lambda month: f"2025-{month:02d}-01"),
        },
    ).flatmap(lambda item: st.sampled_from([item | {"percent": "50"}, item | {"percent": "33"},
    item | {"amount": "25"}])),
    max_size=3,
).map(lambda item: [result | {"code": f"d{number}"} for number, result in enumerate(item)])  # fmt: skip


def rounded(amount: Fraction) -> Fraction:
    return Fraction(floor(amount * 100 + Fraction(1, 2)), 100)


def owed(changes: list[tuple[int, str]], end: int, trial: int, terms: dict[str, Any]) -> Fraction:
    """All that the subscription owes; days count from its start, a change is (day, plan) in ascending order."""
    full_fraction, first_count, used = (
        Fraction(0),
        0,
        dict.fromkeys((discount["code"] for discount in terms["discounts"]), 0),
    )
    for month in range(1, 13):
        length = calendar.monthrange(2025, month)[1]
        last_item = min(first_count + length, end)
        if first_count >= last_item:
            break
        edges = sorted(
            {
                first_count,
                last_item,
                *(day for day, _ in changes if first_count < day < last_item),
                *({trial} & set(range(first_count, last_item))),
            }
        )
        charges: dict[str, Fraction] = {}
        share = Fraction(0)
        for begins, ends in pairwise(edges):
            if begins < trial:
                continue
            part = Fraction(ends - begins, length)
            share += part
            plan = [name for day, name in changes if day <= begins][-1:] or ["basic"]
            for product, amount in PLANS[plan[0]].items():
                charges[product] = charges.get(product, Fraction(0)) + rounded(Fraction(amount) * part)
        moment = f"2025-{month:02d}-{last_item - first_count:02d}"
        total = sum(charges.values(), Fraction(0))
        in_force = [
            discount
            for discount in terms["discounts"]
            if discount.get("start", "") <= moment < discount.get("end", "9")
        ]
        in_force = [item for item in in_force if used[item["code"]] < item.get("periods", 99)]
        for item in sorted(in_force, key=lambda item: "product" not in item):
            used[item["code"]] += 1
            base = min(charges.get(item["product"], Fraction(0)), total) if "product" in item else total
            off = rounded(
                min(base * Fraction(item["percent"]) / 100 if "percent" in item else Fraction(item["amount"]), base)
            )
            total -= off
            if "product" in item and base:
                charges[item["product"]] -= off
        least = Fraction(terms.get("minimum_commitment", 0)) * share
        full_fraction += max(total, rounded(least)) if charges else total
        first_count += length
    return full_fraction


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.tuples(st.integers(1, 170), st.sampled_from(sorted(PLANS)), st.integers(0, 40)), max_size=3),
    st.tuples(st.integers(20, 200), st.integers(0, 40)),
    st.sampled_from((0, 10, 31, 45)),
    discounts,
    st.sampled_from((None, "20", "100")),
    st.sets(st.integers(0, 230), max_size=3),
)
def test_the_invoices_of_a_subscription_come_to_what_its_periods_owe(
    changes: list[tuple[int, str, int]],
    ends: tuple[int, int],
    trial: int,
    discounts: Any,
    least: str | None,
    voids: set[int],
) -> None:
    """Plan changes and the end are published some days before they hold; closes run then and every nine days; some days
    void an invoice, which is billed again."""
    end, notice = ends
    terms: dict[str, Any] = {"discounts": discounts} | ({"minimum_commitment": least} if least else {})
    extra = terms | ({"trial_end": rfc3339(START + trial * DAY)} if trial else {})
    result, standing = catalog(PLANS, **extra), StandingInvoices()
    ordered = sorted(
        {number: (plan, previous_change) for number, plan, previous_change in changes if number < end}.items()
    )
    news: dict[int, list[dict[str, Any]]] = {}
    told_at, current = 0, BASE | extra
    plain: list[tuple[int, str]] = []
    for number, (plan, previous) in ordered:
        if plan == (plain[-1][1] if plain else "basic"):
            continue  # a version that says the same plan may move the change before it
        plain.append((number, plan))
        told_at = max(told_at, number - previous, 0)
        current = current | {"plan": plan, "change_at": rfc3339(START + number * DAY)}
        news.setdefault(told_at, []).append(current)
    told_at = max(told_at, end - notice)
    news.setdefault(told_at, []).append(current | {"end": rfc3339(START + end * DAY)})
    by_key = {
        when: [(us(body.get("end", body.get("change_at"))) - START) // DAY for body in new]
        for when, new in news.items()
    }
    if any(day < when for when, value in by_key.items() for day in value):
        return  # an instant that has passed by the time it is told stays as billed
    for today in sorted({*range(0, 240, 9), *news, *voids}):
        for body in news.get(today, []):
            result.add("subscription", body, published=rfc3339(START + today * DAY))
        if today in voids and (chain := standing.chain("air", "s")):
            with suppress(ChangeRefused):
                void = voided(chain, chain[today % len(chain)], "wrong", "me", 0)
                assert void is None or standing.apply(void)
        if today in news or today % 9 == 0:
            close(result, standing, START + today * DAY)
    close(result, standing, START + 240 * DAY)
    billed = sum((Fraction(item.total) for item in standing.chain("air", "s") if item.state != "void"), Fraction(0))
    assert verified(standing.chain("air", "s")) == []
    assert billed == owed(plain, end, trial, terms)
