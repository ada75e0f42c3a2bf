"""Replaces a generation whose log is not the one that was metered, and carries its unmetered records over.

Repeating the request completes an interrupted recovery. The steps:

1. verify: the topic id differs from the metered one, or the log ends below a cursor (``continuity``)
2. create the topic of the following generation, as many partitions as the present topic has; announce that this one is
   being sealed
3. seal the present topic at the broker, as any change of generation does
4. append to the following generation every record that was never metered: one that usage_batches does not have at its
   offset and with its append time. Carried over twice, its events are duplicates
5. announce that the following generation is open, and that the old one ended at its cursors: workers go on to it at
   once

Records that the old log has lost are visible in the books, by the gateways' own counts.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from clickhouse_connect.driver.client import Client
from confluent_kafka.admin import AdminClient

from schemas.clickhouse.binder import Binder
from schemas.clickhouse.positions import PositionRange, in_range
from schemas.kafka.topics import create_events_topic, events_topic, partition_count
from schemas.ledgers.generations import GenerationState, open_record, sealing_record
from schemas.ledgers.ledger_reader import LedgerReader, LogRecord
from schemas.ledgers.ledger_writer import LedgerWriter
from schemas.settings import Settings
from schemas.usage_log.continuity import read_standing
from schemas.usage_log.generation_change import GenerationError, Say, claim, read_generations, seal
from schemas.values.instants import micros

_PAGE: Final = 500


@dataclass(frozen=True, slots=True)
class Recovered:
    """The new state; ``carried``: number of packed batches and voids carried over."""

    state: GenerationState
    carried: int


def recover_generation(settings: Settings, client: Client, say: Say = lambda _: None) -> Recovered:
    """Steps 1 to 5. Raises GenerationError where there is nothing to recover, LedgerUnavailable, KafkaException."""
    state = read_generations(settings)
    old = state.newest(settings.generation).number
    topic = events_topic(old)
    standing = read_standing(AdminClient(settings.librdkafka() | {"log_level": 2}), client, old)
    refusals = [reason for reason in standing.reasons() if reason.refuses]
    if not refusals:
        raise GenerationError(
            f"{topic} is the log that was metered, and ends at its cursors or above; there is nothing to recover"
        )
    for reason in refusals:
        say(reason.detail)
    partitions = partition_count(settings, topic)
    create_events_topic(settings, old + 1, partitions)
    if state.following is None:
        state = claim(settings, sealing_record(state, settings.generation, partitions, uuid.uuid4().hex))
    if state.following is None or state.following.partitions != partitions:
        raise GenerationError("another change is under way; look at `weir generation show`, and finish that first")
    ends = seal(settings, old)
    carried = 0
    begins: list[int] = []
    for partition, end in enumerate(ends):
        count, next_offset = _carry_over(settings, client, old, partition, end)
        carried += count
        begins.append(next_offset)
    if rows := [[old + 1, partition, next_offset] for partition, next_offset in enumerate(begins) if next_offset]:
        client.insert("usage_carried", rows)
    say(f"{carried} records that were never metered are carried over to {events_topic(old + 1)}")
    cursors = standing.cursors
    count = max([partitions, *(partition + 1 for partition in cursors)])
    state = claim(
        settings,
        open_record(
            state, tuple(cursors.get(number, 0) for number in range(count)), uuid.uuid4().hex, carried=tuple(begins)
        ),
    )
    if old not in state.ends:
        raise GenerationError("another process changed the generation at the same time; look at `weir generation show`")
    say(f"{events_topic(old + 1)} takes events; {topic} ended where it was metered to")
    return Recovered(state, carried)


def _carry_over(settings: Settings, client: Client, generation: int, partition: int, end: int) -> tuple[int, int]:
    """Number of records, and the offset after the last of them."""
    writer = LedgerWriter(settings, events_topic(generation + 1))
    carried = next_offset = 0
    page: list[LogRecord] = []

    def write() -> None:
        nonlocal carried, next_offset
        values = never_metered(page, _appended(client, generation, partition, page))
        if values:
            placed = writer.append_all([(b"", value) for value in values], partition)
            next_offset = max(next_offset, *(offset + 1 for _, offset in placed))
        carried += len(values)
        page.clear()

    with LedgerReader(settings, events_topic(generation), begin={partition: 0}) as reader:
        for record in reader.read_to({partition: end}):
            page.append(record)
            if len(page) >= _PAGE:
                write()
    if page:
        write()
    return carried, next_offset


def never_metered(records: Sequence[LogRecord], appended: Mapping[int, int]) -> list[bytes]:
    """The values of records that were not metered. ``appended``: offset → append time of the metered ones. Empty
    records are probes of a seal and are left out."""
    return [record.value for record in records if record.value and appended.get(record.offset) != record.append_us]


def _appended(client: Client, generation: int, partition: int, records: Sequence[LogRecord]) -> dict[int, int]:
    bind = Binder()
    offsets = PositionRange(generation, partition, records[0].offset, records[-1].offset + 1)
    rows = client.query(
        f"SELECT offset, append_time FROM usage_batches FINAL WHERE {in_range(offsets, bind)}",
        parameters=bind.parameters,
    ).result_rows
    return {int(offset): micros(append_time) for offset, append_time in rows}
