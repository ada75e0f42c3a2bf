"""CloudEvents 1.0 over HTTP in structured, batched and binary mode, translated to native events. Pure.

``source`` and ``id`` form the identity, ``subject`` is the account, ``type`` the event name, ``time`` the timestamp
and ``data`` the properties. Extension attributes and ``dataschema`` are ignored. Sources: CloudEvents 1.0.2, its
JSON event format and its HTTP protocol binding. OpenMeter's clients use the same format, so success is answered
with 204 and an error with OpenMeter's problem document.
"""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Final
from urllib.parse import unquote_to_bytes

import msgspec
from starlette.responses import Response

from ingest.http.gateway_problems import MEDIA_TYPE, Problem
from schemas.events.raw_events import RawEvent, Refused, check_size, decode_json
from schemas.events.refused_body import Fields
from schemas.values.fine_instants import cut, may_be_fine, never_later
from schemas.values.json_text import JsonObject

PREFIX: Final = "ce-"
FIELDS: Final = Fields("subject", "type", "id", "data")
_NAMES: Final = {"event_name": "type", "account_id": "subject", "idempotency_key": "id", "timestamp": "time",
                 "properties": "data", "source": "source"}  # fmt: skip
_NATIVE_PATH: Final = re.compile(
    r"^\$\.events\[(?P<index>\d+)\]"
    r"\.(?P<field>event_name|account_id|idempotency_key|timestamp|properties|source)(?P<rest>.*)$",
    re.DOTALL,
)
_ESCAPED: Final = re.compile(r"\\(.)")


class CloudEvent(msgspec.Struct, gc=False):
    """A CloudEvent as sent, reduced to the attributes that Weir uses."""

    specversion: str
    id: str
    source: str
    type: str
    subject: str | None = None
    time: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    datacontenttype: str | None = None
    data: msgspec.Raw = msgspec.Raw(b"null")
    data_base64: str | None = None


class _WrittenTime(msgspec.Struct, gc=False):
    """A CloudEvent's time as text, needed where it is finer than a microsecond."""

    time: str | None = None


_one = msgspec.json.Decoder(CloudEvent)
_many = msgspec.json.Decoder(list[CloudEvent])
_written_one = msgspec.json.Decoder(_WrittenTime)
_written_many = msgspec.json.Decoder(list[_WrittenTime])
_raws = msgspec.json.Decoder(list[msgspec.Raw])


def is_batch(body: bytes) -> bool:
    """Whether a JSON body is an array, that is, a batch of CloudEvents."""
    return body.lstrip()[:1] == b"["


def decode_structured(body: bytes) -> list[RawEvent]:
    """One CloudEvent in JSON, or an array of 1 to 100. Raises Refused with the attribute's JSON path."""
    events = _decoded(body)
    if not is_batch(body):
        return [_event(events[0], "$", 0)]
    check_size(len(events), "$")
    return [_event(event, f"$[{index}]", index) for index, event in enumerate(events)]


def _decoded(body: bytes) -> list[CloudEvent]:
    batched = is_batch(body)
    events: list[CloudEvent] = decode_json(_many, body) if batched else [decode_json(_one, body)]
    if may_be_fine(body):
        written = _written_many.decode(body) if batched else [_written_one.decode(body)]
        moments = never_later([event.time for event in events], [envelope.time for envelope in written])
        for event, moment in zip(events, moments, strict=True):
            event.time = moment
    return events


def decode_binary(headers: Mapping[str, str], body: bytes) -> list[RawEvent]:
    """The CloudEvent of a binary-mode request: attributes in ``ce-`` headers (lower-case names), data as the body.

    Raises Refused; its path names the header, or is ``$`` for the body.
    """
    attributes: JsonObject = {
        name.removeprefix(PREFIX): _header_value(name, value)
        for name, value in headers.items()
        if name.startswith(PREFIX) and name != "ce-data"
    }
    if "time" in attributes:
        attributes["time"] = cut(attributes["time"])
    attributes |= {"datacontenttype": headers.get("content-type"), "data_base64": None}
    try:
        event = msgspec.convert(attributes, CloudEvent)
    except msgspec.ValidationError as error:
        what, _, path = str(error).partition(" - at `$.")
        path_text = PREFIX + path.rstrip("`") if path else "headers"
        raise Refused("invalid", path_text, what.replace("field `", f"header `{PREFIX}"), 0) from None
    return [_event(event, PREFIX, 0, body.strip())]


def binary_sketch(headers: Mapping[str, str]) -> bytes:
    """The ``ce-`` headers as a JSON object, for the rejection record of a refused request."""
    return msgspec.json.encode({name.removeprefix(PREFIX): v for name, v in headers.items() if name.startswith(PREFIX)})


