"""The books of a namespace: every event that was received is accounted for, once (DESIGN invariant 11)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Final

from clickhouse_connect.driver.client import Client

from rating.partition_counts import PartitionCounts
from rating.verify.lost_records import lost_events
from schemas.values.json_text import JsonObject


@dataclass(frozen=True, slots=True)
class EventBooks:
    """Counts of events. received = refused + accepted; accepted = metered + unmatched + duplicates + conflicts.

    ``metered``: counted, with at least one record; ``unmatched``: counted, without any (also where the value could not
    be measured); ``voided``: of the metered, those taken back since (a void is no event);
    ``lost``: at least so many that writers acknowledged by their own count, and that are not in the log; ``given_up``:
    lost, and somebody said so (`weir log give-up`). Neither is ever too large; both leave out what no writer's count
    holds: what one acknowledged in the 2 s before it was killed, what was replayed of rejections, and counts that
    ClickHouse lost or never got. A rejection that is replayed stays refused, and its events are received again,
    accepted. While events are under way ``accepted`` runs ahead of its parts or behind them.
    """

    namespace: str
    refused: int
    accepted: int
    metered: int
    unmatched: int
    duplicates: int
    conflicts: int
    voided: int = 0
    given_up: int = 0
    lost: int = 0

    @property
    def received(self) -> int:
        """Everything that came, by whichever door."""
        return self.refused + self.accepted

    @property
    def balanced(self) -> bool:
        """Whether each accepted event is in exactly one place, and nothing that was acknowledged is missing."""
        missing = self.accepted - self.metered - self.unmatched - self.duplicates - self.conflicts
        return 0 <= missing <= self.given_up and not self.lost

    def to_json(self) -> JsonObject:
        """Ready for json.dumps."""
        return {"received": self.received} | asdict(self) | {"balanced": self.balanced}


COUNTED: Final = {
    "usage_events": ("countIf(notEmpty(match_profile_ids))", "count()"),
    "duplicate_events": ("count()",),
    "usage_batches": ("sum(events)",),
}
"""What is counted of tables that grow with events. A batch is stored after its events."""
_SQL: Final = """
SELECT
    (SELECT sum(events) FROM rejected_events FINAL WHERE namespace = {n:String} AND stage IN ('gateway', 'admit')),
    (SELECT sum(events) FROM rejected_events FINAL WHERE namespace = {n:String} AND stage = 'meter'),
    (SELECT uniqExact((generation, partition, offset, `index`)) FROM voided_events
        WHERE namespace = {n:String} AND notEmpty(match_profile_ids))
SETTINGS do_not_merge_across_partitions_select_final = 1"""  # of rejected_events: one arrival


def read_books(client: Client, namespace: str, counts: PartitionCounts | None = None) -> EventBooks:
    """The namespace's books as ClickHouse has them now; ``client`` is from ``schemas.clickhouse.client.connect``.
    ``counts``: of ``COUNTED``, kept from one call to the next, so that what has not changed is not counted again.
    Blocking."""
    counted = (counts or PartitionCounts(COUNTED)).read(client, namespace)
    refused, conflicts, voided = (
        int(value) for value in client.query(_SQL, parameters={"n": namespace}).result_rows[0]
    )
    missing, given_up = lost_events(client, namespace).get(namespace, (0, 0))
    (metered, stored), (duplicates,), (accepted,) = (counted[table] for table in COUNTED)
    return EventBooks(
        namespace, refused, accepted, metered, stored - metered, duplicates, conflicts, voided, given_up, missing
    )
