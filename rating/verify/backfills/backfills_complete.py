"""Whether ClickHouse has what backfills counted: its records against the windows that were rolled up of them. They lie
at positions that other checkpoints hold, so counting by offset (``completeness``) does not see them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from clickhouse_connect.driver.client import Client

from rating.verify.scope import FINAL_SETTINGS
from schemas.catalog.backfill_jobs import jobs
from schemas.catalog.state import Catalog
from schemas.ledgers.checkpoints import rolled_up

_OURS: Final = "namespace = {n:String} AND checkpoint IN {reached:Array(UInt32)}"
_REMEDY: Final = "`weir replay --damaged` counts it again"


@dataclass(frozen=True, slots=True)
class LostBackfill:
    """A backfill that is done, and of which records are missing. ``name``: namespace/meter/version; ``checkpoint``:
    that under which they count; ``what``: how many are missing, for people. ``under_way``: a worker has still to roll
    the checkpoint up, and counts the backfill again before that."""

    name: str
    checkpoint: int
    what: str
    under_way: bool = False

    @property
    def place(self) -> str:
        """The place in words."""
        return f"backfill {self.name}, checkpoint {self.checkpoint}"

    @property
    def remedy(self) -> str:
        """For people."""
        return "a running worker counts it again by itself; `weir status` tells" if self.under_way else _REMEDY


def lost_backfills(client: Client, catalog: Catalog, namespace: str | None = None) -> Iterator[LostBackfill]:
    """Backfills of the namespace (None: of all), as the catalog says that they are done. Blocking."""
    for name in catalog.namespaces() if namespace is None else [namespace]:
        reached = {reach.checkpoint: job.name for job in jobs(catalog.view(name)) for reach in job.reaches}
        if reached:
            yield from _lost(client, name, reached)


def _lost(client: Client, namespace: str, reached: dict[int, str]) -> Iterator[LostBackfill]:
    done = rolled_up(client)
    taken_in = _counts(client, namespace, list(reached), "usage_backfills FINAL", "count()")
    windows = _counts(client, namespace, list(reached), "usage_windows FINAL", "sum(count)")
    records = _counts(client, namespace, list(reached), "usage_records", "count()")
    if differing := [number for number in reached if windows.get(number, 0) != records.get(number, 0)]:
        records |= dict.fromkeys(differing, 0) | _counts(
            client, namespace, differing, "usage_records FINAL", "count()"
        )  # raw counts are right unless something was written twice
    for number, name in sorted(reached.items()):
        if number > done:
            yield LostBackfill(name, number, "its checkpoint is not rolled up", under_way=True)
        elif number not in taken_in:
            yield LostBackfill(name, number, "it was never rolled up here")
        elif (present := records.get(number, 0)) != (expected := windows.get(number, 0)):
            yield LostBackfill(name, number, f"{present} records, but {expected} in its windows")


def _counts(client: Client, namespace: str, reached: list[int], table: str, count: str) -> dict[int, int]:
    """Checkpoint → count of its backfilled rows."""
    where = f"{_OURS} AND backfilled" if table.startswith("usage_windows") else _OURS
    rows = client.query(
        f"SELECT checkpoint, {count} FROM {table} WHERE {where} GROUP BY checkpoint",
        parameters={"n": namespace, "reached": reached},
        settings=FINAL_SETTINGS,
    ).result_rows
    return {int(row[0]): int(row[1]) for row in rows}
