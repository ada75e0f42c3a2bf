"""Acceptance of events: one function for all sources (HTTP, inbox), all or nothing for a batch.

Raw events come from ``raw_events``, their properties as raw bytes. A refusal is explained on the slow path; it names
the event's index, the JSON path of the fault, and the remedy.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final, NamedTuple

import msgspec

from schemas.catalog.models import Namespace
from schemas.events.event_types import EventTypes
from schemas.events.identity import content_hash, identity
from schemas.events.raw_events import RawEvent, Refused
from schemas.filters import lookup
from schemas.values.instants import SECOND, micros, rfc3339
from schemas.values.json_text import MAX_DEPTH, JsonObject, canonical, depth, doubled_key, exact, keys_differ, path_text

MAX_TEXT: Final = 256
MAX_PROPERTIES_BYTES: Final = 64 * 1024
_EARLIEST: Final = 0
_LATEST: Final = micros(datetime.fromisoformat("2200-01-01T00:00:00+00:00"))
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class AcceptedEvent(NamedTuple):
    """An accepted event; ``properties`` is JSON text as sent, ``timestamp_us`` microseconds UTC."""

    identity: bytes
    content_hash: bytes
    event_name: str
    account_id: str
    idempotency_key: str
    source: str
    timestamp_us: int
    properties: str
    dated: bool = False  # it was sent without a timestamp and dated by the gateway's clock


# Numbers are kept as text: parsing them here could fail where ``exact`` does not.
decode_properties: Final = msgspec.json.Decoder(JsonObject, float_hook=str).decode
"""Decodes properties whose type says nothing of them. Raises ValueError, RecursionError."""


def accept(
    namespace: str,
    settings: Namespace,
    raws: Sequence[RawEvent],
    *,
    now_us: int,
    mint_key: Callable[[int], str],
    types: EventTypes,
    single: bool = False,
) -> list[AcceptedEvent]:
    """Accept all events under the namespace's settings and event types, or raise Refused.

    ``now_us``: instant of arrival, microseconds UTC; by the namespace's clock it replaces a missing timestamp, and
    ages are measured from it. ``mint_key(index)`` generates a missing idempotency key. ``single`` only shortens the
    JSON paths in errors.
    """
    accepted: list[AcceptedEvent] = []
    now_us = settings.now_us(now_us)
    clock_is_real = not settings.seconds_ahead
    earliest, latest = stamp_bounds(settings, now_us)
    check_of = types.check
    reject_unknown = types.reject_unknown
    for index, raw in enumerate(raws):
        key = raw.idempotency_key
        if key is None:
            key = mint_key(index)
        stamp = now_us if raw.timestamp is None else micros(raw.timestamp)
        account = raw.account_id
        properties = bytes(raw.properties)
        try:
            text = properties.decode()
        except UnicodeDecodeError as error:
            raise _refused("invalid", index, "properties", f"not UTF-8 at byte {error.start}", single) from None
        if account is None:
            account = nested_account(settings, text, index, single)
        name = raw.event_name
        check = check_of(name)
        try:
            # Properties that are too large are not parsed: 8 MB of short names took a third of a second.
            if len(properties) > MAX_PROPERTIES_BYTES:
                parsed = None
            else:
                parsed = decode_properties(text) if check is None else exact(text)
        except (ValueError, RecursionError):
            parsed = None  # not an object, or one that only the slow path can parse
        if not (
            earliest <= stamp <= latest
            and 0 < len(key) <= MAX_TEXT
            and 0 < len(account) <= MAX_TEXT
            and 0 < len(name) <= MAX_TEXT
            and len(raw.source) <= MAX_TEXT
            and key.isprintable()
            and account.isprintable()
            and name.isprintable()
            and raw.source.isprintable()
            and type(parsed) is dict
            and text.count("{") + text.count("[") <= MAX_DEPTH
            and (len(parsed) == text.count(":") or keys_differ(text, parsed))
            and (not reject_unknown or types.knows(name))
            and (check is None or check.fits(parsed))
        ):
            _explain(raw, key, account, stamp, text, earliest, latest, settings, types, index, single)
        accepted.append(
            AcceptedEvent(
                identity(namespace, raw.source, key),
                content_hash(name, account, properties),
                name,
                account,
                key,
                raw.source,
                stamp,
                text,
                clock_is_real and raw.timestamp is None,
            )
        )
    if len(accepted) > 1:
        _refuse_contradictions(accepted, single)
    return accepted


def stamp_bounds(settings: Namespace, now_us: int) -> tuple[int, int]:
    """The earliest and the latest timestamp that are accepted at ``now_us`` of the namespace's clock, both included."""
    age = settings.max_event_age_seconds
    earliest = _EARLIEST if age is None else max(_EARLIEST, now_us - age * SECOND)
    return earliest, min(now_us + settings.max_event_skew_seconds * SECOND, _LATEST)


