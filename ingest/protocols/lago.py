"""Lago's event API: translates its requests to native events, and responses and errors to Lago's format. Pure.

``transaction_id`` is the key. It is unique within a subscription, as in Lago, so ``external_subscription_id`` is
the source. ``code`` is the event name, ``timestamp`` Unix seconds, exact to the microsecond as an integer, decimal
or string. ``external_subscription_id`` names a subscription, whose account is billed, or else the account itself.
``precise_total_amount_cents`` becomes a property of that name, so that a meter can sum it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final
from uuid import UUID

import msgspec
from starlette.responses import Response

from ingest.http.gateway_problems import Problem
from schemas.catalog.state import NamespaceView
from schemas.events.acceptance import AcceptedEvent
from schemas.events.raw_events import RawEvent, Refused, check_size, decode_json
from schemas.events.refused_body import Fields
from schemas.values.fine_instants import seconds_to_micros
from schemas.values.instants import SECOND, instant, rfc3339
from schemas.values.json_text import JsonObject

FIELDS: Final = Fields("external_subscription_id", "code", "transaction_id")
AMOUNT: Final = "precise_total_amount_cents"
_NAMES: Final = {"event_name": "code", "account_id": "external_subscription_id", "idempotency_key": "transaction_id",
                 "source": "external_subscription_id"}  # fmt: skip
_NATIVE_PATH: Final = re.compile(r"^\$\.events\[(?P<index>\d+)\]\.(?P<field>\w+)(?P<rest>.*)$", re.DOTALL)
_FIELD: Final = re.compile(r"^\$\.event(?:s\[\d+\])?\.(?P<field>\w+)")
_SECONDS: Final = re.compile(r"^[+-]?\d{1,20}(?:\.\d{0,40})?(?:[eE][+-]?\d{1,2})?$", re.ASCII)
_WORDS: Final = {"missing": "value_is_mandatory", "no_account": "value_is_mandatory", "conflict": "value_already_exist"}
_NULL: Final = msgspec.Raw(b"null")


class LagoEventBody(msgspec.Struct, gc=False):
    """An event as sent by Lago's clients. Older clients send ``external_customer_id`` in place of a subscription."""

    transaction_id: str | None = None
    external_subscription_id: str | None = None
    external_customer_id: str | None = None
    code: str | None = None
    timestamp: msgspec.Raw = _NULL
    precise_total_amount_cents: msgspec.Raw = _NULL
    properties: msgspec.Raw = _NULL


class _One(msgspec.Struct, gc=False):
    event: LagoEventBody


class _Many(msgspec.Struct, gc=False):
    events: list[LagoEventBody]


_one = msgspec.json.Decoder(_One)
_many = msgspec.json.Decoder(_Many)
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_list = msgspec.json.Decoder(list[msgspec.Raw])


def decode(body: bytes, *, batch: bool) -> list[LagoEventBody]:
    """``{"event": …}``, or ``{"events": [1 to 100]}``. Raises Refused."""
    if not batch:
        return [decode_json(_one, body).event]
    events: list[LagoEventBody] = decode_json(_many, body).events
    check_size(len(events))
    return events


def translate(events: Sequence[LagoEventBody], view: NamespaceView, *, batch: bool) -> list[RawEvent]:
    """Translate to native events. Raises Refused with Lago's field names in its path."""
    return [
        _event(event, view, f"$.events[{index}]" if batch else "$.event", index) for index, event in enumerate(events)
    ]


def _event(event: LagoEventBody, view: NamespaceView, at: str, index: int) -> RawEvent:
    for name, value in (("transaction_id", event.transaction_id), ("code", event.code)):
        if not value:
            raise Refused("missing", f"{at}.{name}", "missing; every event needs one", index)
    stamp = _micros(bytes(event.timestamp), f"{at}.timestamp", index)
    return RawEvent(
        event_name=event.code or "",
        idempotency_key=event.transaction_id,
        account_id=_account(event, view),
        source=event.external_subscription_id or event.external_customer_id or "",
        timestamp=None if stamp is None else instant(stamp),
        properties=msgspec.Raw(_properties(event, f"{at}.properties", index)),
    )


def _account(event: LagoEventBody, view: NamespaceView) -> str | None:
    code = event.external_subscription_id
    if not code:
        return event.external_customer_id or None
    # Retired subscriptions are included: usage from before their end may arrive later.
    versions = view.history("subscription", code)
    return str(versions[-1].body["account"]) if versions else code


def _properties(event: LagoEventBody, path: str, index: int) -> bytes:
    text = bytes(event.properties)
    if text == b"null":
        text = b"{}"
    amount = bytes(event.precise_total_amount_cents)
    if amount == b"null":
        return text
    if not text.startswith(b"{"):
        raise Refused("invalid", path, "not a JSON object; send {} for none", index)
    # A property of that name that the sender set itself takes precedence.
    known = _object.decode(text)
    if AMOUNT in known:
        return text
    return text[:-1] + (b"," if known else b"") + f'"{AMOUNT}":'.encode() + amount + b"}"


