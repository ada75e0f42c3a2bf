"""Histories of an account's subscriptions, drawn at random, and closed day by day as the close does it; and what they
owe, in plain fractions."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace as replace_dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from msgspec.structs import replace

from rating.invoices.amounts.account_balances import counterparts, draws
from rating.invoices.credit_notes import LineCredit, NewCreditNote, with_credit_note
from rating.invoices.ledger import StandingInvoices
from rating.invoices.transitions import ChangeRefused, NewPayment, voided, with_payment
from rating.invoicing.late.late_records import Late
from rating.invoicing.measure import needs_of
from rating.invoicing.run_plan import RunPlan, build_invoices, make_plan
from rating.usage import Usage, UsageGroup
from schemas.ledgers.checkpoints import Run
from schemas.ledgers.invoice_claims import VOID
from schemas.ledgers.invoice_record import Invoice
from schemas.values.instants import DAY, rfc3339
from tests.unit.rating.builders import Shelf
from tests.unit.rating.invoicing.histories.agreements import PLANS, START, Agreement, agreement, price


class History:
    """An account with its ``agreements``. ``standing`` is what became of it; every record is asked to be valid when it
    is written."""

    LAST = 230
    SEAT_IN_ADVANCE = True
    CURRENCY = "USD"

    def __init__(
        self,
        seed: int,
        *,
        subscriptions: int = 1,
        terms: bool = True,
        notes: bool = False,
        grants: bool = False,
        recurring: bool = False,
        restricted: bool = False,
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
                "currency": self.CURRENCY,
                "amount": str(self.draw.choice([20, 55, 400])),
            }
            body |= self.draw.choice([{"account": "acme"}, {"subscription": self.draw.choice(codes)}])
            body |= self.draw.choice([{}, {}, {"expires": f"2025-0{self.draw.randint(2, 5)}-10"}])
            if recurring:
                every, cap = self.draw.choice(["week", "month", "quarter"]), self.draw.choice(["0", "7", "50"])
                body |= {
                    "effective": f"2025-01-{self.draw.randint(1, 31):02}",
                    "amount": str(self.draw.choice([5, 20])),
                }
                body |= {"recurrence": {"every": every, "rollover": cap}}
            if restricted:
                body["products"] = self.draw.choice([["c"], ["seat"], ["support", "c"], ["seat", "support"], []])
                body["priority"] = self.draw.randint(0, 2)
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
                body = {
                    "code": f"{code}-{item.code}",
                    "currency": self.CURRENCY,
                    "interval": item.interval,
                    "grace_seconds": 0,
                }
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
            self.day_ended(today)
        for today in (self.LAST, self.LAST + 1):
            self.close(today)
            self.day_ended(today)

    def day_ended(self, today: int) -> None:
        """For what else happens, or is looked at, each day."""

    def _act(self, act: str, today: int) -> None:
        agreed = self.draw.choice(self.agreements)
        chain = self.standing.chain("air", agreed.code)
        if not chain:
            return
        choice = self.draw.choice(chain)
        with suppress(ChangeRefused):
            if act == "void":
                self._write(voided(chain, choice, "wrong", "me", START + today * DAY + 1), f"v{today}")
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
        as_of = START + today * DAY
        late = {result.code: item for result in self.agreements if (item := self._late(result, today))}
        self.publish(make_plan(self.shelf.view(), self.standing, as_of, late), today, as_of)

    def publish(self, plan: RunPlan, today: int, as_of: int) -> list[Invoice]:
        """Rate what is planned as of that day's usage, and write it."""
        self.runs += 1
        self.offsets[f"run_{self.runs}"] = self.shelf.catalog.next_offset
        assert plan.problems == ()
        totals: dict[Any, dict[str, list[UsageGroup]]] = {}
        events = self.agreements[0].events  # usage is the account's, whichever of its subscriptions bills it
        for need in needs_of(plan.billings):
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
        return list(invoices)


def amounts(
    invoices: list[Invoice], kind: str, name: str = "amount"
) -> Iterator[tuple[Invoice, dict[str, Any], Fraction]]:
    """(invoice, payment or credit note, its amount) of each that they have."""
    for invoice in invoices:
        for item in json.loads(invoice.body).get(kind, ()):
            yield invoice, item, Fraction(item.get(name, item["amount"]))
