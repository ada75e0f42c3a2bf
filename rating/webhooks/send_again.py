"""Versions of invoices to be sent again: looked up, queued, and told to the process that delivers. Blocking."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from clickhouse_connect.driver.client import Client

from rating.alerts.alert_ledger import AlertLedger
from rating.webhooks import store
from rating.webhooks.hook import WebhookEndpoint
from rating.webhooks.intake import Notices, delivery_of
from rating.webhooks.notices import ALERT_EVENTS, Notice, notice_of_alert
from schemas.kafka.topics import INVOICES
from schemas.ledgers.ledger_reader import LedgerReader
from schemas.settings import Settings


@dataclass(frozen=True, slots=True)
class ReplayRequest:
    """Which versions to send again: those of which every condition holds. ``since_us``: appended to usage.invoices at
    or after this instant. ``given_up``: only those whose delivery was given up and has not succeeded since."""

    since_us: int | None = None
    invoice_id: str | None = None
    given_up: bool = False


def send_again(
    settings: Settings,
    client: Client,
    hook: WebhookEndpoint,
    request: ReplayRequest,
    *,
    author: str,
    replay: str,
    now_us: int,
) -> int:
    """Queue the messages of the versions that ``request`` names; returns how many. ``replay``: a name for this replay.
    Raises LedgerUnavailable. Repeating it is safe: receivers know copies by their id."""
    notices = _given_up(client, hook, request) if request.given_up else _on_ledger(settings, hook, request)
    deliveries = [delivery_of(notice, now_us, replay) for notice in notices]
    store.write(client, deliveries)
    # Now they are durable; whoever delivers reads them when it sees this, or when it starts.
    request_json = {"since_us": request.since_us, "invoice_id": request.invoice_id, "given_up": request.given_up}
    store.write_replay(client, store.Replay(hook.namespace, replay, now_us), author, request_json, len(deliveries))
    return len(deliveries)


def _given_up(client: Client, hook: WebhookEndpoint, request: ReplayRequest) -> list[Notice]:
    return [
        Notice(delivery.namespace, delivery.invoice_id, delivery.version, delivery.type, delivery.appended_us)
        for delivery in store.given_up_deliveries(client, hook.namespace)
        if request.invoice_id in (None, delivery.invoice_id) and delivery.appended_us >= (request.since_us or 0)
    ]


def _on_ledger(settings: Settings, hook: WebhookEndpoint, request: ReplayRequest) -> list[Notice]:
    """Versions from the whole logs, also those appended before there was a webhook."""
    with LedgerReader(settings, INVOICES) as reader:
        notices = list(_notices(reader, hook.namespace))
    if hook.events & ALERT_EVENTS:
        notices += _alerts(settings, hook.namespace)
    return [
        notice
        for notice in notices
        if notice.type in hook.events
        and request.invoice_id in (None, notice.invoice_id)
        and notice.appended_us >= (request.since_us or 0)
    ]


def _alerts(settings: Settings, namespace: str) -> list[Notice]:
    ledger = AlertLedger(settings)
    try:
        ledger.refresh()
    finally:
        ledger.close()
    return [
        notice_of_alert(appended.alert, appended.appended_us)
        for appended in ledger.unstored
        if appended.alert.key.namespace == namespace
    ]


def _notices(reader: LedgerReader, namespace: str) -> Iterator[Notice]:
    notices, name = Notices(), namespace.encode()
    for record in reader.read_to(reader.end_offsets()):
        if name in record.value:  # others need not be decoded: a chain is one namespace's
            notice = notices.apply_bytes(record.value, record.append_us)
            if notice is not None and notice.namespace == namespace:
                yield notice
