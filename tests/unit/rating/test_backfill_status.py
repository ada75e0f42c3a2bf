"""Backfills over any history of publications and arrivals: each event counts once, under the version that is to count
it, and what stood as of earlier checkpoints stays."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from rating.usage import Measured, measured
from schemas.catalog.backfill_jobs import Job, job_of, jobs, waiting
from schemas.catalog.meters import Filter, Meter, Profile
from schemas.catalog.profiles import ProfileVersion, profile_versions
from schemas.catalog.state import Catalog, record_of
from schemas.ledgers.checkpoints import Cut
from schemas.matching.rules import Matcher
from stream_processors.backfill.backfill_matcher import BackfillMatcher

PUBLISHED_EVERY = 100  # microseconds between two records of the catalog


@dataclass(frozen=True)
class Event:
    """At ``offset`` of the only partition; its batch names the catalog below ``knows``."""

    offset: int
    at_us: int
    knows: int
    properties: str


@dataclass(frozen=True)
class Row:
    """A record; ``checkpoint`` of its backfill, 0 for one that was metered."""

    event: Event
    version: int
    checkpoint: int = 0


@dataclass
class World:
    """A log, a catalog and the tables, as the agents write them."""

    catalog: Catalog = field(default_factory=Catalog)
    events: list[Event] = field(default_factory=list)
    cuts: list[Cut] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)

    def publish(self, model: Any, kind: str, start: int | None = None) -> None:
        versions = self.catalog.versions("default", kind, model.code, 1 << 40)
        record = record_of(
            "default", model, kind=kind, version=len(versions) + 1, author="", claim_id="", valid_from_us=start
        )  # fmt: skip
        offset = self.catalog.next_offset
        self.catalog.apply(record, offset, offset * PUBLISHED_EVERY)

    def arrive(self, at_us: int, knows: int, properties: str) -> None:
        event = Event(len(self.events), at_us, knows, properties)
        self.events.append(event)
        versions = profile_versions(self.catalog.view("default", knows))
        item = Matcher(versions).match("e", at_us, "k", properties)
        self.rows += [Row(event, match.profile_version) for match in item.matches]

    def cut(self, backfill: str = "") -> Cut:
        item = Cut(len(self.cuts) + 1, {(1, 0): len(self.events)}, self.catalog.next_offset, 0, backfill)
        self.cuts.append(item)
        return item

    def backfill(self, job: Job) -> None:
        """All steps of it, up to the log's end."""
        previous = job.reaches[-1].offsets[1, 0] if job.reaches else 0
        cut = self.cut(job.name)
        staged = [event for event in self.events if event.knows < job.known_from and event.at_us >= job.start_us]
        matched = BackfillMatcher(job).records(table_of(staged))
        rows = (
            zip(matched["offset"].to_pylist(), matched["profile_version"].to_pylist(), strict=True)
            if matched.num_rows
            else ()
        )
        self.rows += [Row(self.events[offset], version, cut.number) for offset, version in rows if offset >= previous]
        self.publish(job.entry(cut), "backfill")

    def profile(self) -> Measured:
        return measured(profile_versions(self.catalog.view("default")), 0, 1 << 40)

    def counted(self, as_of: Cut | None, profile: Measured | None = None) -> list[tuple[int, int]]:
        """(offset, version) of the records that count, as the SQL of ``rating.usage.render`` says it."""
        if not self.rows:
            return []
        value = profile or self.profile()
        visible, replaced = value.visible(as_of), value.replaced(as_of)

        def inside(row: Row, number: int, ends: Any) -> bool:
            return row.checkpoint <= number if row.checkpoint else row.event.offset < ends[1, 0]

        collected = []
        for row in self.rows:
            if row.checkpoint and row.checkpoint not in visible:
                continue
            if not row.checkpoint and as_of is not None and row.event.offset >= as_of.offsets[1, 0]:
                continue
            if any(
                row.version < by.version
                and row.event.at_us >= by.start_us
                and inside(row, reach.checkpoint, reach.offsets)
                for by, reach in replaced
            ):
                continue
            collected.append((row.event.offset, row.version))
        return sorted(collected)


def table_of(events: list[Event]) -> pa.Table:
    number = len(events)
    return pa.table(
        {
            "account_id": pa.array([b"a"] * number, pa.binary()),
            "timestamp": pa.array([event.at_us for event in events], pa.timestamp("us", tz="UTC")),
            "idempotency_key": pa.array([b"k"] * number, pa.binary()),
            "properties": pa.array([event.properties.encode() for event in events], pa.binary()),
            "generation": pa.array([1] * number, pa.uint32()),
            "partition": pa.array([0] * number, pa.uint32()),
            "offset": pa.array([event.offset for event in events], pa.uint64()),
            "index": pa.array([0] * number, pa.uint32()),
            "append_time": pa.array([0] * number, pa.timestamp("ms", tz="UTC")),
        }
    )


def meter(letter: str) -> Meter:
    filters = (Filter(property=("l",), operator="eq", value=letter),) if letter else ()
    return Meter(code="m", event_name="e", filters=filters, profiles=(Profile(code="p", aggregation="count"),))


