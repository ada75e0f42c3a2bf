"""What the agents do, wired together for one worker process: threads, followers, writers."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from confluent_kafka.admin import AdminClient
from faust.types import TP

from schemas.catalog.follower import CatalogFollower
from schemas.catalog.state import Entry
from schemas.clickhouse.damaged_parts import DEDUPLICATION, SetAside, reasons, set_aside
from schemas.health.readiness import Readiness, Reason, to_json
from schemas.health.stages import Stage, standing
from schemas.kafka.topics import (
    ADMIT_GROUP,
    CHECKPOINTS,
    INBOX_PARTITIONS,
    INVOICE_PARTITIONS,
    INVOICES,
    REJECTED,
    REJECTED_PARTITIONS,
    events_topic,
    inbox_topic,
    namespace_of_inbox,
    partition_count,
)
from schemas.ledgers.checkpoints import read_progress
from schemas.ledgers.transport import LedgerUnavailable, LedgerWriter
from schemas.settings import Settings
from schemas.usage_log.acknowledged import Acknowledged
from schemas.usage_log.continuity import LogWatch
from schemas.usage_log.generation_change import read_generations
from stream_processors.backfill.child import BackfillChild
from stream_processors.backfill.steps import Backfiller
from stream_processors.inbox.admission import Admission
from stream_processors.inbox.decide import InboxRecord
from stream_processors.metering.flush import Meter, executor
from stream_processors.metering.journal import Journal, Stopping
from stream_processors.metering.pipeline import MeterPipeline, Work, append_us, end_hard, in_thread, place_of, units_of
from stream_processors.metering.retention import Forgetter
from stream_processors.metering.rows import carried_table, given_up_table, progress_table
from stream_processors.projections.invoice_numbers import copy_numbers
from stream_processors.projections.ledgers import InvoiceCopy, RejectionCopy, catalog_table
from stream_processors.rollup.checkpoints import RollUp
from stream_processors.upkeep.lag import Lag
from stream_processors.upkeep.watchdog import BALANCING, BUSY, Watched

log = logging.getLogger(__name__)

Ack = Callable[[Any], Awaitable[Any]]
METER_GROUP, LEDGERS_GROUP = "weir-worker", "weir-ledgers"
PARTS_SECONDS = 20.0
"""How often a worker looks for parts that ClickHouse has set aside."""
CURSOR_SECONDS = 10.0
"""So long a consumer that has got partitions waits for ClickHouse to say where it goes on."""
_LEDGERS = {REJECTED: REJECTED_PARTITIONS, CHECKPOINTS: 1, INVOICES: INVOICE_PARTITIONS}


class Parts:
    """Everything of a worker but Faust itself. ``start`` connects; ``stop`` ends what waits."""

    def __init__(self, settings: Settings) -> None:
        self.stopping = threading.Event()
        self._copying = Journal(settings, self.stopping)
        self._first = settings.generation
        # A worker meters one generation of usage.events; when that is metered to its end it starts again on the next.
        self.settings = settings = settings.model_copy(update={"generation": self._to_meter(settings)})
        self._topic = events_topic(settings.generation)
        self._entries: SimpleQueue[Entry] = SimpleQueue()
        self._catalog = CatalogFollower(settings, self._entries.put)
        self._partitions = partition_count(settings, self._topic)
        self._admin = AdminClient(settings.librdkafka() | {"log_level": 2})
        self._inboxes: set[str] = set()
        self._rejected = LedgerWriter(settings, REJECTED)
        self._admitting_to: tuple[LedgerWriter, int] | None = None
        self.meter = Meter(
            settings,
            self._topic,
            self._partitions,
            self._catalog,
            self._rejected,
            self.stopping,
            self._seek,
            self._log_start,
        )
        self.pipeline = MeterPipeline(self.meter)
        self._rollup = RollUp(settings, self._catalog, self.stopping)
        backfiller = Backfiller(settings, self._catalog, self.stopping)
        self._backfill = BackfillChild(self._catalog.catalog, lambda: bool(backfiller.with_stragglers()))
        self._keeping = Journal(settings, self.stopping)
        self._forgetter = Forgetter(self._keeping)
        self._billed = Journal(settings, self.stopping)
        self._invoices = InvoiceCopy(settings, self._billed)
        self._rejections = RejectionCopy(settings, self._copying)
        self._caught_up = False
        self._admitting = executor("admit")
        self._rolling = executor("rollup")
        self._rejecting = executor("reject")
        self._billing = executor("bill")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._seek_consumer: Callable[[Mapping[TP, int]], Awaitable[None]] | None = None
        self._log = Lag(settings, "weir-watermarks")
        self._admission = Lag(settings, ADMIT_GROUP)
        self._admit_work = Work()
        self._ledgers = Lag(settings, LEDGERS_GROUP)
        self._ledger_work = Work()
        self._reject_work, self._rollup_work, self._bill_work, self._house_work = Work(), Work(), Work(), Work()
        self._ledgers_app: Any = None
        self._watching = Journal(settings, self.stopping)
        self._cursors = Journal(settings, self.stopping)
        self._asking = executor("cursors")
        self._ticking: asyncio.Task[None] | None = None
        self._cut_at = time.monotonic()
        self._acknowledged = Acknowledged("worker")
        number = settings.generation
        self._log_watch = LogWatch(settings, lambda: number, recording=True, acknowledged=self._acknowledged)
        self._given_up = 0
        self._carried: Mapping[int, tuple[int, ...]] = {}
        self._aside: list[SetAside] = []
        self._looked_at = float("-inf")
        self.ready = Readiness(self._of_catalog, self._of_stages, self._log_watch.reasons, lambda: reasons(self._aside))

    def start(self) -> None:
        """Read the catalog to its end. Raises LedgerUnavailable."""
        self._catalog.start()
        self._look_for_parts()
        self._log_watch.start()

    def _look_for_parts(self) -> None:
        self._looked_at = time.monotonic()
        self._aside = self._keeping.run("look for damaged parts", set_aside)
        held = any(part.table in DEDUPLICATION for part in self._aside)
        if held and not self.meter.held:
            log.error("metering waits: %s", "; ".join(map(str, reasons(self._aside))))
        if self.meter.held and not held:
            self.meter.reassigned()  # the filters were built without what is there again
        self.meter.held = held

    def _to_meter(self, settings: Settings) -> int:
        progress: dict[tuple[int, int], int] = self._copying.run("read progress", read_progress)
        return read_generations(settings).to_meter(settings.generation, progress)

    def stop(self) -> None:
        """Let every retry give up; what is not durable was not acknowledged."""
        self.stopping.set()
        self._log_watch.stop()

    def inboxes(self) -> list[str]:
        """Inbox topics of all declared namespaces that exist in Kafka, in order of name."""
        wanted = {inbox_topic(name) for name in (*self._catalog.catalog.namespaces(), self.settings.namespace)}
        if wanted - self._inboxes:
            self._inboxes = wanted & set(self._admin.list_topics(timeout=10).topics)
        return sorted(self._inboxes)

    # --- agents -----------------------------------------------------------------------------------------------------

    async def admit(self, events: Sequence[Any], ack: Ack) -> None:
        """usage.inbox.* → usage.events, or usage.rejected."""
        for unit in units_of(events):
            records = [_inbox_record(event.message) for event in unit]
            with self._admit_work:
                self._admit_work.position = place_of(unit)
                admission = await in_thread(self._admitting, "admit", partial(self._judge, records))
                await in_thread(self._admitting, "admit", admission.step, self._admit_work)
                for event in unit:
                    await ack(event)

    def _judge(self, records: Sequence[InboxRecord]) -> Admission:
        return Admission(
            self.settings, self._catalog.catalog, records, self._open_events, self._rejected, self._acknowledged
        )

    def _open_events(self) -> tuple[LedgerWriter, int]:
        """Writer and partitions of the generation that takes events. Raises LedgerUnavailable while it is replaced."""
        generation = self._catalog.catalog.generations.state.writable(self._first)
        if generation is None:
            raise LedgerUnavailable("usage.events is being moved to another number of partitions")
        topic = events_topic(generation.number)
        if self._admitting_to is None or self._admitting_to[0].topic != topic:
            count = generation.partitions or partition_count(self.settings, topic)
            self._admitting_to = LedgerWriter(self.settings, topic), count
        return self._admitting_to

    async def reject(self, events: Sequence[Any], ack: Ack) -> None:
        """usage.rejected → rejected_events."""
        partitions = {event.message.partition for event in events}
        with self._ledger_work, self._reject_work:
            self._reject_work.position = place_of(events)
            await in_thread(self._rejecting, "reject", lambda: self._rejections.run(partitions), self._reject_work)
            for event in events:
                await ack(event)

    async def roll_up(self, events: Sequence[Any], ack: Ack) -> None:
        """usage.checkpoints → usage_windows."""
        with self._ledger_work, self._rollup_work:
            self._rollup_work.position = place_of(events)
            await in_thread(self._rolling, "rollup", self._rollup.run, self._rollup_work)
            for event in events:
                await ack(event)

    async def bill(self, events: Sequence[Any], ack: Ack) -> None:
        """usage.invoices → invoices, invoice_lines."""
        with self._ledger_work, self._bill_work:
            self._bill_work.position = place_of(events)
            await in_thread(self._billing, "bill", self._invoices.run, self._bill_work)
            for event in events:
                await ack(event)

    # --- housekeeping -------------------------------------------------------------------------------------------------

    async def tick(self) -> None:
        """Each second: copy new catalog entries, cut a checkpoint when it is time."""
        if self._ticking is None or self._ticking.done():
            self._ticking = asyncio.create_task(self._tick())

    async def _tick(self) -> None:
        entries: list[Entry] = []
        try:
            while True:
                entries.append(self._entries.get_nowait())
        except Empty:
            pass
        if not self._caught_up:
            await self._catch_up()
        if self._catalog.catalog.given_up.version > self._given_up:
            await in_thread(self._rolling, "go on after what was given up", self._go_on)
        if (carried := self._catalog.catalog.generations.state.carried) != self._carried:
            await self._keep(
                self._rolling,
                "copy what was carried over",
                lambda: self._keeping.insert("usage_carried", carried_table(carried)),
            )
            self._carried = carried
        if entries:
            await self._keep(self._rejecting, "copy the catalog", lambda: self._copy_catalog(entries))
        if self.settings.generation in self._catalog.catalog.generations.state.ends:
            await self._keep(self._rolling, "read progress", self._end_where_metered)
        if self.settings.backfill_automatic:
            await self._keep(self._rolling, "look for backfills", lambda: self._backfill.look(self._has_checkpoints()))
        if time.monotonic() - self._looked_at >= (2.0 if self._aside else PARTS_SECONDS):
            await self._keep(self._rolling, "look for damaged parts", self._look_for_parts)
        if self._forgetter.due():
            await self._keep(self._rolling, "forget", lambda: self._forgetter.run(self._catalog.catalog))
        if time.monotonic() - self._cut_at >= self.settings.checkpoint_seconds:
            self._cut_at = time.monotonic()
            await self._keep(self._rolling, "cut", lambda: self._rollup.cut(time.time_ns() // 1000))

    async def _keep(self, pool: ThreadPoolExecutor, what: str, call: Callable[[], Any]) -> None:
        with self._house_work:
            self._house_work.position = what
            await in_thread(pool, what, call, self._house_work)

    async def _catch_up(self) -> None:
        """Once, without waiting for a record: the copies go on from what ClickHouse has, which may be less than Kafka
        believes done."""
        await in_thread(self._billing, "copy invoices", self._invoices.run)
        await in_thread(self._rejecting, "copy rejections", lambda: self._rejections.run(range(REJECTED_PARTITIONS)))
        await in_thread(self._rolling, "rollup", self._rollup.run)
        await in_thread(self._rolling, "copy numbers", lambda: copy_numbers(self._keeping, self._rollup.checkpoints()))
        self._caught_up = True

    def _go_on(self) -> None:
        """What was given up since is written to the books, and then the cursors are moved over it."""
        given = self._catalog.catalog.given_up
        ranges, self_version = given.ranges, given.version
        self._keeping.insert("usage_given_up", given_up_table(ranges))
        progress = self._keeping.run("read the cursors", read_progress)
        keys = {(one.generation, one.partition) for one in ranges}
        moved = {key: end for key in keys if (end := given.beyond(*key, progress.get(key, 0))) > progress.get(key, 0)}
        if moved:
            log.warning("cursors move over what was given up: %s", moved)
            self._keeping.insert("usage_progress", progress_table(moved))
            self.meter.reassigned()
            for (generation, partition), cursor in moved.items():
                if generation == self.settings.generation:
                    self._seek(partition, cursor)
        self._given_up = self_version

    def _end_where_metered(self) -> None:
        # Progress, not this worker's own partitions: another one may have metered the rest, and every row below it is
        # durable.
        progress = self._keeping.run("read progress", read_progress)
        if self._catalog.catalog.generations.state.metered_to_its_end(self.settings.generation, progress):
            end_hard(f"{self._topic} is sealed and metered to its end; starting again on the next generation")

    def _copy_catalog(self, entries: Sequence[Entry]) -> None:
        bodies = [json.dumps(entry.body, ensure_ascii=False, sort_keys=True) for entry in entries]
        self._copying.insert("catalog_entries", catalog_table(entries, bodies))

    def bind_seek(self, seek: Callable[[Mapping[TP, int]], Awaitable[None]]) -> None:
        """How to seek the consumer, once there is an app."""
        self._seek_consumer = seek

    def bind_ledgers(self, app: Any) -> None:
        """The app that has, or has not, usage.checkpoints."""
        self._ledgers_app = app

    def _has_checkpoints(self) -> bool:
        return self._ledgers_app is not None and bool(_owned(self._ledgers_app, {CHECKPOINTS: 1}))

    def bind_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        """The loop in which the consumer lives."""
        self._loop = loop

    def _seek(self, partition: int, cursor: int) -> None:
        loop, seek = self._loop, self._seek_consumer
        if loop is None or seek is None:
            end_hard("a seek was asked for before the worker ran")
        target = {TP(self._topic, partition): seek_target(cursor)}
        asyncio.run_coroutine_threadsafe(self._seek_now(seek, target), loop)

    @staticmethod
    async def _seek_now(seek: Callable[[Mapping[TP, int]], Awaitable[None]], target: Mapping[TP, int]) -> None:
        try:
            await seek(target)
        except Exception as error:
            log.warning("seek %s: %r; the gap is found again and sought again", dict(target), error)

    async def cursors(self, assigned: Iterable[TP]) -> dict[TP, int]:
        """Where to seek so that each assigned partition of usage.events goes on at its cursor. Empty where ClickHouse
        does not say in a few seconds: then the watchdog sees to it later."""
        mine = [tp for tp in assigned if tp.topic == self._topic]
        asked = asyncio.get_running_loop().run_in_executor(self._asking, self._read_cursors)
        try:
            progress = await asyncio.wait_for(asyncio.shield(asked), CURSOR_SECONDS)
        except (TimeoutError, Stopping):
            return {}
        return {tp: seek_target(progress.get((self.settings.generation, tp.partition), 0)) for tp in mine}

    def _read_cursors(self) -> dict[tuple[int, int], int]:
        found: dict[tuple[int, int], int] = self._cursors.run("read the cursors", read_progress)
        return found

    def _nudge(self, app: Any) -> None:
        """The consumer of usage.events stands still with records to read: it may be beyond the cursor, where none
        come."""
        for topic, partition in _owned(app, {self._topic: self._partitions}):
            cursor = self._watching.cursor(self.settings.generation, partition)
            low, high = self._log.bounds(topic, partition)
            if low <= cursor < high:
                log.warning(
                    "partition %d stands still below the log's end; seeking to its cursor %d", partition, cursor
                )
                self.meter.reassigned()
                self._seek(partition, cursor)

    def watched(self, app: Any, admit_app: Any, ledgers_app: Any) -> list[Watched]:
        """The consumers that the watchdog looks at, one a group."""
        return [
            Watched(
                "usage.events",
                lambda: self._metering_behind(app),
                lambda: self.pipeline.moved_at,
                lambda: self.meter.failing_since is not None or self.meter.held,
                lambda: _leash(app, self.pipeline.busy),
                lambda: self._nudge(app),
            ),
            Watched(
                "the inboxes",
                lambda: self._admission.behind(_owned(admit_app, dict.fromkeys(self._inboxes, INBOX_PARTITIONS))),
                lambda: self._admit_work.moved_at,
                lambda: bool(self._admit_work.trouble),  # which /readyz tells
                lambda: _leash(admit_app, self._admit_work.busy),
            ),
            Watched(
                "the ledger topics",
                lambda: self._ledgers.behind(_owned(ledgers_app, _LEDGERS)),
                lambda: self._ledger_work.moved_at,
                lambda: self._ledger_work.busy,  # a roll-up takes what it takes
                lambda: _leash(ledgers_app, False),
            ),
        ]

    def _metering_behind(self, app: Any) -> bool:
        # Of a log that begins above its cursor nothing can be taken (``LogWatch`` tells); to start again would not
        # help.
        return any(
            low <= self._watching.cursor(self.settings.generation, partition) < high
            for topic, partition in _owned(app, {self._topic: self._partitions})
            for low, high in (self._log.bounds(topic, partition),)
        )

    def _log_start(self, partition: int) -> int:
        return self._log.bounds(self._topic, partition)[0]

    def readiness(self, app: Any) -> tuple[bool, dict[str, Any]]:
        """Whether the worker takes part: it follows the catalog, its consumer runs, and no other reason stands."""
        try:
            assigned = sorted(f"{tp.topic}/{tp.partition}" for tp in app.consumer.assignment())
            joined = not app.rebalancing
        except Exception:
            assigned, joined = [], False
        reasons = self.ready.reasons()
        if not joined:
            reasons += (Reason("balancing", "the consumer group is being balanced", "it goes on by itself"),)
        return not reasons, {
            "ready": not reasons,
            "assigned": assigned,
            "catalog_offset": self._catalog.catalog.next_offset,
            "events_counted": self.meter.events_counted,
            "events_dropped": self.meter.events_dropped,
            "clickhouse_failing_seconds": self._failing_seconds(),
            "reasons": to_json(reasons),
        }

    def _stages(self) -> Iterator[Stage]:
        pipeline = self.pipeline
        yield Stage(
            "metering (usage.events to usage_events)", lambda: pipeline.busy, lambda: pipeline.moved_at, lambda: self.meter.trouble,
            lambda: pipeline.position,
        )  # fmt: skip
        for name, work, journals in (
            ("admission (usage.inbox.* to usage.events)", self._admit_work, ()),
            ("the copy of rejections (usage.rejected to rejected_events)", self._reject_work, (self._copying,)),
            ("roll-up (usage.checkpoints to usage_windows)", self._rollup_work, (self._rollup,)),
            ("the copy of invoices (usage.invoices to invoices)", self._bill_work, (self._billed,)),
            ("housekeeping (catalog copy, checkpoints, forgetting)", self._house_work, (self._copying, self._keeping, self._rollup)),
            ("backfill", self._backfill, ()),
        ):  # fmt: skip
            yield _stage(name, work, journals)

    def _of_stages(self) -> Iterator[Reason]:
        return standing(self._stages(), time.monotonic(), time.time_ns() // 1000)

    def _of_catalog(self) -> Iterator[Reason]:
        if not self._catalog.fresh(10):
            yield Reason("catalog_stale", "this worker has lost sight of the catalog", "look whether Kafka answers")

    def _failing_seconds(self) -> int:
        since = self.meter.failing_since
        return 0 if since is None else int(time.monotonic() - since)

    def metrics(self) -> str:
        """Prometheus text."""
        return (
            "# HELP weir_meter_events_total Events decided by this worker.\n# TYPE weir_meter_events_total counter\n"
            f'weir_meter_events_total{{outcome="counted"}} {self.meter.events_counted}\n'
            f'weir_meter_events_total{{outcome="dropped"}} {self.meter.events_dropped}\n'
            "# HELP weir_meter_clickhouse_failing_seconds How long ClickHouse has refused.\n"
            "# TYPE weir_meter_clickhouse_failing_seconds gauge\n"
            f"weir_meter_clickhouse_failing_seconds {self._failing_seconds()}\n"
        )


def seek_target(cursor: int) -> int:
    """What Faust is told in order to go on at ``cursor``: it drops, or once dropped, the record at the very offset that
    it is told."""
    return max(cursor - 1, 0)


class _Troubled(Protocol):
    @property
    def trouble(self) -> str: ...


class _Working(_Troubled, Protocol):
    @property
    def busy(self) -> bool: ...
    @property
    def moved_at(self) -> float: ...
    @property
    def position(self) -> str: ...


def _stage(name: str, work: _Working, journals: Sequence[_Troubled]) -> Stage:
    def trouble() -> str:
        return next((found for one in (work, *journals) if (found := one.trouble)), "")

    return Stage(name, lambda: work.busy, lambda: work.moved_at, trouble, lambda: work.position)


def _inbox_record(message: Any) -> InboxRecord:
    return InboxRecord(
        message.topic,
        namespace_of_inbox(message.topic),
        message.partition,
        message.offset,
        append_us(message),
        message.value or b"",
    )


def _owned(app: Any, topics: Mapping[str, int]) -> list[tuple[str, int]]:
    """Partitions of the topics (with their counts) that the app's consumer owns; all while it balances, since it may
    never end."""
    if not app.started:
        return []
    if app.rebalancing:
        return [(topic, partition) for topic in sorted(topics) for partition in range(topics[topic])]
    return [(tp.topic, tp.partition) for tp in app.consumer.assignment() if tp.topic in topics]


def _leash(app: Any, busy: bool) -> float:
    return BUSY if busy else BALANCING if app.rebalancing else 1.0
