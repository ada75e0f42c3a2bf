"""What is answered about webhooks."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from schemas.catalog.webhook_setting import WebhookEvent
from schemas.http.openapi import Answer


class WebhookSettings(Answer):
    """A webhook of the namespace."""

    code: str | None
    """null: the one without"""
    url: str
    enabled: bool
    events: list[WebhookEvent]
    rotation: int
    since: datetime


class WebhookDelivery(Answer):
    """A message and what came of it."""

    message_id: str
    """the header webhook-id"""
    webhook: str | None
    """code of the webhook; null: the one without"""
    replay: str | None
    invoice_id: str | None
    """null: it is of an alert or a top-up"""
    alert_id: str | None
    topup_id: str | None
    version: int
    type: WebhookEvent
    state: Literal["waiting", "delivered", "given_up"]
    attempts: int
    status: int | None
    queued_at: datetime
    last_attempt: datetime | None
    next_try: datetime | None
    refused_at: datetime | None
    refused_status: int | None
    error: str | None


class WebhookStatus(Answer):
    """How deliveries stand."""

    namespace: str
    webhook: WebhookSettings | None
    webhooks: list[WebhookSettings]
    """those with a code"""
    delivering: bool
    """a process that delivers was there within the last minute"""
    waiting: int
    delivered: int
    given_up: int
    oldest_waiting: datetime | None
    next_try: datetime | None
    last_success: WebhookDelivery | None
    last_failure: WebhookDelivery | None


class WebhookDeliveryPage(Answer):
    """A page of messages, the newest first."""

    deliveries: list[WebhookDelivery]
    next_cursor: str | None


class ReplacedSecret(Answer):
    """A secret that signs for a while beside the newest."""

    rotation: int
    signs_until: datetime


class WebhookSecret(Answer):
    """What receivers verify signatures with."""

    secret: str
    rotation: int
    replaced: list[ReplacedSecret]


class WebhookPing(Answer):
    """What the receiver answered to webhook.ping."""

    delivered: bool
    status: int | None
    error: str | None
    url: str
    message_id: str
    seconds: float


class WebhookReplay(Answer):
    """A replay that was queued."""

    replay: str
    messages: int
