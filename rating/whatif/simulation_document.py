"""A simulation as CSV: one row a subscription."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import IO, Final

from rating.csv_text import write_rows
from rating.pricing import money_text
from rating.whatif.simulation import PeriodSimulation, SubscriptionComparison, pays

COLUMNS: Final = ("account_id", "subscription", "currency", "before", "after", "difference", "pays")
_NUMBERS: Final = frozenset({3, 4, 5})


def write_simulation(out: IO[bytes], simulation: PeriodSimulation) -> None:
    """Write all subscriptions, those that would pay less first; amounts are exact."""
    text = io.TextIOWrapper(out, "utf8", newline="")
    write_rows(text, COLUMNS, [_rows(simulation.compared)], _NUMBERS)
    text.flush()
    text.detach()


def _rows(compared: Iterable[SubscriptionComparison]) -> Iterable[tuple[str, ...]]:
    for subscription in compared:
        amounts = (subscription.amount_before, subscription.amount_after, subscription.difference)
        yield (
            subscription.account_id, subscription.subscription, subscription.currency,
            *(money_text(amount, subscription.currency) for amount in amounts), pays(subscription.difference),
        )  # fmt: skip
