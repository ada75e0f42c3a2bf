"""Routes that void events: ``POST /v1/events/{idempotency_key}/void``, or with the key in the body. The effect is
decided by the ``meter`` agent."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any, Final

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ingest.catalog.catalog_problems import or_problem
from ingest.catalog.document import DocumentError, Fault, load_document
from ingest.catalog.openapi_bodies import VOID_BODY, VOID_OF_BODY
from ingest.delivery.in_flight import Route
from ingest.delivery.loop_producer import LoopProducer
from ingest.events.events_api import EventsApi
from ingest.http.auth import Guard
from ingest.http.gateway_problems import RETRY_AFTER, Problem
from schemas.events.identity import partition_of
from schemas.events.voids import MAX_REASON, EventVoid, encode_void
from schemas.http.api_keys import Access
from schemas.kafka.topics import generation_of
from schemas.usage_log.acknowledged import NOTHING_TAKEN, Acknowledged

MAX_TEXT: Final = 256
"""Maximum length of an idempotency key and of a source in characters, as for events."""
_MAX_BODY: Final = 64 * 1024
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class VoidsApi:
    """Handles requests to void events."""

    def __init__(
        self,
        guard: Guard,
        events: EventsApi,
        producer: LoopProducer,
        route: Callable[[], Route | None],
        acknowledged: Acknowledged | None = None,
    ) -> None:
        self._guard = guard
        self._events = events
        self._producer = producer
        self._route = route
        self._acknowledged = acknowledged

    async def take(self, request: Request, key: str | None) -> Response:
        """202 with the void's position, once it is in Kafka. ``key`` None: it is in the body. Raises Problem."""
        access: Access = request.state.access
        namespace, _ = await self._events.target(request, access)
        async with self._guard.body(request, access, namespace, _MAX_BODY) as body:
            self._guard.spend(access, events=1)
        void = or_problem(lambda: wanted(body, key, namespace, access.author))
        if (reason := self._events.refusal()) is not None:
            raise _again(str(reason))
        route = self._route()
        if route is None:
            raise _again("usage.events is being moved to another number of partitions")
        partition = partition_of(void.identity, route.partitions)
        offset = await self._produced(namespace, route.topic, partition, encode_void(void))
        generation = generation_of(route.topic)
        position = {"generation": generation, "partition": partition, "offset": offset}
        answer = {"idempotency_key": void.idempotency_key, "source": void.source, "reason": void.reason}
        return JSONResponse(answer | {"author": void.author, "position": position}, 202)

    async def _produced(self, namespace: str, topic: str, partition: int, value: bytes) -> int:
        delivered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        offsets: list[int] = []
        generation, counted = generation_of(topic), self._acknowledged
        taken = NOTHING_TAKEN if counted is None else counted.taken(generation, partition)

        def placed(offset: int) -> str | None:
            offsets.append(offset)
            return None if counted is None else counted.add(namespace, generation, partition, offset, 0, taken)

        def done(error: str | None) -> None:
            if not delivered.done():
                if error is None:
                    delivered.set_result(None)
                else:
                    delivered.set_exception(_again(error))

        self._producer.produce(topic, value, done, partition=partition, placed=placed)
        await delivered
        return offsets[0]

    @staticmethod
    def routes(app: FastAPI, api: Callable[[], VoidsApi]) -> None:
        """Register the routes on ``app``."""
        tags: list[Any] = ["events"]

        @app.post("/v1/events/void", status_code=202, tags=tags, summary="Void an event", openapi_extra=VOID_OF_BODY)
        async def void_of_body(request: Request) -> Response:
            """The same with the key in the body, for keys that a path cannot carry, such as "." or ".."."""
            return await api().take(request, None)

        @app.post(
            "/v1/events/{idempotency_key:path}/void",
            status_code=202,
            tags=tags,
            summary="Void an event",
            openapi_extra=VOID_BODY,
        )
        async def void(request: Request, idempotency_key: str) -> Response:
            """Void an accepted event: the last copy of its key and source that counted before. 202 once the void is
            in Kafka.

            Totals exclude the event as soon as the void is metered; invoices follow as for late usage. A void that
            matches no event, or a second void of one, is recorded on usage.rejected with the reason. The key stays
            used: send a correction under a key of its own.
            """
            return await api().take(request, idempotency_key)


def wanted(body: bytes, key: str | None, namespace: str, author: str) -> EventVoid:
    """The void requested by a body; ``key``: from the path. Raises DocumentError with every fault."""
    value = load_document(body, json_only=True)
    allowed = ("reason", "source") if key is not None else ("idempotency_key", "reason", "source")
    faults = [
        Fault(f"$.{name}", f"is not known; there are {', '.join(allowed)}") for name in value if name not in allowed
    ]
    if key is not None:
        value = value | {"idempotency_key": key}
    texts = {"source": ""} | value
    for name, longest, least in (("idempotency_key", MAX_TEXT, 1), ("reason", MAX_REASON, 1), ("source", MAX_TEXT, 0)):
        text = texts.get(name)
        if not isinstance(text, str):
            faults.append(Fault(f"$.{name}", "is missing" if text is None else "is not text"))
        elif not least <= len(text.strip() if name == "reason" else text) <= longest:
            faults.append(Fault(f"$.{name}", f"must have {least} to {longest} characters"))
        elif not _encodes(text) or _CONTROL.search(text):
            faults.append(Fault(f"$.{name}", "holds a control character or half of a surrogate pair; remove it"))
    if faults:
        raise DocumentError(*faults)
    return EventVoid(namespace, texts["source"], texts["idempotency_key"], texts["reason"].strip(), author)


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _again(why: str) -> Problem:
    return Problem(
        503,
        "unavailable",
        f"{why}; send the same void again: a second one of the same event does nothing",
        headers={"Retry-After": RETRY_AFTER},
    )
