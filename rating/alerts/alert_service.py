"""The loop of alerts, in the process of webhooks: usage.alerts to its copy and to webhooks, then the evaluator's round.

    1. Valid records that are new in usage.alerts are stored in ClickHouse.
    2. Their messages are queued; only then does the position move past them. Of usage.topups likewise (``TopupCopy``).
    3. The evaluator looks at what changed (``evaluator``). Where it appended something, 1 follows at once.

While no namespace ever had a rule, a floor or a threshold, nothing of this runs. A fault of it is tried again, ever
more seldom, and never ends the process. What was read of the logs is kept over it, unless it is a fault of Kafka.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from clickhouse_connect.driver.client import Client
from confluent_kafka import KafkaException

from rating.alerts import alert_store
from rating.alerts.alert_ledger import AlertLedger, AppendedAlert
from rating.alerts.catalog_changes import CatalogChanges
from rating.alerts.evaluator import Evaluator, TellReached
from rating.topups.topup_copy import QueueTopups, TopupCopy
from schemas.catalog.state import Catalog
from schemas.clickhouse.client import connect
from schemas.health.stages import Attempts
from schemas.ledgers.errors import LedgerUnavailable
from schemas.settings import Settings

log = logging.getLogger(__name__)

_PAUSE_SECONDS: Final = 2.0
_LONGEST_PAUSE_SECONDS: Final = 30.0
_MOST_HELD: Final = 10_000
"""Records that are stored and queued at once, however many came."""
_STAGE: Final = "alerts"
QueueMessages = Callable[[Sequence[AppendedAlert]], Awaitable[None]]
"""Queues the messages of alerts, durably."""


class AlertService:
    """``run`` until it is cancelled. ``changes``: told of every entry of ``catalog`` by whoever follows it;
    ``reached``: as of ``Evaluator``; ``pause``: waits for so many seconds."""

    def __init__(
        self,
        settings: Settings,
        catalog: Catalog,
        changes: CatalogChanges,
        queue: QueueMessages,
        queue_topups: QueueTopups,
        attempts: Attempts,
        reached: TellReached,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._settings = settings
        self._catalog = catalog
        self._changes = changes
        self._queue = queue
        self._queue_topups = queue_topups
        self._attempts = attempts
        self._reached = reached
        self._wait = pause
        self._pause = _PAUSE_SECONDS

    async def run(self) -> None:
        """Evaluate and deliver until cancelled."""
        connected: _Connected | None = None
        try:
            while True:
                if self._changes.ruled:
                    try:
                        if connected is not None and not await asyncio.to_thread(connected.goes_on):
                            await asyncio.to_thread(connected.close)
                            connected = None
                        if connected is None:
                            opening = (self._settings, self._catalog, self._changes, self._reached)
                            connected = await asyncio.to_thread(_Connected, *opening)
                        await self._rounds(connected)
                    except Exception as error:  # of Kafka, of ClickHouse, or of ours
                        log.error("alerts are held up, trying again: %s: %s", type(error).__name__, error)
                        self._attempts.failed(_STAGE, f"{type(error).__name__}: {error}")
                        self._pause = min(2 * self._pause, _LONGEST_PAUSE_SECONDS)
                        if connected is not None and _is_of_kafka(error):
                            await asyncio.to_thread(connected.close)
                            connected = None
                await self._wait(self._pause)
        finally:
            if connected is not None:
                await asyncio.to_thread(connected.close)

    async def _rounds(self, connected: _Connected) -> None:
        while True:
            await self._deliver(connected)
            more = await asyncio.to_thread(connected.evaluator.round)
            self._attempts.done(_STAGE)
            self._pause = _PAUSE_SECONDS
            if not more:
                await self._wait(_PAUSE_SECONDS)

    async def _deliver(self, connected: _Connected) -> None:
        """Steps 1 and 2."""
        ledger, at_end = connected.ledger, False
        while not at_end:
            at_end = await asyncio.to_thread(ledger.refresh, _MOST_HELD)
            positions, known = ledger.positions, connected.positions
            fresh = [alert for alert in ledger.unstored if alert.offset >= known.get(alert.partition, 0)]
            if fresh:
                await asyncio.to_thread(alert_store.write_alerts, connected.client, fresh)
                await self._queue(fresh)
            if positions != known and all(end >= known.get(number, 0) for number, end in positions.items()):
                await asyncio.to_thread(alert_store.write_positions, connected.client, positions)
                connected.positions = positions
            ledger.unstored.clear()
            if positions == connected.positions:
                await asyncio.to_thread(ledger.save)
        await connected.topups.deliver(self._queue_topups)


class _Connected:
    """The clients of the loop, opened together, and what was read by them. ``positions``: partition → next offset of
    usage.alerts below which all is stored and queued. Close it."""

    def __init__(self, settings: Settings, catalog: Catalog, changes: CatalogChanges, reached: TellReached) -> None:
        self.client: Client = connect(settings)
        self.positions = alert_store.copied_positions(self.client)
        self.ledger = AlertLedger(settings, self.positions)
        topups: TopupCopy | None = None
        try:
            topups = self.topups = TopupCopy(settings, self.client, catalog)
            if any(end < self.positions.get(number, 0) for number, end in self.ledger.ends().items()):
                self.ledger.close()  # another log than the one that was copied: all of it is new
                self.positions, self.ledger = {}, AlertLedger(settings)
            ledgers = (self.ledger, self.topups.ledger)
            self.evaluator = Evaluator(settings, catalog, changes, *ledgers, _now_us, reached)
        except BaseException:
            self.ledger.close()
            if topups is not None:
                topups.close()
            self.client.close()
            raise

    def goes_on(self) -> bool:
        """Whether ClickHouse, which may have been restored since, still has what was stored."""
        stored = alert_store.copied_positions(self.client)
        return self.topups.goes_on() and all(stored.get(number, 0) >= end for number, end in self.positions.items())

    def close(self) -> None:
        """Disconnect."""
        self.ledger.close()
        self.topups.close()
        self.evaluator.close()
        self.client.close()


def _is_of_kafka(error: BaseException) -> bool:
    """Whether logs have to be read anew: by a new reader, from the beginning."""
    return isinstance(error, (KafkaException, LedgerUnavailable)) or (
        error.__cause__ is not None and _is_of_kafka(error.__cause__)
    )


def _now_us() -> int:
    return time.time_ns() // 1000
