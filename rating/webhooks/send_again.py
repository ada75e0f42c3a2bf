"""Versions of invoices to be sent again: looked up, queued, and told to the process that delivers. Blocking."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

from clickhouse_connect.driver.client import Client

from rating.alerts.alert_store import alerts_since
from rating.topups.topup_ledger import TopupLedger
from rating.webhooks import store
from rating.webhooks.hook import WebhookEndpoint
from rating.webhooks.intake import Notices, delivery_of
from rating.webhooks.notices import ALERT_EVENTS, TOPUP_EVENTS, Notice, notice_of_alert, notices_of_topups
from schemas.kafka.topics import INVOICES
from schemas.ledgers.alert_record import ALERT_PREFIX
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
    hooks: Sequence[WebhookEndpoint],
    request: ReplayRequest,
    *,
    author: str,
    replay: str,
    now_us: int,
) -> int:
    """Queue the messages of the versions that ``request`` names to those of ``hooks``, one namespace's, that want
    them; returns how many. ``replay``: a name for this replay.
    Raises LedgerUnavailable. Repeating it is safe: receivers know copies by their id."""
    if request.given_up:
        due = _given_up(client, hooks, request)
    else:
        notices = _of_all(settings, client, hooks, request)
        due = [(notice, hook.code) for hook in hooks for notice in notices if notice.type in hook.events]
    deliveries = [delivery_of(notice, now_us, replay, webhook) for notice, webhook in due]
    store.write(client, deliveries)
    # Now they are durable; whoever delivers reads them when it sees this, or when it starts.
    request_json = {"since_us": request.since_us, "invoice_id": request.invoice_id, "given_up": request.given_up}
    store.write_replay(client, store.Replay(hooks[0].namespace, replay, now_us), author, request_json, len(deliveries))
    return len(deliveries)


def _given_up(client: Client, hooks: Sequence[WebhookEndpoint], request: ReplayRequest) -> list[tuple[Notice, str]]:
    """With the code of the webhook that each was given up for."""
    codes = {hook.code for hook in hooks}
    return [
        (
            Notice(delivery.namespace, delivery.invoice_id, delivery.version, delivery.type, delivery.appended_us),
            delivery.webhook,
        )
        for delivery in store.given_up_deliveries(client, hooks[0].namespace)
        if delivery.webhook in codes
        and request.invoice_id in (None, delivery.invoice_id)
        and delivery.appended_us >= (request.since_us or 0)
    ]


def _of_all(
    settings: Settings, client: Client, hooks: Sequence[WebhookEndpoint], request: ReplayRequest
) -> list[Notice]:
    """Versions of invoices, alerts and top-ups, also those appended before there was a webhook."""
    named, notices = request.invoice_id, list[Notice]()
    of_alerts = named is None or named.startswith(ALERT_PREFIX)
    of_others = named is None or not of_alerts
    if of_others:
        with LedgerReader(settings, INVOICES) as reader:
            notices += _notices(reader, hooks[0].namespace)
    if of_alerts and any(hook.events & ALERT_EVENTS for hook in hooks):
        # From their copy: it has all of which the first message was queued, and an alert, or a time, is found in it.
        stored = alerts_since(client, hooks[0].namespace, request.since_us or 0, named)
        notices += [notice_of_alert(alert.alert, alert.appended_us) for alert in stored]
    if of_others and any(hook.events & TOPUP_EVENTS for hook in hooks):
        notices += _topups(settings, hooks[0].namespace)
    return [
        notice
        for notice in notices
        if named in (None, notice.invoice_id) and notice.appended_us >= (request.since_us or 0)
    ]


def _topups(settings: Settings, namespace: str) -> list[Notice]:
    with closing(TopupLedger(settings, {})) as ledger:
        ledger.refresh()
        return notices_of_topups(topup for topup in ledger.unstored if topup.record.namespace == namespace)


def _notices(reader: LedgerReader, namespace: str) -> Iterator[Notice]:
    notices, name = Notices(), namespace.encode()
    for record in reader.read_to(reader.end_offsets()):
        if name in record.value:  # others need not be decoded: a chain is one namespace's
            notice = notices.apply_bytes(record.value, record.append_us)
            if notice is not None and notice.namespace == namespace:
                yield notice