def structured_sketch(body: bytes) -> list[bytes]:
    """The JSON text of each event in a body. Raises msgspec.DecodeError or a UnicodeDecodeError."""
    return [bytes(raw) for raw in _raws.decode(body)] if is_batch(body) else [body]


def _event(event: CloudEvent, at: str, index: int, unread: bytes = b"") -> RawEvent:
    """Translate one CloudEvent. ``at``: JSON path of its attributes; ``unread``: data that is not parsed as JSON
    yet."""

    def place(attribute: str) -> str:
        if at == PREFIX:
            return {"data": "$", "datacontenttype": "content-type"}.get(attribute, PREFIX + attribute)
        return f"{at}.{attribute}"

    def refused(attribute: str, detail: str) -> Refused:
        return Refused("invalid", place(attribute), detail, index)

    if event.specversion != "1.0":
        raise refused("specversion", f"{event.specversion[:20]!r} is not understood; send CloudEvents 1.0")
    if not event.source:
        raise refused("source", "empty; CloudEvents need a source, which with id makes the identity")
    data, where = bytes(event.data), "data"
    if event.data_base64 is not None:
        where = "data_base64"
        if data != b"null":
            raise refused(where, "stands beside data; send one of them")
        try:
            unread = b64decode(event.data_base64, validate=True).strip()
        except (Base64Error, ValueError):
            raise refused(where, "is not base64") from None
    if (unread or data != b"null") and not is_json(event.datacontenttype):
        kind = str(event.datacontenttype)[:80]
        raise refused("datacontenttype", f"data of {kind!r} cannot be metered; send a JSON object, application/json")
    if unread:
        _check_json(unread, place(where), index)
        data = unread
    if data == b"null":
        data = b"{}"
    elif not data.startswith(b"{"):
        raise refused(where, "not a JSON object; send the properties as one, {} for none")
    return RawEvent(
        event_name=event.type,
        properties=msgspec.Raw(data),
        account_id=event.subject,
        idempotency_key=event.id,
        timestamp=event.time,
        source=event.source,
    )


def is_json(content_type: str | None) -> bool:
    """Whether a media type denotes JSON; data without a media type is JSON."""
    if content_type is None or not content_type.strip():
        return True
    subtype = content_type.split(";")[0].strip().lower().rpartition("/")[2]
    return subtype == "json" or subtype.endswith("+json")


def _check_json(data: bytes, path: str, index: int) -> None:
    try:
        msgspec.json.decode(data, type=msgspec.Raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refused("malformed", path, f"the data is not JSON: {error}", index) from None


def _header_value(name: str, value: str) -> str:
    """Decode an attribute's header value: possibly quoted, percent-encoded UTF-8 (HTTP protocol binding, 3.1.3.2)."""
    if len(value) >= 2 and value[0] == value[-1] == '"':
        value = _ESCAPED.sub(r"\1", value[1:-1])
    try:
        return unquote_to_bytes(value.encode("latin-1")).decode()
    except UnicodeError:
        raise Refused("invalid", name, "not UTF-8; percent-encode what is beyond ASCII", 0) from None


def peer_path(path: str | None, *, batch: bool, binary: bool) -> str | None:
    """Translate a path in a native request to the CloudEvents request; other paths are unchanged."""
    match = _NATIVE_PATH.match(path or "")
    if match is None:
        return path
    name, remainder = _NAMES[match["field"]], match["rest"]
    if binary:
        return f"${remainder}" if name == "data" else PREFIX + name
    return f"$[{match['index']}].{name}{remainder}" if batch else f"$.{name}{remainder}"


def answer_accepted() -> Response:
    """204 as OpenMeter answers; no keys are returned, since every CloudEvent has an id."""
    return Response(status_code=204)


def answer_refused(problem: Problem, path: str, *, batch: bool, binary: bool) -> Response:
    """The problem document as OpenMeter's clients expect it: status 400 for any fault of the events, with index and
    path also in ``extensions``. ``path``: the request's path."""
    document = problem.document()
    status = 400 if problem.status == 422 else problem.status
    if "path" in document:
        document["path"] = peer_path(document["path"], batch=batch, binary=binary)
    if problem.reason == "no_account":
        subject_path = "ce-subject" if binary else "subject"
        inside = "" if binary else "data."
        document["detail"] = problem.detail.replace("account_id,", f"{subject_path},", 1).replace("properties.", inside)
    extensions = {name: document[name] for name in ("reason", "index", "path") if name in document}
    document |= {"status": status, "title": Problem(status, "", "").document()["title"], "instance": path}
    document["extensions"] = extensions
    return Response(msgspec.json.encode(document), status, headers=problem.headers, media_type=MEDIA_TYPE)