def passes(version: ProfileVersion, event: Event) -> bool:
    return all(json.loads(event.properties)["l"] == item.value for item in version.filters)


def expected(world: World, done: list[Job]) -> list[tuple[int, int]]:
    """In the plainest way: an event is under the version that its batch knew for its instant, or under the last one of
    those in
    ``done`` that it did not know and that reach back to it."""
    collected = []
    for event in world.events:
        known = profile_versions(world.catalog.view("default", event.knows))
        under = [item for item in known if item.valid_from_us <= event.at_us < item.valid_to_us]
        under += [job.versions[0] for job in done if event.knows < job.known_from and event.at_us >= job.start_us]
        if under and passes(under[-1], event):
            collected.append((event.offset, under[-1].version))
    return sorted(collected)


arrivals = st.tuples(st.just("event"), st.integers(0, 700), st.integers(0, 2), st.sampled_from("ab"))
publications = st.tuples(st.just("publish"), st.sampled_from(["", "a", "b"]), st.one_of(st.none(), st.integers(0, 700)))
cuts = st.tuples(st.just("cut"))


@given(st.lists(st.one_of(arrivals, arrivals, publications, cuts), max_size=25), st.data())
def test_every_event_counts_once_under_the_version_that_is_to_count_it(steps: list[Any], data: st.DataObject) -> None:
    """Gateways may be up to two versions behind; backfills are done, one after another, at any moment."""
    world = World()
    done: list[Job] = []
    stood: dict[int, list[tuple[int, int]]] = {}

    def do_one() -> None:
        job = next(waiting(world.catalog), None)
        if job is None:
            return
        stood.update({cut.number: world.counted(cut) for cut in world.cuts})
        assert next(item for item in jobs(world.catalog.view("default")) if not item.done) == job
        world.backfill(job)
        done.append(job)
        own_cut = world.cuts[-1]
        assert world.counted(own_cut) == world.counted(None) == expected(world, done)

    for step in steps:
        match step:
            case ("event", at_us, behind, letter):
                knows = max(0, world.catalog.next_offset - (0 if done else behind))
                world.arrive(at_us, knows, json.dumps({"l": letter}))
            case ("publish", letter, start):
                world.publish(meter(letter), "meter", start)
            case _:
                world.cut()
        if data.draw(st.booleans()):
            do_one()
    while next(waiting(world.catalog), None) is not None:
        do_one()
    assert world.counted(None) == expected(world, done)
    for number, previous in stood.items():
        assert world.counted(world.cuts[number - 1]) == previous


def test_events_of_a_gateway_that_did_not_know_the_version_yet_are_counted_by_a_second_round() -> None:
    world = World()
    world.publish(meter("a"), "meter")
    for letter in "ab":
        world.arrive(50, 1, json.dumps({"l": letter}))
    world.publish(meter("b"), "meter", 10)
    (job,) = waiting(world.catalog)
    world.backfill(job)
    first_cut = world.cuts[-1]
    assert world.counted(first_cut) == [(1, 2)]
    world.arrive(60, 1, '{"l": "a"}')  # of a batch that was packed before the second version
    world.arrive(70, 1, '{"l": "b"}')
    assert world.counted(None) == [(1, 2), (2, 1)]
    (repeated_jobs,) = jobs(world.catalog.view("default"))
    world.backfill(repeated_jobs)
    assert world.counted(None) == world.counted(world.cuts[-1]) == [(1, 2), (3, 2)]
    assert world.counted(first_cut) == [(1, 2)]
    assert job_of(world.catalog, job.name) == jobs(world.catalog.view("default"))[0]


def test_an_invoice_keeps_counting_what_it_counted() -> None:
    world = World()
    world.publish(meter("a"), "meter")
    for letter in "ab":
        world.arrive(50, 1, json.dumps({"l": letter}))
    billed = world.cut()
    catalog_offset = world.catalog.next_offset
    world.publish(meter("b"), "meter", 10)
    (job,) = waiting(world.catalog)
    world.backfill(job)
    world.arrive(60, world.catalog.next_offset, '{"l": "b"}')  # late
    pinned = world.profile().as_pinned(catalog_offset, billed.number)
    assert world.counted(None, pinned) == [(0, 1), (2, 2)]
    assert world.counted(None) == [(1, 2), (2, 2)]
    assert world.profile().as_pinned(world.catalog.next_offset, world.cuts[-1].number) == world.profile()


def test_a_version_that_says_the_same_counts_older_events_only_where_the_one_before_it_does_not() -> None:
    world = World()
    world.publish(meter(""), "meter")
    world.publish(meter(""), "meter", 10)
    (first_jobs,) = jobs(world.catalog.view("default"))
    assert [version.version for version in first_jobs.versions] == [2]
    world.backfill(first_jobs)
    world.publish(meter(""), "meter", 20)
    assert jobs(world.catalog.view("default")) == jobs(world.catalog.view("default", 3))
    world.publish(meter(""), "meter", 5)
    assert [job.version for job in jobs(world.catalog.view("default"))] == [2, 4]
