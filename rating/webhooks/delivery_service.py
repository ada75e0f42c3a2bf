"""The process that delivers: ``python -m rating.webhooks``. It may be killed at any time, and run twice.

    1. usage.invoices is read on from a fold in a file (``StoredFold``), for validity is a matter of the whole log.
    2. A version that a webhook wants is queued in ClickHouse; only then does the position move past it.
    3. Each namespace's courier delivers what is queued, and writes what came of it.

Alerts are evaluated beside it (``rating.alerts.alert_service``), and their messages queued by the same rule; what has
reached its ``invoice_threshold`` is billed (``rating.thresholds``).

Two processes deliver twice, under one webhook-id each.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, TypeVar

from clickhouse_connect.driver.client import Client
from confluent_kafka import KafkaException

from rating.alerts.alert_ledger import AppendedAlert
from rating.alerts.alert_service import AlertService
from rating.alerts.catalog_changes import CatalogChanges
from rating.thresholds.threshold_biller import BillerMetrics, ThresholdBiller
from rating.topups.topup_ledger import AppendedTopup
from rating.webhooks import store
from rating.webhooks.coalescing import Coalescing
from rating.webhooks.courier import CourierContext
from rating.webhooks.couriers import Couriers
from rating.webhooks.delivery_metrics import DeliveryMetrics
from rating.webhooks.intake import Intake, Notices, deliveries_for
from rating.webhooks.notices import Notice, notice_of_alert, notices_of_topups
from rating.webhooks.queue import QueuedDelivery
from rating.webhooks.receiver.attempt import Sender
from rating.webhooks.rendering import message_bodies
from schemas.catalog.follower import CatalogFollower
from schemas.catalog.state import Entry
from schemas.clickhouse.errors import GIVE_UP_SECONDS, explained, meaning
from schemas.clickhouse.pool import ClickHousePool
from schemas.errors import CannotGoOn
from schemas.health.readiness import UnreadyReason
from schemas.health.stages import Attempts, stalled
from schemas.kafka import errors
from schemas.kafka.errors import kafka_error
from schemas.kafka.topics import INVOICES
from schemas.ledgers.errors import LedgerUnavailable
from schemas.ledgers.folds.log_id import log_id
from schemas.ledgers.folds.stored_fold import WEBHOOKS, FoldElsewhere, StoredFold, stored_in
from schemas.ledgers.ledger_follower import FOLLOWING_WAIT_MS
from schemas.ledgers.ledger_reader import LedgerReader
from schemas.ledgers.log_place import LogReplaced
from schemas.settings import Settings

log = logging.getLogger(__name__)

_SECOND: Final = 1_000_000
_READING: Final = "read usage.invoices"
_POLL_SECONDS: Final = 1.0
_AGAIN_SECONDS: Final = 1.0
_BEAT_SECONDS: Final = 10.0
_REPLAYS_SECONDS: Final = 5.0
_CLOCKS_APART_US: Final = 120 * _SECOND
_THREADS: Final = 64  # look-ups of names may hang, and must not keep others from theirs
_CLIENTS: Final = 4
_AT_ONCE: Final = 64

T = TypeVar("T")


class DeliveryService:
    """The delivering process. ``run`` ends when it is cancelled."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.metrics = DeliveryMetrics()
        self._catalog = CatalogFollower(settings, self._entry)
        self._group = asyncio.TaskGroup()
        self._intake = Intake({})
        self._fold: StoredFold | None = None
        self._beat_at = float("-inf")  # by the monotonic clock: never yet
        self._attempts = Attempts(time.monotonic)
        self._pool = ClickHousePool(settings, _CLIENTS)
        render, record = Coalescing(self._render, _AT_ONCE), Coalescing(self._record, _AT_ONCE)
        self._alert_changes = CatalogChanges()
        self._biller = ThresholdBiller(
            settings,
            self._attempts,
            BillerMetrics(self.metrics.registry),
            ahead_of=lambda namespace: self._catalog.catalog.view(namespace).settings.ahead,
        )
        alerts = (self._catalog.catalog, self._alert_changes, self._queue_alerts, self._queue_topups, self._attempts)
        self._alerts = AlertService(settings, *alerts, self._biller.reached)
        self._context = CourierContext(settings, Sender(settings), render, record, self.metrics)
        self._couriers = Couriers(self._context, self._catalog.catalog.view, lambda run: self._group.create_task(run))

    async def run(self) -> None:
        """Deliver until cancelled. Raises LedgerUnavailable where Kafka does not answer at the start."""
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(_THREADS))
        await asyncio.to_thread(self._catalog.start)
        try:
            fold = await self._opened_fold()
            self._go_on_from(fold, await self._insist("read positions", store.positions))
            async with (
                asyncio.TaskGroup() as self._group
            ):  # what ends one task ends the process, which is started again
                self._couriers.follow_hooks()
                self._couriers.hand_out(await self._insist("read what waits", store.waiting_deliveries))
                self._group.create_task(self._follow_replays())
                self._group.create_task(self._follow_invoices())
                self._group.create_task(self._alerts.run())
                self._group.create_task(self._biller.run())
        finally:
            if self._fold is not None:
                self._fold.close()
            await self._context.sender.close()
            await asyncio.to_thread(self._catalog.stop)
            self._pool.stop()

    async def _opened_fold(self) -> StoredFold:
        """That of the settings' folder; one of this process's own where there is none, or another process has it."""
        folder = self.settings.snapshot_dir
        if folder:
            try:
                name = await asyncio.to_thread(log_id, self.settings)
                return await asyncio.to_thread(stored_in, folder, WEBHOOKS, name)
            except (FoldElsewhere, sqlite3.Error, OSError) as error:
                log.warning("usage.invoices is read from its beginning: %s", error)
        return StoredFold("", "")

    def _go_on_from(self, fold: StoredFold, queued: Mapping[int, int]) -> None:
        self._fold = fold
        self._intake = Intake(queued, Notices(fold.valid, fold.states))

    def reasons(self) -> tuple[UnreadyReason, ...]:
        """Why it is not ready: what has stood still for a minute. Any thread."""
        stages = self._attempts.stages("webhooks (usage.invoices to receivers)", self._position)
        return tuple(stalled(stages, time.monotonic(), _now_us()))

    def _position(self) -> str:
        positions = ", ".join(
            f"partition {number} offset {end}" for number, end in sorted(self._intake.positions.items())
        )
        return f"{INVOICES} {positions or 'its beginning'}"

    def _entry(self, entry: Entry) -> None:
        self._alert_changes.note(entry)
        self._couriers.note(entry)

    # --- usage.invoices

    async def _follow_invoices(self) -> None:
        while True:
            try:
                assert self._fold is not None
                reader = await asyncio.to_thread(LedgerReader, self.settings, INVOICES, FOLLOWING_WAIT_MS)
                try:
                    ends = await asyncio.to_thread(reader.end_offsets)
                    reader.resume(self._fold.begin(self._intake.positions, ends))
                    await self._read(reader)
                except LogReplaced as error:
                    log.warning("the fold of %s is made anew: %s", INVOICES, error)
                    self._fold.make_anew()
                finally:
                    await asyncio.to_thread(reader.close)
            except sqlite3.DatabaseError as error:
                log.error("the fold of %s cannot be read and is made anew from its beginning: %s", INVOICES, error)
                assert self._fold is not None
                self._fold.discard()
                self._go_on_from(StoredFold("", ""), self._intake.positions)
            except (KafkaException, LedgerUnavailable) as error:
                # From where the file ends again: what has been judged since is passed over.
                log.error("%s cannot be read, trying again: %s", INVOICES, error)
                broker_error = kafka_error(error)
                for_seconds = self._attempts.failed(_READING, str(error))
                if (
                    broker_error is not None
                    and errors.meaning(broker_error) != "may pass"
                    and for_seconds > GIVE_UP_SECONDS
                ):
                    raise CannotGoOn(f"{INVOICES}: {errors.explained(broker_error)}") from error
                await asyncio.sleep(_AGAIN_SECONDS)

    async def _read(self, reader: LedgerReader) -> None:
        while True:
            records = await asyncio.to_thread(reader.poll, _POLL_SECONDS)
            self._attempts.done(_READING)
            read_at = time.monotonic()
            assert self._fold is not None
            notices = await asyncio.to_thread(self._intake.take, self._fold.unseen(records))
            await self._queue_read(notices, read_at)
            await self._move_on(reader)

    async def _queue_alerts(self, alerts: Sequence[AppendedAlert]) -> None:
        notices = [notice_of_alert(record.alert, record.appended_us) for record in alerts]
        await self._queue_read(notices, time.monotonic())

    async def _queue_topups(self, topups: Sequence[AppendedTopup]) -> None:
        await self._queue_read(notices_of_topups(topups), time.monotonic())

    async def _queue_read(self, notices: Sequence[Notice], read_at: float) -> None:
        """Queue what was read at ``read_at`` (monotonic)."""
        if notices:
            # A webhook that was set before a version was appended has to be known before the version is passed over.
            while not self._catalog.fresh(time.monotonic() - read_at):  # noqa: ASYNC110  another thread's state
                await asyncio.sleep(0.05)
        self._couriers.follow_hooks()
        await self._queue(notices)

    async def _queue(self, notices: Sequence[Notice]) -> None:
        now_us = _now_us()
        due = deliveries_for(notices, self._couriers.hooks, now_us)
        if not due:
            return
        done = await self._insist("look what is delivered", partial(store.ended_messages, deliveries=due))
        fresh = [
            delivery for delivery in due if (delivery.namespace, delivery.webhook, delivery.message_id) not in done
        ]
        await self._insist("queue", lambda client: store.write(client, fresh))
        self._couriers.hand_out(fresh)

    async def _move_on(self, reader: LedgerReader) -> None:
        moved = self._intake.ahead(reader.positions)
        for name, count in self._couriers.waiting().items():
            self.metrics.waiting(name, count)
        now = time.monotonic()
        if now - self._beat_at < (_AGAIN_SECONDS if moved != self._intake.positions else _BEAT_SECONDS):
            return
        now_us = _now_us()
        await self._insist("write positions", lambda client: store.write_positions(client, moved, now_us))
        self._intake.positions, self._beat_at = moved, now
        if self._fold is not None and self._fold.unsaved:
            # Not before the positions are written: it must not hold what is not known to be queued.
            try:
                await asyncio.to_thread(self._fold.save, reader.places())
            except sqlite3.OperationalError as error:  # as of a full disk: what came since stays in memory
                log.warning("the fold of %s is not saved: %s", INVOICES, error)

    # --- replays

    async def _follow_replays(self) -> None:
        known: set[str] = set()
        while True:
            since_us = _now_us() - _CLOCKS_APART_US
            replays = await self._insist("look for replays", partial(store.replays_since, since_us=since_us))
            for replay in replays:
                if replay.replay not in known:
                    read_waiting = partial(store.waiting_deliveries, namespace=replay.namespace, replay=replay.replay)
                    self._couriers.hand_out(await self._insist("read a replay", read_waiting))
            known = {replay.replay for replay in replays}
            await asyncio.sleep(_REPLAYS_SECONDS)

    # --- what couriers share

    async def _render(self, deliveries: Sequence[QueuedDelivery]) -> list[bytes | None]:
        return await self._pool.ask(partial(message_bodies, deliveries=deliveries, now_us=_now_us()))

    async def _record(self, batches: Sequence[Sequence[QueuedDelivery]]) -> list[None]:
        rows = [delivery for deliveries in batches for delivery in deliveries]
        await self._insist("write what came of deliveries", partial(store.write, deliveries=rows))
        return [None] * len(batches)

    async def _insist(self, doing: str, question: Callable[[Client], T]) -> T:
        """The answer to ``question``, asked again until ClickHouse gives one. Raises CannotGoOn where that takes
        somebody's help (``schemas.clickhouse.errors``)."""
        while True:
            try:
                answer = await self._pool.ask(question)
            except Exception as error:  # whatever stands in ClickHouse's way, all that is asked here may be asked again
                log.error("%s: ClickHouse does not answer, trying again: %s", doing, explained(error))
                for_seconds = self._attempts.failed(doing, explained(error))
                if meaning(error) != "may pass" and for_seconds > GIVE_UP_SECONDS:
                    raise CannotGoOn(f"{doing}: {explained(error)}") from error
                await asyncio.sleep(_AGAIN_SECONDS)
            else:
                self._attempts.done(doing)
                return answer


def _now_us() -> int:
    return time.time_ns() // 1000
