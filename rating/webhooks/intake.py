"""From records of usage.invoices to what has to be queued: validity, the position, and what each webhook wants. Pure.

The rule of the position: it moves past a version only after its deliveries are durable, and only what lies at or above
it is queued. So a process that dies between the two queues again what is queued already, which changes nothing
(``Delivery.step``), and leaves nothing out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rating.webhooks.hook import WebhookEndpoint
from rating.webhooks.notices import Notice, event_of
from rating.webhooks.queue import QueuedDelivery
from schemas.ledgers.first_valid import ClaimState
from schemas.ledgers.invoice_claims import ValidInvoices
from schemas.ledgers.invoice_record import Invoice, readable_invoice
from schemas.ledgers.ledger_reader import LogRecord


class Notices:
    """First valid record wins, as for every reader of the ledger. All records of a chain must be applied in log
    order. ``valid``, ``states``: the fold to go on from, None: that of the log's beginning."""

    def __init__(self, valid: ValidInvoices | None = None, states: ClaimState | None = None) -> None:
        self._valid = valid or ValidInvoices()
        self._states: ClaimState = {} if states is None else states  # by id, which differs across namespaces

    def apply(self, invoice: Invoice, appended_us: int) -> Notice | None:
        """Take the next record; None where it is void."""
        if not self._valid.offer(invoice):
            return None
        name, state = invoice.invoice_id, invoice.state
        previous_state = self._states.get(name)
        self._states[name] = state
        return Notice(invoice.namespace, name, invoice.version, event_of(previous_state, state), appended_us)

    def apply_bytes(self, value: bytes, appended_us: int) -> Notice | None:
        """``apply`` on a record's bytes; foreign bytes are void."""
        invoice = readable_invoice(value)
        return None if invoice is None else self.apply(invoice, appended_us)


class Intake:
    """``positions``: partition → next offset below which every version is queued, as the store has them. ``notices``:
    the fold that records are taken into, None: of the log's beginning."""

    def __init__(self, positions: Mapping[int, int], notices: Notices | None = None) -> None:
        self._notices = notices or Notices()
        self.positions = dict(positions)

    def take(self, records: Iterable[LogRecord]) -> list[Notice]:
        """Valid versions that are not known to be queued. Records of the log from where the fold ends, in order within
        a partition; what it has already is void."""
        notices: list[Notice] = []
        for record in records:
            notice = self._notices.apply_bytes(record.value, record.append_us)
            if notice is not None and record.offset >= self.positions.get(record.partition, 0):
                notices.append(notice)
        return notices

    def ahead(self, read: Mapping[int, int]) -> dict[int, int]:
        """Where the positions are once all is queued that was read; reading from the beginning takes none back."""
        return {number: max(end, self.positions.get(number, 0)) for number, end in read.items()}


def deliveries_for(
    notices: Sequence[Notice], hooks: Mapping[str, Mapping[str, WebhookEndpoint]], now_us: int
) -> list[QueuedDelivery]:
    """A delivery of each version to each of its namespace's webhooks that subscribe to it. A disabled webhook queues
    too: it waits. ``hooks``: by namespace and code."""
    return [
        delivery_of(notice, now_us, webhook=hook.code)
        for notice in notices
        for hook in hooks.get(notice.namespace, {}).values()
        if hook.wants(notice.type, notice.appended_us)
    ]


def delivery_of(notice: Notice, now_us: int, replay: str = "", webhook: str = "") -> QueuedDelivery:
    """The delivery of a version to the webhook of that code, first or by ``replay``."""
    return QueuedDelivery(
        notice.namespace,
        notice.message_id,
        replay,
        notice.invoice_id,
        notice.version,
        notice.type,
        notice.appended_us,
        now_us,
        webhook=webhook,
    )
