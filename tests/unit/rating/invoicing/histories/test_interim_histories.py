"""Interim invoices, at any instants of any history, change nothing of what an account is billed in all: their sum with
the invoices of the periods is what those alone would have come to, to the cent."""

from __future__ import annotations

import os
from fractions import Fraction
from typing import Any

import pytest

from rating.invoices.amounts.prepaid_credits import drawn, owned_grants
from rating.invoices.amounts.unpriced_values import same_line
from rating.invoices.chain import is_interim
from rating.invoicing.charges import ChargeBook
from rating.invoicing.interim.interim_due import interim_due
from rating.invoicing.invoice_plan import billing_of
from rating.invoicing.run_plan import RunPlan
from rating.subscriptions.shared_timelines import timelines
from rating.verify.difference import Findings
from rating.verify.invoices.pinned_terms import check_terms
from schemas.values.instants import DAY
from tests.unit.rating.invoicing.histories.agreements import START, Event
from tests.unit.rating.invoicing.histories.history_builders import History
from tests.unit.rating.invoicing.histories.test_histories import check_account, subtotals
from tests.unit.rating.verify.builders import verified

SEEDS = range(int(os.environ.get("WEIR_TEST_HISTORIES", "12")))

FOUND = [(55, 2), (114, 2), (19, 2)]
"""Seed, subscriptions: a note restores what a later invoice drew, on charges that an interim invoice's draws paid; a
discount that a change of plan leaves to be taken off what an interim invoice billed."""


class InterimHistory(History):
    """After any close, what each subscription has used of its running period may be billed."""

    interims = 0

    def __init__(self, seed: int, **kinds: Any) -> None:
        super().__init__(seed, **kinds)
        events = self.agreements[0].events
        for _ in range(self.draw.choice([0, 10, 40])):
            day = self.draw.randint(0, self.agreements[0].end)
            came = day + self.draw.choice([0, 0, 0, 20])
            gone = self.draw.choice([None, None, None, came + self.draw.randint(1, 60)])
            events.append(Event(day, self.draw.randint(1, 12), came, gone))

    def day_ended(self, today: int) -> None:
        if self.draw.random() >= 0.15:
            return
        as_of, book = START + today * DAY + 1, ChargeBook(self.shelf.view())
        for line in timelines(self.shelf.view(), []):
            due = interim_due(line, self.standing, as_of)
            if due is None:
                continue
            late = next((self._late(item, today) for item in self.agreements if item.code == line.subscription), ())
            chain = self.standing.chain("air", line.subscription)
            billing = billing_of(due, book, chain, late, (), line)
            self.publish(RunPlan(billings=(billing,), **self.wallet()), today, as_of)
            self.interims += 1

    def wallet(self) -> dict[str, Any]:
        grants = owned_grants(self.shelf.view())
        return {"grants": grants, "drawn": drawn(self.standing.invoices("air")) if grants else {}}


def check_interims(history: InterimHistory) -> None:
    """What interim invoices of a period that has an invoice billed is taken off in full."""
    standing = history.standing_invoices
    for interim in filter(is_interim, standing):
        later = [
            invoice
            for invoice in standing
            if invoice.subscription == interim.subscription and invoice.period_start == interim.period_start
        ]
        if not any(invoice.period_end > invoice.period_start for invoice in later):
            continue
        for line in interim.lines:
            if line.kind == "usage":
                taken = (
                    Fraction(other.amount)
                    for invoice in standing
                    for other in invoice.lines
                    if other.adjusts == interim.invoice_id and same_line(line, other)
                )
                assert sum(taken) == -Fraction(line.amount)


@pytest.mark.parametrize("seed", SEEDS)
def test_interim_invoices_change_nothing_in_all(seed: int) -> None:
    history = InterimHistory(seed)
    history.run()
    (agreed,) = history.agreements
    assert abs(subtotals(history) - agreed.owes()) <= Fraction(len(agreed.changes), 100)
    check_interims(history)
    chain, findings = history.standing.chain("air", "s"), Findings()
    assert verified(chain, history.shelf.catalog) == []
    for item in chain:
        check_terms(history.shelf.view(history.offsets[item.run_id]), chain, item, item.invoice_id, findings)
    assert list(findings.differences()) == []


@pytest.mark.parametrize(("seed", "subscriptions"), [*((seed, count) for seed in SEEDS for count in (1, 2)), *FOUND])
def test_interim_invoices_beside_credit_notes_payments_and_grants(seed: int, subscriptions: int) -> None:
    history = InterimHistory(seed, subscriptions=subscriptions, notes=True, grants=True)
    history.run()
    check_interims(history)
    check_account(history)
