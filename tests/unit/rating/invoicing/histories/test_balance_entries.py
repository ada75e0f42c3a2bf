"""The ledger of prepaid credit adds up to the balance at any instant, whatever happened to grants and invoices."""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache
from typing import Any, get_args

import pytest

from rating.invoices.amounts.prepaid.grant_entries import BalanceEntry, EntryKind, balance_entries, credited_invoice
from rating.invoices.amounts.prepaid_credits import drawn, grant_balances
from schemas.values.instants import DAY, rfc3339
from tests.unit.rating.invoicing.histories.agreements import START
from tests.unit.rating.invoicing.histories.history_builders import History

SEEDS = (10, 13, 87, 910)


class GrantHistory(History):
    """The same, in which grants change, end and come back; ``balances``: (instant, grant → what was left by what was
    known then)."""

    def __init__(self, seed: int, *, recurring: bool = False) -> None:
        super().__init__(seed, subscriptions=2, notes=True, grants=True, recurring=recurring)
        self.balances: list[tuple[int, dict[str, Decimal]]] = []
        self.bodies: dict[str, dict[str, Any]] = {
            entries[-1].code: dict(entries[-1].body) for entries in self.shelf.view().histories("credit_grant")
        }

    def day_ended(self, today: int) -> None:
        at_us = START + today * DAY + DAY // 2
        if self.draw.random() < 0.03:
            code = self.draw.choice(sorted(self.bodies))
            change = self.draw.choice(
                [{"amount": "15"}, {"amount": "300"}, {"expires": "2025-04-20"}, {"expires": None}, {}]
            )
            self.bodies[code] = self.bodies[code] | change
            self.shelf.add("credit_grant", self.bodies[code], retired=change == {}, published=rfc3339(at_us))
        if today % 3 == 0:
            self.balances.append((at_us, self.left(at_us)))

    def left(self, at_us: int) -> dict[str, Decimal]:
        balances = grant_balances(self.shelf.view(), "acme", drawn(self.standing.invoices("air")), at_us)
        return {balance.owned.grant.code: balance.left for balance in balances}

    def entries(self, now_us: int) -> list[BalanceEntry]:
        return balance_entries(self.shelf.view(), "acme", map(credited_invoice, self.standing.invoices("air")), now_us)


@lru_cache
def finished(seed: int, recurring: bool = False) -> GrantHistory:
    history = GrantHistory(seed, recurring=recurring)
    history.run()
    return history


@pytest.mark.parametrize(("seed", "recurring"), [*((seed, False) for seed in SEEDS), (10, True), (910, True)])
def test_entries_add_up_to_the_balance_at_any_instant(seed: int, recurring: bool) -> None:
    history = finished(seed, recurring)
    entries = history.entries(history.balances[-1][0])
    assert [entry.at_us for entry in entries] == sorted(entry.at_us for entry in entries)
    for at_us, left in history.balances:
        by_then = [entry for entry in entries if entry.at_us <= at_us]
        sums = {code: sum((entry.amount for entry in by_then if entry.grant == code), Decimal(0)) for code in left}
        assert sums == left, rfc3339(at_us)
        assert by_then[-1].total == sum(left.values())
    for code in history.bodies:
        balance = Decimal(0)
        for entry in entries:
            if entry.grant == code:
                balance += entry.amount
                assert entry.balance == balance


def test_the_histories_have_entries_of_every_kind() -> None:
    kinds = {entry.kind for seed in SEEDS for entry in finished(seed).entries(START + 250 * DAY)}
    assert kinds == set(get_args(EntryKind))
