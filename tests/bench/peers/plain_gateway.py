"""The plain way to build such a gateway: FastAPI, a pydantic model, one produce an event, an answer after the delivery
report.

Run by ``bench_gateway.py``; environment: BENCH_KAFKA, BENCH_TOPIC, BENCH_PORT.
"""

from __future__ import annotations

import asyncio
import os
import threading
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated, Any

import uvicorn
from confluent_kafka import Producer
from fastapi import FastAPI
from pydantic import BaseModel, Field


class Event(BaseModel):
    """An event as the client sends it."""

    event_name: Annotated[str, Field(min_length=1, max_length=256)]
    account_id: Annotated[str, Field(min_length=1, max_length=256)]
    idempotency_key: Annotated[str, Field(min_length=1, max_length=256)]
    timestamp: datetime | None = None
    properties: dict[str, Any] = {}


class Batch(BaseModel):
    """1 to 100 events."""

    events: Annotated[list[Event], Field(min_length=1, max_length=100)]


TOPIC = os.environ["BENCH_TOPIC"]
producer = Producer(
    {
        "bootstrap.servers": os.environ["BENCH_KAFKA"],
        "acks": "all",
        "enable.idempotence": True,
        "linger.ms": 5,
        "compression.type": "lz4",
    }
)


@asynccontextmanager
async def lifespan(_: FastAPI):
    """Polls for delivery reports in a thread."""

    def poll() -> None:
        while True:
            producer.poll(0.05)

    threading.Thread(target=poll, daemon=True).start()
    yield


app = FastAPI(lifespan=lifespan)


async def deliver(events: list[Event]) -> None:
    """Produce each and wait for all reports."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    waiting = len(events)

    def reported() -> None:
        nonlocal waiting
        waiting -= 1
        if not waiting:
            done.set_result(None)

    def report(error: Any, _message: Any) -> None:
        assert error is None, error
        loop.call_soon_threadsafe(reported)

    for event in events:
        producer.produce(TOPIC, event.model_dump_json().encode(), event.idempotency_key.encode(), on_delivery=report)
    await done


@app.post("/v1/events/batch", status_code=202)
async def batch(body: Batch) -> dict[str, Any]:
    """All of a batch."""
    await deliver(body.events)
    return {"accepted": len(body.events), "idempotency_keys": [event.idempotency_key for event in body.events]}


@app.post("/v1/events", status_code=202)
async def single(event: Event) -> dict[str, Any]:
    """One event."""
    await deliver([event])
    return {"accepted": 1, "idempotency_key": event.idempotency_key}


if __name__ == "__main__":
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(os.environ["BENCH_PORT"]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )
