"""GET /v1/webhooks, …/deliveries and …/secret, POST …/test and …/replay: the namespace's webhook and what became of its
messages."""

from __future__ import annotations

import time
import uuid
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, model_validator

from rating.api.context import Authorized, Rating, View
from rating.api.rating_problems import RatingProblem, wrong
from rating.webhooks import message, store
from rating.webhooks.hook import WebhookEndpoint, webhooks_of
from rating.webhooks.notices import ALERT_EVENTS, TOPUP_EVENTS
from rating.webhooks.queue import QueuedDelivery
from rating.webhooks.receiver import signing
from rating.webhooks.receiver.attempt import Sender
from rating.webhooks.send_again import ReplayRequest, send_again
from schemas.catalog.base import Code
from schemas.catalog.state import NamespaceView
from schemas.ledgers.errors import LedgerUnavailable
from schemas.values.fine_instants import Instant
from schemas.values.instants import micros, rfc3339
from schemas.values.json_text import JsonObject

_SECOND: Final = 1_000_000
_ALIVE_US: Final = 60 * _SECOND

router = APIRouter(tags=["webhooks"])

WebhookCode = Annotated[str, Query(description="code of one of the namespace's `webhooks`; empty: the one without")]


class Replayed(BaseModel):
    """Which versions are sent anew: those of which everything that is given holds."""

    model_config = ConfigDict(extra="forbid")

    since: Instant | None = None
    invoice_id: str | None = None
    given_up: bool = False
    webhook: Code | None = None

    @model_validator(mode="after")
    def _says_which(self) -> Replayed:
        if self.since is None and self.invoice_id is None and not self.given_up:
            raise ValueError("say which versions: since, invoice_id or given_up")
        return self


@router.get("/v1/webhooks", summary="The namespace's webhook, and how its deliveries stand")
async def status(rating: Authorized, view: View) -> JsonObject:
    """`webhook` is null where the namespace has none without a code, `webhooks` are those with one; the counts are of
    all. `delivering`: whether a process that delivers was there within
    the last minute. `last_failure` is the last attempt that failed, also where a later one went well."""
    return await webhook_status(rating, view)


async def webhook_status(rating: Rating, view: NamespaceView) -> JsonObject:
    """How deliveries of the namespace's webhook stand, as the route answers."""
    summary, seen_us = await rating.ask(
        lambda client: (store.summary(client, view.namespace), store.last_alive_us(client))
    )
    hooks = webhooks_of(view)
    return {
        "namespace": view.namespace,
        "webhook": _hook(hooks[""]) if "" in hooks else None,
        "webhooks": [_hook(hook) for code, hook in hooks.items() if code],
        "delivering": micros(rating.now()) - seen_us < _ALIVE_US,
        "waiting": summary.waiting,
        "delivered": summary.delivered,
        "given_up": summary.given_up,
        "oldest_waiting": _instant(summary.oldest_us),
        "next_try": _instant(summary.next_us),
        "last_success": None if summary.success is None else _delivery(summary.success),
        "last_failure": None if summary.failure is None else _delivery(summary.failure),
    }


