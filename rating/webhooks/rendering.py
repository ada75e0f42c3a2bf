"""From deliveries to the bodies of their messages, by a few queries for many. Blocking."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Final

from rating.invoices.read import WholeInvoice, read_versions
from rating.webhooks import message
from rating.webhooks.notices import DRAFTED
from rating.webhooks.queue import WebhookDelivery

log = logging.getLogger(__name__)

_NUMBER_US: Final = 900_000_000


def bodies(client: Any, wanted: Sequence[WebhookDelivery], now_us: int) -> list[bytes | None]:
    """None for what cannot be told yet: who is told of an invoice can read it, and knows its number.

    The worker writes a version a moment after it was published, and the close gives the number a moment later; one that
    died there is made up for by the next. After a quarter of an hour an invoice is told without its number.
    """
    groups: dict[tuple[str, bool], list[WebhookDelivery]] = {}
    for one in wanted:
        groups.setdefault((one.namespace, one.type == DRAFTED), []).append(one)
    told: dict[tuple[str, str], bytes] = {}
    for (namespace, draft), some in groups.items():
        found = _read(client, namespace, [(one.invoice_id, one.version) for one in some], draft)
        for one in some:
            whole = found.get((one.invoice_id, one.version))
            if whole is None or (whole.head.number is None and not draft and now_us - one.queued_us < _NUMBER_US):
                continue
            told[namespace, one.message_id] = message.body(one.type, one.appended_us, whole.to_json())
    return [told.get((one.namespace, one.message_id)) for one in wanted]


def _read(
    client: Any, namespace: str, wanted: Sequence[tuple[str, int]], draft: bool
) -> dict[tuple[str, int], WholeInvoice]:
    """One that cannot be read, whatever wrote it, keeps no other from being told."""
    try:
        return read_versions(client, namespace, wanted, draft=draft)
    except (ValueError, KeyError, TypeError, ArithmeticError) as error:
        if len(wanted) == 1:
            log.error(
                "%s: version %d of %s cannot be shown: %s", namespace, wanted[0][1], wanted[0][0], type(error).__name__
            )
            return {}
    return {key: whole for one in wanted for key, whole in _read(client, namespace, [one], draft).items()}
