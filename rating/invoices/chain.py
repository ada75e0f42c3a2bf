"""A subscription's chain of invoices where some are void: what is billed, what has to be billed again, what may be
voided. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from schemas.ledgers.invoice_claims import VOID
from schemas.ledgers.invoice_record import Invoice, body_of


def voids_of(chain: Sequence[Invoice]) -> tuple[str, ...]:
    """Ids of the chain's void invoices, sorted: what the next invoice is planned after."""
    return tuple(sorted(one.invoice_id for one in chain if one.state == VOID))


def last_period(chain: Sequence[Invoice]) -> Invoice | None:
    """The invoice whose period is the last, void or not; the next period starts where it ended."""
    return max(chain, key=lambda one: (one.period_end, one.period_start, one.sequence), default=None)


def next_sequence(chain: Sequence[Invoice], start_us: int) -> int:
    """The first number that no invoice of that period start has."""
    return max((one.sequence + 1 for one in chain if one.period_start == start_us), default=0)


def vacant(chain: Sequence[Invoice]) -> Iterator[Invoice]:
    """Of each period all of whose invoices are void the newest one, in the order of the periods: it has to be billed
    again.

    Further invoices that hold adjustments alone are none of them, nor those that settle a change: what they adjusted is
    worked out anew.
    """
    newest: dict[tuple[int, int], Invoice] = {}
    for one in chain:
        if "change" in body_of(one):
            continue
        span = one.period_start, one.period_end
        if span not in newest or body_of(one).reissues:
            newest[span] = one
    for _, one in sorted(newest.items()):
        if one.state == VOID:
            yield one


def billed_up_to(chain: Sequence[Invoice]) -> int:
    """The checkpoint up to which late usage is on invoices that stand; 0: what came at any time may be late.

    What an invoice is as of, its predecessors were adjusted as of, unless one of them was voided after it was planned.
    """
    voids: set[str] = set()
    found = 0
    for one in chain:
        if one.state == VOID:
            voids.add(one.invoice_id)
        elif not voids or voids <= set(body_of(one).voids):
            found = one.checkpoint
    return found


def counted_on_by(chain: Sequence[Invoice], invoice_id: str) -> list[str]:
    """Invoices that stand and adjust that one, or settle a change of the fees that it billed in advance; of one that
    settles a change, the invoice of its period. As long as they do, it cannot be voided."""
    mine = next((one for one in chain if one.invoice_id == invoice_id), None)
    settles = mine is not None and "change" in body_of(mine)
    return [
        one.invoice_id
        for one in chain
        if one.state != VOID
        and one is not mine
        and (
            any(line.adjusts == invoice_id for line in one.lines) or (mine is not None and _goes_on(mine, one, settles))
        )
    ]


def _goes_on(mine: Invoice, other: Invoice, settles: bool) -> bool:
    if settles:
        return bool(other.period_start == mine.period_end < other.period_end)
    return bool(other.period_start == mine.period_end and "change" in body_of(other))
