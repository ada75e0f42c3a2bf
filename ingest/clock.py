"""Whether this gateway's clock agrees with Kafka's, from the append time that comes back with each delivery report.

The gateway dates events without a timestamp and judges the age of the others by its clock: where that is far off, it takes none. It is
asked at the start, by every delivery, and by a record on usage.clock where nothing was delivered for a while.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from schemas.broker_clock import TOLERANCE_US, ClockError, error_of, words
from schemas.readiness import Reason
from schemas.topics import CLOCK

if TYPE_CHECKING:
    from ingest.producer import LoopProducer

log = logging.getLogger(__name__)

CLOCK_WRONG: Final = "clock_wrong"
IDLE_SECONDS: Final = 10.0
WRONG_SECONDS: Final = 1.0
"""How soon it is asked again where it was wrong: the sooner, the sooner a clock that was set right takes events."""
BELIEVED_SECONDS: Final = 30.0
"""How long a wrong clock is believed to be wrong without another measurement. A gateway that refuses delivers nothing, so where usage.clock
is missing or may not be written nothing would ever tell it that the clock was set right: then events are let in, and their first delivery
tells."""


class GatewayClock:
    """What is known of this clock's error. ``measure`` may be called in any thread."""

    def __init__(self, now_us: Callable[[], int], steady: Callable[[], float] = time.monotonic) -> None:
        self.now_us = now_us
        self._steady = steady
        self._error: ClockError | None = None
        self._measured_at = 0.0
        self.measured = 0

    def measure(self, sent_us: int, stamp: tuple[int, int]) -> None:
        """A delivery report of a record that was handed over at ``sent_us``."""
        found = error_of(sent_us, stamp, self.now_us())
        # One that took long says little, and must not make up for one that said much.
        if found is None or (self._error is not None and found.width_us > TOLERANCE_US and not found.beyond_us):
            return
        if found.beyond_us and not self.wrong:
            log.error("this gateway's clock is %s: it takes no events until it is set right", words(found.beyond_us))
        self._measured_at = self._steady()
        self._error = found
        self.measured += 1

    @property
    def wrong(self) -> bool:
        """Whether the last measurement found it too far off, and is not too old to be believed."""
        return self._beyond_us() != 0

    def _beyond_us(self) -> int:
        error = self._error
        if error is None or not error.beyond_us or self._steady() - self._measured_at > BELIEVED_SECONDS:
            return 0
        return error.beyond_us

    def check(self) -> Iterator[Reason]:
        """For ``Readiness``."""
        if beyond_us := self._beyond_us():
            yield Reason(
                CLOCK_WRONG, f"this gateway's clock is {words(beyond_us)}, so it would date and judge events wrongly",
                "set it, or the broker's where that is the wrong one (NTP); it goes on by itself. `weir verify` names what was dated meanwhile", refuses=True,
            )  # fmt: skip


async def ask(clock: GatewayClock, producer: LoopProducer) -> None:
    """Put a record on usage.clock, whose report ``producer`` hands to its clock; returns when it is reported."""
    reported: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def done(error: str | None) -> None:
        if error is not None:
            log.info("usage.clock does not tell Kafka's time: %s", error)
        if not reported.done():
            reported.set_result(None)

    producer.produce(CLOCK, b"", done, partition=0)
    await reported


async def watch(clock: GatewayClock, producer: LoopProducer) -> None:
    """Ask again and again, while no delivery tells."""
    seen = clock.measured
    while True:
        await asyncio.sleep(WRONG_SECONDS if clock.wrong else IDLE_SECONDS)
        if clock.measured == seen or clock.wrong:
            await ask(clock, producer)
        seen = clock.measured
