"""Counts that are kept are those of all rows, whatever becomes of the parts, and only what changed is counted again."""

from __future__ import annotations

from collections import defaultdict
from types import SimpleNamespace
from typing import Any, cast

from clickhouse_connect.driver.client import Client
from hypothesis import given
from hypothesis import strategies as st

from rating.partition_counts import NAMESPACES, PartitionCounts


class Store:
    """Two tables of parts: (table, partition) → name of a part → namespace → rows."""

    def __init__(self) -> None:
        self.parts: dict[tuple[str, str], dict[str, dict[str, int]]] = defaultdict(dict)
        self.counted: list[tuple[str, str]] = []
        self._made = 0

    def write(self, table: str, partition: str, rows: dict[str, int]) -> None:
        """A new part, as an insert makes it."""
        self._made += 1
        self.parts[table, partition][f"part_{self._made}"] = rows

    def merge(self, table: str, partition: str, *, dropping: bool) -> None:
        """All parts of the partition become one; ``dropping``: without their rows, as a deletion leaves it."""
        old = self.parts[table, partition]
        names = {name for rows in old.values() for name in rows}
        merged = {name: 0 if dropping else sum(rows.get(name, 0) for rows in old.values()) for name in names}
        self.parts[table, partition] = {}
        self.write(table, partition, merged)

    def rows(self, table: str, namespace: str) -> int:
        """As an obvious count has it."""
        return sum(
            rows.get(namespace, 0)
            for place, parts in self.parts.items()
            if place[0] == table
            for rows in parts.values()
        )

    def query(self, sql: str, parameters: dict[str, Any]) -> Any:
        """The two statements."""
        if "system.parts" in sql:
            found = [
                (*place, hash(frozenset(parts)), len(parts))
                for place, parts in self.parts.items()
                if parts and place[0] in parameters["tables"]
            ]
            return SimpleNamespace(result_rows=found)
        table = sql.partition(" FROM ")[2].split()[0]
        self.counted += [(table, name) for name in parameters["partitions"]]
        counts = [
            (name, sum(rows.get(parameters["n"], 0) for rows in self.parts[table, name].values()))
            for name in parameters["partitions"]
        ]
        return SimpleNamespace(result_rows=[count for count in counts if count[1]])


def read(counts: PartitionCounts, store: Store, namespace: str) -> dict[str, list[int]]:
    """Of a client, ``query`` alone is asked, and a store has it."""
    return counts.read(cast(Client, store), namespace)


PLACES = st.tuples(st.sampled_from(["batches", "events"]), st.sampled_from(["1", "2", "3"]))
STEPS = st.one_of(
    st.tuples(
        st.just("write"), PLACES, st.dictionaries(st.sampled_from(["air", "sea"]), st.integers(1, 9), min_size=1)
    ),
    st.tuples(st.sampled_from(["merge", "delete", "drop"]), PLACES, st.just({})),
    st.tuples(st.just("read"), PLACES, st.just({})),
)


@given(st.lists(STEPS, max_size=30))
def test_kept_counts_are_those_of_all_rows(steps: list[tuple[str, tuple[str, str], dict[str, int]]]) -> None:
    store, counts = Store(), PartitionCounts({"events": ("count()",), "batches": ("count()",)})
    for step, place, rows in [*steps, ("read", ("events", "1"), {})]:
        if step == "write":
            store.write(*place, rows)
        elif step == "drop":
            store.parts.pop(place, None)
        elif step != "read":
            store.merge(*place, dropping=step == "delete")
        else:
            for namespace in ("air", "sea"):
                expected = {table: [store.rows(table, namespace)] for table in ("events", "batches")}
                assert read(counts, store, namespace) == expected


def test_only_what_has_changed_is_counted_again() -> None:
    store, counts = Store(), PartitionCounts({"events": ("count()",)})
    for day in "123":
        store.write("events", day, {"air": 5})
    for others in range(NAMESPACES):
        read(counts, store, f"other_{others}" if others else "air")
    store.counted.clear()
    store.write("events", "3", {"air": 2})
    assert read(counts, store, "air") == {"events": [17]}
    assert store.counted == [("events", "3")]
    assert read(counts, store, "air") == {"events": [17]}
    assert store.counted == [("events", "3")]
    read(counts, store, "one more")
    assert len(counts._kept) == NAMESPACES
