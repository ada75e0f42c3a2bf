"""From deliveries to the bodies of their messages, by a few queries for many. Blocking."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Final

from clickhouse_connect.driver.client import Client

from rating.alerts.alert_store import StoredAlert, read_alerts
from rating.invoices.read import read_versions
from rating.invoices.stored_invoice import WholeInvoice
from rating.topups.topup_store import StoredTopup, read_topups
from rating.webhooks import message
from rating.webhooks.notices import ALERT_EVENTS, DRAFTED, TOPUP_EVENTS
from rating.webhooks.queue import QueuedDelivery

log = logging.getLogger(__name__)

_NUMBER_US: Final = 900_000_000
StoredRecord = WholeInvoice | StoredAlert | StoredTopup


def message_bodies(client: Client, deliveries: Sequence[QueuedDelivery], now_us: int) -> list[bytes | None]:
    """The message body of each delivery, None where it cannot be sent yet: a receiver that is told of an invoice can
    read it, and knows its number.

    The worker writes a version a moment after it was published, and the close gives the number a moment later; where
    either died, the next one makes up for it. After a quarter of an hour an invoice is sent without its number.
    """
    lots: dict[tuple[str, str], list[QueuedDelivery]] = {}
    for delivery in deliveries:
        lots.setdefault(_lot(delivery), []).append(delivery)
    records = {lot: _read_lot(client, *lot, of_lot) for lot, of_lot in lots.items()}
    rows = [(delivery, records[_lot(delivery)].get((delivery.invoice_id, delivery.version))) for delivery in deliveries]
    return [
        None
        if record is None or _waits_for_number(delivery, record, now_us)
        else message.body(delivery.type, delivery.appended_us, record.to_json())
        for delivery, record in rows
    ]


def _lot(delivery: QueuedDelivery) -> tuple[str, str]:
    """(namespace, what it is of: alert, topup, draft or invoice), by which deliveries are read together."""
    kind = "draft" if delivery.type == DRAFTED else "invoice"
    kind = "alert" if delivery.type in ALERT_EVENTS else "topup" if delivery.type in TOPUP_EVENTS else kind
    return delivery.namespace, kind


def _waits_for_number(delivery: QueuedDelivery, record: StoredRecord, now_us: int) -> bool:
    return (
        not isinstance(record, StoredAlert | StoredTopup)
        and record.head.number is None
        and delivery.type != DRAFTED
        and now_us - delivery.queued_us < _NUMBER_US
    )


def _read_lot(
    client: Client, namespace: str, kind: str, lot: Sequence[QueuedDelivery]
) -> Mapping[tuple[str, int], StoredRecord]:
    """What the deliveries are of, by (id, version)."""
    if kind == "alert":
        places = [(delivery.appended_us, delivery.invoice_id, delivery.version) for delivery in lot]
        return read_alerts(client, namespace, places)
    versions = [(delivery.invoice_id, delivery.version) for delivery in lot]
    return (
        read_topups(client, namespace, versions)
        if kind == "topup"
        else _read(client, namespace, versions, kind == "draft")
    )


def _read(
    client: Client, namespace: str, versions: Sequence[tuple[str, int]], draft: bool
) -> dict[tuple[str, int], WholeInvoice]:
    """Invoice versions by (invoice id, version). A version that cannot be read is logged and left out; the others are
    read one by one then."""
    try:
        return read_versions(client, namespace, versions, draft=draft)
    except (ValueError, KeyError, TypeError, ArithmeticError) as error:
        if len(versions) == 1:
            log.error(
                "%s: version %d of %s cannot be shown: %s",
                namespace,
                versions[0][1],
                versions[0][0],
                type(error).__name__,
            )
            return {}
    single = (_read(client, namespace, [version], draft) for version in versions)
    return {version: invoice for invoices in single for version, invoice in invoices.items()}
