"""A namespace's webhooks as its catalog has them: where to, since when, and which secrets sign. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from pydantic import ValidationError

from rating.webhooks.receiver import signing
from schemas.catalog.state import Entry, NamespaceView
from schemas.catalog.webhook_setting import Webhook, WebhookEvent

_SECOND: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class WebhookEndpoint:
    """A webhook's settings with their history. ``since_us``: what was appended before is not sent. ``replaced``:
    (rotation, instant from which the next one signs), oldest first. ``code``: "" for the one without."""

    namespace: str
    url: str
    enabled: bool
    events: frozenset[WebhookEvent]
    rotation: int
    since_us: int
    replaced: tuple[tuple[int, int], ...]
    code: str = ""

    def wants(self, event: str, appended_us: int) -> bool:
        """Whether a version with this event, appended then, is sent without a replay."""
        return event in self.events and appended_us >= self.since_us

    def rotations(self, now_us: int, overlap_seconds: int) -> list[int]:
        """Whose secrets sign at ``now_us``: the present one, and those that were replaced less than ``overlap_seconds``
        ago, newest first."""
        since = now_us - overlap_seconds * _SECOND
        return [self.rotation, *(number for number, until in reversed(self.replaced) if until > since)]

    def secrets(self, root: bytes, now_us: int, overlap_seconds: int) -> list[bytes]:
        """The secrets that sign at ``now_us``, newest first."""
        rotations = self.rotations(now_us, overlap_seconds)
        return [signing.secret(root, self.namespace, rotation, self.code) for rotation in rotations]

    @property
    def shown(self) -> str:
        """The address for logs: path and query may hold a receiver's own secrets."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"


def webhooks_of(view: NamespaceView) -> dict[str, WebhookEndpoint]:
    """The namespace's webhooks as of the view by code, "" for the one without."""
    history = view.history("namespace", view.namespace)
    codes = ["", *_named(history[-1].body)] if history else []
    hooks = {code: fold_hook(view.namespace, history, code) for code in codes}
    return {code: hook for code, hook in hooks.items() if hook is not None}


def fold_hook(namespace: str, history: Sequence[Entry], code: str = "") -> WebhookEndpoint | None:
    """One webhook from every version of the namespace's settings, oldest first; None where it has none."""
    present: Webhook | None = None
    since_us, rotation = 0, 0
    replaced: list[tuple[int, int]] = []
    for entry in history:
        webhook = (
            None if entry.retired else _webhook(_named(entry.body).get(code) if code else entry.body.get("webhook"))
        )
        if webhook is not None:
            since_us = since_us if present is not None else entry.published_us
            if webhook.rotation > rotation:
                replaced += [(rotation, entry.published_us)] if rotation else []
                rotation = webhook.rotation
        present = webhook
    if present is None:
        return None
    return WebhookEndpoint(
        namespace, present.url, present.enabled, frozenset(present.events), rotation, since_us, tuple(replaced), code
    )


def _named(body: Mapping[str, Any]) -> dict[str, Any]:
    """Code → settings of the webhooks that have one."""
    named = body.get("webhooks")
    return {
        item["code"]: {name: value for name, value in item.items() if name != "code"}
        for item in (named if isinstance(named, list) else ())
        if isinstance(item, dict) and isinstance(item.get("code"), str)
    }


def _webhook(body: object) -> Webhook | None:
    try:
        return None if body is None else Webhook.model_validate(body)
    except ValidationError:
        return None  # written by something that is not Weir
