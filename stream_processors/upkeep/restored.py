"""A ClickHouse that has less than this worker has written was restored from an older copy. What the worker remembers is
of no use then: it is started again, and everything goes on from what ClickHouse has."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from schemas.kafka.topics import REJECTED
from schemas.ledgers.checkpoints import read_progress, rolled_up
from stream_processors.copied import copied_up_to, stored_versions
from stream_processors.metering.flush import UnitMeter
from stream_processors.metering.journal import Journal
from stream_processors.rollup.folds import Folds
from stream_processors.rollup.roll_up import RollUp
from stream_processors.threads import end_hard, executor
from stream_processors.upkeep.housekeeping import Chore

log = logging.getLogger(__name__)

AGAIN_SECONDS: Final = 5.0
"""So long after it was seen to have less it is looked at again: a replica may be behind for a moment."""
START_SECONDS: Final = 6.0
"""Between two questions when ClickHouse started: where nobody asks anything while it is away, no outage is seen."""
_START: Final = "SELECT toInt64(toUnixTimestamp(now())) - toInt64(uptime())"
_TOLERANCE_SECONDS: Final = 1  # both parts are whole seconds


class RestoredClickHouse:
    """Looks after each outage and each start of ClickHouse, in a thread and with a ``journal`` of its own: a roll-up,
    for one, may be retried for as long as what it needs is missing. ``journals``: whose outages count; ``versions``: of
    invoices and drafts, as many as were copied; ``copied``: partition of usage.rejected → next offset; ``end`` ends the
    process."""

    def __init__(
        self,
        journal: Journal,
        journals: Sequence[Journal],
        meter: UnitMeter,
        rollup: RollUp,
        *,
        versions: Callable[[], int],
        copied: Callable[[], Mapping[int, int]],
        end: Callable[[str], object] = end_hard,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._journal = journal
        self._journals = journals
        self._meter = meter
        self._rollup = rollup
        self._versions = versions
        self._copied = copied
        self._end = end
        self._clock = clock
        self._looked_after = 0
        self._again_at: float | None = None
        self._started: int | None = None
        self._asked_at = float("-inf")

    def due(self) -> bool:
        """Whether ClickHouse was away since it was last looked at, or may have started anew."""
        if self._again_at is not None:
            return self._clock() >= self._again_at
        return self._outages() != self._looked_after or self._clock() >= self._asked_at + START_SECONDS

    def look(self) -> None:
        """Where ClickHouse was away or started anew, compare what it has with what this worker has written. Where it
        has less, also a moment later, have folds written anew, and end the process. Raises Stopping."""
        if not self._started_anew() and self._again_at is None and self._outages() == self._looked_after:
            return
        self._looked_after = self._outages()
        lacks = "; ".join(self._lacks())
        if not lacks:
            self._again_at = None
        elif self._again_at is None:
            log.warning("ClickHouse has less than it had: %s", lacks)
            self._again_at = self._clock() + AGAIN_SECONDS
        else:
            # A fold that was being written when ClickHouse went away may lack what the copy lacks.
            Folds(self._journal).begin_epoch()
            self._end(f"ClickHouse was restored from an older copy ({lacks}); starting again from what it has")

    def _outages(self) -> int:
        return sum(journal.outages for journal in self._journals)

    def _started_anew(self) -> bool:
        """Whether it started at another instant than the last time (of replicas whichever answers)."""
        started = int(self._journal.query("read when ClickHouse started", _START)[0][0])
        before, self._started = self._started, started
        self._asked_at = self._clock()
        return before is not None and abs(started - before) > _TOLERANCE_SECONDS

    def _lacks(self) -> Iterator[str]:
        # What was written is taken before ClickHouse is asked: other threads go on writing.
        durable, rolled = dict(self._meter.durable), self._rollup.done
        rejections, known = dict(self._copied()), self._versions()
        cursors = self._journal.run("read the cursors", read_progress)
        for (generation, partition), written in sorted(durable.items()):
            if (cursor := cursors.get((generation, partition), 0)) < written:
                yield f"the cursor of generation {generation} partition {partition} is {cursor} and was {written}"
        if (done := self._journal.run("read roll-ups", rolled_up)) < rolled:
            yield f"checkpoint {done} is rolled up and {rolled} was"
        copied = copied_up_to(self._journal, REJECTED)
        for partition, written in sorted(rejections.items()):
            if (offset := copied.get(partition, 0)) < written:
                yield f"rejections of partition {partition} are copied up to {offset} and were up to {written}"
        if (versions := stored_versions(self._journal)) < known:
            yield f"there are {versions} versions of invoices and drafts and were {known}"


def watched_restores(restored: RestoredClickHouse) -> Chore:
    """The look as a chore in a thread of its own, so that no other work keeps it waiting."""
    name = "look whether ClickHouse has less than it had"
    return Chore(name, executor("restores"), restored.look, restored.due, reported=False)
