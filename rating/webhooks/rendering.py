"""From deliveries to the bodies of their messages, by a few queries for many. Blocking."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

from clickhouse_connect.driver.client import Client

from rating.alerts.alert_store import read_alerts
from rating.invoices.read import read_versions
from rating.invoices.stored_invoice import WholeInvoice
from rating.webhooks import message
from rating.webhooks.notices import ALERT_EVENTS, DRAFTED
from rating.webhooks.queue import QueuedDelivery

log = logging.getLogger(__name__)

_NUMBER_US: Final = 900_000_000


def message_bodies(client: Client, deliveries: Sequence[QueuedDelivery], now_us: int) -> list[bytes | None]:
    """The message body of each delivery, None where it cannot be sent yet: a receiver that is told of an invoice can
    read it, and knows its number.

    The worker writes a version a moment after it was published, and the close gives the number a moment later; where
    either died, the next one makes up for it. After a quarter of an hour an invoice is sent without its number.
    """
    lots: dict[tuple[str, bool], list[QueuedDelivery]] = {}
    alerts: dict[str, list[QueuedDelivery]] = {}
    for delivery in deliveries:
        if delivery.type in ALERT_EVENTS:
            alerts.setdefault(delivery.namespace, []).append(delivery)
        else:
            lots.setdefault((delivery.namespace, delivery.type == DRAFTED), []).append(delivery)
    body_by_message: dict[tuple[str, str], bytes] = {}
    for namespace, lot in alerts.items():
        places = [(delivery.appended_us, delivery.invoice_id, delivery.version) for delivery in lot]
        stored = read_alerts(client, namespace, places)
        for delivery in lot:
            if (alert := stored.get((delivery.invoice_id, delivery.version))) is not None:
                body_by_message[namespace, delivery.message_id] = message.body(
                    delivery.type, delivery.appended_us, alert.to_json()
                )
    for (namespace, draft), lot in lots.items():
        invoices = _read(client, namespace, [(delivery.invoice_id, delivery.version) for delivery in lot], draft)
        for delivery in lot:
            invoice = invoices.get((delivery.invoice_id, delivery.version))
            if invoice is None or (
                invoice.head.number is None and not draft and now_us - delivery.queued_us < _NUMBER_US
            ):
                continue
            body_by_message[namespace, delivery.message_id] = message.body(
                delivery.type, delivery.appended_us, invoice.to_json()
            )
    return [body_by_message.get((delivery.namespace, delivery.message_id)) for delivery in deliveries]


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
