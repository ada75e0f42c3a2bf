"""Writes the next version of an invoice or draft to usage.invoices, reads it back, and retries on top of a version
that won."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Final

from clickhouse_connect.driver.client import Client
from msgspec.structs import replace

from rating.invoices.ledger import StandingInvoices, invoices_reader
from schemas.kafka.topics import INVOICES
from schemas.ledgers.errors import LedgerUnavailable
from schemas.ledgers.invoice_claims import is_draft, record_key
from schemas.ledgers.invoice_record import Invoice, encode_invoice
from schemas.ledgers.ledger_reader import LedgerReader
from schemas.ledgers.ledger_writer import LedgerWriter
from schemas.settings import Settings

_ATTEMPTS: Final = 20
_PAUSE_SECONDS: Final = 0.05

Amendment = Callable[[list[Invoice], Invoice], Invoice | None]
"""(the present chain, the invoice's newest version) → its next version; None for no change."""


def amend(settings: Settings, namespace: str, subscription: str, invoice_id: str, change: Amendment) -> Invoice:
    """Apply ``change`` to an invoice and return its newest version. Blocking.

    Raises LookupError if there is no such invoice, LedgerUnavailable, and what ``change`` raises. After
    LedgerUnavailable repeat the call: a version that was written is then found.
    """
    writer = LedgerWriter(settings, INVOICES)
    with invoices_reader(settings) as reader:
        standing = StandingInvoices()
        _follow(reader, standing, namespace, subscription, reader.end_offsets())
        for _ in range(_ATTEMPTS):
            newest = _newest(standing, namespace, invoice_id)
            if newest is None:
                raise LookupError(f"there is no invoice {invoice_id} in {namespace}")
            following = change(standing.chain(namespace, subscription), newest)
            if following is None:
                return newest
            record = replace(following, claim_id=uuid.uuid4().hex)
            partition, offset = writer.append(record_key(namespace, subscription), encode_invoice(record))
            _follow(reader, standing, namespace, subscription, {partition: offset + 1})
            stands = _newest(standing, namespace, invoice_id)
            if stands is not None and stands.claim_id == record.claim_id:
                return stands
    raise LedgerUnavailable(
        f"{INVOICES}: {_ATTEMPTS} versions of {invoice_id} in a row lost to other writers; try again"
    )


def _newest(standing: StandingInvoices, namespace: str, invoice_id: str) -> Invoice | None:
    return standing.invoice(namespace, invoice_id) or standing.draft(namespace, invoice_id)


def _follow(
    reader: LedgerReader, standing: StandingInvoices, namespace: str, subscription: str, ends: dict[int, int]
) -> None:
    """Apply only the records of one chain. Its names occur in its records as plain bytes, so most others need not
    be decoded."""
    names = namespace.encode(), subscription.encode()
    for record in reader.read_to(ends):
        if all(name in record.value for name in names):
            standing.apply_bytes(record.value)


def wait_shown(client: Client, namespace: str, invoice: Invoice, seconds: float) -> bool:
    """Whether the invoice's or draft's version becomes visible in ClickHouse within ``seconds`` (written by the
    `invoices` agent). Blocking."""
    deadline = time.monotonic() + seconds
    table = "invoice_drafts" if is_draft(invoice) else "invoices"
    while True:
        rows = client.query(
            f"SELECT max(version) FROM {table} WHERE namespace = {{namespace:String}} AND invoice_id = {{name:String}}",
            parameters={"namespace": namespace, "name": invoice.invoice_id},
        ).result_rows
        if int(rows[0][0]) >= invoice.version:
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(_PAUSE_SECONDS)
