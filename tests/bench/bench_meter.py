"""What metering costs the worker's own process: `python tests/bench/bench_meter.py [--events 200000] [--rounds 5]`.

The pure stages of a flush over packed batches of 500 events (10 % recent duplicates, two profiles an event, 1,000
accounts), one thread, without Kafka and ClickHouse. Prints microseconds of CPU an event by stage, the median of the
rounds and their spread.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from workload import CATALOG, Shape, packed

from schemas.catalog.meters import Meter
from schemas.catalog.models import Namespace
from schemas.catalog.state import Catalog, record_of
from schemas.events.batch import decode_batch
from stream_processors.metering.bloom import DailyFilters
from stream_processors.metering.dedupe import Decision, PartitionMemory, Record
from stream_processors.metering.flush_tables import flush_table
from stream_processors.metering.journal import arrow_bytes
from stream_processors.metering.meter_records import Flush, Matchers, meter_records

UNIT = 60  # records a flush: 30,000 events
APPENDED_US = 1_790_000_000_000_000


def catalog() -> Catalog:
    """One meter with two profiles."""
    made = Catalog()
    models = (
        ("namespace", Namespace.model_validate(CATALOG["namespace"])),
        ("meter", Meter.model_validate(CATALOG["meters"][0])),
    )
    for offset, (kind, model) in enumerate(models):
        made.apply(record_of("default", model, kind=kind, version=1, author="", claim_id=kind), offset, 0)
    return made


def decided(memory: PartitionMemory, records: Sequence[Record], matchers: Matchers) -> list[Decision]:
    """What of the records counts, with nothing in the journal."""
    return [
        memory.decide(record, matchers.window(record.batch.namespace, record.batch.catalog_offset), {})
        for record in records
    ]


def records_of(shape: Shape) -> Iterator[Any]:
    """The Arrow tables of usage_flush that one partition with these events gives, a flush each."""
    memory, matchers = PartitionMemory(1, 0, 0, DailyFilters()), Matchers(catalog())
    values = [value for _, value in packed(shape, 1, 2)]
    for start in range(0, len(values), UNIT):
        some = values[start : start + UNIT]
        records = [Record(1, 0, start + n, APPENDED_US, decode_batch(value)) for n, value in enumerate(some)]
        flush = Flush()
        meter_records(flush, records, decided(memory, records, matchers), matchers)
        yield flush_table(flush.events, flush.duplicates)


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
                Record(1, 0, start + number, APPENDED_US, decode_batch(value)) for number, value in enumerate(some)
            ],
        )
        timed("bloom filters", lambda records=records: memory.suspects(records))
        flush = Flush()
        timed(
            "decide and match",
            lambda flush=flush, records=records: meter_records(
                flush, records, decided(memory, records, matchers), matchers
            ),
        )
        table = timed("columns", lambda flush=flush: flush_table(flush.events, flush.duplicates))
        timed("block", lambda table=table: arrow_bytes(table))
        memory.forget_durable(memory.cursor)
    return spent


def stages(events: int, rounds: int) -> dict[str, dict[str, float]]:
    """Microseconds of CPU an event by stage: median, lowest and highest of the rounds, the first of them left out."""
    batches, made = [value for _, value in packed(Shape(events), 1, 2)], catalog()
    spent = [one_round(batches, made) for _ in range(rounds + 1)][1:]
    for one in spent:
        one["sum"] = sum(one.values())
    costs = {stage: [one[stage] / events * 1e6 for one in spent] for stage in spent[0]}
    return {
        stage: {"median": statistics.median(some), "lowest": min(some), "highest": max(some)}
        for stage, some in costs.items()
    }


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    found = stages(options.events, options.rounds)
    for stage, cost in found.items():
        print(f"{stage:18} {cost['median']:6.2f} us/event  ({cost['lowest']:.2f} to {cost['highest']:.2f})")
    print(f"{1e6 / found['sum']['median']:,.0f} events/s of the worker's own thread")


if __name__ == "__main__":
    main()
