"""What each valid version of an invoice has to tell a webhook: the fold of usage.invoices. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from schemas.catalog.webhook_setting import WebhookEvent
from schemas.ledgers.first_valid import ClaimState
from schemas.ledgers.invoice_claims import DRAFT, FINALIZED, PAID, VOID, WITHDRAWN
from schemas.ledgers.invoice_record import Invoice
from schemas.ledgers.valid_invoices import ValidInvoices

DRAFTED: Final = "invoice.drafted"
"""Of every version of a draft, also where it is held or withdrawn."""

_DRAFTS: Final = frozenset({DRAFT, WITHDRAWN})
_BECAME: Final[dict[str, WebhookEvent]] = {PAID: "invoice.paid", VOID: "invoice.voided"}


@dataclass(frozen=True, slots=True)
class Notice:
    """One version of an invoice. ``appended_us``: when it was appended to usage.invoices, microseconds UTC."""

    namespace: str
    invoice_id: str
    version: int
    type: WebhookEvent
    appended_us: int

    @property
    def message_id(self) -> str:
        """The header webhook-id: of the version, so the same one however often and by whichever process it is sent. A
        draft's versions are its own."""
        return f"{self.invoice_id}_{'draft_' if self.type == DRAFTED else ''}v{self.version}"


def event_of(previous_state: str | None, state: str) -> WebhookEvent:
    """What became of an invoice from ``previous_state`` (None: it is new) to ``state``. States that this does not know
    are updates."""
    if state in _DRAFTS:
        return DRAFTED
    if state == previous_state:
        return "invoice.updated"
    if state in (FINALIZED, PAID) and (previous_state is None or previous_state in _DRAFTS):
        return "invoice.finalized"  # one of 0.00 is paid at once
    if state == FINALIZED:
        return "invoice.updated"
    return _BECAME.get(state, "invoice.updated")


class Notices:
    """First valid record wins, as for every reader of the ledger. All records of a chain must be applied in log
    order. ``valid``, ``states``: the fold to go on from, None: that of the log's beginning."""

    def __init__(self, valid: ValidInvoices | None = None, states: ClaimState | None = None) -> None:
        self._valid = valid or ValidInvoices()
        self._states: ClaimState = {} if states is None else states  # by id, which differs across namespaces

    def apply(self, invoice: Invoice, appended_us: int) -> Notice | None:
        """Take the next record; None where it is void."""
        return self._noticed(invoice, appended_us) if self._valid.offer(invoice) else None

    def apply_bytes(self, value: bytes, appended_us: int) -> Notice | None:
        """``apply`` on a record's bytes; foreign bytes are void."""
        invoice = self._valid.offer_bytes(value)
        return None if invoice is None else self._noticed(invoice, appended_us)

    def _noticed(self, invoice: Invoice, appended_us: int) -> Notice:
        name, state = invoice.invoice_id, invoice.state
        previous_state = self._states.get(name)
        self._states[name] = state
        return Notice(invoice.namespace, name, invoice.version, event_of(previous_state, state), appended_us)
