"""What changes an invoice or draft (``rating.api.invoice_ledger`` writes it), and when the change can be seen."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from clickhouse_connect.driver.client import Client

from schemas.ledgers.invoice_claims import is_draft
from schemas.ledgers.invoice_record import Invoice

_PAUSE_SECONDS: Final = 0.05

Amendment = Callable[[list[Invoice], Invoice], Invoice | None]
"""(the present chain, the invoice's newest version) → its next version; None for no change."""


def wait_shown(client: Client, namespace: str, invoice: Invoice, seconds: float) -> bool:
    """Whether the invoice's or draft's version becomes visible in ClickHouse within ``seconds`` (written by the
    `invoices` agent). Blocking."""
    deadline = time.monotonic() + seconds
    table = "invoice_drafts" if is_draft(invoice) else "invoices"
    while True:
        # An insert fills its table and the lists one after the other.
        rows = client.query(
            f"SELECT least((SELECT max(version) FROM {table} WHERE namespace = {{namespace:String}}"
            " AND invoice_id = {name:String}), (SELECT max(version) FROM invoice_lists"
            " WHERE namespace = {namespace:String} AND draft = {draft:Bool} AND list = 'subscription'"
            " AND of = {subscription:String} AND invoice_id = {name:String}))",
            parameters={
                "namespace": namespace,
                "name": invoice.invoice_id,
                "draft": is_draft(invoice),
                "subscription": invoice.subscription,
            },
        ).result_rows
        if int(rows[0][0]) >= invoice.version:
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(_PAUSE_SECONDS)
