"""The body of a message, as the Standard Webhooks specification has it. Pure."""

from __future__ import annotations

import json
from typing import Final

from schemas.values.instants import rfc3339

PING: Final = "webhook.ping"


def body(event: str, at_us: int, data: object) -> bytes:
    """The JSON of a message. ``at_us``: when it happened, however late it is sent. ``data``: of an invoice what GET
    /v1/invoices/{id} shows of that version, of an alert or a top-up what
    the list of these shows of it."""
    return json.dumps(
        {"type": event, "timestamp": rfc3339(at_us), "data": data}, ensure_ascii=False, separators=(",", ":")
    ).encode("utf-8", "surrogatepass")
