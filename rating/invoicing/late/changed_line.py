"""A billed line whose amount is another by now, as reports show it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from rating.pricing import money_text
from rating.pricing.exact import exact_sum
from schemas.ledgers.invoice_record import Invoice, Line
from schemas.values.instants import rfc3339
from schemas.values.json_text import JsonObject


@dataclass(frozen=True, slots=True)
class ChangedLine:
    """A billed line of ``invoice_id`` whose amount has changed. ``billed``: with all adjustments so far; ``now``:
    live; both None for a discount or commitment, which change with other lines. ``checkpoint``: up to which usage
    is billed."""

    account_id: str
    subscription: str
    currency: str
    checkpoint: int
    line: Line
    billed: Decimal | None
    now: Decimal | None
    difference: Decimal

    @classmethod
    def of(cls, head: Invoice, checkpoint: int, line: Line, billed: Decimal | None) -> ChangedLine:
        """``line``: the adjustment; ``head``: the last invoice of its chain."""
        difference = Decimal(line.amount)
        now = None if billed is None else exact_sum((billed, difference))
        return cls(head.account_id, head.subscription, head.currency, checkpoint, line, billed, now, difference)

    @property
    def order(self) -> tuple[str, str, int, str]:
        """By which reports are sorted."""
        return self.account_id, self.subscription, self.line.period_start, self.line.charge

    def to_json(self) -> JsonObject:
        amounts = {"billed": self.billed, "now": self.now, "difference": self.difference}
        return {
            "account_id": self.account_id, "subscription": self.subscription, "invoice_id": self.line.adjusts,
            "charge": self.line.charge, "product": self.line.product, "profile_id": self.line.profile_id,
            "period_start": rfc3339(self.line.period_start), "period_end": rfc3339(self.line.period_end),
            "quantity_now": self.line.quantity or None,
            "events_now": int(self.line.events) if self.line.events else None,
            "unit": self.line.unit, "currency": self.currency,
            **{name: None if amount is None else money_text(amount, self.currency) for name, amount in amounts.items()},
            "billed_as_of_checkpoint": self.checkpoint,
        }  # fmt: skip


def lines_json(lines: tuple[ChangedLine, ...], limit: int) -> JsonObject:
    """The first ``limit`` lines; ``totals`` (by currency) and ``count`` cover all."""
    return {
        "count": len(lines),
        "totals": _totals(lines),
        "lines": [line.to_json() for line in lines[:limit]],
    }


def _totals(lines: Iterable[ChangedLine]) -> JsonObject:
    sums: dict[str, list[Decimal]] = {}
    for line in lines:
        sums.setdefault(line.currency, []).append(line.difference)
    return {currency: money_text(exact_sum(parts), currency) for currency, parts in sorted(sums.items())}
