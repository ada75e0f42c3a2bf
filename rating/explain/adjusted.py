"""An adjustment line beside what was billed before it: both totals, both checkpoints, the late events between them,
and those that were voided between them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from clickhouse_connect.driver.client import Client

from rating.explain.counted_events import count_events, read_events
from rating.explain.recomputed import plain_or_none, total
from rating.explain.subject import Ledgers, Subject
from rating.explain.voided_between import voided_since
from rating.invoices.read import read_invoice, read_invoices
from rating.invoices.stored_invoice import StoredInvoiceLine, WholeInvoice
from rating.pricing import money_text
from rating.pricing.exact import exact_sum
from schemas.ledgers.invoice_claims import VOID
from schemas.values.instants import rfc3339
from schemas.values.json_text import JsonObject
from schemas.values.record_copy import replace

_LATE_SHOWN: Final = 100


@dataclass(frozen=True, slots=True)
class BilledLine:
    """A line that billed the same charge for the same period before."""

    invoice: WholeInvoice
    line: StoredInvoiceLine

    @property
    def position(self) -> tuple[int, int]:
        """Where its invoice stands in the subscription's chain."""
        return self.invoice.head.period_start_us, self.invoice.head.sequence


def billed_before(subject: Subject, invoices: Iterable[WholeInvoice]) -> list[BilledLine]:
    """The lines of ``invoices`` that billed what this adjustment adjusts, in the order of the chain: the original and
    earlier adjustments. Those of void invoices are left out, unless there are no others."""
    head, adjustment_line = subject.head, subject.line
    billed_lines = [
        BilledLine(invoice, line)
        for invoice in invoices
        for line in invoice.lines
        if (line.charge, line.profile_id, line.period_start_us, line.period_end_us)
        == (
            adjustment_line.charge,
            adjustment_line.profile_id,
            adjustment_line.period_start_us,
            adjustment_line.period_end_us,
        )
        and (
            line.adjusts == adjustment_line.adjusts
            or (invoice.head.invoice_id == adjustment_line.adjusts and not line.adjusts)
        )
        and (invoice.head.period_start_us, invoice.head.sequence) < (head.period_start_us, head.sequence)
    ]
    billed_lines.sort(key=lambda billed_line: billed_line.position)
    return [billed_line for billed_line in billed_lines if billed_line.invoice.head.state != VOID] or billed_lines


def adjustment(client: Client, ledgers: Ledgers, subject: Subject) -> JsonObject:
    """The amounts and events behind an adjustment line, as JSON. Raises NotExplained. Blocking."""
    head, line = subject.head, subject.line
    original = read_invoice(client, head.namespace, line.adjusts)
    invoices = [*([original] if original else []), *read_invoices(client, head.namespace, adjusts=line.adjusts)]
    earlier_lines = billed_before(subject, invoices)
    answer: JsonObject = {
        "adjusts": line.adjusts,
        "billed_before": [
            {
                "invoice_id": billed_line.invoice.head.invoice_id,
                "line": billed_line.line.number,
                "kind": billed_line.line.kind,
                "checkpoint": billed_line.invoice.head.checkpoint,
                "quantity": plain_or_none(billed_line.line.quantity),
                "amount": billed_line.line.amount,
            }
            for billed_line in earlier_lines
        ],
    }
    billed = exact_sum(Decimal(billed_line.line.amount) for billed_line in earlier_lines)
    now = {
        "checkpoint": head.checkpoint,
        "as_of": rfc3339(head.as_of_us),
        "quantity": plain_or_none(line.quantity),
        "events": line.events,
        "amount": money_text(exact_sum((billed, Decimal(line.amount))), head.currency),
    }
    answer |= {"now": now, "difference": line.amount}
    if not earlier_lines:
        return answer | {"before": None, "late_events": None, "voided_events": None}
    last_head = earlier_lines[-1].invoice.head
    cut = ledgers.cut(last_head.checkpoint)
    then = total(client, replace(subject.query, as_of=cut))
    page = read_events(client, subject.query, beyond=cut, limit=_LATE_SHOWN)
    answer["before"] = {
        "checkpoint": last_head.checkpoint,
        "as_of": rfc3339(last_head.as_of_us),
        "quantity": plain_or_none(earlier_lines[-1].line.quantity),
        "events": earlier_lines[-1].line.events,
        "recomputed": plain_or_none(then.quantity),
        "amount": money_text(billed, head.currency),
    }
    late = page.to_json(subject.zone)
    voided = voided_since(client, subject.query, cut, subject.zone, limit=_LATE_SHOWN)
    return answer | {
        "late_events": {"count": count_events(client, subject.query, beyond=cut), **late},
        "voided_events": voided,
    }
