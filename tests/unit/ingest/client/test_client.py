"""The producer library's rules: what is retried, when, what a refusal means for each event; and its queues against a
gateway that fails as gateways do."""

from __future__ import annotations

import asyncio
import gzip
import json
import random
import threading
from collections import Counter
from decimal import Decimal
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

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
from ingest.client.buffer import Buffer, Waiting, after_refusal
from ingest.client.sending import FIRST_PAUSE, LONGEST_PAUSE, BatchResult, Sending, pause_before
from ingest.client.wire import AttemptAnswer, WireEvent, answer_of, body_of, item_of

jitters = st.floats(0, 1, exclude_max=True)


@given(st.integers(1, 10**6), st.floats(0, 3600), jitters)
def test_a_pause_is_bounded_and_never_shorter_than_the_gateway_asked(attempt: int, asked: float, jitter: float) -> None:
    pause = pause_before(attempt, asked, jitter)
    assert pause >= asked
    assert pause <= max(LONGEST_PAUSE, asked * 1.1)
    assert pause >= FIRST_PAUSE / 2


@given(st.lists(st.sampled_from([0, 429, 500, 503]), max_size=20), st.sampled_from([202, 400, 401, 413, 422]), jitters)
def test_a_batch_is_tried_until_its_answer_is_final(before: list[int], last: int, jitter: float) -> None:
    sending = Sending(3, [WireEvent("k", b"{}")], "http://x", None, 0.0)
    for status in before:
        assert isinstance(sending.take(AttemptAnswer(status, 0.0, b"no"), 0.0, jitter), float)
    body = b'{"accepted": 1}' if last == 202 else b'{"detail": "no", "index": 0, "path": "$.events[0].x"}'
    result = sending.take(AttemptAnswer(last, 0.0, body), 0.0, jitter)
    assert isinstance(result, BatchResult)
    assert (result.number, result.keys, result.attempts) == (3, ("k",), len(before) + 1)
    assert (result.accepted, result.refusal is None) == ((1, True) if last == 202 else (0, False))


def test_the_deadline_ends_the_trying_with_the_keys() -> None:
    sending = Sending(0, [WireEvent("a", b"{}"), WireEvent("b", b"{}")], "http://x", 10.0, 100.0)
    assert isinstance(sending.take(AttemptAnswer(503, 0.0, b'{"detail": "busy"}'), 105.0, 0.5), float)
    with pytest.raises(GatewayUnavailable, match=r"2 attempts \(503 busy\)") as caught:
        sending.take(AttemptAnswer(503, 6.0, b'{"detail": "busy"}'), 105.0, 0.5)
    assert caught.value.keys == ("a", "b")


@pytest.mark.parametrize(
    ("value", "seconds"), [("3", 3.0), ("0.5", 0.5), ("-1", 0.0), ("Wed, 21 Oct 2026 07:28:00 GMT", 0.0)]
)
def test_retry_after_is_read_in_seconds(value: str, seconds: float) -> None:
    assert answer_of(503, {"retry-after": value}, b"").retry_after == seconds


def test_an_event_gets_its_key_once_and_keeps_every_digit() -> None:
    item = item_of({"event_name": "e", "properties": {"v": Decimal("0.10")}}, lambda: "made")
    assert json.loads(item.body, parse_float=Decimal) == {
        "event_name": "e", "properties": {"v": Decimal("0.10")}, "idempotency_key": "made",
    }  # fmt: skip
    assert item_of({"idempotency_key": "own"}, lambda: "made").key == "own"
    assert json.loads(body_of([item, item]))["events"][1]["idempotency_key"] == "made"


def waiting(count: int) -> list[Waiting[int]]:
    return [Waiting(WireEvent(str(number), b"{}"), number, 0.0) for number in range(count)]


@given(st.integers(1, 100), st.sets(st.integers(0, 99)), st.integers(1, 100))
def test_every_event_of_refused_batches_is_decided_once(count: int, poison: set[int], limit: int) -> None:
    decided: Counter[int] = Counter()
    accepted: set[int] = set()
    todo = [waiting(count)]
    while todo:
        batch = todo.pop()
        bad = [index for index, item in enumerate(batch) if item.ticket in poison]
        if len(batch) > limit:
            verdict = after_refusal(batch, Refusal(413, {}))
        elif bad:
            verdict = after_refusal(batch, Refusal(422, {"index": bad[0]}))
        else:
            decided.update(item.ticket for item in batch)
            accepted.update(item.ticket for item in batch)
            continue
        decided.update(item.ticket for item in verdict.refused)
        todo += verdict.again
    assert decided == Counter(range(count))
    assert accepted == set(range(count)) - poison


def test_a_refusal_without_index_is_everybodys() -> None:
    batch = waiting(3)
    for refusal in (Refusal(400, {}), Refusal(401, {"index": 1}), Refusal(422, {"index": 7}), Refusal(413, {})):
        verdict = after_refusal(batch[:1] if refusal.status == 413 else batch, refusal)
        assert (list(verdict.refused), verdict.again) == (batch[:1] if refusal.status == 413 else batch, [])


@given(st.lists(st.integers(1, 700_000), max_size=30), st.integers(1, 100))
def test_a_buffer_gives_everything_in_order_in_bounded_batches(sizes: list[int], limit: int) -> None:
    buffer: Buffer[int] = Buffer(batch=limit, interval=1.0)
    for number, size in enumerate(sizes):
        buffer.add(WireEvent("k", b"x" * size), number, float(number))
    given_out: list[int] = []
    while batch := buffer.take():
        assert len(batch) <= limit
        assert len(batch) == 1 or sum(len(item.item.body) for item in batch) <= 1024 * 1024
        given_out += [item.ticket for item in batch]
    assert given_out == list(range(len(sizes)))


def test_a_batch_is_due_when_it_is_full_or_has_waited() -> None:
    buffer: Buffer[None] = Buffer(batch=2, interval=1.0)
    assert buffer.due_in(5.0) is None
    buffer.add(WireEvent("a", b""), None, 5.0)
    assert (buffer.due_in(5.25), buffer.due_in(7.0)) == (0.75, 0.0)
    buffer.add(WireEvent("b", b""), None, 5.5)
    assert buffer.due_in(5.5) == 0.0


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
