"""Composes one worker process: creates its agents, chores and health checks and connects them. No behaviour of its
own."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from schemas.catalog.follower import CatalogFollower
from schemas.health.stages import Stage
from schemas.kafka.lag import Lag
from schemas.kafka.limit_watch import LimitWatch
from schemas.kafka.topics import (
    ADMIT_GROUP,
    CHECKPOINTS,
    INVOICE_PARTITIONS,
    INVOICES,
    LEDGERS_GROUP,
    REJECTED,
    REJECTED_PARTITIONS,
    events_topic,
    partition_count,
    written_topics,
)
from schemas.ledgers.checkpoints import read_progress
from schemas.ledgers.ledger_writer import LedgerWriter
from schemas.settings import Settings
from schemas.usage_log.acknowledged import Acknowledged
from schemas.usage_log.continuity import LogWatch, read_cursors
from schemas.usage_log.generation_change import read_generations
from stream_processors.backfill.backfill_process import BackfillChild
from stream_processors.backfill.staging import Staging
from stream_processors.backfill.steps import Backfiller
from stream_processors.inbox.admission import Admission
from stream_processors.inbox.admit import InboxRecord
from stream_processors.inbox.in_sequence import InSequence
from stream_processors.inbox.inbox_agent import InboxAgent
from stream_processors.inbox.inbox_log import KafkaInboxLog
from stream_processors.inbox.open_inboxes import Inboxes, OpenGeneration
from stream_processors.metering.flush import UnitMeter
from stream_processors.metering.journal import Journal
from stream_processors.metering.metered_topic import MeteredTopic
from stream_processors.metering.pipeline import MeterPipeline
from stream_processors.metering.retention import Forgetter
from stream_processors.metering.seeking import AssignedCursors, Seeker
from stream_processors.projections.catalog_copy import CatalogCopy
from stream_processors.projections.copy_numbers import copy_numbers
from stream_processors.projections.invoice_copy import InvoiceCopy
from stream_processors.projections.ledger_agent import LedgerAgent
from stream_processors.projections.ledgers import RejectionCopy
from stream_processors.rollup.checkpoint_clock import CheckpointClock
from stream_processors.rollup.roll_up import RollUp
from stream_processors.threads import Work, in_thread
from stream_processors.upkeep.assignment import ConsumerApp, owned
from stream_processors.upkeep.consumers import EventsConsumer, watched_inboxes, watched_ledgers
from stream_processors.upkeep.damage_watch import DamagedParts
from stream_processors.upkeep.housekeeping import Chore, Housekeeping
from stream_processors.upkeep.log_changes import CarriedOver, GivenUpRanges, SealedGeneration
from stream_processors.upkeep.past_cursors import PastCursors
from stream_processors.upkeep.restored import RestoredClickHouse, watched_restores
from stream_processors.upkeep.watchdog import Watched
from stream_processors.upkeep.worker_health import WorkerHealth, stage_of

METER_GROUP: Final = "weir-worker"


@dataclass(frozen=True, slots=True)
class Agents:
    """The objects called by the agents of the three consumer groups."""

    meter: MeterPipeline
    inbox: InboxAgent
    rejections: LedgerAgent
    roll_up: LedgerAgent
    invoices: LedgerAgent


class Parts:
    """All components of a worker except Faust itself. ``start`` connects them, ``stop`` ends their retries.

    ``settings`` name the generation of usage.events that is metered. Once it is fully metered the worker is
    restarted on the next one.
    """

    def __init__(self, settings: Settings) -> None:
        self.stopping = threading.Event()
        self._copy_journal = Journal(settings, self.stopping)
        self._invoice_journal = Journal(settings, self.stopping)
        self._house_journal = Journal(settings, self.stopping)
        first_generation = settings.generation
        generation = _generation_to_meter(settings, self._copy_journal)
        self.settings = settings = settings.model_copy(update={"generation": generation})
        topic = events_topic(generation)
        partitions = partition_count(settings, topic)
        self._catalog_copy = CatalogCopy(self._copy_journal)
        self._catalog = CatalogFollower(settings, self._catalog_copy.add)
        catalog = self._catalog.catalog

        self.seeker = Seeker(topic)
        self._log_lag = Lag(settings, "weir-watermarks")
        self._limits = LimitWatch(settings, written_topics)
        self._rejected = LedgerWriter(settings, REJECTED, self._limits.refused)
        metered_topic = MeteredTopic(
            name=topic,
            partitions=partitions,
            seek=self.seeker.seek,
            log_start=lambda partition: self._log_lag.bounds(topic, partition)[0],
        )
        self.meter = UnitMeter(settings, metered_topic, self._catalog, self._rejected, self.stopping)
        pipeline = MeterPipeline(self.meter, settings.flush_seconds)
        self.cursors = AssignedCursors(Journal(settings, self.stopping), topic, generation)
        watching = Journal(settings, self.stopping)
        self._events = EventsConsumer(
            topic, partitions, generation, self.meter, pipeline, watching, self._log_lag, self._go_on_at
        )

        self.inboxes = Inboxes(settings, catalog)
        self._acknowledged = Acknowledged("worker", partial(read_cursors, settings))
        self._open_generation = OpenGeneration(settings, catalog, first_generation, self._refusal, self._limits.refused)
        self._staging = Staging(settings, self._catalog, self.stopping)
        self._rollup = RollUp(settings, self._catalog, self.stopping, self._staging.complete)
        invoice_copy = InvoiceCopy(settings, self._invoice_journal)
        rejection_copy = RejectionCopy(settings, self._copy_journal)
        self._ledger_work = Work()
        self.agents = Agents(
            pipeline,
            InboxAgent(self._judge, InSequence(KafkaInboxLog(settings, Lag(settings, ADMIT_GROUP)), time.monotonic)),
            LedgerAgent("reject", rejection_copy.run, REJECTED_PARTITIONS, self._ledger_work),
            LedgerAgent("rollup", lambda _: self._rollup.run(), 1, self._ledger_work),
            LedgerAgent("copy invoices", lambda _: invoice_copy.run(), INVOICE_PARTITIONS, self._ledger_work),
        )

        self._damaged = DamagedParts(self._house_journal, self.meter)
        looking = Journal(settings, self.stopping)
        restored = RestoredClickHouse(
            looking, (watching, self._house_journal, self._copy_journal, self._invoice_journal, looking), self.meter,
            self._rollup, versions=lambda: invoice_copy.versions, copied=lambda: rejection_copy.copied,
        )  # fmt: skip
        self.restores = Housekeeping(None, [watched_restores(restored)])
        backfiller = Backfiller(settings, self._catalog, self.stopping)
        self._backfill = BackfillChild(catalog, lambda: bool(backfiller.with_stragglers()))
        self._ledgers_app: ConsumerApp | None = None
        self.housekeeping = Housekeeping(self._catch_up, self._chores())
        self._log_watch = LogWatch(settings, lambda: generation, recording=True, acknowledged=self._acknowledged)
        checks = (self._log_watch.reasons, self._limits.reasons, self._damaged.reasons)
        self.health = WorkerHealth(self.meter, self._catalog, self._stages(), checks)

    def start(self) -> None:
        """Read the catalog to its end, and start the checks. Raises LedgerUnavailable."""
        self._catalog.start()
        self._damaged.look()
        self._log_watch.start()
        self._limits.start()

    def stop(self) -> None:
        """End all retries. Nothing that is not durable was acknowledged, so nothing is lost."""
        self.stopping.set()
        self._log_watch.stop()
        self._limits.stop()

    def watched(self, app: ConsumerApp, admit_app: ConsumerApp, ledgers_app: ConsumerApp) -> list[Watched]:
        """The consumers for the watchdog, one per group. Also registers the app that shows which worker owns
        usage.checkpoints."""
        self._ledgers_app = ledgers_app
        return [
            self._events.watched_in(app),
            watched_inboxes(admit_app, self.inboxes.known, self.agents.inbox.unread, self.agents.inbox.work),
            watched_ledgers(ledgers_app, Lag(self.settings, LEDGERS_GROUP), self._ledger_work),
        ]

    def _go_on_at(self, partition: int, cursor: int) -> None:
        self.meter.reassigned()
        self.seeker.seek(partition, cursor)

    def _refusal(self, generation: int) -> str:
        """Why nothing may be written to a generation of usage.events; known of the one that is metered here."""
        if generation != self.settings.generation:
            return ""
        return next((str(reason) for reason in self._log_watch.reasons() if reason.refuses), "")

    def _judge(self, records: Sequence[InboxRecord]) -> Admission:
        return Admission(
            self.settings, self._catalog.catalog, records, self._open_generation, self._rejected, self._acknowledged
        )

    def _look(self, agent: LedgerAgent, topic: str, partitions: int) -> None:
        app = self._ledgers_app
        agent.look([] if app is None else [partition for _, partition in owned(app, {topic: partitions})])

    def _has_checkpoints(self) -> bool:
        return self._ledgers_app is not None and bool(owned(self._ledgers_app, {CHECKPOINTS: 1}))

    async def _catch_up(self) -> None:
        """Update the copies from ClickHouse's state, which may lie behind the offsets committed in Kafka."""
        for agent in (self.agents.invoices, self.agents.rejections, self.agents.roll_up):
            await agent.catch_up()
        await in_thread(
            self.agents.roll_up.thread,
            "copy numbers",
            lambda: copy_numbers(self._house_journal, self._rollup.checkpoints()),
        )

    def _chores(self) -> list[Chore]:
        catalog, journal, generation = self._catalog.catalog, self._house_journal, self.settings.generation
        given_up = GivenUpRanges(catalog, journal, generation, self._go_on_at)
        carried = CarriedOver(catalog, journal)
        sealed = SealedGeneration(catalog, journal, generation)
        forgetter, past_cursors = Forgetter(journal), PastCursors(journal)
        clock = CheckpointClock(self._rollup, self.settings.checkpoint_seconds)
        thread = self.agents.roll_up.thread
        return [
            Chore("go on after what was given up", thread, given_up.pass_over, given_up.due, reported=False),
            Chore("copy what was carried over", thread, carried.copy, carried.due),
            Chore(
                "copy the catalog", self.agents.rejections.thread, self._catalog_copy.write, self._catalog_copy.due
            ),
            Chore("read progress", thread, sealed.end_where_metered, sealed.due),
            Chore(
                "look for backfills", thread, lambda: self._backfill.look(self._has_checkpoints()),
                lambda: self.settings.backfill_automatic,
            ),
            Chore("look for damaged parts", thread, self._damaged.look, self._damaged.due),
            *(
                Chore(f"look for records of {topic} that Faust skipped", agent.thread,
                      partial(self._look, agent, topic, partitions), agent.due)
                for agent, topic, partitions in (
                    (self.agents.roll_up, CHECKPOINTS, 1),
                    (self.agents.rejections, REJECTED, REJECTED_PARTITIONS),
                    (self.agents.invoices, INVOICES, INVOICE_PARTITIONS),
                )
            ),
            Chore("forget", thread, lambda: forgetter.run(catalog), forgetter.due),
            Chore("delete past cursors", thread, past_cursors.delete, past_cursors.due),
            Chore("cut", thread, clock.cut, clock.due),
        ]  # fmt: skip

    def _stages(self) -> list[Stage]:
        pipeline, agents, rollup = self.agents.meter, self.agents, self._rollup
        house_journals = (self._copy_journal, self._house_journal, rollup)
        return [
            stage_of("metering (usage.events to usage_events)", pipeline, journals=(self.meter,)),
            stage_of("admission (usage.inbox.* to usage.events)", agents.inbox.work),
            stage_of(
                "the copy of rejections (usage.rejected to rejected_events)", agents.rejections.work,
                journals=(self._copy_journal,),
            ),
            stage_of(
                "roll-up (usage.checkpoints to usage_windows)", agents.roll_up.work, journals=(rollup, self._staging)
            ),
            stage_of(
                "the copy of invoices (usage.invoices to invoices)", agents.invoices.work,
                journals=(self._invoice_journal,),
            ),
            stage_of(
                "housekeeping (catalog copy, checkpoints, forgetting)", self.housekeeping.work, journals=house_journals
            ),
            stage_of("backfill", self._backfill),
        ]  # fmt: skip


def _generation_to_meter(settings: Settings, journal: Journal) -> int:
    progress = journal.run("read progress", read_progress)
    return read_generations(settings).to_meter(settings.generation, progress)
