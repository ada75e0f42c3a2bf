"""Invoices of an account as they must be, and the prepaid credit that they leave. Pure, and imports nothing of
Weir's; amounts are dollars."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

Lines = dict[str, Decimal]
"""amounts by product"""
_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Bill:
    """One invoice. ``before``: what interim invoices had billed of its month; ``drawn``: of prepaid credit, below zero
    where credit comes back."""

    lines: Lines
    before: Decimal
    drawn: Decimal

    @property
    def due(self) -> Decimal:
        """Before prepaid credit."""
        return sum(self.lines.values(), -self.before)

    @property
    def total(self) -> Decimal:
        """What is to be paid in money."""
        return self.due - self.drawn


class Bills:
    """The chain of one account's invoices. ``prepaid``: granted from the beginning."""

    def __init__(self, prepaid: Decimal) -> None:
        self.chain: list[Bill] = []
        self.granted = prepaid
        self._interims: list[Bill] = []

    def top_up(self, amount: Decimal) -> None:
        """A top-up was paid."""
        self.granted += amount

    def interim(self, lines: Lines) -> Decimal:
        """An interim invoice of the month that runs, of which ``lines`` were used by then: what it bills."""
        self._interims.append(self._bill(lines))
        return self._interims[-1].due

    def end_month(self, lines: Lines) -> None:
        """The close after a month's end."""
        self._bill(lines)
        self._interims = []

    @property
    def billed(self) -> Decimal:
        """What interim invoices have billed of the month that runs."""
        return sum((bill.due for bill in self._interims), _ZERO)

    @property
    def left(self) -> Decimal:
        """What invoices left of prepaid credit."""
        return self.granted - sum((bill.drawn for bill in self.chain), _ZERO)

    def live(self, lines: Lines) -> Decimal:
        """What a close of this moment would leave of it."""
        return self.left - self._draw(sum(lines.values(), -self.billed))

    def balance(self, lines: Lines) -> Decimal:
        """``live``, less what that close would leave to be paid in money: by this top-ups are requested."""
        return self.left - sum(lines.values(), -self.billed)

    def _bill(self, lines: Lines) -> Bill:
        bill = Bill(lines, self.billed, self._draw(sum(lines.values(), -self.billed)))
        self.chain.append(bill)
        return bill

    def _draw(self, due: Decimal) -> Decimal:
        """As much as there is; of what comes back first what the month's invoices left to be paid in money."""
        if due >= 0:
            return min(self.left, due)
        return min(due + sum((bill.total for bill in self._interims), _ZERO), _ZERO)
