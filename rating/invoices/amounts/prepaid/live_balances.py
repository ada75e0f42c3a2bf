"""Prepaid credits as they would be if everything was billed at this moment: settled, less what ended periods would
draw, less what the running periods would. Pure: the draws come from the code that makes invoices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from rating.invoices.amounts.prepaid_credits import GrantBalance, grant_balances
from rating.pricing import money_text
from rating.pricing.exact import exact_sum
from schemas.catalog.state import NamespaceView
from schemas.values.json_text import JsonObject


@dataclass(frozen=True, slots=True)
class DrawnInAll:
    """Grant → amount drawn in all, less what came back: by invoices that stand (``settled``); with those that a close
    would make now of what has ended (``ended``); with those of the running periods, too (``running``)."""

    settled: Mapping[str, Decimal]
    ended: Mapping[str, Decimal]
    running: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True)
class LiveBalance:
    """A grant now. ``pending``, ``running``: by how much its balance falls by what has ended and is not billed, and by
    the running periods; below zero where credit comes back. What is drawn of a grant that has expired or is retired
    lowers its ``expired``, and not its balance, which is 0 already."""

    settled: GrantBalance
    pending: Decimal
    running: Decimal

    @property
    def currency(self) -> str:
        """Of all its amounts."""
        return self.settled.owned.grant.currency

    @property
    def live(self) -> Decimal:
        """What would be left."""
        return exact_sum((self.settled.left, -self.pending, -self.running))

    def to_json(self) -> JsonObject:
        """The grant's state with its four amounts, in its currency."""
        shown = self.settled.to_json()
        left = shown.pop("left")
        return shown | {
            "settled": left,
            "pending": money_text(self.pending, self.currency),
            "running": money_text(self.running, self.currency),
            "live": money_text(self.live, self.currency),
        }


def live_balances(view: NamespaceView, account_id: str, used: DrawnInAll, now_us: int) -> list[LiveBalance]:
    """The grants of the account and its subscriptions, in drawing order."""
    settled, ended, running = (
        grant_balances(view, account_id, drawn, now_us) for drawn in (used.settled, used.ended, used.running)
    )
    return [
        LiveBalance(now, exact_sum((now.left, -then.left)), exact_sum((then.left, -last.left)))
        for now, then, last in zip(settled, ended, running, strict=True)
    ]


def by_currency(balances: Sequence[LiveBalance]) -> list[JsonObject]:
    """The sums of each currency."""
    sums: list[JsonObject] = []
    for currency in sorted({balance.currency for balance in balances}):
        of_it = [balance for balance in balances if balance.currency == currency]
        amounts = {
            "settled": exact_sum(balance.settled.left for balance in of_it),
            "pending": exact_sum(balance.pending for balance in of_it),
            "running": exact_sum(balance.running for balance in of_it),
            "live": exact_sum(balance.live for balance in of_it),
        }
        sums.append({"currency": currency} | {name: money_text(amount, currency) for name, amount in amounts.items()})
    return sums
