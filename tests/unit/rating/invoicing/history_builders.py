"""Histories of an account's subscriptions, drawn at random, and closed day by day as the close does it; and what they
owe, in plain fractions."""

from __future__ import annotations

import calendar
import json
import random
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from dataclasses import replace as replace_dataclass
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from math import floor
from typing import Any

import pytest
from msgspec.structs import replace

from rating.invoices.amounts.account_balances import counterparts, draws
from rating.invoices.credit_notes import LineCredit, NewCreditNote, with_credit_note
from rating.invoices.ledger import StandingInvoices
from rating.invoices.transitions import ChangeRefused, NewPayment, voided, with_payment
from rating.invoicing.late.late_usage import Late
from rating.invoicing.run_plan import build_invoices, make_plan
from rating.usage import Usage, UsageGroup
from schemas.ledgers.checkpoints import Run
from schemas.ledgers.invoice_claims import VOID
from schemas.ledgers.invoice_record import Invoice
from schemas.values.instants import DAY, rfc3339
from tests.unit.rating.builders import Shelf, us

START = us("2025-01-01T00:00:00Z")
PLANS = {"basic": ("30", "10", "1"), "pro": ("60", "0", "2"), "plus": ("60.5", "7", "1.5")}
"""Plan → fee of a seat in advance, fee of support, price of a unit."""
FREE = 10


def rounded(amount: Fraction) -> Fraction:
    return Fraction(floor(abs(amount) * 100 + Fraction(1, 2)), 100) * (1 if amount >= 0 else -1)


def price(model: str, unit: str) -> dict[str, Any]:
    tiers = [{"up_to": str(FREE), "unit_amount": "0"}, {"up_to": None, "unit_amount": unit}]
    if model == "per_unit":
        return {"model": model, "unit_amount": unit, "included_units": str(FREE)}
    if model == "package":
        return {"model": model, "package_size": "3", "package_amount": unit, "free_units": "4"}
    return {"model": model, "tiers": tiers}


