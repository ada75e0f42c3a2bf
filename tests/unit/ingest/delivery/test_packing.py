"""Packing: every event in exactly one batch, in order within a partition, within the bounds."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from ingest.delivery.packing import Packed, Packer, partitions_of
from schemas.events.acceptance import AcceptedEvent
from schemas.events.batch import encode_batch, size_of
from schemas.events.identity import identity, partition_of
from tests.unit.ingest.delivery.packed_events import events_of

texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)


def event(number: int, text: str = "{}", name: str = "e") -> AcceptedEvent:
    key = str(number)
    return AcceptedEvent(identity("n", "", key), b"h" * 8, name, "account", key, "", number, text)


additions = st.lists(
    st.tuples(
        st.sampled_from(["n", "m"]),
        st.integers(0, 2),  # how far the catalog has moved on since the addition before
        st.lists(texts, min_size=1, max_size=12),  # properties of each event
        st.floats(0, 0.01),  # seconds since the addition before
    ),
    max_size=30,
)


@given(additions, st.integers(1, 5), st.integers(1, 7), st.integers(300, 900))
def test_every_event_once_in_order_within_bounds(
    steps: list[tuple[str, int, list[str], float]], partitions: int, max_events: int, max_bytes: int
) -> None:
    packer: Packer[int] = Packer(partitions, max_events=max_events, max_bytes=max_bytes)
    closed: list[Packed[int]] = []
    sent: list[tuple[str, int, AcceptedEvent]] = []
    parts_of: dict[int, int] = {}
    now, offset, number = 0.0, 0, 0
    for ticket, (namespace, moved, properties, wait) in enumerate(steps):
        now += wait
        offset += moved
        closed += packer.close_due(now)
        events = [event(number + step, text) for step, text in enumerate(properties)]
        number += len(events)
        sent += [(namespace, offset, item) for item in events]
        parts_of[ticket], full = packer.add(namespace, offset, events, ticket, now)
        closed += full
        due = packer.next_due()
        assert due is None or due > now
    closed += packer.close_all()
    assert packer.next_due() is None

    for batch in closed:
        assert 1 <= batch.count <= max_events
        assert batch.size == sum(map(size_of, events_of(batch)))
        assert batch.count == 1 or batch.size <= max_bytes
        assert all(partition_of(item.identity, partitions) == batch.partition for item in events_of(batch))
        assert len(set(batch.tickets)) == len(batch.tickets)
    for namespace in ("n", "m"):
        for partition in range(partitions):
            packed = [
                (batch.catalog_offset, item)
                for batch in closed
                if (batch.namespace, batch.partition) == (namespace, partition)
                for item in events_of(batch)
            ]
            expected = [
                (at, item)
                for name, at, item in sent
                if name == namespace and partition_of(item.identity, partitions) == partition
            ]
            assert packed == expected
    # A request is answered when as many batches are reported as it was told: no more, no fewer.
    assert Counter(ticket for batch in closed for ticket in batch.tickets) == Counter(parts_of)


def test_a_batch_closes_at_500_events_and_at_256_kib() -> None:
    packer: Packer[str] = Packer(1)
    parts, closed = packer.add("n", 0, [event(number) for number in range(1001)], "request", 0.0)
    assert [batch.count for batch in closed] == [500, 500]
    assert parts == 3
    assert [batch.count for batch in packer.close_all()] == [1]

    large = [event(number, '{"a":"' + "x" * 60_000 + '"}') for number in range(5)]
    parts, closed = packer.add("n", 0, large, "request", 0.0)
    assert [batch.count for batch in closed] == [4]
    assert parts == 2


def test_the_linger_is_counted_from_the_first_event() -> None:
    packer: Packer[str] = Packer(1, linger=0.005)
    packer.add("n", 0, [event(1)], "first", 10.0)
    packer.add("n", 0, [event(2)], "second", 10.004)
    assert packer.next_due() == 10.005
    assert packer.close_due(10.0049) == []
    (batch,) = packer.close_due(10.005)
    assert batch.tickets == ["first", "second"]


@given(st.lists(st.tuples(texts, texts), min_size=1, max_size=40))
def test_the_counted_size_is_an_upper_bound_of_the_encoded_one(contents: list[tuple[str, str]]) -> None:
    events = [event(number, text, name) for number, (text, name) in enumerate(contents)]
    assert len(encode_batch("n", 0, events)) <= sum(map(size_of, events)) + 100


@given(additions, st.integers(1, 3), st.integers(1, 7), st.integers(300, 900))
def test_whole_parts_are_packed_as_event_after_event(
    steps: list[tuple[str, int, list[str], float]], partitions: int, max_events: int, max_bytes: int
) -> None:
    whole: Packer[int] = Packer(partitions, max_events=max_events, max_bytes=max_bytes)
    single: Packer[int] = Packer(partitions, max_events=max_events, max_bytes=max_bytes)
    closed_whole: list[Packed[int]] = []
    closed_single: list[Packed[int]] = []
    offset, number = 0, 0
    for namespace, moved, properties, _ in steps:
        offset += moved
        events = [event(number + step, text) for step, text in enumerate(properties)]
        number += len(events)
        closed_whole += whole.add(namespace, offset, events, 0, 0.0)[1]
        for item in events:
            closed_single += single.add(namespace, offset, [item], 0, 0.0)[1]
    closed_whole += whole.close_all()
    closed_single += single.close_all()

    def of_partition(batches: list[Packed[int]], partition: int) -> list[tuple[str, int, list[AcceptedEvent], int]]:
        return [
            (batch.namespace, batch.catalog_offset, events_of(batch), batch.size)
            for batch in sorted(batches, key=lambda batch: batch.namespace)
            if batch.partition == partition
        ]

    for partition in range(partitions):
        assert of_partition(closed_whole, partition) == of_partition(closed_single, partition)


@given(st.lists(st.binary(min_size=16, max_size=16), min_size=1, max_size=60), st.integers(1, 4096))
def test_partitions_of_many(identities: list[bytes], partitions: int) -> None:
    assert partitions_of(identities, partitions) == [partition_of(item, partitions) for item in identities]