def _micros(raw: bytes, path: str, index: int) -> int | None:
    """Unix seconds (a JSON number or string) as microseconds since 1970, truncated; None for null."""
    if raw == b"null":
        return None
    text = msgspec.json.decode(raw).strip() if raw.startswith(b'"') else raw.decode(errors="replace")
    if _SECONDS.match(text) is None:
        raise Refused(
            "timestamp", path, f"{text[:40]!r} is not Unix seconds; send e.g. 1769860800 or 1769860800.25", index
        )
    us = seconds_to_micros(text)
    if not 0 <= us < 10_000_000_000 * SECOND:
        detail = f"{text[:40]} is no instant from 1970 to 2286; Unix seconds are meant, not milliseconds"
        raise Refused("timestamp", path, detail, index)
    return us


def elements(body: bytes, *, batch: bool) -> list[bytes]:
    """The JSON text of each event in a body. Raises msgspec.DecodeError, UnicodeDecodeError or KeyError."""
    fields = _object.decode(body)
    return [bytes(raw) for raw in _list.decode(fields["events"])] if batch else [bytes(fields["event"])]


def answer_accepted(
    events: Sequence[LagoEventBody], accepted: Sequence[AcceptedEvent], now_us: int, *, batch: bool
) -> Response:
    """200 with the stored events, as Lago answers; ``lago_id`` is the event's identity, so a retry gets the same
    response."""
    stored = [_stored(event, acceptance, now_us) for event, acceptance in zip(events, accepted, strict=True)]
    return _json({"events": stored} if batch else {"event": stored[0]}, 200)


def _stored(event: LagoEventBody, acceptance: AcceptedEvent, now_us: int) -> JsonObject:
    amount = bytes(event.precise_total_amount_cents)
    # Lago returns the amount as text; other JSON values are quoted as text as well.
    quoted = amount if amount.startswith(b'"') or amount == b"null" else msgspec.json.encode(amount.decode())
    return {
        "lago_id": str(UUID(bytes=acceptance.identity)),
        "transaction_id": acceptance.idempotency_key,
        "lago_customer_id": None,
        "code": acceptance.event_name,
        "timestamp": rfc3339(acceptance.timestamp_us),
        AMOUNT: msgspec.Raw(quoted),
        "properties": event.properties if bytes(event.properties) != b"null" else {},
        "lago_subscription_id": None,
        "external_subscription_id": event.external_subscription_id or acceptance.account_id,
        "external_customer_id": acceptance.account_id,
        "created_at": rfc3339(now_us),
    }


def peer_path(path: str | None, *, batch: bool) -> str | None:
    """Translate a path in a native request to the Lago request; other paths are unchanged."""
    match = _NATIVE_PATH.match(path or "")
    if match is None:
        return path
    at = f"$.events[{match['index']}]" if batch else "$.event"
    return f"{at}.{_NAMES.get(match['field'], match['field'])}{match['rest']}"


def members(problem: Problem, *, batch: bool) -> JsonObject:
    """The error members that Lago's clients read: ``error``, ``code`` and, for faulty events, ``error_details``."""
    if problem.status != 422:
        return {"error": problem.document()["title"], "code": problem.reason}
    match = _FIELD.match(peer_path(problem.members.get("path"), batch=batch) or "")
    field = match["field"] if match else "events" if batch else "event"
    word = _WORDS.get(problem.reason, problem.reason)
    if field == "timestamp" and problem.reason in ("timestamp", "invalid"):
        word = "invalid_format"
    if problem.reason == "batch_size":
        word = "no_events" if problem.detail.startswith("0 ") else "too_many_events"
    details: JsonObject = {field: [word]}
    index = problem.members.get("index")
    if batch and index is not None:
        details = {str(index): details}
    return {"error": "Unprocessable Entity", "code": "validation_errors", "error_details": details}


def answer_refused(problem: Problem, *, batch: bool) -> Response:
    """Lago's error document, extended by Weir's detail, index and path."""
    document: JsonObject = {"status": problem.status} | members(problem, batch=batch) | {"detail": problem.detail}
    document |= {name: value for name, value in problem.members.items() if name != "path"}
    if problem.members.get("path") is not None:
        document["path"] = peer_path(problem.members["path"], batch=batch)
    if problem.reason == "no_account":
        document["detail"] = problem.detail.replace("account_id,", "external_subscription_id,", 1)
    headers = dict(problem.headers)
    if problem.status == 429 and "Retry-After" in headers:
        headers["x-ratelimit-reset"] = headers["Retry-After"]  # Lago's clients read the waiting time from this header
    return _json(document, problem.status, headers)


def _json(document: JsonObject, status: int, headers: dict[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(document), status, headers=headers, media_type="application/json")
