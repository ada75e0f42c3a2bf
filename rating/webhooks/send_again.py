"""Versions of invoices to be sent again: looked up, queued, and told to the process that delivers. Blocking."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rating.webhooks import store
from rating.webhooks.hook import WebhookEndpoint
from rating.webhooks.intake import queued
from rating.webhooks.notices import Notice, Notices
from schemas.kafka.topics import INVOICES
from schemas.ledgers.transport import LedgerReader
from schemas.settings import Settings


@dataclass(frozen=True, slots=True)
class ReplayRequest:
    """All that is said must hold of a version. ``since_us``: appended to usage.invoices then or later. ``given_up``:
    and not delivered since."""

    since_us: int | None = None
    invoice_id: str | None = None
    given_up: bool = False


def send_again(
    settings: Settings, client: Any, hook: WebhookEndpoint, asked: ReplayRequest, author: str, replay: str, now_us: int
) -> int:
    """How many messages are queued. ``replay`` names it. Raises LedgerUnavailable; asking again is safe, receivers know
    copies by their id."""
    found = _given_up(client, hook, asked) if asked.given_up else _on_ledger(settings, hook, asked)
    deliveries = [queued(one, now_us, replay) for one in found]
    store.write(client, deliveries)
    # Now they are durable; whoever delivers reads them when it sees this, or when it starts.
    said = {"since_us": asked.since_us, "invoice_id": asked.invoice_id, "given_up": asked.given_up}
    store.write_replay(client, store.Replay(hook.namespace, replay, now_us), author, said, len(deliveries))
    return len(deliveries)


def _given_up(client: Any, hook: WebhookEndpoint, asked: ReplayRequest) -> list[Notice]:
    return [
        Notice(one.namespace, one.invoice_id, one.version, one.type, one.appended_us)
        for one in store.lost(client, hook.namespace)
        if asked.invoice_id in (None, one.invoice_id) and one.appended_us >= (asked.since_us or 0)
    ]


def _on_ledger(settings: Settings, hook: WebhookEndpoint, asked: ReplayRequest) -> list[Notice]:
    """Of the whole history, also from before there was a webhook."""
    with LedgerReader(settings, INVOICES) as reader:
        return [
            one
            for one in _notices(reader, hook.namespace)
            if one.type in hook.events
            and asked.invoice_id in (None, one.invoice_id)
            and one.appended_us >= (asked.since_us or 0)
        ]


def _notices(reader: LedgerReader, namespace: str) -> Iterator[Notice]:
    notices, name = Notices(), namespace.encode()
    for record in reader.read_to(reader.end_offsets()):
        if name in record.value:  # others need not be decoded: a chain is one namespace's
            notice = notices.apply_bytes(record.value, record.append_us)
            if notice is not None and notice.namespace == namespace:
                yield notice
