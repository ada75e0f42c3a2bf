"""The breaker: a log that cannot be read stops the worker, at the same record however often it is started again."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.catalog.state import Catalog
from schemas.events.batch import encode_batch
from schemas.settings import Settings
from stream_processors.metering.bloom import DailyFilters
from stream_processors.metering.breaker import Breaker, BreakerLimits, Poisoned
from stream_processors.metering.dedupe import PartitionMemory
from stream_processors.metering.flush import UnitMeter
from stream_processors.metering.flush_tables import batches_table
from stream_processors.metering.metered_topic import MeteredTopic, RawRecord
from tests.unit.stream_processors.metering.builders import event

records_ = st.lists(st.booleans(), max_size=40)
limits_ = st.builds(BreakerLimits, st.integers(1, 100), st.integers(1, 6), st.integers(1, 12))


def first_stop(limits: BreakerLimits, records: list[bool]) -> int | None:
    breaker = Breaker(limits)
    return next((number for number, poison in enumerate(records) if breaker.see(poison)), None)


@given(records_, limits_)
def test_it_stops_at_the_first_poison_that_makes_too_great_a_share(records: list[bool], limits: BreakerLimits) -> None:
    def too_many(number: int) -> bool:
        last_record = records[max(0, number + 1 - limits.window) : number + 1]
        return (
            records[number]
            and sum(last_record) >= limits.minimum
            and sum(last_record) / len(last_record) > limits.percent / 100
        )

    assert first_stop(limits, records) == next((n for n in range(len(records)) if too_many(n)), None)


@given(records_, limits_, st.data())
def test_started_again_anywhere_it_stops_at_the_same_record(
    records: list[bool], limits: BreakerLimits, data: st.DataObject
) -> None:
    stop = first_stop(limits, records)
    cursor = data.draw(st.integers(0, len(records) if stop is None else stop))
    repeated_breaker = Breaker(limits, records[max(0, cursor - limits.window) : cursor])
    item = next((cursor + n for n, poison in enumerate(records[cursor:]) if repeated_breaker.see(poison)), None)
    assert item == stop


@given(records_, st.integers(1, 6))
def test_at_a_hundred_percent_it_never_stops(records: list[bool], minimum: int) -> None:
    assert first_stop(BreakerLimits(100, minimum), records) is None


class Model:
    """A journal that holds what was committed."""

    def __init__(self) -> None:
        self.sizes: dict[int, int] = {}

    def poison(self, generation: int, partition: int, cursor: int, records: int) -> list[bool]:
        return [size == 0 for offset, size in sorted(self.sizes.items()) if cursor - records <= offset < cursor]

    def cursor(self, generation: int, partition: int) -> int:
        return len(self.sizes)

    def filters(self, *_: Any) -> DailyFilters:
        return DailyFilters()

    def appended_before(self, *_: Any) -> None:
        return None

    def counted(self, names: Any) -> dict[bytes, Any]:
        return {}


def metering(model: Model, **extra: Any) -> UnitMeter:
    follower: Any = SimpleNamespace(catalog=Catalog(), wait_for=lambda offset, timeout: True)
    nothing: Any = None
    topic = MeteredTopic(name="usage.events.1", partitions=1, seek=lambda *_: None, log_start=lambda _: 0)
    meter = UnitMeter(Settings(poison_minimum=5, **extra), topic, follower, nothing, threading.Event())
    journal: Any = model
    meter._reading = journal
    return meter


def commit(model: Model, meter: UnitMeter, *records: RawRecord) -> list[dict[str, Any]]:
    flush = meter.prepare(records, None)
    model.sizes |= {row["offset"]: row["events"] for row in batches_table(flush.records).to_pylist()}
    return flush.rejections


def good(offset: int) -> RawRecord:
    return RawRecord(0, offset, 0, encode_batch("default", 0, [event(offset, 0)]))


def junk(offset: int) -> RawRecord:
    return RawRecord(0, offset, 0, b"junk")


def test_the_unit_that_holds_the_last_straw_is_not_written_at_all_now_or_after_a_restart() -> None:
    model = Model()
    meter = metering(model)
    assert commit(model, meter, good(0), good(1), good(2)) == []
    assert len(commit(model, meter, junk(3), junk(4), junk(5))) == 3
    for _ in range(3):
        with pytest.raises(Poisoned, match=r"partition 0 offset 7: 5 of the last 8 .* WEIR_POISON_PERCENT=100"):
            commit(model, meter, junk(6), junk(7), good(8))
        assert len(model.sizes) == 6
        meter = metering(model)
    # Records that can be read go on at once, and somebody may decide to let the junk pass, with its bytes.
    assert commit(model, metering(model), good(6)) == []
    passing = commit(model, metering(model, poison_percent=100), *(junk(offset) for offset in range(7, 20)))
    assert [item.original for item in passing] == [b"junk"] * 13


def test_one_partitions_junk_says_nothing_about_another() -> None:
    model, follower = Model(), PartitionMemory(1, 1, 0, DailyFilters())
    meter = metering(model)
    meter._memories[1] = follower
    for start in range(0, 4, 2):
        meter.prepare([RawRecord(1, start, 0, b"junk"), RawRecord(1, start + 1, 0, b"junk")], None)
        follower.cursor = start + 2
    assert len(commit(model, meter, junk(0), junk(1), junk(2), junk(3))) == 4
