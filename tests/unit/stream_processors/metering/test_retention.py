"""What is forgotten never mattered: decisions with forgetting are those without; and what matters for ever is never
forgotten."""

from __future__ import annotations

import threading
from collections.abc import Collection
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.catalog.models import Namespace
from schemas.catalog.state import Catalog, record_of
from schemas.events.batch import encode_batch
from schemas.events.identity import identity
from schemas.kafka.topics import EVENTS_RETENTION_DAYS
from schemas.settings import Settings
from schemas.values.instants import DAY, SECOND
from stream_processors.metering.bloom import FOREVER, DailyFilters, keys_of
from stream_processors.metering.dedupe import PartitionMemory
from stream_processors.metering.flush import UnitMeter
from stream_processors.metering.meter_records import Flush
from stream_processors.metering.metered_topic import MeteredTopic, RawRecord
from stream_processors.metering.retention import forgettable, horizon, keep_us
from tests.unit.stream_processors.metering.builders import Store, catalog, clean_pass, event, log_at, meter

AGE_DAYS = 2
W_DAYS = AGE_DAYS + 1


def namespaces(**ages: list[int | None]) -> Catalog:
    """Namespaces with the ages (in days) that they had one after the other."""
    item = Catalog()
    for name, versions in ages.items():
        for number, days in enumerate(versions, 1):
            age = None if days is None else days * 86_400
            model = Namespace(code=name, max_event_age_seconds=age, max_event_skew_seconds=0)
            item.apply(
                record_of(name, model, kind="namespace", version=number, author="", claim_id="a"), item.next_offset, 0
            )
    return item


def test_a_namespace_keeps_for_the_longest_it_ever_said_and_for_ever_once_it_lifted_the_age() -> None:
    result = namespaces(short=[2], lowered=[9, 2], lifted=[2, None], back=[None, 2])
    assert keep_us(result.view("short")) == 3 * DAY
    assert keep_us(result.view("lowered")) == 10 * DAY
    assert keep_us(result.view("lifted")) is None
    assert keep_us(result.view("back")) is None
    # Nobody declares the default one: its defaults hold until somebody does, and events came in under them.
    assert keep_us(result.view("default")) == (35 * 86_400 + 3600) * SECOND + DAY
    horizon_result = horizon(result)
    assert horizon_result.lifted == {"lifted", "back"}
    assert horizon_result.longest_us == (35 * 86_400 + 3600) * SECOND + DAY


def test_the_journal_loses_whole_days_beyond_the_window_and_the_logs_retention_and_nothing_else() -> None:
    result = namespaces(short=[2], long=[9], lifted=[None])
    newest = 1_000 * DAY
    edge = 1_000 - (3 + EVENTS_RETENTION_DAYS + 1) - 1
    days = {
        edge + 1: ["short"],
        edge: ["short"],
        edge - 1: ["short", "long"],
        edge - 2: ["short", "lifted"],
        edge - 3: ["lifted"],
        edge - 4: ["", "short"],
        edge - 100: ["short", "long"],
        edge - 101: ["nobody"],
    }
    assert dict(forgettable(days, result, newest)) == {
        edge: None,
        edge - 1: ("short",),
        edge - 2: ("short",),
        edge - 4: ("short",),
        edge - 100: None,
        edge - 101: None,
    }


gaps_ = st.sampled_from([0, DAY // 3, DAY, W_DAYS * DAY - 1000, W_DAYS * DAY, W_DAYS * DAY + 1000])


@settings(max_examples=40)
@given(
    st.lists(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2)), min_size=1, max_size=4), min_size=1, max_size=9),
    st.booleans(),
    st.data(),
)
def test_dropping_days_changes_no_row(batches, lifted, data) -> None:
    """Nothing is remembered as recent, and every record is decided with filters that hold no day more than they
    must."""
    gaps = data.draw(st.lists(gaps_, min_size=len(batches), max_size=len(batches)))
    log = log_at(batches, [100 * DAY + sum(gaps[: number + 1]) for number in range(len(batches))])
    result = catalog(None if lifted else AGE_DAYS * 86_400)
    far = horizon(result)
    if not lifted:
        far = type(far)(frozenset(), W_DAYS * DAY)  # the default namespace's own defaults would keep more
    store = Store()
    memory = store.memory()
    for record in log:
        if data.draw(st.booleans()):
            memory = PartitionMemory(1, 0, store.cursor, rebuilt(store, lifted, far.first_day(record.append_us)))
        memory.recent_limit = 0
        store.write(meter(store, memory, [record], log, result))
        memory.forget_durable(store.cursor)
        memory.filters.drop_before(far.first_day(record.append_us))
    assert store.rows() == clean_pass(log, result)


