"""Extracts from a refused body how many events it contained and which event was at fault.

The same for all sources, so that the books count refusals alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import msgspec

from schemas.catalog.models import Namespace
from schemas.events.acceptance import MAX_PROPERTIES_BYTES, MAX_TEXT
from schemas.filters import lookup
from schemas.values.json_text import JsonObject, exact

_list = msgspec.json.Decoder(list[msgspec.Raw])
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LARGEST_PARSED: Final = 2 * MAX_PROPERTIES_BYTES
"""Bytes of an event up to which its properties are parsed; those of a larger one are passed over, in a tenth of the
time."""


@dataclass(frozen=True, slots=True)
class Sketch:
    """What is known of a refused body: its number of events, and the fields of the event at fault ("" if unknown)."""

    events: int = 1
    account_id: str = ""
    event_name: str = ""
    idempotency_key: str = ""


class Fields(NamedTuple):
    """The names that a format uses for the fields of a Sketch."""

    account_id: str = "account_id"
    event_name: str = "event_name"
    idempotency_key: str = "idempotency_key"
    properties: str = "properties"


NATIVE: Final = Fields()


def sketch(body: bytes, index: int | None, settings: Namespace, *, single: bool) -> Sketch:
    """Extract what can be parsed; never raises. A body that is not a batch counts as one event."""
    try:
        events = [body] if single else _events(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Sketch()
    if index is None and events == [body]:
        index = 0
    return sketch_of(events, index, settings)


def sketch_of(events: Sequence[bytes], index: int | None, settings: Namespace, fields: Fields = NATIVE) -> Sketch:
    """The Sketch for the event at ``index``, with the format's field names; never raises."""
    if index is None or index >= len(events):
        return Sketch(len(events))
    try:
        event = exact(events[index]) if len(events[index]) <= _LARGEST_PARSED else _texts(events[index], fields)
    except ValueError:
        event = None
    if not isinstance(event, dict):
        return Sketch(len(events))
    account = event.get(fields.account_id)
    if account is None:
        accounts = (lookup(event.get(fields.properties), path) for path in settings.account_paths)
        account = next((value for value in accounts if isinstance(value, str)), "")
    name, key = event.get(fields.event_name), event.get(fields.idempotency_key)
    return Sketch(len(events), _text(account), _text(name), _text(key))


def _events(body: bytes) -> list[bytes]:
    if body.lstrip()[:1] == b"[":
        return [bytes(event) for event in _list.decode(body)]
    fields = _fields.decode(body)
    if "events" in fields and "event_name" not in fields:
        return [bytes(event) for event in _list.decode(fields["events"])]
    return [body]


def _texts(event: bytes, fields: Fields) -> JsonObject:
    """The small fields of an event, without its properties. Raises ValueError."""
    try:
        values = _fields.decode(event)
        names = fields.account_id, fields.event_name, fields.idempotency_key
        return {name: exact(raw) for name in names if len(raw := bytes(values.get(name, b"null"))) <= 8 * MAX_TEXT}
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(str(error)) from None


def _text(value: Any) -> str:
    # JSON can express lone surrogates, but Avro cannot.
    return value[:MAX_TEXT].encode(errors="replace").decode() if isinstance(value, str) else ""