def same_content(left: tuple[str, str, str], right: tuple[str, str, str]) -> bool:
    """Whether two (event_name, account_id, properties text) are equal, comparing properties by canonical form."""
    if left[:2] != right[:2]:
        return False
    return left[2] == right[2] or canonical(exact(left[2])) == canonical(exact(right[2]))


def _refuse_contradictions(accepted: list[AcceptedEvent], single: bool) -> None:
    index_of: dict[bytes, int] = {}
    for index, event in enumerate(accepted):
        earlier = index_of.setdefault(event.identity, index)
        if earlier != index and event.content_hash != accepted[earlier].content_hash:
            earlier_event = accepted[earlier]
            if not same_content(
                (earlier_event.event_name, earlier_event.account_id, earlier_event.properties),
                (event.event_name, event.account_id, event.properties),
            ):
                raise _refused(
                    "conflict", index, "idempotency_key",
                    f"the same key as events[{earlier}] with different content; one key stands for one event", single,
                )  # fmt: skip


def _refused(reason: str, index: int, field: str, detail: str, single: bool) -> Refused:
    path = f"$.{field}" if single else f"$.events[{index}].{field}"
    return Refused(reason, path, detail, index)


def _check_bytes(text: str, index: int, single: bool) -> None:
    """Raises Refused for properties of more than MAX_PROPERTIES_BYTES bytes in UTF-8."""
    if len(text) > MAX_PROPERTIES_BYTES or len(text.encode()) > MAX_PROPERTIES_BYTES:
        raise _refused("too_large", index, "properties", f"larger than {MAX_PROPERTIES_BYTES} bytes", single)


def nested_account(settings: Namespace, text: str, index: int, single: bool) -> str:
    """The account of an event that names none itself, from its properties. Raises Refused."""
    _check_bytes(text, index, single)
    try:
        properties = exact(text)
    except ValueError as error:
        raise _refused("invalid", index, "properties", f"not JSON: {error}", single) from None
    for path in settings.account_paths:
        account = lookup(properties, path)
        if isinstance(account, str):
            return account
    paths = ", ".join("properties." + ".".join(path) for path in settings.account_paths)
    raise _refused("no_account", index, "account_id", f"missing; set account_id, or one of {paths}", single)


def _explain(
    raw: RawEvent, key: str, account: str, stamp: int, text: str, earliest: int, latest: int,
    settings: Namespace, types: EventTypes, index: int, single: bool,
) -> None:  # fmt: skip
    """Raise Refused for the first fault; return if there is none, since the fast path's checks are stricter."""
    fields = (
        ("event_name", raw.event_name, 1), ("account_id", account, 1), ("idempotency_key", key, 1),
        ("source", raw.source, 0),
    )  # fmt: skip
    for field, value, least in fields:
        if not least <= len(value) <= MAX_TEXT:
            raise _refused(
                "invalid", index, field, f"{len(value)} characters; {least} to {MAX_TEXT} are allowed", single
            )
        if _CONTROL.search(value):
            raise _refused("invalid", index, field, "holds a control character; remove it", single)
    _check_bytes(text, index, single)
    try:
        parsed = exact(text)
    except ValueError as error:
        raise _refused("invalid", index, "properties", f"not JSON: {error}", single) from None
    if not isinstance(parsed, dict):
        raise _refused("invalid", index, "properties", "not a JSON object; send {} for none", single)
    if depth(parsed) > MAX_DEPTH:
        raise _refused("too_deep", index, "properties", f"nested deeper than {MAX_DEPTH} levels", single)
    if not keys_differ(text, parsed):
        detail = "the key stands twice in its object; which of the two counts is not for us to guess: send one"
        raise _refused("doubled_key", index, f"properties{path_text(doubled_key(text) or ())}", detail, single)
    if types.reject_unknown and not types.knows(raw.event_name):
        raise _refused("unknown_event", index, "event_name", types.unknown(raw.event_name), single)
    check = types.check(raw.event_name)
    if check is not None and (wrong := check.explain(parsed)) is not None:
        raise _refused("schema", index, f"properties{wrong[0]}", wrong[1], single)
    # Shown as written: near the years 1 and 9999 the conversion to UTC may exceed the range of datetime.
    written = rfc3339(stamp) if raw.timestamp is None else raw.timestamp.isoformat().replace("+00:00", "Z")
    if stamp > latest:
        detail = f"{written} is more than {settings.max_event_skew_seconds} s ahead of now; check the sender's clock"
        raise _refused("in_future", index, "timestamp", detail, single)
    if stamp < earliest:
        age = settings.max_event_age_seconds
        limit = "before 1970" if age is None else f"older than the namespace's max_event_age of {age} s"
        raise _refused(
            "too_old",
            index,
            "timestamp",
            f"{written} is {limit}; such events cannot be accepted",
            single,
        )
