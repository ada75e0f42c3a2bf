"""The events of the comparison: one kind, two profiles an event, some of them copies. The same for Weir and for its
peers."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from schemas.catalog.models import Namespace
from schemas.events.acceptance import AcceptedEvent, accept
from schemas.events.batch import encode_batch
from schemas.events.event_types import NO_TYPES
from schemas.events.identity import partition_of
from schemas.events.raw_events import RawEvent

NAMESPACE = Namespace(code="default", max_event_age_seconds=None)
CATALOG = {
    "namespace": {"code": "default", "max_event_age_seconds": None},
    "meters": [
        {
            "code": "song",
            "event_name": "Song played",
            "profiles": [
                {"code": "plays", "aggregation": "count"},
                {
                    "code": "bytes",
                    "aggregation": "sum",
                    "property": "n",
                    "filters": [{"property": ["country"], "operator": "in", "value": "USA"}],
                },
            ],
        }
    ],
}
BATCH = 500
STAMP_US = 1_790_000_000_000_000


@dataclass(frozen=True, slots=True)
class Shape:
    """``copies``: share of events that repeat one of the ``reach`` events before; ``run`` keeps rounds' keys apart."""

    events: int
    accounts: int = 1_000
    copies: float = 0.1  # a share of random draws, no quantity
    reach: int = 1_000
    run: str = "r"
    seed: int = 1


def numbers(shape: Shape) -> Iterator[int]:
    """The number of each event; a number that stood before is a copy."""
    chance = random.Random(shape.seed)
    fresh = 0
    for _ in range(shape.events):
        if fresh > 1 and chance.random() < shape.copies:
            yield chance.randrange(max(0, fresh - shape.reach), fresh)
        else:
            yield fresh
            fresh += 1


def distinct(shape: Shape) -> int:
    """How many events count."""
    return max(numbers(shape)) + 1


def properties_of(number: int) -> bytes:
    """JSON text; every second event is of the USA."""
    country = b"USA" if number % 2 else b"FR"
    return b'{"country":"%s","n":%d,"song":"s-%06d","device":{"os":"ios","v":"17.%d"}}' % (
        country, number % 1000, number % 100_000, number % 7,
    )  # fmt: skip


def account_of(number: int, shape: Shape) -> str:
    """Accounts in turn, scattered."""
    return f"acct_{number * 7919 % shape.accounts}"


def accepted(shape: Shape) -> Iterator[AcceptedEvent]:
    """As a gateway would accept them."""
    for number in numbers(shape):
        raw = RawEvent(
            event_name="Song played",
            account_id=account_of(number, shape),
            idempotency_key=f"{shape.run}-{number:012d}",
            properties=msgspec.Raw(properties_of(number)),
        )
        yield accept("default", NAMESPACE, [raw], now_us=STAMP_US + number * 1000, mint_key=str, types=NO_TYPES)[0]


def packed(shape: Shape, partitions: int, catalog_offset: int) -> Iterator[tuple[int, bytes]]:
    """(partition, packed batch of ``BATCH`` events), as the gateway delivers them."""
    waiting: list[list[AcceptedEvent]] = [[] for _ in range(partitions)]
    for event in accepted(shape):
        partition = partition_of(event.identity, partitions)
        waiting[partition].append(event)
        if len(waiting[partition]) == BATCH:
            yield partition, encode_batch("default", catalog_offset, waiting[partition])
            waiting[partition] = []
    for partition, rest in enumerate(waiting):
        if rest:
            yield partition, encode_batch("default", catalog_offset, rest)


def single_records(shape: Shape) -> Iterator[tuple[bytes, bytes]]:
    """(key, JSON of one event): what a producer of a stock stream processor sends."""
    for number in numbers(shape):
        key = b"%s-%012d" % (shape.run.encode(), number)
        yield (
            key,
            b'{"event_name":"Song played","account_id":"%s","idempotency_key":"%s","timestamp":%d,"properties":%s}'
            % (account_of(number, shape).encode(), key, STAMP_US + number * 1000, properties_of(number)),
        )
