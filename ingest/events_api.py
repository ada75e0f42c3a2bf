"""POST /v1/events and /v1/events/batch: the hot path, in the order in which an event takes it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from ingest.auth import Guard
from ingest.bodies import BadBody, read_body
from ingest.delivery import Delivery, NotDelivered
from ingest.metrics import Metrics
from ingest.problems import Problem, of_refusal, unavailable
from ingest.producer import LoopProducer
from ingest.refusals import Sampler, rejection
from schemas.acceptance import AcceptedEvent, RawEvent, Refused, accept, decode_batch, decode_event
from schemas.catalog.follower import CatalogFollower
from schemas.catalog.models import Namespace
from schemas.codec import CodecError, codec
from schemas.sketch import Sketch, sketch
from schemas.topics import REJECTED

log = logging.getLogger(__name__)

NAMESPACE_HEADER: Final = "weir-namespace"
CATALOG_FRESH_SECONDS: Final = 5.0
_REFUSAL_WAIT: Final = 1.0
_rejected = codec("rejected_event")


@dataclass(frozen=True, slots=True)
class Sources:
    """The outside world that acceptance depends on: microseconds UTC, fresh idempotency keys, 16 random bytes."""

    now_us: Callable[[], int]
    new_key: Callable[[], str]
    new_id: Callable[[], bytes]


class EventsApi:
    """Both event endpoints."""

    def __init__(
        self, guard: Guard, catalog: CatalogFollower, delivery: Delivery, producer: LoopProducer,
        metrics: Metrics, sources: Sources, default_namespace: str,
    ) -> None:  # fmt: skip
        self._guard = guard
        self._catalog = catalog
        self._delivery = delivery
        self._producer = producer
        self._metrics = metrics
        self._sources = sources
        self._default_namespace = default_namespace
        self._sampler = Sampler()

    async def post_event(self, request: Request) -> Response:
        """One event; 202 once it is in Kafka."""
        return await self._answer(request, decode_event, single=True)

    async def post_batch(self, request: Request) -> Response:
        """1 to 100 events, all or none; 202 once all are in Kafka."""
        return await self._answer(request, decode_batch, single=False)

    async def _answer(self, request: Request, decode: Callable[[bytes], list[RawEvent]], *, single: bool) -> Response:
        started = asyncio.get_running_loop().time()
        try:
            accepted = await self._take(request, decode, single)
            keys = [event.idempotency_key for event in accepted]
            self._metrics.events_accepted.inc(len(keys))
            answer: dict[str, Any] = {"accepted": len(keys)}
            answer |= {"idempotency_key": keys[0]} if single else {"idempotency_keys": keys}
            response = Response(msgspec.json.encode(answer), 202, media_type="application/json")
        except Problem as problem:
            response = problem.response()
        except Exception:
            log.exception("an event request failed")
            response = Problem(500, "internal", "the gateway failed; its log says more").response()
        self._metrics.requests.labels(str(response.status_code)).inc()
        self._metrics.request_seconds.observe(asyncio.get_running_loop().time() - started)
        return response

    async def _take(
        self, request: Request, decode: Callable[[bytes], list[RawEvent]], single: bool
    ) -> Sequence[AcceptedEvent]:
        self._guard.check(request.headers.get("authorization"))
        namespace = request.headers.get(NAMESPACE_HEADER) or self._default_namespace
        settings = self._settings(namespace)
        body = b""
        try:
            body = await read_body(request)
            # From here to ``send`` nothing awaits: the offset that travels with the events is that of the catalog
            # whose settings accepted them, and offsets never go back within a partition of this gateway.
            if not self._catalog.fresh(CATALOG_FRESH_SECONDS):
                raise unavailable("this gateway has lost sight of the catalog")
            offset = self._catalog.catalog.next_offset
            settings = self._catalog.catalog.view(namespace, offset).settings
            accepted = accept(
                namespace,
                settings,
                decode(body),
                now_us=self._sources.now_us(),
                mint_key=lambda _index: self._sources.new_key(),
                single=single,
            )
        except Refused as refused:
            told = sketch(body, refused.index, settings, single=single)
            await self._record(namespace, refused.reason, str(refused), told, body)
            raise of_refusal(refused) from None
        except BadBody as bad:
            await self._record(namespace, bad.reason, bad.detail, Sketch(), bad.sample)
            raise
        try:
            await self._delivery.send(namespace, offset, accepted)
        except NotDelivered as error:
            raise unavailable(str(error), [event.idempotency_key for event in accepted]) from None
        return accepted

    def _settings(self, namespace: str) -> Namespace:
        view = self._catalog.catalog.view(namespace)
        if not view.known:
            raise Problem(
                404,
                "unknown_namespace",
                f"no namespace {namespace[:80]!r}; declare it with `weir apply`, or name another in {NAMESPACE_HEADER}",
            )
        return view.settings

    async def _record(self, namespace: str, reason: str, detail: str, told: Sketch, body: bytes) -> None:
        """Put the refusal on usage.rejected; the answer waits at most a second for it."""
        self._metrics.events_refused.labels(reason).inc(told.events)
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
            value = _rejected.encode(rejection(namespace, reason, detail, told, sample, now_us, self._sources.new_id()))
        except CodecError as error:
            done(str(error))
            return
        self._producer.produce(REJECTED, value, done, key=told.account_id.encode() or None)
        await asyncio.wait({delivered}, timeout=_REFUSAL_WAIT)
