"""An adjustment line beside what was billed before it: both totals, both checkpoints, the late events between them,
and those that were voided between them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final

from rating.explain.counted_events import count_events, read_events
from rating.explain.recomputed import plain_or_none, total
from rating.explain.subject import Ledgers, Subject
from rating.explain.voided_between import voided_since
from rating.invoices.read import InvoiceLine, WholeInvoice, read_invoice, read_invoices
from rating.pricing import money_text
from rating.pricing.exact import exact_sum
from schemas.ledgers.invoice_claims import VOID
from schemas.values.instants import rfc3339

_LATE_SHOWN: Final = 100


@dataclass(frozen=True, slots=True)
class BilledLine:
    """A line that billed the same charge for the same period before."""

    invoice: WholeInvoice
    line: InvoiceLine

    @property
    def place(self) -> tuple[int, int]:
        """Where its invoice stands in the subscription's chain."""
        return self.invoice.head.period_start_us, self.invoice.head.sequence


def billed_before(subject: Subject, invoices: Iterable[WholeInvoice]) -> list[BilledLine]:
    """Of ``invoices``, the lines that billed what this adjustment adjusts, in the order of the chain: the original and
    earlier adjustments. Void ones are left out, unless there is no other."""
    head, mine = subject.head, subject.line
    found = [
        BilledLine(whole, line)
        for whole in invoices
        for line in whole.lines
        if (line.charge, line.profile_id, line.period_start_us, line.period_end_us)
        == (mine.charge, mine.profile_id, mine.period_start_us, mine.period_end_us)
        and (line.adjusts == mine.adjusts or (whole.head.invoice_id == mine.adjusts and not line.adjusts))
        and (whole.head.period_start_us, whole.head.sequence) < (head.period_start_us, head.sequence)
    ]
    found.sort(key=lambda one: one.place)
    return [one for one in found if one.invoice.head.state != VOID] or found


def adjustment(client: Any, ledgers: Ledgers, subject: Subject) -> dict[str, Any]:
    """What explains an adjustment, as JSON. Raises NotExplained. Blocking."""
    head, line = subject.head, subject.line
    original = read_invoice(client, head.namespace, line.adjusts)
    invoices = [*([original] if original else []), *read_invoices(client, head.namespace, adjusts=line.adjusts)]
    before = billed_before(subject, invoices)
    answer: dict[str, Any] = {
        "adjusts": line.adjusts,
        "billed_before": [
            {
                "invoice_id": one.invoice.head.invoice_id, "line": one.line.number, "kind": one.line.kind,
                "checkpoint": one.invoice.head.checkpoint, "quantity": plain_or_none(one.line.quantity), "amount": one.line.amount,
            }
            for one in before
        ],
    }  # fmt: skip
    billed = exact_sum(Decimal(one.line.amount) for one in before)
    now = {
        "checkpoint": head.checkpoint, "as_of": rfc3339(head.as_of_us), "quantity": plain_or_none(line.quantity),
        "events": line.events, "amount": money_text(exact_sum((billed, Decimal(line.amount))), head.currency),
    }  # fmt: skip
    answer |= {"now": now, "difference": line.amount}
    if not before:
        return answer | {"before": None, "late_events": None, "voided_events": None}
    last = before[-1].invoice.head
    cut = ledgers.cut(last.checkpoint)
    then = total(client, replace(subject.query, as_of=cut))
    page = read_events(client, subject.query, after=cut, limit=_LATE_SHOWN)
    answer["before"] = {
        "checkpoint": last.checkpoint, "as_of": rfc3339(last.as_of_us), "quantity": plain_or_none(before[-1].line.quantity),
        "events": before[-1].line.events, "recomputed": plain_or_none(then.quantity), "amount": money_text(billed, head.currency),
    }  # fmt: skip
    late = page.to_json(subject.zone)
    voided = voided_since(client, subject.query, cut, subject.zone, limit=_LATE_SHOWN)
    return answer | {
        "late_events": {"count": count_events(client, subject.query, after=cut), **late}, "voided_events": voided,
    }  # fmt: skip
