"""Usage with more of it, as if that were used now. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

from rating.invoicing.charges import Totals
from rating.invoicing.need import Need
from rating.pricing.exact import exactly
from rating.usage import Measured, Usage, UsageGroup
from schemas.values.record_copy import replace


def grown_totals(
    needs: Iterable[Need], totals: Totals, account_id: str, now_us: int, more: Mapping[str, Decimal]
) -> dict[Need, Mapping[str, list[UsageGroup]]] | None:
    """The account's totals of ``needs`` with ``more`` (profile id → quantity) in those whose interval has ``now_us``.
    None where a price needs more than the quantity: a matrix's depends on values that are not known before."""
    grown: dict[Need, Mapping[str, list[UsageGroup]]] = {}
    for need in needs:
        rows = list(totals[need].get(account_id, ()))
        quantity = more.get(need.profile.profile_id)
        if quantity is not None and need.start_us <= now_us < need.end_us:
            if need.dimensions or len(rows) > 1:
                return None
            row = rows[0] if rows else UsageGroup(Usage(None, 0), account_id)
            usage = Usage(with_quantity(need.profile, row.usage.quantity, quantity), row.usage.events + 1)
            rows = [replace(row, usage=usage)]
        grown[need] = {account_id: rows}
    return grown


def with_quantity(profile: Measured, used: Decimal | None, quantity: Decimal | None) -> Decimal | None:
    """The profile's quantity once an event with ``quantity`` is in it; None where no quantity is asked for."""
    if quantity is None or used is None:
        return quantity
    if profile.aggregation == "latest":
        return quantity
    if profile.aggregation in ("max", "min"):
        return max(used, quantity) if profile.aggregation == "max" else min(used, quantity)
    with exactly():
        return used + quantity
