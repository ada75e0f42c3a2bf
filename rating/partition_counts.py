"""Counts of a namespace's rows that are worked out again only where a table has changed.

The tables of events are partitioned by the day or month of append. What a partition holds follows from its parts alone,
so a count of one is kept as long as it has the same parts: replays, deletions, merges and restores make others. It is
kept in memory, and decides nothing.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, Final

from clickhouse_connect.driver.client import Client

NAMESPACES: Final = 100
"""Of how many namespaces counts are kept, those asked for last."""
_PARTS: Final = """SELECT table, partition_id, groupBitXor(cityHash64(name)), count() FROM system.parts
WHERE active AND database = currentDatabase() AND table IN {tables:Array(String)} GROUP BY table, partition_id"""

PartsMark = tuple[int, int]
"""Tells the parts of a partition from any others it may have."""


class PartitionCounts:
    """Counts by table and partition, of each namespace. ``counted``: table → expressions over its rows, which are
    summed over its partitions. Use it from any thread."""

    def __init__(self, counted: Mapping[str, Sequence[str]]) -> None:
        self._counted = counted
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, dict[tuple[str, str], tuple[PartsMark, list[int]]]] = OrderedDict()

    def read(self, client: Client, namespace: str) -> dict[str, list[int]]:
        """Table → the sums of its expressions. Tables are counted one after another, in their order. Blocking."""
        # The parts are looked at first: rows that come meanwhile change them, and are counted again the next time.
        rows = client.query(_PARTS, parameters={"tables": list(self._counted)}).result_rows
        marks = {(str(table), str(name)): (int(parts), int(size)) for table, name, parts, size in rows}
        with self._lock:
            kept = dict(self._kept.get(namespace, {}))
        present = {place: kept[place] for place, mark in marks.items() if place in kept and kept[place][0] == mark}
        for table, expressions in self._counted.items():
            changed = [place[1] for place in marks if place[0] == table and place not in present]
            found = {str(name): values for name, *values in self._count(client, namespace, table, changed)}
            for name in changed:
                values = found.get(name, [0] * len(expressions))
                present[table, name] = marks[table, name], [int(value) for value in values]
        with self._lock:
            self._kept[namespace] = present
            self._kept.move_to_end(namespace)
            while len(self._kept) > NAMESPACES:
                self._kept.popitem(last=False)
        sums = {table: [0] * len(expressions) for table, expressions in self._counted.items()}
        for (table, _), (_, values) in present.items():
            sums[table] = [total + value for total, value in zip(sums[table], values, strict=True)]
        return sums

    def _count(self, client: Client, namespace: str, table: str, partitions: list[str]) -> Sequence[Sequence[Any]]:
        if not partitions:
            return []
        # Rows of one position have one append time, hence one partition of the table.
        return client.query(
            f"SELECT _partition_id, {', '.join(self._counted[table])} FROM {table} FINAL"
            " WHERE namespace = {n:String} AND _partition_id IN {partitions:Array(String)} GROUP BY _partition_id"
            " SETTINGS do_not_merge_across_partitions_select_final = 1",
            parameters={"n": namespace, "partitions": partitions},
        ).result_rows
