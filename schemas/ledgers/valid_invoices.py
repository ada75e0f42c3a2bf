"""Determines which records of usage.invoices are valid; shared by the close, the webhooks and the worker's copies."""

from __future__ import annotations

import logging

from schemas.kafka.codec import CodecError
from schemas.kafka.topics import INVOICES
from schemas.ledgers.first_valid import FirstValid
from schemas.ledgers.invoice_claims import claim_of
from schemas.ledgers.invoice_record import Invoice, decode_invoice

log = logging.getLogger(__name__)


class ValidInvoices:
    """Applies the first-valid rule to invoice records. All records of a chain must be offered in log order. ``claims``:
    the state to go on from, None: that of the log's beginning."""

    def __init__(self, claims: FirstValid | None = None) -> None:
        self._claims = claims or FirstValid()

    def offer(self, invoice: Invoice) -> bool:
        """Apply the next record; whether it is valid."""
        return self._claims.offer(claim_of(invoice))

    def offer_bytes(self, value: bytes) -> Invoice | None:
        """``offer`` for an encoded record; None if it is void or cannot be decoded."""
        try:
            invoice = decode_invoice(value)
        except CodecError as error:
            log.warning("a record of %s is void: %s", INVOICES, error)
            return None
        return invoice if self.offer(invoice) else None
