"""What a verification reads: one instant of the log, so that events under way are no differences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeAlias

from clickhouse_connect.driver.client import Client

from schemas.catalog.follower import read_catalog
from schemas.catalog.state import Catalog
from schemas.clickhouse.client import connect
from schemas.kafka.topics import CHECKPOINTS
from schemas.ledgers.checkpoints import Checkpoints, read_progress
from schemas.ledgers.generations import Offsets
from schemas.ledgers.ledger_reader import LedgerReader
from schemas.settings import Settings
from schemas.values.json_text import JsonObject


class SharedByChecks(Protocol):
    """Something that a verification makes once."""

    def close(self) -> None:
        """Let go of it."""


Row: TypeAlias = Sequence[Any]
"""A row of ClickHouse: a value a column, in the order of the SELECT."""

# A replayed row has the same append time, hence the same partition of its table.
FINAL_SETTINGS: Final[JsonObject] = {"do_not_merge_across_partitions_select_final": 1}


@dataclass(frozen=True)
class Scope:
    """What one verification reads. ``namespace`` None: all. ``progress``: below it every row is durable; nothing above
    it is read."""

    settings: Settings
    client: Client
    catalog: Catalog
    checkpoints: Checkpoints
    progress: Offsets
    namespace: str | None
    since_us: int | None = None
    """Of invoices, look at those whose period ends after this instant (microseconds UTC); None: at all."""
    shared: dict[str, SharedByChecks] = field(default_factory=dict)
    """What several checks use, by name, made at its first use."""

    def close(self) -> None:
        """Let go of ClickHouse, and of what checks have shared."""
        for shared in self.shared.values():
            shared.close()
        self.client.close()

    def rows(self, sql: str, parameters: Mapping[str, object] | None = None) -> Sequence[Row]:
        """Rows of a query. ``{n:String}`` is the namespace."""
        bound_values = self._bound() | dict(parameters or {})
        result_rows: Sequence[Row] = self.client.query(
            sql, parameters=bound_values, settings=FINAL_SETTINGS
        ).result_rows
        return result_rows

    @contextmanager
    def stream(self, sql: str) -> Iterator[Iterator[Row]]:
        """The rows of a query as they come; nothing else may be asked meanwhile. ``{n:String}`` as in ``rows``,
        ``{since:Int64}`` is ``since_us``."""
        with self.client.query_rows_stream(sql, parameters=self._bound(), settings=FINAL_SETTINGS) as rows:
            yield iter(rows)

    def _bound(self) -> JsonObject:
        return {"n": self.namespace or "", "since": self.since_us or 0}

    @property
    def of_namespace(self) -> str:
        """The condition on the column ``namespace``."""
        return "1" if self.namespace is None else "namespace = {n:String}"

    @property
    def durable(self) -> str:
        """The condition on the position: below progress."""
        return below(self.progress)

    @property
    def metered(self) -> str:
        """Below progress, in our namespace."""
        return f"{self.of_namespace} AND {self.durable}"


def below(offsets: Offsets, prefix: str = "") -> str:
    """SQL: the position (columns generation, partition, offset) lies below ``offsets``; unknown partitions do not."""
    if not offsets:
        return "0"
    generations = sorted({generation for generation, _ in offsets})
    parts = []
    for number in generations:
        ends = {partition: end for (generation, partition), end in sorted(offsets.items()) if generation == number}
        keys, values = list(ends), list(ends.values())
        limit = f"transform(toUInt64({prefix}partition), {keys}::Array(UInt64), {values}::Array(UInt64), toUInt64(0))"
        parts.append(f"({prefix}generation = {number} AND {prefix}offset < {limit})")
    return "(" + " OR ".join(parts) + ")"


def open_scope(settings: Settings, namespace: str | None, since_us: int | None = None) -> Scope:
    """The present state of progress, catalog and checkpoints. Raises LedgerUnavailable. Close it."""
    client = connect(settings)
    # Progress first: every checkpoint read later lies within what is durable, or is not rolled up yet.
    progress = read_progress(client)
    checkpoints = Checkpoints()
    with LedgerReader(settings, CHECKPOINTS) as reader:
        for record in reader.read_to(reader.end_offsets()):
            checkpoints.apply_bytes(record.value)
    return Scope(settings, client, read_catalog(settings), checkpoints, progress, namespace, since_us)
