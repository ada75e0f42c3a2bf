"""What metering costs the worker's own process: `python tests/bench/bench_meter.py [--events 200000] [--rounds 5]`.

The pure stages of a flush over packed batches of 500 events (10 % recent duplicates, two profiles an event, 1,000 accounts), one
thread, without Kafka and ClickHouse. Prints microseconds an event by stage, the median of the rounds and their spread.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Callable
from typing import Any

import msgspec

from schemas.acceptance import RawEvent, accept
from schemas.batch import decode_batch, encode_batch
from schemas.catalog.models import Meter, Namespace
from schemas.catalog.state import Catalog, record_of
from schemas.event_types import NO_TYPES
from stream_processors.bloom import DailyFilters
from stream_processors.dedupe import PartitionMemory, Record
from stream_processors.metering import Flush, Matchers, meter_records
from stream_processors.rows import duplicates_table

NAMESPACE = Namespace(code="default", max_event_age_seconds=None)
METER = {
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
UNIT = 60  # records a flush: 30,000 events


def catalog() -> Catalog:
    """One meter with two profiles."""
    made = Catalog()
    for offset, (kind, model) in enumerate((("namespace", NAMESPACE), ("meter", Meter.model_validate(METER)))):
        made.apply(record_of("default", model, kind=kind, version=1, author="", claim_id=kind), offset, 0)
    return made


def packed(events: int) -> list[bytes]:
    """Packed batches of 500."""
    chance = random.Random(1)
    made = []
    for start in range(0, events, 500):
        raws = []
        for number in range(start, start + 500):
            key = number if chance.random() > 0.1 or not number else chance.randrange(max(0, number - 1000), number)
            country = b"USA" if key % 2 else b"FR"
            body = b'{"country":"%s","n":%d}' % (country, key % 1000)
            raws.append(
                RawEvent(
                    event_name="Song played",
                    account_id=f"acct_{key % 1000}",
                    idempotency_key=f"key-{key:012d}",
                    properties=msgspec.Raw(body),
                )
            )
        single = [accept("default", NAMESPACE, [raw], now_us=10**15, mint_key=str, types=NO_TYPES)[0] for raw in raws]
        made.append(encode_batch("default", 2, single))
    return made


def one_round(batches: list[bytes], made: Catalog) -> dict[str, float]:
    """Seconds by stage."""
    spent: dict[str, float] = {}

    def timed(stage: str, call: Callable[[], Any]) -> Any:
        began = time.thread_time()
        result = call()
        spent[stage] = spent.get(stage, 0.0) + time.thread_time() - began
        return result

    memory, matchers = PartitionMemory(1, 0, 0, DailyFilters()), Matchers(made)
    for start in range(0, len(batches), UNIT):
        some = batches[start : start + UNIT]
        records = timed(
            "decode",
            lambda some=some, start=start: [
                Record(1, 0, start + number, 10**15, decode_batch(value)) for number, value in enumerate(some)
            ],
        )
        timed("bloom filters", lambda records=records: memory.suspects(records))
        flush = Flush()
        timed(
            "decide and match",
            lambda flush=flush, records=records: meter_records(flush, memory, records, matchers, {}),
        )
        timed("columns", lambda flush=flush: (flush.events.table(), duplicates_table(flush.duplicates)))
        memory.forget_durable(memory.cursor)
    return spent


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    batches, made = packed(options.events), catalog()
    rounds = [one_round(batches, made) for _ in range(options.rounds)]
    total = [sum(spent.values()) for spent in rounds]
    for stage in rounds[0]:
        costs = [spent[stage] / options.events * 1e6 for spent in rounds]
        print(f"{stage:18} {statistics.median(costs):6.2f} us/event  ({min(costs):.2f} to {max(costs):.2f})")
    costs = [seconds / options.events * 1e6 for seconds in total]
    print(f"{'sum':18} {statistics.median(costs):6.2f} us/event  ({min(costs):.2f} to {max(costs):.2f})")
    print(f"{1e6 / statistics.median(costs):,.0f} events/s of the worker's own thread")


if __name__ == "__main__":
    main()
