"""Detects the format of requests to POST /api/v1/events and /api/v1/events/batch and delegates to its
implementation.

Content type and headers decide first, then the shape of the body: an array or ``specversion`` means CloudEvents,
``event`` or ``events`` means Lago. The path that ends in /batch is always Lago's.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from ingest.http.bodies import BadBody
from ingest.http.gateway_problems import MEDIA_TYPE, Problem
from ingest.protocols import cloudevents, lago
from schemas.catalog.models import Namespace
from schemas.catalog.state import NamespaceView
from schemas.events.accepted_columns import AcceptedColumns
from schemas.events.measurable import Warned
from schemas.events.raw_events import RawEvent, Refused, decode_json
from schemas.events.refused_body import Sketch, sketch_of
from schemas.http.parameters import WrongParameter, means_namespace, wrong_parameters

EVENTS: Final = "/api/v1/events"
WARNINGS_HEADER: Final = "Weir-Warnings"
_TOLD: Final = 10
BATCH: Final = "/api/v1/events/batch"
BodyFormat = Literal["binary", "structured", "lago", "lago_batch"]

# Default content types of HTTP clients, which say nothing about the format.
_UNTOLD: Final = frozenset({"", "text/plain", "application/x-www-form-urlencoded"})
_CHARSETS: Final = frozenset({"", "utf-8", "utf8", "us-ascii"})
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])


def format_by_headers(path: str, headers: Mapping[str, str]) -> BodyFormat | None:
    """The format according to path and headers (lower-case names); None if the body must decide.

    Raises ValueError for an unsupported content type; the message names the supported ones.
    """
    if path == BATCH:
        return "lago_batch"
    media_type, _, parameters = headers.get("content-type", "").partition(";")
    kind = media_type.strip().lower()
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset" and value.strip().strip('"').lower() not in _CHARSETS:
            raise ValueError(f"charset {value.strip()[:40]} is not understood; send UTF-8")
    if kind in ("application/cloudevents+json", "application/cloudevents-batch+json"):
        return "structured"
    if kind.startswith("application/cloudevents"):
        raise ValueError(f"{kind[:80]} is not understood; send application/cloudevents+json")
    if "ce-specversion" in headers or "ce-id" in headers:
        return "binary"
    if kind in _UNTOLD or cloudevents.is_json(kind):
        return None
    raise ValueError(f"{kind[:80]} is not understood; send application/cloudevents+json or application/json")


def format_by_shape(body: bytes) -> BodyFormat:
    """The format according to the shape of a JSON body. Raises Refused."""
    if cloudevents.is_batch(body):
        return "structured"
    fields = decode_json(_fields, body)
    if "specversion" in fields:
        return "structured"
    if "event" in fields:
        return "lago"
    if "events" in fields:
        return "lago_batch"
    detail = 'neither a CloudEvent (specversion) nor a Lago event ({"event": …}); events of Weir go to /v1/events'
    raise Refused("shape", "$", detail)


class Foreign:
    """The Door of one request, which detects its format on the way."""

    single = False

    def __init__(self, request: Request, now_us: Callable[[], int]) -> None:
        self._path: str = request.scope["path"]
        self._headers = {name.lower(): value for name, value in request.headers.items()}
        self._now_us = now_us
        self._batch = False
        self._lago: list[lago.LagoEventBody] = []
        self._unread = ""
        self._format: BodyFormat | None = None
        try:
            self._format = format_by_headers(self._path, self._headers)
        except ValueError as error:
            self._unread = str(error)

    def wrong_query(self, request: Request) -> list[WrongParameter]:
        """See ``events_api.Door``. Query parameters are ignored, since a CloudEvents sink may be any URL and
        senders add their own; except those that look like a choice of the namespace, because the events would go to
        another one."""
        return [parameter for parameter in wrong_parameters(request, {}) if means_namespace(parameter.name)]

    def decode(self, body: bytes, view: NamespaceView) -> list[RawEvent]:
        """See ``events_api.Door``."""
        if self._unread:
            raise BadBody(415, "media_type", self._unread, body)
        if self._format is None:
            self._format = format_by_shape(body)
        if self._format == "binary":
            return cloudevents.decode_binary(self._headers, body)
        if self._format == "structured":
            self._batch = cloudevents.is_batch(body)
            return cloudevents.decode_structured(body)
        self._lago = lago.decode(body, batch=self._format == "lago_batch")
        return lago.translate(self._lago, view, batch=self._format == "lago_batch")

    def tell(self, body: bytes, index: int | None, settings: Namespace) -> Sketch:
        """See ``ingest.events.events_api.Door``."""
        try:
            if self._format == "binary":
                return sketch_of([cloudevents.binary_sketch(self._headers)], 0, settings, cloudevents.FIELDS)
            if self._format == "structured":
                events = cloudevents.structured_sketch(body)
                return sketch_of(events, 0 if events == [body] else index, settings, cloudevents.FIELDS)
            if self._format is not None:
                batch = self._format == "lago_batch"
                return sketch_of(lago.elements(body, batch=batch), index if batch else 0, settings, lago.FIELDS)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError):
            return Sketch()
        return Sketch()

    def answer(self, accepted: AcceptedColumns, warned: Sequence[Warned]) -> Response:
        """See ``ingest.events.events_api.Door``. Warnings are returned in a header, since the peers' responses have no
        place for them."""
        if self._lago:
            answer = lago.answer_accepted(self._lago, accepted, self._now_us(), batch=self._format == "lago_batch")
        else:
            answer = cloudevents.answer_accepted()
        if warned:
            warnings = [
                {"index": warning.index, "profile": warning.profile_id, "reason": warning.reason}
                for warning in warned[:_TOLD]
            ]
            answer.headers[WARNINGS_HEADER] = json.dumps(warnings)
        return answer

    def refuse(self, problem: Problem) -> Response:
        """The refusal in the request's format; if that is not known yet, a document with the members of both."""
        if self._format in ("binary", "structured"):
            binary = self._format == "binary"
            return cloudevents.answer_refused(problem, self._path, batch=self._batch, binary=binary)
        if self._format is not None:
            return lago.answer_refused(problem, batch=self._format == "lago_batch")
        document = lago.members(problem, batch=False) | problem.document() | {"instance": self._path}
        return Response(msgspec.json.encode(document), problem.status, headers=problem.headers, media_type=MEDIA_TYPE)
