"""Changes the number of partitions of usage.events by a new generation, under load, without loss or duplication.

Each step is safe to repeat; an interrupted change is completed by requesting it again:

1. create the topic of the following generation
2. announce on usage.catalog that the current one is being sealed (``generations.sealing_record``): gateways answer 503,
   `admit` waits
3. seal: configure the broker to refuse further records of the old topic (max.message.bytes = 0). This also stops
   gateways that have not read the announcement and deliveries being retried: none of them is acknowledged
4. verify: each partition's leader must refuse a probe record; read the end offsets, and verify once more
5. announce that the following generation is open, and where the old one ended: gateways write to it at once, `admit`
   too
6. workers meter the old one to its ends, then end themselves, and start again on the following one
   (``GenerationState.to_meter``)

Between steps 2 and 5, about a second, producers get 503 and retry with the same keys. Events stored in the old
generation without an acknowledgement are recognised as first copies, since identities are looked up across generations.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource

from schemas.catalog.follower import read_catalog
from schemas.catalog.state import Catalog
from schemas.errors import WeirError
from schemas.kafka.codec import CodecError, codec
from schemas.kafka.kafka_producer import KafkaProducer
from schemas.kafka.topics import CATALOG, create_events_topic, events_topic, partition_count
from schemas.ledgers.errors import LedgerUnavailable
from schemas.ledgers.generations import KIND, Generations, GenerationState, open_record, sealing_record
from schemas.ledgers.ledger_reader import LedgerReader
from schemas.ledgers.ledger_writer import LedgerWriter
from schemas.settings import Settings

_SEAL_SECONDS: Final = 60.0
_FENCE: Final = "max.message.bytes"
_KIND: Final = KIND.encode()

Say = Callable[[str], None]


class GenerationError(WeirError):
    """The change cannot be made; the message states the reason and the remedy."""


def read_generations(settings: Settings, catalog: Catalog | None = None) -> GenerationState:
    """The present state: of the topic's beginning on, or of what ``catalog`` has not read. Raises LedgerUnavailable."""
    generations = Generations(None if catalog is None else catalog.generations.state)
    with LedgerReader(settings, CATALOG, begin={0: 0 if catalog is None else catalog.next_offset}) as reader:
        for record in reader.read_to(reader.end_offsets()):
            if _KIND not in record.value:  # nearly all of a large catalog: not worth decoding
                continue
            try:
                decoded = codec("catalog_entry").decode(record.value)
            except CodecError:
                continue  # foreign bytes are void, as in the catalog
            if decoded["kind"] == KIND:
                generations.apply(decoded)
    return generations.state


def end_offsets(settings: Settings, state: GenerationState | None = None) -> dict[tuple[int, int], int]:
    """The present end offsets of usage.events, of all generations: (generation, partition) → offset. ``state``: as a
    follower of the catalog has it; None: it is read from the topic's beginning. Raises LedgerUnavailable."""
    if state is None:
        state = read_generations(settings)
    ends: dict[tuple[int, int], int] = {}
    for number in state.known(settings.generation):
        if number in state.ends:
            ends |= {(number, partition): end for partition, end in enumerate(state.ends[number])}
        else:
            ends |= {(number, partition): end for partition, end in _ends(settings, number).items()}
    return ends


def change_generation(
    settings: Settings, partitions: int, progress: Mapping[tuple[int, int], int], say: Say = lambda _: None
) -> GenerationState:
    """Steps 1 to 5; ``progress`` as returned by ``checkpoints.read_progress``. Returns the new state.

    Raises GenerationError, LedgerUnavailable, KafkaException; repeating it is safe.
    """
    state = read_generations(settings)
    if state.following is None:
        state = _announce_sealing(settings, state, partitions, progress, say)
    if state.following is None or state.following.partitions != partitions:
        count = state.following.partitions if state.following else state.newest(settings.generation).partitions
        raise GenerationError(
            f"a change to {count} partitions is under way or was made; ask for --partitions {count} to finish it"
        )
    old = state.newest(settings.generation).number
    create_events_topic(settings, state.following.number, partitions)
    say(f"sealing {events_topic(old)}")
    ends = seal(settings, old)
    say(f"{events_topic(old)} is sealed at {sum(ends)} records")
    state = claim(settings, open_record(state, ends, uuid.uuid4().hex))
    if old not in state.ends:
        raise GenerationError("another process changed the generation at the same time; look at `weir generation show`")
    say(f"{events_topic(old + 1)} with {partitions} partitions takes events")
    return state


def _announce_sealing(
    settings: Settings, state: GenerationState, partitions: int, progress: Mapping[tuple[int, int], int], say: Say
) -> GenerationState:
    newest = state.newest(settings.generation)
    count = partition_count(settings, events_topic(newest.number))
    if count == partitions:
        raise GenerationError(f"{events_topic(newest.number)} has {partitions} partitions already")
    metering = state.to_meter(settings.generation, progress)
    if metering != newest.number:
        raise GenerationError(
            f"generation {metering} is still being metered; `weir status` shows its lag, try again when that is gone"
        )
    create_events_topic(settings, newest.number + 1, partitions)
    say(f"{events_topic(newest.number)} ({count} partitions) takes no more events; producers get 503 and try again")
    return claim(settings, sealing_record(state, settings.generation, partitions, uuid.uuid4().hex))


def claim(settings: Settings, record: Mapping[str, Any]) -> GenerationState:
    """Write a claim; returns the state after reading it back, whichever claim won."""
    _, offset = LedgerWriter(settings, CATALOG).append(b"generation", codec("catalog_entry").encode(record))
    return read_catalog(settings, offset + 1).generations.state


def seal(settings: Settings, generation: int) -> tuple[int, ...]:
    """Steps 3 and 4; returns the end offsets of the partitions. Raises GenerationError, KafkaException."""
    topic = events_topic(generation)
    admin = AdminClient(settings.librdkafka() | {"log_level": 2})
    fence = ConfigEntry(_FENCE, "0", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[fence])
    for future in admin.incremental_alter_configs([resource], request_timeout=30).values():
        future.result(timeout=35)
    deadline = time.monotonic() + _SEAL_SECONDS
    previous_ends: dict[int, int] | None = None
    while True:
        refused = all(_refuses(settings, topic, partition) for partition in range(partition_count(settings, topic)))
        ends = _ends(settings, generation)
        if refused and ends == previous_ends:
            return tuple(end for _, end in sorted(ends.items()))
        previous_ends = ends if refused else None
        if time.monotonic() > deadline:
            raise GenerationError(
                f"{topic} still takes records {_SEAL_SECONDS:.0f} s after {_FENCE} was set to 0; look at its "
                "brokers, then ask again"
            )


def _refuses(settings: Settings, topic: str, partition: int) -> bool:
    """Whether the partition's leader refuses records. A probe that is accepted is empty and ignored by the meter."""
    producer = KafkaProducer(settings, {"acks": "all", "delivery.timeout.ms": 10_000})
    errors: list[KafkaError | None] = []
    producer.produce(topic, b"", lambda error, _: errors.append(error), partition=partition)
    producer.flush(15)
    if not errors:
        raise LedgerUnavailable(f"{topic} partition {partition}: no answer from the broker")
    [error] = errors
    if error is not None and error.code() != KafkaError.MSG_SIZE_TOO_LARGE:
        raise KafkaException(error)
    return error is not None


def _ends(settings: Settings, generation: int) -> dict[int, int]:
    with LedgerReader(settings, events_topic(generation)) as reader:
        return reader.end_offsets()
