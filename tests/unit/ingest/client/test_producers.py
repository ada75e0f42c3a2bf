"""Both producers of the client library against a gateway that refuses, and its history upload."""

from __future__ import annotations

import asyncio
import gzip
import json
import random
import threading
from collections import Counter
from typing import Any

import httpx
import pytest

from ingest.client import (
    AsyncClient,
    AsyncProducer,
    Client,
    GatewayUnavailable,
    Producer,
    QueueFull,
    Refusal,
    send_history,
)


class Faulty:
    """A gateway that loses answers and connections, is busy, and refuses events named "bad"."""

    def __init__(self, seed: int, faults: float = 0.4) -> None:
        self._random = random.Random(seed)
        self._faults = faults
        self._lock = threading.Lock()
        self.copies: Counter[str] = Counter()
        self.open = threading.Event()
        self.open.set()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.open.wait(30)
        with self._lock:
            return self._answer(request)

    async def later(self, request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0)
        return self(request)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        events = json.loads(request.content)["events"]
        for index, event in enumerate(events):
            if event["event_name"] == "bad":
                problem = {"detail": "bad", "index": index, "path": f"$.events[{index}].event_name"}
                return httpx.Response(422, json=problem)
        if self._random.random() < self._faults / 2:
            if self._random.random() < 0.5:
                raise httpx.ConnectError("refused")
            return httpx.Response(503, headers={"Retry-After": "0.001"}, json={"detail": "busy"})
        self.copies.update(event["idempotency_key"] for event in events)
        if self._random.random() < self._faults / 2:
            raise httpx.ReadError("killed after it had accepted")
        return httpx.Response(202, json={"accepted": len(events)})


def named(number: int, bad: set[int]) -> dict[str, Any]:
    return {"event_name": "bad" if number in bad else "good", "idempotency_key": f"k{number}", "properties": {}}


BAD = {0, 17, 18, 150}


def test_a_producer_decides_every_event_and_calls_back_once() -> None:
    gateway = Faulty(7)
    counter: Counter[str] = Counter()
    producer = Producer(
        "http://x",
        "key",
        transport=httpx.MockTransport(gateway),
        interval=0.001,
        on_delivery=lambda key, _error: counter.update([key]),
    )
    with producer:
        futures = [producer.produce(named(number, BAD)) for number in range(300)]
        assert producer.flush(60) == 0
        assert len(producer) == 0
    for number, future in enumerate(futures):
        error = future.exception(0)
        assert (error is not None) == (number in BAD)
        if isinstance(error, Refusal):
            assert error.problem["path"].endswith(".event_name")
    assert set(gateway.copies) == {f"k{number}" for number in range(300) if number not in BAD}
    assert counter == Counter(f"k{number}" for number in range(300))


def test_an_async_producer_decides_every_event_and_calls_back_once() -> None:
    gateway = Faulty(11)
    counter: Counter[str] = Counter()

    async def run() -> list[BaseException | None]:
        transport = httpx.MockTransport(gateway.later)
        async with AsyncProducer(
            "http://x",
            "key",
            transport=transport,
            interval=0.001,
            on_delivery=lambda key, _error: counter.update([key]),
        ) as producer:
            futures = [await producer.produce(named(number, BAD)) for number in range(300)]
            await producer.flush()
            assert len(producer) == 0
        return [future.exception() for future in futures]

    for number, error in enumerate(asyncio.run(run())):
        assert isinstance(error, Refusal) == (number in BAD)
    assert set(gateway.copies) == {f"k{number}" for number in range(300) if number not in BAD}
    assert counter == Counter(f"k{number}" for number in range(300))


def test_a_full_queue_raises_or_blocks_as_asked() -> None:
    gateway = Faulty(1, faults=0)
    gateway.open.clear()
    transport = httpx.MockTransport(gateway)
    with Producer("http://x", "key", transport=transport, max_queue=3, when_full="raise") as hasty:
        futures = [hasty.produce(named(number, set())) for number in range(3)]
        with pytest.raises(QueueFull):
            hasty.produce(named(3, set()))
        with Producer("http://x", "key", transport=transport, max_queue=1) as patient:
            futures.append(patient.produce(named(4, set())))
            with pytest.raises(QueueFull):
                patient.produce(named(5, set()), timeout=0.01)
            gateway.open.set()
            futures.append(patient.produce(named(6, set()), timeout=30))
    assert [future.result(0) for future in futures] == ["k0", "k1", "k2", "k4", "k6"]


def test_closing_sends_what_waits_and_names_what_it_could_not() -> None:
    full_faulty = Faulty(2, faults=0)
    producer = Producer("http://x", "key", transport=httpx.MockTransport(full_faulty), interval=3600)
    future = producer.produce({"event_name": "good"})
    producer.close()
    assert future.result(0) in full_faulty.copies
    dead = Producer("http://x", "key", transport=httpx.MockTransport(Faulty(3, faults=2.0)), interval=0.001)
    lost = dead.produce({"event_name": "good", "idempotency_key": "k"})
    dead.close(timeout=0.05)
    error = lost.exception(0)
    assert isinstance(error, GatewayUnavailable)
    assert error.keys == ("k",)


def test_both_clients_send_batches_alike() -> None:
    batches = [[named(number, {7}) for number in range(start, start + 5)] for start in range(0, 40, 5)]
    with Client("http://x", "key", transport=httpx.MockTransport(Faulty(5))) as client:
        blocking = client.send_batches(batches)

    async def run() -> Any:
        transport = httpx.MockTransport(Faulty(5).later)
        async with AsyncClient("http://x", "key", transport=transport) as client:
            return await client.send_batches(batches)

    for summary in (blocking, asyncio.run(run())):
        assert (summary.batches, summary.accepted, summary.refused) == (8, 35, 5)
        assert [item.number for item in summary.refusals] == [1]


def test_history_goes_on_from_the_last_acknowledged_line() -> None:
    script: list[Any] = [
        {
            "type": "summary",
            "complete": False,
            "accepted": 2,
            "refused": 1,
            "last_acknowledged_line": 3,
            "trouble": "stopping",
        },
        httpx.ReadError("killed"),
        {"type": "summary", "complete": True, "accepted": 1, "refused": 1, "last_acknowledged_line": 2},
        {"type": "summary", "complete": True, "accepted": 2, "refused": 0, "last_acknowledged_line": 2},
    ]
    sent: list[int] = []

    def gateway(request: httpx.Request) -> httpx.Response:
        sent.append(len(gzip.decompress(request.content).splitlines()))
        step = script.pop(0)
        if isinstance(step, Exception):
            raise step
        refused = {"type": "refused", "line": 2, "reason": "malformed", "path": "$", "detail": "no"}
        value = [refused] * step["refused"] + [step]
        return httpx.Response(200, content=b"".join(json.dumps(line).encode() + b"\n" for line in value))

    with Client("http://x", "key", transport=httpx.MockTransport(gateway)) as client:
        summary = send_history(client, [b"{}\n"] * 7, part=5)
    assert sent == [5, 2, 2, 2]
    assert (summary.lines, summary.accepted, summary.refused, summary.retries) == (7, 5, 2, 2)
    assert [item["line"] for item in summary.refusals] == [2, 5]
    with (
        Client(
            "http://x", "key", transport=httpx.MockTransport(lambda _: httpx.Response(409, json={"detail": "age"}))
        ) as client,
        pytest.raises(Refusal, match="409 age"),
    ):
        send_history(client, [b"{}"])