def costs(model: str, parts: list[tuple[Fraction, str]]) -> Fraction:
    """What (quantity, unit amount) of the parts of a period come to that a change of price has split."""
    fraction = previous_fraction = Fraction(0)
    full_sum = sum((quantity for quantity, _ in parts), Fraction(0))
    for quantity, unit in parts:
        until = previous_fraction + quantity
        if model == "volume":
            count = quantity if full_sum > FREE else Fraction(0)
        elif model == "package":
            count = Fraction(-(-max(until - 4, Fraction(0)) // 3) + (-max(previous_fraction - 4, Fraction(0)) // 3))
        else:
            count = max(until - FREE, Fraction(0)) - max(previous_fraction - FREE, Fraction(0))
        fraction += rounded(count * Fraction(unit))
        previous_fraction = until
    return fraction


@dataclass
class Event:
    """``quantity`` on ``day``, known from ``came`` on, voided on ``gone``."""

    day: int
    quantity: int
    came: int
    gone: int | None

    def counts(self, today: int) -> bool:
        return self.came <= today and (self.gone is None or self.gone > today)


@dataclass
class Agreement:
    """A subscription as it will have been told; ``news``: day → what is published of it then."""

    code: str
    model: str
    interval: str
    terms: dict[str, Any]
    trial: int
    end: int
    changes: list[tuple[int, str, str]] = field(default_factory=list)
    news: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)

    def owes(self) -> Fraction:
        """In all, by its periods."""
        months = [calendar.monthrange(2025, month)[1] for month in range(1, 13)]
        step = 1 if self.interval == "month" else 3
        lengths = [sum(months[first_number : first_number + step]) for first_number in range(0, 12, step)]
        used = {discount["code"]: 0 for discount in self.terms["discounts"]}
        owed, first_count = Fraction(0), 0
        for length in lengths:
            if first_count < self.end:
                owed += self._period(first_count, min(first_count + length, self.end), length, used)
            first_count += length
        return owed

    def _period(self, first: int, last: int, length: int, used: dict[str, int]) -> Fraction:
        edges = {first, last, *(day for day, _, _ in self.changes), self.trial}
        charges: dict[str, Fraction] = {}
        groups: dict[str, list[tuple[Fraction, str]]] = {}
        paying = Fraction(0)
        for begin, end in pairwise(sorted(edge for edge in edges if first <= edge <= last)):
            if begin < self.trial:
                continue
            part = Fraction(end - begin, length)
            paying += part
            plan, unit = ([("basic", "1")] + [(plan, unit) for day, plan, unit in self.changes if day <= begin])[-1]
            for product, amount in zip(("seat", "support"), PLANS[plan], strict=False):
                if amount != "0":
                    charges[product] = charges.get(product, Fraction(0)) + rounded(Fraction(amount) * part)
            used_units = sum(
                event.quantity for event in self.events if begin <= event.day < end and event.counts(10**6)
            )
            groups.setdefault(plan, []).append((Fraction(used_units), unit))
        for parts in groups.values():
            charges["c"] = charges.get("c", Fraction(0)) + costs(self.model, parts)
        total = sum(charges.values(), Fraction(0))
        moment = rfc3339(START + last * DAY - 1)[:10]
        discounts = [
            discount for discount in self.terms["discounts"] if used[discount["code"]] < discount.get("periods", 99)
        ]
        discounts = [
            discount for discount in discounts if discount.get("start", "") <= moment < discount.get("end", "9")
        ]
        for discount in sorted(discounts, key=lambda item: "product" not in item):
            used[discount["code"]] += 1
            base = min(charges.get(discount["product"], Fraction(0)), total) if "product" in discount else total
            wants = (
                base * Fraction(discount["percent"]) / 100 if "percent" in discount else Fraction(discount["amount"])
            )
            off = rounded(min(wants, base))
            total -= off
            if "product" in discount and base:
                charges[discount["product"]] -= off
        least = rounded(Fraction(self.terms.get("minimum_commitment", 0)) * paying)
        return max(total, least) if charges else total


def agreement(code: str, draw: random.Random, *, terms: bool) -> Agreement:
    discounts: list[dict[str, Any]] = []
    for number in range(draw.choice([0, 1, 1, 2]) if terms else 0):
        value: dict[str, Any] = {"code": f"d{number}"} | draw.choice(
            [{"percent": "50"}, {"percent": "33"}, {"amount": "25"}]
        )
        value |= draw.choice([{}, {"product": "seat"}, {"product": "support"}, {"product": "c"}])
        value |= draw.choice([{}, {"periods": draw.randint(1, 3)}])
        value |= draw.choice(
            [{}, {"start": f"2025-0{draw.randint(1, 4)}-01"}, {"end": f"2025-0{draw.randint(3, 6)}-01"}]
        )
        discounts.append(value)
    agreed: dict[str, Any] = {"discounts": discounts}
    if terms and draw.random() < 0.5:
        agreed["minimum_commitment"] = draw.choice(["20", "100", "300"])
    end = draw.randint(20, 130)
    interval = draw.choice(["month", "month", "quarter"])
    item = Agreement(
        code,
        draw.choice(["per_unit", "tiered", "volume", "package"]),
        interval,
        agreed,
        draw.choice([0, 0, 10, 31]),
        end,
    )
    body = {"code": code, "account": "acme", "plan": f"basic-{code}", "start": rfc3339(START)} | agreed
    if item.trial:
        body["trial_end"] = rfc3339(START + item.trial * DAY)
    item.news[0] = [body]
    current, count = ("basic", "1"), 0
    for day in sorted({draw.randint(1, end) for _ in range(draw.randint(0, 3))} - {end}):
        plan = draw.choice(list(PLANS)) if draw.random() < 0.5 else current[0]
        unit = draw.choice(["2", "1.5", "0.33", PLANS[plan][2]])
        if (plan, unit) != current:
            current, count = (plan, unit), max(count, day - draw.choice([0, 0, 5, 30]), 0)
            item.changes.append((day, plan, unit))
            body = body | {"plan": f"{plan}-{code}", "change_at": rfc3339(START + day * DAY)}
            second_value = [{"charge": "c", "price": price(item.model, unit)}] if unit != PLANS[plan][2] else []
            body = body | {"overrides": second_value}
            item.news.setdefault(count, []).append(body)
    count = max(count, end - draw.randint(0, 40), 0)
    item.news.setdefault(count, []).append(body | {"end": rfc3339(START + end * DAY)})
    for _ in range(draw.randint(0, 10)):
        day = draw.randint(0, end + 5)
        came = day + draw.choice([0, 0, 15, 40])
        item.events.append(Event(day, draw.randint(0, 12), came, draw.choice([None, None, came + draw.randint(1, 60)])))
    return item


class History:
    """An account with its ``agreements``. ``standing`` is what became of it; every record is asked to be valid when it
    is written."""

    LAST = 230
    SEAT_IN_ADVANCE = True

    def __init__(
        self, seed: int, *, subscriptions: int = 1, terms: bool = True, notes: bool = False, grants: bool = False
    ) -> None:
        self.draw = random.Random(seed)
        self.shelf, self.standing, self.runs, self.notes = Shelf(), StandingInvoices(), 0, notes
        codes = "st"[:subscriptions]
        self.offsets: dict[str, int] = {}  # run → what of the catalog it knew
        self.agreements = [agreement(code, self.draw, terms=terms) for code in codes]
        for item in self.agreements:
            item.events = self.agreements[0].events
        self._catalog()
        self.grants: dict[str, Fraction] = {}
        for number in range(self.draw.randint(1, 3) if grants else 0):
            body: dict[str, Any] = {
                "code": f"g{number}",
                "currency": "USD",
                "amount": str(self.draw.choice([20, 55, 400])),
            }
            body |= self.draw.choice([{"account": "acme"}, {"subscription": self.draw.choice(codes)}])
            body |= self.draw.choice([{}, {}, {"expires": f"2025-0{self.draw.randint(2, 5)}-10"}])
            self.shelf.add("credit_grant", body)
            self.grants[body["code"]] = Fraction(body["amount"])

    def _catalog(self) -> None:
        self.shelf.add("meter", {"code": "m", "profiles": [{"code": "p", "aggregation": "sum", "property": "n"}]})
        self.shelf.add("product", {"code": "c", "profile": "m.p"})
        for product in ("seat", "support"):
            self.shelf.add("product", {"code": product, "kind": "flat"})
        self.shelf.add("account", {"code": "acme"})
        for item in self.agreements:
            for code, (seat, support, unit) in PLANS.items():
                charges: list[dict[str, Any]] = [
                    {"product": "seat", "price": {"model": "flat", "amount": seat}, "in_advance": self.SEAT_IN_ADVANCE}
                ]
                if support != "0":
                    charges.append({"product": "support", "price": {"model": "flat", "amount": support}})
                charges.append({"product": "c", "price": price(item.model, unit)})
                body = {"code": f"{code}-{item.code}", "currency": "USD", "interval": item.interval, "grace_seconds": 0}
                self.shelf.add("plan", body | {"charges": charges})

    @property
    def standing_invoices(self) -> list[Invoice]:
        return [invoice for invoice in self.standing.invoices("air") if invoice.state != VOID]

    def run(self) -> None:
        step = self.draw.choice([1, 9, 9, 40])
        acts = {
            day: self.draw.choice(["void", "note", "note", "pay"]) for day in self.draw.sample(range(self.LAST), 12)
        }
        for today in range(self.LAST):
            agreements = [body for item in self.agreements for body in item.news.get(today, ())]
            for body in agreements:
                self.shelf.add("subscription", body, published=rfc3339(START + today * DAY))
            if today in acts:
                self._act(acts[today], today)
            if agreements or today % step == 0:
                self.close(today)
        for today in (self.LAST, self.LAST + 1):
            self.close(today)

    def _act(self, act: str, today: int) -> None:
        agreed = self.draw.choice(self.agreements)
        chain = self.standing.chain("air", agreed.code)
        if not chain:
            return
        choice = self.draw.choice(chain)
        with suppress(ChangeRefused):
            if act == "void":
                self._write(voided(chain, choice, "wrong", "me", 0), f"v{today}")
            elif act == "pay" and self.notes:
                part = (Decimal(choice.total) / self.draw.choice([1, 2])).quantize(Decimal("0.01"))
                self._write(with_payment(choice, NewPayment(f"p{today}", part, 0, "me")), f"p{today}")
            elif act == "note" and self.notes:
                self._write(with_credit_note(choice, self._note(choice, today), chain), f"n{today}")

    def _note(self, invoice: Invoice, today: int) -> NewCreditNote:
        lines = [line for line in invoice.lines if Decimal(line.amount) > 0]
        share, at_us = self.draw.choice([1, 2]), START + today * DAY + 1
        if lines and self.draw.random() < 0.6:
            line = self.draw.choice(lines)
            part = (Decimal(line.amount) / share).quantize(Decimal("0.01"))
            return NewCreditNote(f"n{today}", None, "sorry", "me", at_us, (LineCredit(line.number, part),))
        full_decimal = Decimal(json.loads(invoice.body)["subtotal"])
        return NewCreditNote(f"n{today}", (full_decimal / share).quantize(Decimal("0.01")), "sorry", "me", at_us)

    def _write(self, record: Invoice | None, claim: str) -> None:
        if record is not None:
            assert self.standing.apply(replace(record, claim_id=claim))

    def credit_all(self) -> None:
        """Credit what can be credited of each invoice, in any order."""
        for number in range(2 * len(self.standing_invoices)):
            invoice = self.draw.choice([item for item in self.standing_invoices if Decimal(item.total) >= 0])
            chain = self.standing.chain("air", invoice.subscription)
            note = NewCreditNote(f"g{number}", Decimal(99_999), "sorry", "me", START + 240 * DAY + number)
            with pytest.raises(ChangeRefused, match=r"of which \S+ are not credited") as refused:
                with_credit_note(invoice, note, chain)
            (left,) = re.findall(r"of which (\S+) are not credited", str(refused.value))
            if Decimal(left):
                self._write(
                    with_credit_note(invoice, replace_dataclass(note, amount=Decimal(left)), chain), f"g{number}"
                )

    def _late(self, agreed: Agreement, today: int) -> tuple[Late, ...]:
        until = max((item.period_end for item in self.standing.chain("air", agreed.code)), default=0)
        days = (
            START + event.day * DAY
            for event in agreed.events
            if event.came <= today and START + event.day * DAY < until
        )
        return tuple(Late("m.p", at_us, at_us, 1) for at_us in days)

    def close(self, today: int) -> None:
        self.runs += 1
        self.offsets[f"run_{self.runs}"] = self.shelf.catalog.next_offset
        as_of = START + today * DAY
        late = {result.code: item for result in self.agreements if (item := self._late(result, today))}
        plan = make_plan(self.shelf.view(), self.standing, as_of, late)
        assert plan.problems == ()
        totals: dict[Any, dict[str, list[UsageGroup]]] = {}
        events = self.agreements[0].events  # usage is the account's, whichever of its subscriptions bills it
        for need in plan.needs():
            used = [
                event.quantity
                for event in events
                if event.counts(today) and need.start_us <= START + event.day * DAY < need.end_us
            ]
            usage = Usage(Decimal(sum(used)), len(used))
            totals[need] = {"acme": [UsageGroup(usage, "acme", None, ())]} if used else {}
        invoices, problems = build_invoices(plan, totals, Run(f"run_{self.runs}", self.runs, 0, as_of, {}))
        assert problems == ()
        for invoice in invoices:
            self._write(invoice, invoice.claim_id)
        while self.notes and (
            value := list(counterparts(self.standing.invoices("air"), as_of))
            or draws(self.standing.invoices("air"), as_of)
        ):
            for result in value:
                self._write(result, result.claim_id)


def amounts(
    invoices: list[Invoice], kind: str, name: str = "amount"
) -> Iterator[tuple[Invoice, dict[str, Any], Fraction]]:
    """(invoice, payment or credit note, its amount) of each that they have."""
    for invoice in invoices:
        for item in json.loads(invoice.body).get(kind, ()):
            yield invoice, item, Fraction(item.get(name, item["amount"]))