@router.get("/v1/webhooks/deliveries", summary="Messages to the webhook, the newest first, by pages")
async def deliveries(
    rating: Authorized,
    view: View,
    state: Annotated[Literal["waiting", "delivered", "given_up"] | None, Query()] = None,
    cursor: Annotated[str | None, Query(description="next_cursor of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> JsonObject:
    """`message_id` is the header webhook-id; `replay` names the replay that asked for it, null for the first
    delivery."""
    position = None if cursor is None else _position(cursor)
    listed = await rating.ask(
        lambda client: store.list_deliveries(client, view.namespace, state=state, page_end=position, limit=limit + 1)
    )
    page = listed[:limit]
    last_shown = page[-1] if len(listed) > limit else None
    following = None
    if last_shown is not None:
        following = f"{last_shown.queued_us}_{last_shown.replay}_{last_shown.message_id}"
        following += f".{last_shown.webhook}" if last_shown.webhook else ""
    return {"deliveries": [_delivery(delivery) for delivery in page], "next_cursor": following}


@router.get("/v1/webhooks/secret", summary="What receivers verify signatures with")
async def secret(rating: Authorized, view: View, response: Response, webhook: WebhookCode = "") -> JsonObject:
    """`replaced` are those before it, with the instant until which they sign too. A higher `rotation` in the
    namespace's settings makes a new one."""
    hook = _required(view, webhook)
    response.headers["Cache-Control"] = "no-store"
    root, overlap_us = signing.root_key(rating.settings), rating.settings.webhook_overlap_seconds * _SECOND
    return {
        "secret": signing.secret_text(signing.secret(root, view.namespace, hook.rotation, hook.code)),
        "rotation": hook.rotation,
        "replaced": [{"rotation": rotation, "signs_until": rfc3339(us + overlap_us)} for rotation, us in hook.replaced],
    }


@router.post("/v1/webhooks/test", summary="Send a signed webhook.ping now, and say what it was answered")
async def ping(rating: Authorized, view: View, webhook: WebhookCode = "") -> JsonObject:
    """Also to a webhook that is not enabled. Tried once, from this process."""
    hook = _required(view, webhook)
    now_us, began = micros(rating.now()), time.monotonic()
    body = message.body(message.PING, now_us, {"namespace": view.namespace})
    secrets = hook.secrets(signing.root_key(rating.settings), now_us, rating.settings.webhook_overlap_seconds)
    headers = signing.headers(secrets, f"ping_{uuid.uuid4().hex}", now_us // _SECOND, body)
    sender = Sender(rating.settings)
    try:
        answer = await sender.send(hook.url, headers, body, now_us / _SECOND)
    finally:
        await sender.close()
    return {
        "delivered": answer.ok,
        "status": answer.status or None,
        "error": answer.error or None,
        "url": hook.url,
        "message_id": headers["webhook-id"],
        "seconds": round(time.monotonic() - began, 3),
    }


@router.post("/v1/webhooks/replay", status_code=202, summary="Send versions again, under the ids that they had")
async def replay(request: Request, rating: Authorized, view: View, body: Replayed) -> JsonObject:
    """`messages`: so many are queued. Versions of types that a webhook does not name are not sent to it. `webhook`:
    only to the one of this code; else to all."""
    hooks = list(webhooks_of(view).values()) if body.webhook is None else [_required(view, body.webhook)]
    if not hooks:
        raise _without(view, "")
    author, name, now_us = request.state.access.author, f"rp_{uuid.uuid4().hex[:16]}", micros(rating.now())
    versions = ReplayRequest(_micros(body.since), body.invoice_id, body.given_up)
    try:
        count = await rating.ask(
            lambda client: send_again(
                rating.settings, client, hooks, versions, author=author, replay=name, now_us=now_us
            )
        )
    except LedgerUnavailable as error:
        raise RatingProblem(HTTPStatus.SERVICE_UNAVAILABLE, str(error), headers={"Retry-After": "1"}) from None
    return {"replay": name, "messages": count}


def _required(view: NamespaceView, code: str) -> WebhookEndpoint:
    hook = webhooks_of(view).get(code)
    if hook is None:
        raise _without(view, code)
    return hook


def _without(view: NamespaceView, code: str) -> RatingProblem:
    known = [name for name in webhooks_of(view) if name]
    if not code:
        detail = "webhook; set one: `weir webhook set URL`, or webhook.url in its settings"
    elif known:
        detail = f"webhook {code[:64]!r}; there are {', '.join(known)}"
    else:
        detail = f"webhook {code[:64]!r}; set it: `weir webhook set URL --name …`, or webhooks in its settings"
    return RatingProblem(HTTPStatus.CONFLICT, f"namespace {view.namespace} has no {detail}")


def _position(cursor: str) -> tuple[int, str, str, str]:
    """(queued, message id, replay, webhook) of the delivery that a page ended with. Raises Problem."""
    queued, _, ids = cursor.partition("_")
    # A replay's name has one underscore, the first delivery's is empty.
    parts = ids.split("_", 2) if ids.startswith("rp_") else ["", ids.removeprefix("_")]
    replay, (message_id, _, webhook) = "_".join(parts[:-1]), parts[-1].partition(".")
    if (
        not queued.isascii()
        or not queued.isdigit()
        or len(queued) > 18
        or not message_id.startswith(("inv_", "alr_", "top_"))
    ):
        raise wrong("cursor", f"{cursor[:40]!r} is no cursor of this list; take next_cursor of the page before")
    return int(queued), message_id, replay, webhook


def _hook(hook: WebhookEndpoint) -> JsonObject:
    return {
        "code": hook.code or None,
        "url": hook.url,
        "enabled": hook.enabled,
        "events": sorted(hook.events),
        "rotation": hook.rotation,
        "since": rfc3339(hook.since_us),
    }


def _delivery(delivery: QueuedDelivery) -> JsonObject:
    return {
        "message_id": delivery.message_id,
        "webhook": delivery.webhook or None,
        "replay": delivery.replay or None,
        "invoice_id": None if delivery.type in ALERT_EVENTS | TOPUP_EVENTS else delivery.invoice_id,
        "alert_id": delivery.invoice_id if delivery.type in ALERT_EVENTS else None,
        "topup_id": delivery.invoice_id if delivery.type in TOPUP_EVENTS else None,
        "version": delivery.version,
        "type": delivery.type,
        "state": delivery.state,
        "attempts": delivery.attempts,
        "status": delivery.status or None,
        "queued_at": rfc3339(delivery.queued_us),
        "last_attempt": _instant(delivery.last_us),
        "next_try": _instant(delivery.next_us) if delivery.state == "waiting" else None,
        "refused_at": _instant(delivery.refused_us),
        "refused_status": delivery.refused_status or None,
        "error": delivery.error or None,
    }


def _instant(us: int) -> str | None:
    return rfc3339(us) if us else None


def _micros(moment: datetime | None) -> int | None:
    return None if moment is None else micros(moment)
