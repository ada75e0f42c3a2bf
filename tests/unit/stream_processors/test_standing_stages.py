"""A stage that stands still for a minute with work before it says so, with its place and its error."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from schemas.errors import EXIT_HELD
from schemas.health.stages import Stage, stalled
from schemas.ledgers.errors import LedgerUnavailable
from stream_processors import threads
from stream_processors.takes import units_of
from stream_processors.threads import Work, in_thread
from stream_processors.upkeep.worker_health import stage_of


def stage(*, busy: bool = True, moved_at: float = 0.0, trouble: str = "no answer") -> Stage:
    return Stage(
        "admission", lambda: busy, lambda: moved_at, lambda: trouble, lambda: "usage.inbox.shop partition 1 offset 7"
    )


@pytest.mark.parametrize(
    ("how", "now", "stands"),
    [
        ({}, 59.0, False), ({}, 61.0, True), ({"busy": False}, 900.0, False), ({"moved_at": 30.0}, 80.0, False),
        ({"trouble": ""}, 59.0, False), ({"trouble": ""}, 61.0, True),
    ],
)  # fmt: skip
def test_after_a_minute_with_an_error_or_without(how: dict[str, Any], now: float, stands: bool) -> None:
    assert bool(list(stalled([stage(**how)], now, 0))) == stands


@pytest.mark.parametrize(("trouble", "stands"), [("", False), ("waiting for metering", True)])
def test_an_answer_of_clickhouse_is_a_step_but_for_what_waits(trouble: str, stands: bool) -> None:
    """A long piece of work asks many times, and so does what waits for a condition."""
    work: Any = SimpleNamespace(busy=True, moved_at=0.0, trouble="", position="checkpoint 7")
    journal: Any = SimpleNamespace(trouble=trouble, answered_at=100.0)
    assert bool(list(stalled([stage_of("roll-up", work, journals=(journal,))], 110.0, 0))) is stands
    assert list(stalled([stage_of("roll-up", work, journals=(journal,))], 170.0, 0))


def test_the_reason_says_which_since_when_where_and_why() -> None:
    [reason] = stalled([stage()], 90.0, 1_790_000_000_000_000)
    assert reason.lasting
    for item in ("admission", "90 s", "2026-09-21T14:11:50Z", "partition 1 offset 7", "no answer"):
        assert item in reason.detail


def test_what_is_tried_again_is_told_until_it_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "RETRY_SECONDS", 0.0)
    work, observed = Work(), []

    def call() -> str:
        observed.append((work.busy, work.trouble))
        if len(observed) < 3:
            raise LedgerUnavailable("Kafka is away")
        return "done"

    async def run() -> None:
        with work:
            assert await in_thread(ThreadPoolExecutor(1), "admit", call, work) == "done"

    asyncio.run(run())
    assert observed == [(True, ""), (True, "Kafka is away"), (True, "Kafka is away")]
    assert (work.busy, work.trouble) == (False, "")


def test_what_no_repetition_mends_ends_the_process_to_be_held(monkeypatch: pytest.MonkeyPatch) -> None:
    from schemas.errors import CannotGoOn

    ended: list[tuple[str, int]] = []

    class Ended(BaseException):
        pass

    def end(why: str, code: int = 70) -> None:
        ended.append((why, code))
        raise Ended

    monkeypatch.setattr(threads, "RETRY_SECONDS", 0.0)
    monkeypatch.setattr(threads, "GIVE_UP_SECONDS", -1.0)
    monkeypatch.setattr(threads, "end_hard", end)

    def call() -> None:
        raise CannotGoOn("usage.events.1: not authorised; give it the rights")

    async def run() -> None:
        await in_thread(ThreadPoolExecutor(1), "admit", call)

    with pytest.raises(Ended):
        asyncio.run(run())
    assert ended == [("admit cannot go on: usage.events.1: not authorised; give it the rights", EXIT_HELD)]


def test_an_empty_record_that_comes_first_is_taken() -> None:
    """It had no unit to be in, and the agent crashed."""
    events = [SimpleNamespace(message=SimpleNamespace(value=value)) for value in (b"", b"x")]
    assert units_of(events) == [events]
