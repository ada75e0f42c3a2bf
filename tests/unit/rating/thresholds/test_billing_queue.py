"""Whose interim invoices are made next, and what becomes of those that fail."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from rating.close import CloseError
from rating.thresholds.billing_queue import MOST_AT_ONCE, TRIES, BillingQueue
from rating.thresholds.threshold_biller import BillerMetrics, ThresholdBiller
from schemas.health.stages import Attempts
from schemas.settings import Settings


@given(st.integers(1, 7), st.integers(1, 450), st.data())
@settings(max_examples=50)
def test_one_that_always_fails_is_given_up_alone_and_keeps_none_from_its_turn(
    neighbours: int, count: int, data: st.DataObject
) -> None:
    bad = str(data.draw(st.integers(0, count - 1)))
    queue, now, turns, billed, given_up = BillingQueue(), 0.0, 0, set[tuple[str, str]](), 0
    queue.add("noisy", map(str, range(count)))
    for number in range(neighbours):
        queue.add(f"quiet{number}", ["s"])
    while len(queue):
        turn = queue.take(now)
        if turn is None:
            pause = queue.seconds(now)
            assert pause is not None
            assert 0 < pause <= 300
            now += pause
            continue
        turns += 1
        namespace, subscriptions = turn
        assert 0 < len(subscriptions) <= MOST_AT_ONCE
        if namespace == "noisy" and bad in subscriptions:
            given_up += not queue.failed(namespace, subscriptions, now)
        else:
            queue.done(namespace, subscriptions)
            billed |= {(namespace, subscription) for subscription in subscriptions}
        if turns == neighbours + 1:
            assert {name for name, _ in billed} >= {f"quiet{number}" for number in range(neighbours)}
    assert given_up == 1
    assert len(billed) == neighbours + count - 1
    # Between two tries its lots shrink to it and grow again: 48 turns at the worst, over all of these sizes.
    assert turns <= neighbours + 8 * TRIES
    queue.add("noisy", [bad])
    while (turn := queue.take(now)) is None:
        now += queue.seconds(now) or 1
    assert turn == ("noisy", {bad}), "its usage changed"


def test_a_namespace_has_one_turn_at_once_and_what_comes_meanwhile_waits() -> None:
    queue = BillingQueue()
    queue.add("air", ["a"])
    assert queue.take(0) == ("air", {"a"})
    queue.add("air", ["a", "b"])
    assert (queue.take(0), queue.seconds(0)) == (None, None)
    queue.done("air", ["a"])
    assert (queue.seconds(0), queue.take(0)) == (0, ("air", {"a", "b"}))
    queue.done("air", ["a", "b"])
    assert (queue.take(0), queue.seconds(0), len(queue)) == (None, None, 0)


def test_the_biller_tries_again_what_fails_says_so_and_goes_on_with_others(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("rating.thresholds.billing_queue._FIRST_PAUSE", 0.001)
    registry, attempts, held = CollectorRegistry(), Attempts(lambda: 0.0), threading.Event()
    closes: list[tuple[str, frozenset[str]]] = []
    standing: list[bool] = []

    def close(namespace: str, subscriptions: frozenset[str]) -> Any:
        closes.append((namespace, subscriptions))
        if namespace == "slow":
            held.wait(30)
        if namespace == "bad":
            standing.append(bool(list(attempts.stages("", lambda: ""))))
            raise CloseError("rows are missing")
        invoice = SimpleNamespace(invoice_id="inv_1", subscription="s", total=Decimal(1))
        return SimpleNamespace(invoices=[invoice], problems=())

    def count(outcome: str) -> float:
        return registry.get_sample_value("weir_threshold_closes_total", {"outcome": outcome}) or 0

    async def course(biller: ThresholdBiller) -> None:
        running = asyncio.create_task(biller.run())
        await asyncio.to_thread(biller.reached, "slow", ["s"])
        await _until(lambda: len(closes) == 1)
        for namespace in ("bad", "good"):
            biller.reached(namespace, ["s"])
        await _until(lambda: count("failed") == TRIES and count("billed") == 1)
        held.set()
        await _until(lambda: count("billed") == 2)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(course(ThresholdBiller(Settings(), attempts, BillerMetrics(registry), close)))
    assert standing == [False] + [True] * (TRIES - 1), "shown by /readyz until it is given up"
    assert list(attempts.stages("", lambda: "")) == []
    assert sum("subscription s has no interim invoice until" in record.getMessage() for record in caplog.records) == 1
    assert registry.get_sample_value("weir_threshold_waiting") == 0


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110  of another thread
            await asyncio.sleep(0.005)
