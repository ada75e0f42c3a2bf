"""Who starts the process that backfills, and when again."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import Any

from schemas.catalog.backfill_jobs import waiting
from schemas.catalog.meters import Meter, Profile
from schemas.catalog.state import Catalog, record_of
from schemas.health.stages import stalled
from schemas.ledgers.checkpoints import Cut
from stream_processors.backfill.backfill_process import BackfillBeat, BackfillChild
from stream_processors.upkeep.worker_health import stage_of

FAILS = (sys.executable, "-c", "raise SystemExit(70)")
ENDS = (sys.executable, "-c", "")


def catalog_with(*models: tuple[str, Any, int | None]) -> Catalog:
    catalog = Catalog()
    for kind, model, start in models:
        publish(catalog, kind, model, start)
    return catalog


def publish(catalog: Catalog, kind: str, model: Any, start: int | None = None) -> None:
    offset = catalog.next_offset
    record = record_of("default", model, kind=kind, version=1, author="", claim_id="", valid_from_us=start)
    catalog.apply(record, offset, 1_000 + offset)


METER = Meter(code="m", profiles=(Profile(code="p", aggregation="count"),))


def ended(child: BackfillChild) -> None:
    """Wait until its process has ended; ``look`` still has to find out."""
    assert child.pid is not None
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)


def telling(*lines: bytes) -> tuple[str, ...]:
    """A process that writes these lines, and waits for its parent's end."""
    text = b"".join(lines)
    return (
        sys.executable,
        "-c",
        f"import sys; sys.stdout.buffer.write({text!r}); sys.stdout.flush(); sys.stderr.close(); sys.stdin.read()",
    )


def looked_until(child: BackfillChild, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        child.look(True)


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def made(
    catalog: Catalog, command: tuple[str, ...], stragglers: Callable[[], bool] = lambda: False
) -> tuple[BackfillChild, Clock]:
    clock = Clock()
    return BackfillChild(catalog, stragglers, command, clock), clock


def test_only_the_owner_starts_it_and_only_where_something_waits() -> None:
    child, _ = made(catalog_with(("meter", METER, None)), ENDS)
    child.look(True)
    assert child.pid is None
    catalog = catalog_with(("meter", METER, 5))
    child, _ = made(catalog, ENDS)
    child.look(False)
    assert child.pid is None
    child.look(True)
    first_pid = child.pid
    assert first_pid is not None
    ended(child)
    (job,) = waiting(catalog)
    publish(catalog, "backfill", job.entry(Cut(1, {(1, 0): 3}, 1, 0, job.name)))
    child.look(True)
    assert child.pid is None


def test_one_that_failed_is_started_again_after_a_pause() -> None:
    child, clock = made(catalog_with(("meter", METER, 5)), FAILS)
    child.look(True)
    ended(child)
    child.look(True)
    assert child.pid is None
    clock.now += 6
    child.look(True)
    assert child.pid is not None
    ended(child)


def test_a_process_that_stands_still_is_told_with_what_it_retries() -> None:
    lines = [
        BackfillBeat(0.5, "").line(),
        b"a library's line\n",
        BackfillBeat(61.0, "insert: refused").line(),
        b'{"still": 1',
    ]
    child, clock = made(catalog_with(("meter", METER, 5)), telling(*lines))
    stage = stage_of("backfill", child)
    assert not child.busy
    child.look(True)
    assert list(stalled([stage], clock.now, 0)) == []
    looked_until(child, lambda: child.trouble == "insert: refused")
    [reason] = stalled([stage], clock.now, 0)
    assert "backfill has stood still for 61 s" in reason.detail
    assert "insert: refused" in reason.detail
    assert child._process is not None
    assert child._process.stdin is not None
    child._process.stdin.close()
    ended(child)
    child.look(False)
    assert (child.busy, child.trouble) == (False, "")


def test_a_process_that_ends_again_and_again_is_told_whatever_it_says_meanwhile() -> None:
    script = f"import sys; sys.stdout.buffer.write({BackfillBeat(0.0, '').line()!r}); sys.exit(70)"
    child, clock = made(catalog_with(("meter", METER, 5)), (sys.executable, "-c", script))
    for _ in range(12):
        child.look(True)
        ended(child)
        child.look(True)
        clock.now += 6
    [reason] = stalled([stage_of("backfill", child)], clock.now, 0)
    assert "its process ends with code 70 again and again" in reason.detail


def test_stragglers_are_looked_for_once_a_minute(monkeypatch: Any) -> None:
    """Not a second earlier, since each look asks ClickHouse."""
    monkeypatch.setattr("stream_processors.backfill.backfill_process.time.time_ns", lambda: 2_000_000)
    catalog = catalog_with(("meter", METER, 5))
    (job,) = waiting(catalog)
    publish(catalog, "backfill", job.entry(Cut(1, {(1, 0): 3}, 1, 0, job.name)))
    collected: list[int] = []
    child, clock = made(catalog, ENDS, lambda: bool(collected.append(1)) or len(collected) > 1)
    for seconds, questions in ((0, 0), (59, 0), (2, 1), (1, 1), (60, 2)):
        clock.now += seconds
        child.look(True)
        assert len(collected) == questions
    assert child.pid is not None
    ended(child)
