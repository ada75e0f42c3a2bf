"""The producer library's rules: what is retried, when, what a refusal means for each event; and its queues against a
gateway that fails as gateways do."""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.client import (
    GatewayUnavailable,
    Refusal,
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
