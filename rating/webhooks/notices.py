"""What a valid version of an invoice, an alert or a top-up has to tell a webhook. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from rating.topups.topup_ledger import AppendedTopup
from schemas.catalog.webhook_setting import WebhookEvent
from schemas.ledgers.alert_record import Alert
from schemas.ledgers.invoice_claims import DRAFT, FINALIZED, PAID, VOID, WITHDRAWN

DRAFTED: Final = "invoice.drafted"
"""Of every version of a draft, also where it is held or withdrawn."""

_OF_ALERTS: Final[dict[str, WebhookEvent]] = {"fired": "usage.alert.fired", "recovered": "usage.alert.recovered"}
_OF_ANOMALIES: Final[dict[str, WebhookEvent]] = {
    "fired": "usage.anomaly.detected", "recovered": "usage.anomaly.recovered",
}  # fmt: skip
ALERT_EVENTS: Final[frozenset[WebhookEvent]] = frozenset((*_OF_ALERTS.values(), *_OF_ANOMALIES.values()))
TOPUP_EVENTS: Final[frozenset[WebhookEvent]] = frozenset({"credits.topup_requested", "credits.topup_withdrawn"})
_DRAFTS: Final = frozenset({DRAFT, WITHDRAWN})
_BECAME: Final[dict[str, WebhookEvent]] = {PAID: "invoice.paid", VOID: "invoice.voided"}


@dataclass(frozen=True, slots=True)
class Notice:
    """One version of an invoice, an alert or a top-up. ``invoice_id``: of any of these; ``appended_us``: when it was
    appended to its ledger, microseconds UTC."""

    namespace: str
    invoice_id: str
    version: int
    type: WebhookEvent
    appended_us: int

    @property
    def message_id(self) -> str:
        """The header webhook-id: of the version, so the same one however often and by whichever process it is sent. A
        draft's versions are its own."""
        return f"{self.invoice_id}_{'draft_' if self.type == DRAFTED else ''}v{self.version}"


def notice_of_alert(alert: Alert, appended_us: int) -> Notice:
    """An alert, or an anomaly, that fired or recovered."""
    event = (_OF_ANOMALIES if alert.measure == "anomaly" else _OF_ALERTS)[alert.state]
    return Notice(alert.key.namespace, alert.key.alert_id, alert.version, event, appended_us)


def notices_of_topups(topups: Iterable[AppendedTopup]) -> list[Notice]:
    """Of the records that somebody else than who wrote them has to know: requests, and that they are withdrawn."""
    events: dict[str, WebhookEvent] = {"requested": "credits.topup_requested", "withdrawn": "credits.topup_withdrawn"}
    return [
        Notice(topup.record.namespace, topup.record.topup_id, topup.record.version, events[state], topup.appended_us)
        for topup in topups
        if (state := topup.record.state) in events
    ]


def event_of(previous_state: str | None, state: str) -> WebhookEvent:
    """What became of an invoice from ``previous_state`` (None: it is new) to ``state``. States that this does not know
    are updates."""
    if state in _DRAFTS:
        return DRAFTED
    if state == previous_state:
        return "invoice.updated"
    if state in (FINALIZED, PAID) and (previous_state is None or previous_state in _DRAFTS):
        return "invoice.finalized"  # one of 0.00 is paid at once
    if state == FINALIZED:
        return "invoice.updated"
    return _BECAME.get(state, "invoice.updated")
