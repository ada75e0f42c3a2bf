"""Random histories: the invoices of a subscription come to what its periods owe, worked out again in fractions."""

from __future__ import annotations

import calendar
from contextlib import suppress
from fractions import Fraction
from itertools import pairwise
from math import floor
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from rating.invoices.ledger import StandingInvoices
from rating.invoices.transitions import ChangeRefused, voided
from schemas.values.instants import rfc3339
from tests.unit.rating.builders import us
from tests.unit.rating.invoices.amounts.builders import BASE, DAY, PLANS, START, catalog
from tests.unit.rating.invoicing.builders import close
from tests.unit.rating.verify.builders import verified

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
