"""Gapless numbers for invoices that were finalised: given by usage.checkpoints (schemas/invoice_numbers.py), shown in ClickHouse."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa

from rating.close.standing import Invoice
from schemas.checkpoints import CheckpointLedger
from schemas.invoice_numbers import InvoiceNumbers, Numbered
from schemas.invoices import DRAFT


def unnumbered(numbers: InvoiceNumbers, namespace: str, invoices: Iterable[Invoice]) -> list[str]:
    """Ids of invoices, finalised at some time, that have no number, in the order in which they get one: by period, then name."""
    found = [
        one
        for one in invoices
        if one["state"] != DRAFT and numbers.of(namespace, one["invoice_id"]) is None
    ]  # fmt: skip
    found.sort(key=lambda one: (one["period_start"], one["account_id"], one["subscription"], one["sequence"]))
    return [one["invoice_id"] for one in found]


def number_invoices(
    ledger: CheckpointLedger, client: Any, namespace: str, prefix: str, invoices: Iterable[Invoice], now: datetime
) -> None:
    """Give what stands its numbers, and show in ClickHouse all that are not shown yet, also those of a run that died. Blocking.

    ``invoices``: of the namespace, as they stand. ``prefix``: of the namespace's settings. Raises LedgerUnavailable.
    """
    ledger.refresh()
    if missing := unnumbered(ledger.checkpoints.numbers, namespace, invoices):
        ledger.number(namespace, prefix.replace("{year}", str(now.year)), missing)
    rows = client.query(
        "SELECT max(rank) FROM invoice_numbers WHERE namespace = {namespace:String}",
        parameters={"namespace": namespace},
    ).result_rows
    # Rows are shown in one ascending run, so none below the greatest is missing.
    if further := ledger.checkpoints.numbers.given(namespace)[int(rows[0][0]) :]:
        client.insert_arrow("invoice_numbers", _table(namespace, further))


def _table(namespace: str, numbers: Sequence[Numbered]) -> pa.Table:
    return pa.table(
        {
            "namespace": pa.array([namespace] * len(numbers), pa.string()),
            "invoice_id": pa.array([one.invoice_id for one in numbers], pa.string()),
            "rank": pa.array([one.rank for one in numbers], pa.uint64()),
            "number": pa.array([one.text for one in numbers], pa.string()),
        }
    )
