"""A line of usage behind the namespace's lock date: what came for it, or was voided, and is on no invoice."""

from __future__ import annotations

from clickhouse_connect.driver.client import Client

from rating.explain.counted_events import count_events
from rating.explain.subject import Ledgers, Subject
from rating.explain.voided_between import voided_since
from rating.invoices.read import read_invoices
from rating.subscriptions.period_lock import PeriodLock
from schemas.ledgers.invoice_claims import VOID
from schemas.values.json_text import JsonObject
from schemas.values.record_copy import replace


def locked(client: Client, ledgers: Ledgers, subject: Subject) -> JsonObject | None:
    """How many events came, or were voided, since the last invoice that counted the line's usage; None for a line that
    no lock date covers, by the present catalog. Blocking. Raises NotExplained."""
    head, line = subject.head, subject.line
    lock = PeriodLock.of(ledgers.catalog.view(head.namespace))
    if lock.day is None or not lock.ends(head.period_end_us, head.time_zone):
        return None
    charge_and_period = (line.charge, line.period_start_us, line.period_end_us)
    adjusted_at = [
        invoice.head.checkpoint
        for invoice in read_invoices(client, head.namespace, adjusts=head.invoice_id)
        for other in invoice.lines
        if invoice.head.state != VOID
        and other.adjusts == head.invoice_id
        and (other.charge, other.period_start_us, other.period_end_us) == charge_and_period
    ]
    checkpoint = max([head.checkpoint, *adjusted_at])
    live, cut = replace(subject.query, as_of=None, rolled_up=None), ledgers.cut(checkpoint)
    return {
        "lock_date": lock.day.isoformat(),
        "checkpoint": checkpoint,
        "late_events": count_events(client, live, beyond=cut),
        "voided_events": voided_since(client, live, cut, subject.zone, limit=1)["count"],
    }
