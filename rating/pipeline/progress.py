"""How far each stage of the pipeline is: the ends of its topics beside what is durably done of them. Blocking."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from clickhouse_connect.driver.client import Client

from schemas.health.backlogs import (
    ADMISSION,
    ALERT_COPY,
    CATALOG_COPY,
    CUTTING,
    INVOICE_COPY,
    METERING,
    REJECTION_COPY,
    ROLL_UP,
    TOPUP_COPY,
    Backlog,
)
from schemas.kafka.lag import Lag
from schemas.kafka.topics import (
    ADMIT_GROUP,
    ALERTS,
    CATALOG,
    CHECKPOINTS,
    INVOICES,
    LEDGERS_GROUP,
    REJECTED,
    TOPUPS,
    events_topic,
    inbox_topic,
)
from schemas.ledgers.checkpoints import RolledUp, read_progress
from schemas.ledgers.folds.cut_list import Cut
from schemas.ledgers.generations import GenerationState, Offsets
from schemas.settings import Settings

COPIES: Final = {REJECTED: REJECTION_COPY, ALERTS: ALERT_COPY, TOPUPS: TOPUP_COPY}
"""Topics whose copies tell in copy_progress how far they are."""
BY_COMMITS: Final = (ADMISSION, INVOICE_COPY)
BY_CURSORS: Final = (METERING, CUTTING, ROLL_UP, CATALOG_COPY, *COPIES.values())

Partition = tuple[str, int]


@dataclass(frozen=True, slots=True)
class LedgersRead:
    """What this process has read of the ledgers. ``catalog_end``: the offset after the catalog's last entry; ``cuts``:
    how many there are; ``namespaces``: the declared ones."""

    generations: GenerationState
    namespaces: Collection[str]
    catalog_end: int
    cuts: int
    last_cut: Cut | None


@dataclass(frozen=True, slots=True)
class StoredProgress:
    """What ClickHouse says is done. ``copied``: topic and partition → next offset."""

    progress: Offsets
    rolled_up: int
    copied: Mapping[Partition, int]
    catalog_copied: int


def read_done(client: Client, rolled_up: RolledUp) -> StoredProgress:
    """Raises clickhouse_connect's errors."""
    rows = client.query(
        "SELECT topic, partition, max(next_offset) FROM copy_progress GROUP BY topic, partition"
        " UNION ALL SELECT {catalog:String}, toUInt32(0), max(catalog_offset) + 1 FROM catalog_entries"
        " HAVING count() > 0",
        parameters={"catalog": CATALOG},
    ).result_rows
    copied = {(str(topic), int(partition)): int(end) for topic, partition, end in rows}
    return StoredProgress(read_progress(client), rolled_up.read(client), copied, copied.get((CATALOG, 0), 0))


class LogEnds:
    """The ends of topics and the commits of the workers' groups, asked on three connections that are kept."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._admit, self._ledgers = Lag(settings, ADMIT_GROUP), Lag(settings, LEDGERS_GROUP)
        self._ends = Lag(settings, "weir-watermarks")

    def by_commits(self, ledgers: LedgersRead) -> Iterator[Backlog]:
        """Backlogs of admission and of the copy of invoices. Raises KafkaException."""
        topics = self._ends.topics()
        namespaces = {inbox_topic(name): name for name in (*ledgers.namespaces, self._settings.namespace)}
        inboxes = [(name, number) for name in sorted(namespaces.keys() & topics) for number in range(topics[name])]
        for topic_partition, (committed, end) in self._admit.standing(inboxes).items():
            yield Backlog(ADMISSION, topic_partition, committed or 0, end, namespaces[topic_partition[0]])
        invoices = [(INVOICES, number) for number in range(topics.get(INVOICES, 0))]
        for topic_partition, (committed, end) in self._ledgers.standing(invoices).items():
            yield Backlog(INVOICE_COPY, topic_partition, committed or 0, end)

    def by_cursors(self, ledgers: LedgersRead, done: StoredProgress, now_us: int) -> Iterator[Backlog]:
        """Backlogs of what ClickHouse knows the progress of. ``done``: read before. Raises KafkaException."""
        topics = self._ends.topics()
        configured = self._settings.generation
        numbers = {events_topic(number): number for number in ledgers.generations.known(configured)}
        watched = [(name, partition) for name in (*numbers, *COPIES) for partition in range(topics.get(name, 0))]
        for topic_partition, end in self._ends.ends(watched).items():
            topic, partition = topic_partition
            if topic in COPIES:
                yield Backlog(COPIES[topic], topic_partition, done.copied.get(topic_partition, 0), end)
            else:
                cursor = done.progress.get((numbers[topic], partition), 0)
                yield Backlog(METERING, topic_partition, cursor, end)
        yield Backlog(CATALOG_COPY, (CATALOG, 0), done.catalog_copied, ledgers.catalog_end)
        yield Backlog(ROLL_UP, (CHECKPOINTS, 0), done.rolled_up, ledgers.cuts)
        due = cut_is_due(ledgers.last_cut, done.progress, now_us - self._settings.checkpoint_seconds * 1_000_000)
        yield Backlog(CUTTING, (CHECKPOINTS, 0), ledgers.cuts, ledgers.cuts + due)


def cut_is_due(last: Cut | None, progress: Offsets, youngest_us: int) -> bool:
    """Whether something is metered that no checkpoint holds, and the last one is older than ``youngest_us``."""
    held: Offsets = last.offsets if last else {}
    older = last is None or last.as_of_us < youngest_us
    return older and any(end > held.get(key, 0) for key, end in progress.items())
