"""Events as sent: a body of JSON becomes raw events, or a refusal that names the JSON path of the fault."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final

import msgspec

from schemas.errors import WeirError
from schemas.values.fine_instants import may_be_fine, never_later

MAX_BATCH: Final = 100


class RawEvent(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """An event as sent; its properties are kept as raw bytes."""

    event_name: str
    properties: msgspec.Raw = msgspec.Raw(b"{}")
    account_id: str | None = None
    idempotency_key: str | None = None
    timestamp: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    source: str = ""


class RawBatch(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """The body of a batch request."""

    events: list[RawEvent]


class _Written(msgspec.Struct, gc=False):
    """An event's timestamp as text, needed where it is finer than a microsecond."""

    timestamp: str | None = None


class _WrittenBatch(msgspec.Struct, gc=False):
    events: list[_Written]


@dataclass(eq=False)
class Refused(WeirError):  # not frozen, since context managers set an exception's traceback
    """The reason for refusing a whole batch. ``index``: the event at fault, None if it is the batch itself."""

    reason: str
    path: str
    detail: str
    index: int | None = None

    def __str__(self) -> str:
        return f"{self.path}: {self.detail}"


_single = msgspec.json.Decoder(RawEvent)
_batch = msgspec.json.Decoder(RawBatch)
_list = msgspec.json.Decoder(list[RawEvent])
_written_single = msgspec.json.Decoder(_Written)
_written_batch = msgspec.json.Decoder(_WrittenBatch)
_written_list = msgspec.json.Decoder(list[_Written])
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_NO_NUMBER = re.compile(rb"[:\[,]\s*-?(?:NaN|Infinity)\b")
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_MSGSPEC_PLACE = re.compile(r"^(?P<what>.*?)(?: - at `(?P<path>[^`]*)`)?$", re.DOTALL)
_MSGSPEC_INDEX = re.compile(r"^\$(?:\.events)?\[(\d+)\]")


def decode_json(decoder: msgspec.json.Decoder[Any], body: bytes) -> Any:
    """Decode ``body``. Raises Refused with the JSON path and, if the path contains one, the event's index."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        match = _MSGSPEC_PLACE.match(str(error))
        what, path = (match["what"], match["path"] or "$") if match else (str(error), "$")
        if "timezone" in what or "RFC3339" in what:
            what = f"{what}; write an RFC 3339 instant such as 2026-01-31T12:00:00Z"
        index = _MSGSPEC_INDEX.match(path)
        raise Refused("invalid", path, what, int(index[1]) if index else None) from None
    except msgspec.DecodeError as error:
        raise Refused("malformed", "$", f"the body is not JSON: {error}{_remedy(body)}") from None
    except (UnicodeDecodeError, RecursionError) as error:
        raise Refused("malformed", "$", f"the body is not JSON in UTF-8: {type(error).__name__}") from None


def _remedy(body: bytes) -> str:
    """A hint for typical output of JSON libraries that is not JSON."""
    if body.startswith(b"\xef\xbb\xbf"):
        return "; it begins with a byte order mark: send UTF-8 without one"
    if _NO_NUMBER.search(body):
        return "; JSON has no NaN and no Infinity: send null, or leave the property out"
    if _SURROGATE.search(body):
        return "; an escape of \\ud800 to \\udfff needs its other half: send whole characters"
    return ""


def decode_event(body: bytes) -> list[RawEvent]:
    """The event of a body with a single event, as a list. Raises Refused."""
    events = [decode_json(_single, body)]
    _cut(events, body, lambda: [_written_single.decode(body)])
    return events


def decode_batch(body: bytes) -> list[RawEvent]:
    """The events of a body ``{"events": [1 to 100]}``. Raises Refused."""
    events: list[RawEvent] = decode_json(_batch, body).events
    _cut(events, body, lambda: _written_batch.decode(body).events)
    return _sized(events)


def decode_any(body: bytes) -> list[RawEvent]:
    """The events of an inbox record: one event, ``{"events": […]}`` or a list. Raises Refused."""
    if body.lstrip()[:1] == b"[":
        events: list[RawEvent] = decode_json(_list, body)
        _cut(events, body, lambda: _written_list.decode(body))
        return _sized(events)
    fields = decode_json(_fields, body)
    return decode_batch(body) if "events" in fields and "event_name" not in fields else decode_event(body)


def _cut(events: Sequence[RawEvent], body: bytes, written: Callable[[], Sequence[_Written]]) -> None:
    """Cut timestamps that are written finer than a microsecond. ``written``: as text; read only if there may be any."""
    if not (any(event.timestamp is not None for event in events) and may_be_fine(body)):
        return
    moments = never_later([event.timestamp for event in events], [raw.timestamp for raw in written()])
    for event, moment in zip(events, moments, strict=True):
        event.timestamp = moment


def _sized(events: list[RawEvent]) -> list[RawEvent]:
    check_size(len(events))
    return events


def check_size(events: int, path: str = "$.events") -> None:
    """Raises Refused unless the number of events is allowed in a batch."""
    if not 1 <= events <= MAX_BATCH:
        detail = f"{events} events; a batch holds 1 to {MAX_BATCH}: split it and send each part"
        raise Refused("batch_size", path, detail)
