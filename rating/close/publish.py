"""Invoices to usage.invoices, and back: what was written is only true once it has been read back as valid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from rating.close.progress import Progress, wait_until
from rating.close.standing import Invoice, Standing
from schemas.codec import codec
from schemas.invoices import record_key
from schemas.ledger_io import LedgerReader, LedgerWriter

STALLED_SECONDS: Final = 120.0
# Reading back waits for the broker, a tenth of a second or so for each lot, however many are in it.
_AT_ONCE: Final = 2000


def publish(
    writer: LedgerWriter, reader: LedgerReader, standing: Standing, invoices: Sequence[Invoice], on_progress: Progress
) -> list[Invoice]:
    """Write invoices, each chain in its order; those of them that stand as written here.

    ``reader`` and ``standing`` are at the same place of the log, and follow it. An invoice that another process wrote first
    stands as that one wrote it and is not in the answer. Raises LedgerUnavailable; running again is safe.
    """
    won: list[Invoice] = []
    encoder = codec("invoice")
    for start in range(0, len(invoices), _AT_ONCE):
        some = invoices[start : start + _AT_ONCE]
        placed = writer.append_all(
            [(record_key(item["namespace"], item["subscription"]), encoder.encode(item)) for item in some]
        )
        ours = dict(zip(placed, some, strict=True))
        ends = dict(reader.positions)
        for partition, offset in placed:
            ends[partition] = max(ends[partition], offset + 1)
        valid = {
            (record.partition, record.offset) for record in reader.read_to(ends) if standing.apply_bytes(record.value)
        }
        won.extend(item for place, item in ours.items() if place in valid)
        on_progress("publishing", min(start + _AT_ONCE, len(invoices)), len(invoices))
    return won


def wait_visible(client: Any, namespace: str, standing: Standing, on_progress: Progress) -> None:
    """Wait until ClickHouse has every invoice that stands (the `bill` agent writes them there). Raises CloseError.

    Also those of a run that died after publishing: whoever closes again may read them all.
    """
    wait_written(client, namespace, "invoices", "invoice_id", standing.count(namespace), on_progress)


def wait_written(client: Any, namespace: str, table: str, key: str, total: int, on_progress: Progress) -> None:
    """Wait until ``table`` has ``total`` rows of the namespace with different ``key`` columns. Raises CloseError."""
    sql = f"SELECT count(DISTINCT {key}) FROM {table} WHERE namespace = {{namespace:String}}"

    def written() -> tuple[int, int]:
        return int(client.query(sql, parameters={"namespace": namespace}).result_rows[0][0]), total

    if not total:
        return
    remedy = "they stand on usage.invoices and will appear once a worker's `bill` runs; `weir status` tells"
    wait_until(f"writing {table.replace('_', ' ')}", written, on_progress, STALLED_SECONDS, remedy)
