"""Handles event requests: decode, judge, send to Kafka, respond. Formats differ only in their ``Door``.

POST /v1/events and /v1/events/batch have the native formats; those of other systems are in ``ingest/protocols``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from ingest.catalog.just_published import caught_up
from ingest.delivery.in_flight import Delivery, NotDelivered
from ingest.delivery.loop_producer import LoopProducer
from ingest.events.refusals import Sampler, rejection
from ingest.gateway_metrics import GatewayMetrics
from ingest.http.auth import NAMESPACE_HEADER, AdmittedRequest, Guard
from ingest.http.bodies import BadBody
from ingest.http.gateway_problems import Problem, of_refusal, unavailable, unknown_parameters
from ingest.sources import Sources
from schemas.catalog.follower import CatalogFollower
from schemas.catalog.models import Namespace
from schemas.catalog.state import NamespaceView
from schemas.events.acceptance import AcceptedEvent
from schemas.events.accepted_columns import AcceptedColumns
from schemas.events.column_acceptance import accept_columns
from schemas.events.event_types import event_types
from schemas.events.measurable import Warned, measurable
from schemas.events.raw_events import RawEvent, Refused, decode_batch, decode_event
from schemas.events.refused_body import Sketch, sketch
from schemas.events.rejections import rejection_record
from schemas.health.readiness import Readiness, UnreadyReason
from schemas.http.api_keys import Access
from schemas.http.parameters import WrongParameter, wrong_parameters
from schemas.http.scopes import INGEST
from schemas.kafka.codec import CodecError
from schemas.kafka.topics import REJECTED
from schemas.values.json_text import JsonObject

log = logging.getLogger(__name__)

_REFUSAL_WAIT: Final = 1.0
_BY_EVENT_TYPES: Final = frozenset({"unknown_event", "schema"})
"""Reasons of refusals that an event type which was declared at another gateway just now may have changed."""


Taken = tuple[int, Response]
"""How many events are in Kafka, and what their sender is answered."""


class Door(Protocol):
    """A request format: how its requests are decoded and answered. Everything in between is common to all formats."""

    single: bool  # shortens the JSON paths of errors

    def wrong_query(self, request: Request) -> list[WrongParameter]:
        """Query parameters that the request must not have."""

    def decode(self, body: bytes, view: NamespaceView) -> list[RawEvent]:
        """The events of a body. Raises Refused."""

    def tell(self, body: bytes, index: int | None, settings: Namespace) -> Sketch:
        """What can be extracted from a refused body for its rejection record; never raises."""

    def answer(self, accepted: AcceptedColumns, warned: Sequence[Warned]) -> Response:
        """The response for when all events are in Kafka; ``warned``: events that some profile cannot measure."""

    def refuse(self, problem: Problem) -> Response:
        """The response if nothing was accepted or the outcome is unknown."""


class Native:
    """The native formats: one event, or ``{"events": [1 to 100]}``."""

    def __init__(self, decode: Callable[[bytes], list[RawEvent]], *, single: bool) -> None:
        self._decode = decode
        self.single = single

    def wrong_query(self, request: Request) -> list[WrongParameter]:
        """See Door: no query parameters are allowed."""
        return wrong_parameters(request, {})

    def decode(self, body: bytes, _view: NamespaceView) -> list[RawEvent]:
        """See Door."""
        return self._decode(body)

    def tell(self, body: bytes, index: int | None, settings: Namespace) -> Sketch:
        """See Door."""
        return sketch(body, index, settings, single=self.single)

    def answer(self, accepted: AcceptedColumns, warned: Sequence[Warned]) -> Response:
        """202 with all keys, including generated ones, and any ``warnings``."""
        keys = accepted.keys
        body: JsonObject = {"accepted": len(keys)}
        body |= {"idempotency_key": keys[0]} if self.single else {"idempotency_keys": keys}
        if warned:
            body["warnings"] = [warning.to_json(single=self.single) for warning in warned]
        return Response(msgspec.json.encode(body), 202, media_type="application/json")

    def refuse(self, problem: Problem) -> Response:
        """See Door."""
        return problem.response()


EVENT: Final = Native(decode_event, single=True)
BATCH: Final = Native(decode_batch, single=False)


class EventsApi:
    """Handles a request from its headers to its events' delivery in Kafka."""

    def __init__(
        self,
        *,
        guard: Guard,
        catalog: CatalogFollower,
        delivery: Delivery,
        producer: LoopProducer,
        metrics: GatewayMetrics,
        sources: Sources,
        ready: Readiness,
    ) -> None:
        self._guard = guard
        self._catalog = catalog
        self._delivery = delivery
        self._producer = producer
        self._metrics = metrics
        self._sources = sources
        self._ready = ready
        self._sampler = Sampler()

    async def answer(self, request: Request, door: Door) -> Response:
        """Answer a request in the format of ``door``; 2xx once all its events are in Kafka."""
        started = asyncio.get_running_loop().time()
        admitted: AdmittedRequest | None = None
        try:
            admitted = await self._guard.admit(request)
            await self._guard.begin(admitted)
            events, response = await self._take(request, door, admitted)
            self.count_accepted(events)
        except Problem as problem:
            response = door.refuse(problem)
        except Exception:
            log.exception("an event request failed")
            response = door.refuse(Problem(500, "internal", "the gateway failed; its log says more"))
        finally:
            if admitted is not None:
                self._guard.answered(admitted)
        self._metrics.answered(response.status_code)
        self._metrics.request_seconds.observe(asyncio.get_running_loop().time() - started)
        return response

    async def _take(self, request: Request, door: Door, admitted: AdmittedRequest) -> Taken:
        access = self._guard.allow(admitted, INGEST)
        namespace, _ = await self.target(request, access)
        if request.scope.get("query_string") and (wrong := door.wrong_query(request)):
            raise unknown_parameters(wrong)
        try:
            if (body := await self._guard.small_body(request, access)) is not None:
                return await self._judged(admitted, namespace, body, door)
            async with self._guard.body(request, access, namespace) as body:
                return await self._judged(admitted, namespace, body, door)
        except BadBody as bad:
            await self.record(namespace, bad.reason, bad.detail, Sketch(), bad.sample)
            raise

    async def _judged(self, admitted: AdmittedRequest, namespace: str, body: bytes, door: Door) -> Taken:
        try:
            offset, view, accepted = self._accepted(namespace, body, door)
        except Refused as refused:
            if refused.reason not in _BY_EVENT_TYPES or not await self._guard.second_looks.due(namespace):
                raise await self._refused(admitted, namespace, body, door, refused) from None
            try:
                offset, view, accepted = self._accepted(namespace, body, door)
            except Refused as again:
                raise await self._refused(admitted, namespace, body, door, again) from None
        # There is no await from the catalog's offset to ``send``: the events carry the offset of the very catalog that
        # accepted them, and offsets never decrease within a partition of this gateway.
        keys = accepted.keys
        self._guard.spend(admitted.access, events=len(keys))
        try:
            delivered = self._delivery.send(namespace, offset, accepted)
            self._guard.sent(admitted)
            # Made while waiting for Kafka, so that the events' memory serves the next requests meanwhile.
            response = door.answer(accepted, measurable(view).warnings(accepted))
            del accepted
            await delivered
        except NotDelivered as error:
            raise unavailable(str(error), keys) from None
        return len(keys), response

    def _accepted(self, namespace: str, body: bytes, door: Door) -> tuple[int, NamespaceView, AcceptedColumns]:
        """The events by the catalog as it is, with its next offset and the namespace's view. Raises Refused, Problem
        (503)."""
        if (reason := self.refusal()) is not None:
            raise unavailable(str(reason), cause=reason.name)
        offset = self._catalog.catalog.next_offset
        view = self._catalog.catalog.view(namespace, offset)
        accepted = accept_columns(
            namespace,
            view.settings,
            door.decode(body, view),
            now_us=self._sources.now_us(),
            mint_key=lambda _index: self._sources.new_key(),
            types=event_types(view),
            single=door.single,
        )
        return offset, view, accepted

    async def _refused(
        self, admitted: AdmittedRequest, namespace: str, body: bytes, door: Door, refused: Refused
    ) -> Problem:
        """The problem for a refused body, whose refusal is counted and recorded."""
        refused_body = door.tell(body, refused.index, self._catalog.catalog.view(namespace).settings)
        self._guard.spend(admitted.access, events=refused_body.events)
        await self.record(namespace, refused.reason, str(refused), refused_body, body)
        return of_refusal(refused)

    async def hand_over(self, namespace: str, judge: Callable[[NamespaceView], Sequence[AcceptedEvent]]) -> None:
        """Judge and send events; returns when all that ``judge`` accepted are in Kafka.

        Raises NotDelivered; judging and sending again is then safe, since deduplication drops copies.
        """
        if (reason := self.refusal()) is not None:
            raise NotDelivered(str(reason))
        offset = self._catalog.catalog.next_offset
        if accepted := judge(self._catalog.catalog.view(namespace, offset)):
            await self._delivery.send(namespace, offset, accepted)

    def refusal(self) -> UnreadyReason | None:
        """The reason why no events are accepted now, None if they are."""
        return self._ready.refusal()

    def count_accepted(self, events: int) -> None:
        """Add to the metric of accepted events."""
        self._metrics.events_accepted.inc(events)

    async def target(self, request: Request, access: Access) -> tuple[str, Namespace]:
        """The namespace that a request writes to, and its settings. Raises Problem."""
        namespace = self._guard.namespace(request, access)
        if not self._catalog.catalog.view(namespace).known:
            await caught_up(self._catalog)
        view = self._catalog.catalog.view(namespace)
        if not view.known:
            raise Problem(
                404,
                "unknown_namespace",
                f"no namespace {namespace[:80]!r}; declare it with `weir apply`, or name another in {NAMESPACE_HEADER}",
            )
        return namespace, view.settings

    async def record(self, namespace: str, reason: str, detail: str, refused_body: Sketch, body: bytes) -> None:
        """Produce a rejection record to usage.rejected; waits at most a second for its delivery."""
        self._metrics.events_refused.labels(reason).inc(refused_body.events)
        now_us = self._sources.now_us()
        sample = body if self._sampler.take(now_us) else b""
        delivered: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def done(error: str | None) -> None:
            if error is not None:
                self._metrics.refusals_unrecorded.inc()
                log.warning("a refusal is not on usage.rejected: %s", error)
            if not delivered.done():
                delivered.set_result(None)

        try:
            rejected = rejection(
                namespace, reason, detail, refused_body, sample, now_us=now_us, rejection_id=self._sources.new_id()
            )
            value = rejection_record(rejected)
        except CodecError as error:
            done(str(error))
            return
        self._producer.produce(REJECTED, value, done, key=refused_body.account_id.encode() or None)
        await asyncio.wait({delivered}, timeout=_REFUSAL_WAIT)
