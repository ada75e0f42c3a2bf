"""GET /v1/webhooks, …/deliveries and …/secret, POST …/test and …/replay: the namespace's webhook and what became of its
messages."""

from __future__ import annotations

import time
import uuid
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, model_validator

from rating.api.context import Authorized, Rating, View
from rating.api.problems import Problem, wrong
from rating.webhooks import message, store
from rating.webhooks.hook import Hook, hook_of
from rating.webhooks.queue import Delivery
from rating.webhooks.receiver import signing
from rating.webhooks.receiver.attempt import Sender
from rating.webhooks.replay import Asked, send_again
from schemas.catalog.state import NamespaceView
from schemas.ledgers.transport import LedgerUnavailable
from schemas.values.fine_instants import Instant
from schemas.values.instants import micros, rfc3339

_SECOND: Final = 1_000_000
_ALIVE_US: Final = 60 * _SECOND

router = APIRouter(tags=["webhooks"])


class Replayed(BaseModel):
    """All that is said must hold of a version."""

    model_config = ConfigDict(extra="forbid")

    since: Instant | None = None
    invoice_id: str | None = None
    given_up: bool = False

    @model_validator(mode="after")
    def _says_which(self) -> Replayed:
        if self.since is None and self.invoice_id is None and not self.given_up:
            raise ValueError("say which versions: since, invoice_id or given_up")
        return self


@router.get("/v1/webhooks", summary="The namespace's webhook, and how its deliveries stand")
async def status(rating: Authorized, view: View) -> dict[str, Any]:
    """`webhook` is null where the namespace has none. `delivering`: whether a process that delivers was there within
    the last minute. `last_failure` is the last attempt that failed, also where a later one went well."""
    return await webhook_status(rating, view)


async def webhook_status(rating: Rating, view: NamespaceView) -> dict[str, Any]:
    """The same for the console."""
    found, seen_us = await rating.ask(lambda client: (store.summary(client, view.namespace), store.seen_us(client)))
    hook = hook_of(view)
    return {
        "namespace": view.namespace,
        "webhook": None if hook is None else _hook(hook),
        "delivering": micros(rating.now()) - seen_us < _ALIVE_US,
        "waiting": found.waiting,
        "delivered": found.delivered,
        "given_up": found.given_up,
        "oldest_waiting": _instant(found.oldest_us),
        "next_try": _instant(found.next_us),
        "last_success": None if found.success is None else _delivery(found.success),
        "last_failure": None if found.failure is None else _delivery(found.failure),
    }


@router.get("/v1/webhooks/deliveries", summary="Messages to the webhook, the newest first, by pages")
async def deliveries(
    rating: Authorized,
    view: View,
    state: Annotated[Literal["waiting", "delivered", "given_up"] | None, Query()] = None,
    cursor: Annotated[str | None, Query(description="next_cursor of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> dict[str, Any]:
    """`message_id` is the header webhook-id; `replay` names the replay that asked for it, null for the first
    delivery."""
    before = None if cursor is None else _place(cursor)
    found = await rating.ask(
        lambda client: store.list_deliveries(client, view.namespace, state=state, before=before, limit=limit + 1)
    )
    page = found[:limit]
    last = page[-1] if len(found) > limit else None
    following = None if last is None else f"{last.queued_us}_{last.replay}_{last.message_id}"
    return {"deliveries": [_delivery(one) for one in page], "next_cursor": following}


@router.get("/v1/webhooks/secret", summary="What receivers verify signatures with")
async def secret(rating: Authorized, view: View, response: Response) -> dict[str, Any]:
    """`replaced` are those before it, with the instant until which they sign too. A higher `rotation` in the
    namespace's settings makes a new one."""
    hook = _required(view)
    response.headers["Cache-Control"] = "no-store"
    root, overlap_us = signing.root_key(rating.settings), rating.settings.webhook_overlap_seconds * _SECOND
    return {
        "secret": signing.secret_text(signing.secret(root, view.namespace, hook.rotation)),
        "rotation": hook.rotation,
        "replaced": [{"rotation": one, "signs_until": rfc3339(us + overlap_us)} for one, us in hook.replaced],
    }


@router.post("/v1/webhooks/test", summary="Send a signed webhook.ping now, and say what it was answered")
async def ping(rating: Authorized, view: View) -> dict[str, Any]:
    """Also to a webhook that is not enabled. Tried once, from this process."""
    hook = _required(view)
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
        "delivered": answer.ok, "status": answer.status or None, "error": answer.error or None, "url": hook.url,
        "message_id": headers["webhook-id"], "seconds": round(time.monotonic() - began, 3),
    }  # fmt: skip


@router.post("/v1/webhooks/replay", status_code=202, summary="Send versions again, under the ids that they had")
async def replay(request: Request, rating: Authorized, view: View, asked: Replayed) -> dict[str, Any]:
    """`messages`: so many are queued. Versions of types that the webhook does not name are left out."""
    hook = _required(view)
    author, name, now_us = request.state.access.author, f"rp_{uuid.uuid4().hex[:16]}", micros(rating.now())
    wanted = Asked(_micros(asked.since), asked.invoice_id, asked.given_up)
    try:
        count = await rating.ask(lambda client: send_again(rating.settings, client, hook, wanted, author, name, now_us))
    except LedgerUnavailable as error:
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error), headers={"Retry-After": "1"}) from None
    return {"replay": name, "messages": count}


def _required(view: NamespaceView) -> Hook:
    hook = hook_of(view)
    if hook is None:
        raise Problem(
            HTTPStatus.CONFLICT,
            f"namespace {view.namespace} has no webhook; set one: `weir webhook set URL`, or webhook.url in its settings",
        )
    return hook


def _place(cursor: str) -> tuple[int, str, str]:
    queued, _, rest = cursor.partition("_")
    # A replay's name has one underscore, the first delivery's is empty.
    replay, _, message_id = rest.rpartition("_inv_")
    if not queued.isascii() or not queued.isdigit() or len(queued) > 18 or not message_id:
        raise wrong("cursor", f"{cursor[:40]!r} is no cursor of this list; take next_cursor of the page before")
    return int(queued), f"inv_{message_id}", replay


def _hook(hook: Hook) -> dict[str, Any]:
    return {
        "url": hook.url, "enabled": hook.enabled, "events": sorted(hook.events), "rotation": hook.rotation,
        "since": rfc3339(hook.since_us),
    }  # fmt: skip


def _delivery(one: Delivery) -> dict[str, Any]:
    return {
        "message_id": one.message_id, "replay": one.replay or None, "invoice_id": one.invoice_id, "version": one.version, "type": one.type,
        "state": one.state, "attempts": one.attempts, "status": one.status or None, "queued_at": rfc3339(one.queued_us),
        "last_attempt": _instant(one.last_us), "next_try": _instant(one.next_us) if one.state == "waiting" else None,
        "refused_at": _instant(one.refused_us), "refused_status": one.refused_status or None, "error": one.error or None,
    }  # fmt: skip


def _instant(us: int) -> str | None:
    return rfc3339(us) if us else None


def _micros(moment: datetime | None) -> int | None:
    return None if moment is None else micros(moment)
