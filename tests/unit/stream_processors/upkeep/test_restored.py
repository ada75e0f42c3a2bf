"""A worker is started again where ClickHouse has less than the worker has written, and only there."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from stream_processors.threads import executor
from stream_processors.upkeep.housekeeping import Chore, Housekeeping
from stream_processors.upkeep.restored import AGAIN_SECONDS, START_SECONDS, RestoredClickHouse, watched_restores


class Stand:
    """What a ClickHouse has, beside a worker that has written cursor 9, checkpoint 4, three versions and rejections up
    to 6."""

    def __init__(self) -> None:
        self.outages = 0
        self.now = 0.0
        self.started = 1_795_000_000
        self.starts_read = 0
        self.ended: list[str] = []
        self.epochs_begun = 0
        self.cursor, self.checkpoint, self.copied, self.versions = 9, 4, 6, 3
        journal: Any = self
        meter: Any = SimpleNamespace(durable={(1, 0): 9})
        rollup: Any = SimpleNamespace(done=4)
        self.meter, self.rollup = meter, rollup
        self.watch = RestoredClickHouse(
            journal,
            [journal],
            meter,
            rollup,
            versions=lambda: 3,
            copied=lambda: {2: 6},
            end=self.ended.append,
            clock=lambda: self.now,
        )
        self.look()  # at the worker's own start, which has seen no outage

    def run(self, what: str, call: Any) -> Any:
        return {(1, 0): self.cursor} if what == "read the cursors" else self.checkpoint

    def command(self, what: str, *_: Any) -> None:
        self.epochs_begun += what == "begin an epoch of folds" and not self.ended

    def query(self, what: str, *_: Any) -> Any:
        if what == "read when ClickHouse started":
            self.starts_read += 1
            return [(self.started,)]
        if what == "read how far windows are folded":
            return [(1, 0)]
        return [(2, self.copied)] if "usage.rejected" in what else [(self.versions,)]

    def look(self) -> None:
        if self.watch.due():
            self.watch.look()


def test_without_an_outage_nobody_looks_and_after_one_a_clickhouse_that_has_everything_is_let_be() -> None:
    stand = Stand()
    assert not stand.watch.due()
    stand.outages = 1
    stand.versions = 5  # what other workers wrote, too
    stand.look()
    assert (stand.ended, stand.watch.due()) == ([], False)


@pytest.mark.parametrize("less", [{"cursor": 7}, {"checkpoint": 3}, {"copied": 0}, {"versions": 2}])
def test_less_of_anything_ends_the_process_once_it_is_still_less_a_moment_later(less: dict[str, int]) -> None:
    stand = Stand()
    stand.outages = 1
    vars(stand).update(less)
    stand.look()
    assert (stand.ended, stand.watch.due()) == ([], False)
    stand.now = AGAIN_SECONDS
    stand.look()
    [why] = stand.ended
    assert why.startswith("ClickHouse was restored from an older copy (")
    assert stand.epochs_begun == 1  # a fold may have been made of what the copy lacks


def test_a_clickhouse_that_was_away_while_nobody_asked_is_seen_by_its_start() -> None:
    stand = Stand()
    stand.now, stand.cursor = START_SECONDS, 7
    stand.started += 1  # the same start, as whole seconds tell it
    stand.look()
    stand.now += START_SECONDS
    stand.look()
    assert (stand.ended, stand.starts_read) == ([], 3)
    stand.started += 20
    for _ in range(2):
        stand.now += START_SECONDS
        stand.look()
    assert len(stand.ended) == 1


def test_a_replica_that_was_behind_for_a_moment_ends_nothing() -> None:
    stand = Stand()
    stand.outages, stand.cursor = 1, 7
    stand.look()
    stand.now, stand.cursor = AGAIN_SECONDS, 9
    stand.look()
    assert (stand.ended, stand.watch.due(), stand.epochs_begun) == ([], False, 0)


def test_a_look_waits_behind_no_other_work() -> None:
    """A roll-up may be retried as long as ClickHouse lacks what the restore took."""
    stand, over = Stand(), threading.Event()
    stand.outages, stand.cursor = 1, 7
    house = Housekeeping(None, [Chore("roll-up", executor("rollup"), over.wait)])
    looks = Housekeeping(None, [watched_restores(stand.watch)])

    async def run() -> None:
        await house.tick()
        for _ in range(2):
            await looks.tick()
            assert looks._round is not None
            await looks._round
            stand.now += AGAIN_SECONDS
        over.set()
        assert house._round is not None
        await house._round

    asyncio.run(run())
    assert len(stand.ended) == 1


def test_what_is_written_while_clickhouse_is_asked_is_not_taken_for_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    stand = Stand()
    stand.outages = 1
    run = stand.run

    def asked(what: str, call: Any) -> Any:
        answer = run(what, call)
        stand.meter.durable = {(1, 0): 12}
        stand.rollup.done = 6
        return answer

    monkeypatch.setattr(stand, "run", asked)
    stand.look()
    assert (stand.ended, stand.watch.due()) == ([], False)
    stand.now += AGAIN_SECONDS
    assert not stand.watch.due()
