"""Publishes invoices to usage.invoices, and determines which are valid by the log's order: what lies between them is
read back, unless nothing does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from clickhouse_connect.driver.client import Client

from rating.invoices.ledger import StandingInvoices
from rating.invoices.snapshot.published_lot import PublishedLot
from rating.invoices.waiting import Progress, wait_until
from schemas.ledgers.invoice_claims import record_key
from schemas.ledgers.invoice_record import Invoice, encode_invoice
from schemas.ledgers.ledger_reader import LedgerReader, LogRecord
from schemas.ledgers.ledger_writer import LedgerWriter, RecordPlace

STALLED_SECONDS: Final = 120.0
# Reading back waits for the broker, a tenth of a second or so for each lot, however many are in it.
_AT_ONCE: Final = 2000
_BYTES_AT_ONCE: Final = 32 * 1024 * 1024


def publish(
    writer: LedgerWriter,
    reader: LedgerReader,
    standing: StandingInvoices,
    invoices: Sequence[Invoice],
    on_progress: Progress,
) -> list[Invoice]:
    """Write invoices, each chain in order; returns those that are valid as written here.

    ``reader`` and ``standing`` must be at the same position of the log. An invoice that another process published
    first is not returned. Raises LedgerUnavailable; repeating it is safe.
    """
    won: list[Invoice] = []
    done = 0
    for lot in _lots(invoices):
        append_times: dict[RecordPlace, int] = {}
        placed = writer.append_all(
            [(record_key(invoice.namespace, invoice.subscription), value) for invoice, value in lot],
            append_times=append_times,
        )
        ours = dict(zip(placed, lot, strict=True))
        begin = dict(reader.positions)
        ends = dict(begin)
        for partition, offset in placed:
            ends[partition] = max(ends[partition], offset + 1)
        if sum(ends.values()) - sum(begin.values()) == len(ours):
            # All that the log has up to there is ours, each at its place. A record in pieces takes several places.
            in_order = sorted(ours)
            last = {
                place[0]: LogRecord(*place, append_times[place], ours[place][1])
                for place in in_order
                if place[1] + 1 == ends[place[0]]
            }
            reader.pass_over(ends, last)
            valid = {place for place in in_order if standing.apply(ours[place][0])}
            standing.keep(PublishedLot([(place, ours[place][0]) for place in in_order], begin, reader.places()))
        else:
            valid = {
                (record.partition, record.offset) for record in reader.read_to(ends) if _applied(standing, record, ours)
            }
        won.extend(invoice for position, (invoice, _) in ours.items() if position in valid)
        done += len(lot)
        on_progress("publishing", done, len(invoices))
    return won


def _applied(standing: StandingInvoices, record: LogRecord, ours: Mapping[RecordPlace, tuple[Invoice, bytes]]) -> bool:
    """Apply a record that was read back; whether it is valid. What we wrote need not be decoded."""
    invoice, value = ours.get((record.partition, record.offset), (None, b""))
    if invoice is not None and record.value == value:
        return standing.apply(invoice)
    return standing.apply_bytes(record.value)


def _lots(invoices: Sequence[Invoice]) -> Iterator[list[tuple[Invoice, bytes]]]:
    """Invoices with their encoded records, in groups limited by number and bytes."""
    lot: list[tuple[Invoice, bytes]] = []
    size = 0
    for invoice in invoices:
        value = encode_invoice(invoice)
        if lot and (len(lot) >= _AT_ONCE or size + len(value) > _BYTES_AT_ONCE):
            yield lot
            lot, size = [], 0
        lot.append((invoice, value))
        size += len(value)
    if lot:
        yield lot


def wait_visible(client: Client, namespace: str, standing: StandingInvoices, on_progress: Progress) -> None:
    """Wait until ClickHouse has every valid invoice, including those of an earlier run that died (written by the
    `invoices` agent). Raises CloseError."""
    wait_written(client, namespace, "invoices", "invoice_id", standing.count(namespace), on_progress)


def wait_written(client: Client, namespace: str, table: str, key: str, total: int, on_progress: Progress) -> None:
    """Wait until ``table`` (invoices or invoice_drafts) and the list of all have ``total`` distinct ``key`` values in
    the namespace. Raises CloseError."""
    # An insert fills its table and the lists one after the other.
    sql = (
        f"SELECT least((SELECT count(DISTINCT {key}) FROM {table} WHERE namespace = {{namespace:String}}),"
        f" (SELECT count(DISTINCT {key}) FROM invoice_lists WHERE namespace = {{namespace:String}}"
        " AND draft = {draft:Bool} AND list = 'all' AND of = ''))"
    )
    parameters = {"namespace": namespace, "draft": table == "invoice_drafts"}

    def written() -> tuple[int, int]:
        return int(client.query(sql, parameters=parameters).result_rows[0][0]), total

    if not total:
        return
    remedy = "they stand on usage.invoices and will appear once a worker's `bill` runs; `weir status` tells"
    wait_until(f"writing {table.replace('_', ' ')}", written, on_progress, STALLED_SECONDS, remedy)
