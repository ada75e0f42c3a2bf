"""Replaces a generation whose log is not the one that was metered, and carries its unmetered records over.

Repeating the request completes an interrupted recovery. The steps:

1. verify: the topic id differs from the metered one, or the log ends below a cursor (``continuity``), or it holds
   records below a cursor that were never metered: it lost its end and has grown again since
2. create the topic of the following generation, as many partitions as the present topic has; announce that this one is
   being sealed
3. seal the present topic at the broker, as any change of generation does
4. append to the following generation every record that was never metered: one that usage_batches does not have at its
   offset and with its append time. What an interrupted recovery has carried over is not carried over again. Each is
   named in carried_records, since a worker may meter it meanwhile where it lay, and then it makes up for no lost one
5. announce that the following generation is open, and that the old one ended at its cursors: workers go on to it at
   once

Records that the old log has lost are visible in the books, by the gateways' own counts.
"""

from __future__ import annotations

import hashlib
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from clickhouse_connect.driver.client import Client
from confluent_kafka.admin import AdminClient

from schemas.clickhouse.binder import Binder
from schemas.clickhouse.positions import PositionRange, in_range
from schemas.events.batch import decode_batch
from schemas.events.voids import decode_void, is_void
from schemas.kafka.codec import CodecError
from schemas.kafka.topics import create_events_topic, events_topic, partition_count
from schemas.ledgers.generations import GenerationState, open_record, sealing_record
from schemas.ledgers.ledger_reader import LedgerReader, LogRecord
from schemas.ledgers.ledger_writer import LedgerWriter
from schemas.settings import Settings
from schemas.usage_log.continuity import read_standing
from schemas.usage_log.generation_change import GenerationError, Say, claim, read_generations, seal
from schemas.values.instants import instant, micros

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
    why = [reason.detail for reason in standing.reasons() if reason.refuses]
    if not why and (count := unmetered_below(settings, client, old, standing.cursors)):
        why = [
            f"{topic} holds {count} records below its cursors that were never metered: it lost its end and grew again"
        ]
    if not why:
        raise GenerationError(
            f"{topic} is the log that was metered, and ends at its cursors or above; there is nothing to recover"
        )
    for detail in why:
        say(detail)
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


def unmetered_below(settings: Settings, client: Client, generation: int, cursors: Mapping[int, int]) -> int:
    """Number of records that a generation's log holds below its cursors at the offsets of others, which were metered.
    Reads the whole log. Raises LedgerUnavailable. Where usage_batches has no row it is ClickHouse that lacks rows, and
    `weir replay` writes them again."""
    count = 0
    with LedgerReader(settings, events_topic(generation), begin=dict.fromkeys(cursors, 0)) as reader:
        ends = reader.end_offsets()
        below = {partition: min(cursor, ends[partition]) for partition, cursor in cursors.items() if partition in ends}
        pages: dict[int, list[LogRecord]] = defaultdict(list)

        def looked_at(partition: int) -> int:
            page = [record for record in pages.pop(partition) if record.offset < below[partition]]
            appended = _appended(client, generation, partition, page) if page else {}
            return sum(record.offset in appended for record in never_metered(page, appended))

        for record in reader.read_to(below):
            pages[record.partition].append(record)
            if len(pages[record.partition]) >= _PAGE:
                count += looked_at(record.partition)
        count += sum(looked_at(partition) for partition in list(pages))
    return count


def _carry_over(settings: Settings, client: Client, generation: int, partition: int, end: int) -> tuple[int, int]:
    """Number of records, and the offset after the last of them."""
    writer = LedgerWriter(settings, events_topic(generation + 1))
    # Nobody else writes to a generation before it is open: what it holds, an interrupted recovery has carried over.
    before, next_offset = _carried_before(settings, generation + 1, partition)
    carried = before.total()
    page: list[LogRecord] = []

    def write() -> None:
        nonlocal carried, next_offset
        appended = _appended(client, generation, partition, page)
        records = never_metered(page, appended)
        values = not_carried([record.value for record in records], before)
        if values:
            placed = writer.append_all([(b"", value) for value in values], partition)
            next_offset = max(next_offset, *(offset + 1 for _, offset in placed))
        if rows := carried_rows(generation, partition, records):
            client.insert("carried_records", rows)
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


def never_metered(records: Sequence[LogRecord], appended: Mapping[int, int]) -> list[LogRecord]:
    """The records that were not metered. ``appended``: offset → append time of the metered ones. Empty records are
    probes of a seal and are left out."""
    return [record for record in records if record.value and appended.get(record.offset) != record.append_us]


def carried_rows(generation: int, partition: int, records: Iterable[LogRecord]) -> list[list[Any]]:
    """Rows of carried_records for records of the log that is left, without those that cannot be read."""
    rows: list[list[Any]] = []
    for record in records:
        try:
            if is_void(record.value):
                namespace, events = decode_void(record.value).namespace, 0
            else:
                batch = decode_batch(record.value)
                namespace, events = batch.namespace, batch.size
        except CodecError:
            continue
        rows.append([generation, partition, record.offset, instant(record.append_us), namespace, events])
    return rows


def not_carried(values: Sequence[bytes], before: Counter[bytes]) -> list[bytes]:
    """The values that ``before`` (by ``_digest``) does not have; takes those out of it that it has."""
    left: list[bytes] = []
    for value in values:
        digest = _digest(value)
        if before[digest]:
            before[digest] -= 1
        else:
            left.append(value)
    return left


def _carried_before(settings: Settings, generation: int, partition: int) -> tuple[Counter[bytes], int]:
    """The records of a partition by their digests, and its next offset."""
    with LedgerReader(settings, events_topic(generation), begin={partition: 0}) as reader:
        end = reader.end_offsets().get(partition, 0)
        return Counter(_digest(record.value) for record in reader.read_to({partition: end})), end


def _digest(value: bytes) -> bytes:
    return hashlib.blake2b(value, digest_size=16).digest()


def _appended(client: Client, generation: int, partition: int, records: Sequence[LogRecord]) -> dict[int, int]:
    bind = Binder()
    offsets = PositionRange(generation, partition, records[0].offset, records[-1].offset + 1)
    rows = client.query(
        f"SELECT offset, append_time FROM usage_batches FINAL WHERE {in_range(offsets, bind)}",
        parameters=bind.parameters,
    ).result_rows
    return {int(offset): micros(append_time) for offset, append_time in rows}