def rebuilt(store: Store, lifted: bool, first_day: int) -> DailyFilters:
    """As the journal builds them."""
    filters = DailyFilters()
    for name, copies in store.identities.items():
        for copy in copies.values():
            if lifted or copy.append_us // DAY >= first_day:
                filters.add(FOREVER if lifted else copy.append_us // DAY, keys_of(name))
    return filters


class Journal:
    """What a worker asks of ClickHouse, over what was written."""

    def __init__(self) -> None:
        self.store = Store()

    def cursor(self, generation: int, partition: int) -> int:
        return self.store.cursor

    def appended_before(self, *_: Any) -> int | None:
        return max(
            (result.append_us for item in self.store.identities.values() for result in item.values()), default=None
        )

    def filters(self, partition: int, partitions: int, lifted: Collection[str], first_day: int | None) -> DailyFilters:
        return rebuilt(self.store, "default" in lifted, 0 if first_day is None else first_day)

    def poison(self, *_: Any) -> list[bool]:
        return []

    def counted(self, names: Any) -> Any:
        return self.store.counted(names)


def test_lifting_the_age_brings_back_what_filters_had_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy that comes after the age was lifted is judged by everything that ever counted, also by what W had let
    go."""
    monkeypatch.setattr("stream_processors.metering.dedupe.RECENT_EVENTS", 0)
    result = catalog(AGE_DAYS * 86_400)
    # Its own defaults would keep more, as long as it has some; a settings version alone decides here.
    monkeypatch.setattr("stream_processors.metering.retention.DEFAULT_NAMESPACE", "nobody")
    follower: Any = SimpleNamespace(catalog=result, wait_for=lambda offset, timeout: True)
    nothing: Any = None
    topic = MeteredTopic(name="usage.events.1", partitions=1, seek=lambda *_: None, log_start=lambda _: 0)
    meter = UnitMeter(Settings(), topic, follower, nothing, threading.Event())
    journal: Any = Journal()
    meter._reading = journal

    def take(offset: int, key: int, day: int, catalog_offset: int) -> Flush:
        raw = RawRecord(0, offset, day * DAY, encode_batch("default", catalog_offset, [event(key, 0)]))
        flush = meter.prepare([raw], None)
        journal.store.write(flush)
        meter._durable[0] = offset + 1
        return flush

    assert [take(0, 1, 100, 2).events.size, take(1, 2, 120, 2).events.size, take(2, 3, 121, 2).events.size] == [1, 1, 1]
    assert not meter._memories[0].filters.maybe(keys_of(event(1, 0).identity))[0]
    lifted = Namespace(code="default", max_event_age_seconds=None, max_event_skew_seconds=0)
    record = record_of("default", lifted, kind="namespace", version=2, author="", claim_id="l")
    assert result.apply(record, result.next_offset, 0) is not None
    flush = take(3, 1, 122, result.next_offset)
    assert (flush.events.size, [row.dropped.first.offset for row in flush.duplicates]) == (0, [0])


def test_days_are_dropped_whole_and_for_ever_is_no_day() -> None:
    filters = DailyFilters()
    names = {day: identity("n", "", str(day)) for day in (3, 4, 5, FOREVER)}
    for day, name in names.items():
        filters.add(day, keys_of(name))
    previous_nbytes = filters.nbytes
    filters.drop_before(5)
    assert (filters.size, filters.nbytes) == (2, previous_nbytes // 2)
    stored = [day for day, name in names.items() if filters.maybe(keys_of(name))[0]]
    assert stored == [5, FOREVER]
