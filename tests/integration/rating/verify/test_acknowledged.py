"""What is lost is counted record by record: exact at every cursor, and whatever ClickHouse has merged meanwhile."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rating.verify.lost_records import gap, lost_events, lost_records
from schemas.clickhouse.client import connect
from schemas.ledgers.given_up import OffsetRange
from schemas.migrations import migrate
from schemas.settings import Settings
from schemas.usage_log.acknowledged import Acknowledged

pytestmark = pytest.mark.integration


@pytest.fixture
def client(settings: Settings) -> Iterator[Any]:
    """Of tables of its own."""
    name = f"acknowledged_{uuid.uuid4().hex[:8]}"
    own = settings.model_copy(update={"clickhouse_database": name})
    migrate(own)
    made = connect(own)
    yield made
    made.command(f"DROP DATABASE {name}")
    made.close()


APPENDED = datetime(2026, 1, 1, tzinfo=UTC)


def metered(
    client: Any, generation: int, partition: int, offsets: dict[int, int], cursor: int, namespace: str = "n"
) -> None:
    """Batches that are in ClickHouse, offset → events, and how far the partition is metered."""
    rows = [[generation, partition, offset, namespace, events, 1, APPENDED] for offset, events in offsets.items()]
    if rows:
        columns = ["generation", "partition", "offset", "namespace", "events", "catalog_offset", "append_time"]
        client.insert("usage_batches", rows, column_names=columns)
    client.insert(
        "usage_progress", [[generation, partition, cursor]], column_names=["generation", "partition", "next_offset"]
    )


def merged(client: Any) -> None:
    for table in ("acknowledged_records", "usage_batches", "usage_progress", "usage_given_up", "carried_records"):
        client.command(f"OPTIMIZE TABLE {table} FINAL")


def test_what_is_lost_is_exact_below_every_cursor_whatever_was_acknowledged_after_it_and_merged(client: Any) -> None:
    gateway, killed = Acknowledged("gateway"), Acknowledged("gateway")
    for offset in range(4):  # 0 and 1 are metered, 2 and 3 were lost
        gateway.add("n", 1, 0, offset, 10 + offset)
        gateway.write(lambda: client)
    killed.add("n", 1, 0, 9, 5)  # another writer, whose record was metered though it counted nothing else of its own
    killed.write(lambda: client)
    for offset in range(4, 9):  # in the same ten minutes, after what was lost
        gateway.add("n", 1, 0, offset, 1)
        gateway.add("m", 1, 1, offset, 1)
        gateway.write(lambda: client)
    for _ in range(2):
        assert gap(client, 1, 0, 2, 4).events == {"n": 25}
        assert gap(client, 1, 0, 2, 4).uncounted == 0
        assert gap(client, 1, 0, 3, 4).events == {"n": 13}
        merged(client)
    metered(client, 1, 0, {0: 10, 1: 11}, 2)
    assert lost_events(client, "n") == {}  # above the cursor nothing is known to be lost
    for cursor in range(2, 11):
        metered(
            client,
            1,
            0,
            {offset: 1 for offset in (cursor - 1,) if 4 <= offset < 9} | ({9: 5} if cursor == 10 else {}),
            cursor,
        )
        merged(client)
        expected = 12 * (cursor > 2) + 13 * (cursor > 3)
        assert lost_events(client, "n") == ({"n": (expected, 0)} if expected else {}), cursor
    # Batches of a writer that was killed before it counted them hide nothing.
    metered(client, 1, 0, {10: 999}, 11)
    assert lost_events(client, "n") == {"n": (25, 0)}
    client.insert("usage_given_up", [[1, 0, 2, 3, "n", 12, "why", "who", datetime.now(UTC)]])
    merged(client)
    assert lost_events(client, "n") == {"n": (13, 12)}
    assert [str(one) for one in lost_records(client, None) if not one.given_up] == [
        "generation 1 partition 0 offsets 3 to 3: 13 events in 1 records"
    ]
    given = [OffsetRange(1, 0, 2, 3, "why", "who")]
    assert gap(client, 1, 0, 2, 4, given).events == {"n": 13}
    # Records of which nobody has counted the events are told: a killed writer's.
    assert gap(client, 1, 0, 0, 13).uncounted == 2


def test_a_page_that_is_written_again_counts_once_and_voids_are_records_without_events(client: Any) -> None:
    gateway = Acknowledged("gateway")
    gateway.add("n", 1, 0, 5, 3)
    gateway.add("n", 1, 0, 6, 0)

    class Lost:
        """Inserts, and fails all the same."""

        def insert(self, *arguments: Any, **more: Any) -> None:
            client.insert(*arguments, **more)
            raise OSError("reset")

    with pytest.raises(OSError, match="reset"):
        gateway.write(Lost)
    gateway.add("n", 1, 0, 7, 1)
    gateway.write(lambda: client)
    metered(client, 1, 0, {7: 1}, 8)
    for _ in range(2):
        assert lost_events(client, "n") == {"n": (3, 0)}
        [one] = lost_records(client, "n")
        assert (one.start, one.end, one.records, one.events) == (5, 7, 2, 3)
        merged(client)


def test_of_a_generation_that_is_over_all_counts_but_what_was_carried_over(client: Any) -> None:
    gateway = Acknowledged("gateway")
    for offset in range(3):
        gateway.add("n", 1, 0, offset, 10)
    gateway.write(lambda: client)
    metered(client, 1, 0, dict.fromkeys(range(3), 10), 3)
    # Another log under the same name, which took two at offsets that were metered and two above; one of those is lost
    # as well.
    for offset, events in ((1, 4), (2, 6), (3, 7), (4, 8)):
        gateway.add("n", 1, 0, offset, events)
    gateway.add("n", 1, 1, 0, 1)  # a partition of which nothing was metered
    gateway.write(lambda: client)
    assert lost_events(client, "n") == {"n": (10, 0)}  # at offsets 1 and 2; the others are above the cursor
    client.insert("usage_carried", [[2, 0, 3]])
    metered(client, 2, 0, {0: 4, 1: 6}, 2)
    assert lost_events(client, "n") == {"n": (1, 0)}  # not all that was carried over is metered
    metered(client, 2, 0, {2: 7, 3: 50}, 4)
    merged(client)
    assert lost_events(client, "n") == {"n": (9, 0)}


def test_a_record_that_was_carried_over_hides_no_other_whether_it_was_metered_where_it_lay_or_not(client: Any) -> None:
    gateway = Acknowledged("gateway")
    for offset, events in ((0, 10), (1, 5), (2, 6), (5, 8)):  # 0 is metered, the others were lost
        gateway.add("n", 1, 0, offset, events)
    gateway.write(lambda: client)
    metered(client, 1, 0, {0: 10}, 1)
    # Another log under the same name. Of its records, nobody acknowledged those at 0 and 4.
    other = {0: 7, 1: 4, 2: 3, 3: 2, 4: 9}
    for offset in (1, 2, 3):
        gateway.add("n", 1, 0, offset, other[offset])
    gateway.write(lambda: client)
    later = APPENDED + timedelta(minutes=1)
    client.insert("carried_records", [[1, 0, offset, later, "n", events] for offset, events in other.items()])
    client.insert("usage_carried", [[2, 0, 5]])
    metered(client, 2, 0, other, 5)
    columns = ["generation", "partition", "offset", "namespace", "events", "catalog_offset", "append_time"]
    # A worker is still metering there: a record at a time, and in the end another tenant's at the offset of a lost one.
    for offset in (None, 1, 2, 3, 4, 5):
        if offset is not None:
            name, events = ("m", 1) if offset == 5 else ("n", other[offset])
            client.insert("usage_batches", [[1, 0, offset, name, events, 1, later]], column_names=columns)
        merged(client)
        assert lost_events(client, "n") == lost_events(client, None) == {"n": (19, 0)}, offset
        assert gap(client, 1, 0, 0, 6).events == {"n": 19}
        assert gap(client, 1, 0, 0, 8).uncounted == (2 if offset in (4, 5) else 3)
    client.insert("carried_records", [[1, 0, 3, later + timedelta(minutes=1), "n", 2]])  # of a third log
    assert lost_events(client, "n") == {"n": (19, 0)}
