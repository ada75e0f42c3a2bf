"""Records of a profile with a version of every aggregation, also backfilled, in a namespace of their own on ClickHouse,
with windows as the roll-up's own statement makes them; and what they fold to, in the plainest way."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Context, Decimal, localcontext
from typing import Any

from rating.usage import Measured, UsageGroup, UsageQuery, measured, usage_totals
from schemas.catalog.backfill_reach import BackfillReach
from schemas.catalog.meters import Aggregation
from schemas.catalog.profiles import BEGINNING, ProfileVersion
from schemas.clickhouse.client import connect
from schemas.ledgers.checkpoints import Cut
from schemas.settings import Settings
from schemas.values.instants import DAY, SECOND, instant
from stream_processors.rollup.roll_up import versions_table
from stream_processors.rollup.windows import windows_sql

BEGIN = 1_356_998_400 * SECOND  # 2013-01-01T00:00:00Z
GENERATION = 4_000  # one that no log of the stack has
VERSIONS: dict[int, tuple[Aggregation, int]] = {
    1: ("latest", 3600),
    2: ("count_unique", 86_400),
    3: ("sum", 60),
    4: ("max", 3600),
    5: ("count", 86_400),
    6: ("min", 60),
}
"""version → its aggregation and the seconds of its windows."""
CUTS = (
    Cut(1, {(GENERATION, 0): 60, (GENERATION, 1): 50}, 0, 0),
    Cut(2, {(GENERATION, 0): 125, (GENERATION, 1): 105, (GENERATION, 2): 115, (GENERATION + 1, 0): 30}, 0, 0),
    Cut(3, {(GENERATION, 0): 125, (GENERATION, 1): 105, (GENERATION, 2): 115, (GENERATION + 1, 0): 30}, 0, 0, "b.7"),
    Cut(4, {(GENERATION, 0): 150, (GENERATION, 1): 155, (GENERATION, 2): 145, (GENERATION + 1, 0): 120}, 0, 0),
    Cut(5, {(GENERATION, 0): 150, (GENERATION, 1): 155, (GENERATION, 2): 145, (GENERATION + 1, 0): 120}, 0, 0, "b.7"),
)
"""Those of a backfill are empty slices of the log."""
PARTITIONS = ((GENERATION, 0), (GENERATION, 1), (GENERATION, 2), (GENERATION + 1, 0))
BACKFILLED = 7
REPLACES_FROM = BEGIN + 2 * DAY + 7 * 3600 * SECOND
"""From here on version 7 of the backfilled profile counts in place of those before it; across windows of a day."""


def profile_versions(deciding: Aggregation) -> list[ProfileVersion]:
    """All versions; the one of this aggregation is the last that was valid."""
    return [
        ProfileVersion(
            "m.p", number, "m", "p", "p", "unit", "use", aggregation, None, (), (), seconds,
            valid_to_us=BEGINNING + 1 if aggregation != deciding else 1 << 62,
        )
        for number, (aggregation, seconds) in VERSIONS.items()
    ]  # fmt: skip


def profile_of(deciding: Aggregation) -> Measured:
    return measured(profile_versions(deciding), BEGIN, BEGIN + DAY)


def backfilled_versions(deciding: Aggregation) -> list[ProfileVersion]:
    """The same of another profile, with a version more that two backfills have counted."""
    reaches = tuple(BackfillReach(cut.number, 0, tuple(cut.offsets.items())) for cut in CUTS if cut.backfill)
    versions = [*profile_versions(deciding), replace(profile_versions("latest")[0], valid_to_us=BEGINNING + 1)]
    versions[-1] = replace(
        versions[-1], version=BACKFILLED, window_seconds=86_400, backfill_from_us=REPLACES_FROM, reaches=reaches
    )
    return [replace(version, profile_id="m.b") for version in versions]


ACCOUNTS = ("acme", "o'neil\\", "日本\t")


@dataclass(frozen=True)
class Row:
    account: str
    at: int
    quantity: Decimal
    unique: str
    dimensions: str
    partition: tuple[int, int]
    offset: int
    version: int
    void_offset: int | None  # in the same partition
    number: int
    checkpoint: int = 0  # of the backfill that counted it

    def below(self, cut: Cut) -> bool:
        if self.checkpoint:
            return self.checkpoint <= cut.number
        return self.offset < cut.offsets.get(self.partition, 0)

    def voided(self, as_of: Cut | None) -> bool:
        return self.void_offset is not None and (
            as_of is None or self.void_offset < as_of.offsets.get(self.partition, 0)
        )

    def replaced(self, as_of: Cut | None) -> bool:
        """Whether version 7 counts its event in its place."""
        known = [cut for cut in CUTS if cut.backfill and (as_of is None or cut.number <= as_of.number)]
        return self.version < BACKFILLED and self.at >= REPLACES_FROM and bool(known) and self.below(known[-1])


def value_of(version: int, number: int, chance: random.Random) -> tuple[Decimal, str]:
    """The quantity and the unique value that a version gives to an event."""
    quantity = Decimal(chance.randrange(-(10**9), 10**9)).scaleb(-chance.randrange(4)) + chance.choice(
        [0, Decimal("9e24")]
    )
    match VERSIONS[version][0]:
        case "count_unique":
            return Decimal(1), chance.choice(['"x"', "1", f'"{number}"', '"a\\"b"'])
        case "count":
            return Decimal(1), ""
        case "latest":
            return quantity, chance.choice(["x", "1", str(number)])  # also one that two sources have used
        case _:
            return quantity, ""


def random_rows(seed: int) -> list[Row]:
    chance = random.Random(seed)
    # One account has no voids, so that its windows are taken beside records of the others.
    voids = [None, None, None, 1, 40, 100]
    return [
        Row(
            account := chance.choice(ACCOUNTS),
            BEGIN + chance.randrange(6 * 24) * 3600 * SECOND + chance.choice([0, 0, 1, 59_999_999, 1_799_999_999]),
            *value_of(version := chance.choice(list(VERSIONS)), number, chance),
            chance.choice(["", '{"r":"eu"}', '{"r":"it\'s","s.t":3}', '{"s.t":1.5}', '{"r":"","s.t":"3"}']),
            chance.choice(PARTITIONS),
            number // 2,
            version,
            None if account == "acme" or (later := chance.choice(voids)) is None else number // 2 + later,
            number,
        )
        for number in range(400)
    ]


def with_backfilled(rows: list[Row]) -> list[Row]:
    """The rows, and what the two backfills made of their events under version 7, which takes the latest value."""
    first, last = (cut for cut in CUTS if cut.backfill)
    return rows + [
        replace(
            row, version=BACKFILLED, unique=f"k{row.number}", quantity=row.quantity + 1,
            checkpoint=first.number if row.below(first) else last.number,
        )
        for row in rows if row.at >= REPLACES_FROM and row.below(last)
    ]  # fmt: skip


class Engine:
    """Rows of a namespace of their own, with windows as the roll-up of each slice writes them."""

    def __init__(self, settings: Settings) -> None:
        self.client = connect(settings)
        self.namespace = f"t{uuid.uuid4().hex[:12]}"
        self.rows = random_rows(20)
        self.backfilled_rows = with_backfilled(self.rows)
        columns = ["namespace", "profile_id", "profile_version", "account_id", "timestamp", "quantity", "unique_value",
                   "dimensions", "generation", "partition", "offset", "index", "append_time",
                   "checkpoint"]  # fmt: skip
        written = [
            [self.namespace, name, row.version, row.account, instant(row.at), row.quantity, row.unique, row.dimensions,
             *row.partition, row.offset, row.number, instant(BEGIN + row.offset // 40 * DAY), row.checkpoint]
            for name, rows in (("m.p", self.rows), ("m.b", self.backfilled_rows)) for row in rows
        ]  # fmt: skip
        self.client.insert("usage_records", written, column_names=columns)
        self.client.insert("usage_records", written[::3], column_names=columns)  # a replay
        batches = [
            [*partition, offset, self.namespace, 1, 0, instant(BEGIN + offset // 40 * DAY)]
            for partition, offset in {(row.partition, row.offset) for row in self.rows}
        ]
        columns = ["generation", "partition", "offset", "namespace", "events", "catalog_offset", "append_time"]
        self.client.insert("usage_batches", batches, column_names=columns)
        columns = ["namespace", "account_id", "timestamp", "generation", "partition", "offset", "index",
                   "void_generation", "void_partition", "void_offset"]  # fmt: skip
        voided = [
            [self.namespace, row.account, instant(row.at), *row.partition, row.offset, row.number,
             *row.partition, row.void_offset]
            for row in self.rows if row.void_offset is not None
        ]  # fmt: skip
        self.client.insert("voided_events", voided, column_names=columns)
        self.client.insert("voided_events", voided[::2], column_names=columns)
        voids = [[self.namespace, *row.partition, row.void_offset] for row in self.rows if row.void_offset is not None]
        self.client.insert("usage_voids", voids, column_names=["namespace", "generation", "partition", "offset"])
        all_versions = [
            (self.namespace, version) for version in [*profile_versions("sum"), *backfilled_versions("sum")]
        ]
        self.client.insert_arrow("profile_versions", versions_table(all_versions))
        before: dict[tuple[int, int], int] = {}
        for cut in CUTS:
            for _ in range(2):  # twice: a roll-up that was interrupted
                self._roll_up(cut, before)
            before = dict(cut.offsets)

    def _roll_up(self, cut: Cut, before: dict[tuple[int, int], int]) -> None:
        ranges = " OR ".join(
            f"(generation = {generation} AND partition = {partition}"
            f" AND offset >= {before.get((generation, partition), 0)} AND offset < {end})"
            for (generation, partition), end in cut.offsets.items()
        )
        records = f"checkpoint = {cut.number}" if cut.backfill else f"checkpoint = 0 AND ({ranges})"
        self.client.command(
            windows_sql(f"namespace = {{namespace:String}} AND {records}", backfilled=bool(cut.backfill)),
            parameters={"namespace": self.namespace, "k": cut.number},
        )


Group = tuple[str | None, int | None, tuple[str, ...]]
"""An account, the start of a bucket, and the values of dimensions: as JSON, or as a price names them."""


def folded(rows: list[Row], query: UsageQuery, by_text: bool = False) -> dict[Group, tuple[Decimal, int]]:
    groups: dict[Group, list[Row]] = {}
    for row in rows:
        counted = query.start_us <= row.at < query.end_us and (query.as_of is None or row.below(query.as_of))
        if not counted or row.voided(query.as_of) or (query.accounts is not None and row.account not in query.accounts):
            continue
        found = json.loads(row.dimensions or "{}")
        bucket = max(start for start in query.buckets_us if start <= row.at) if query.buckets_us else None
        names = tuple(json.dumps(found[name]) if name in found else "" for name in query.dimensions)
        if by_text:
            names = tuple(str(found.get(name, "")) for name in query.dimensions)
        groups.setdefault((row.account if query.by_account else None, bucket, names), []).append(row)
    return {group: (aggregate(query.profile.aggregation, some), len(some)) for group, some in groups.items()}


def aggregate(aggregation: Aggregation, rows: list[Row]) -> Decimal:
    quantities = [row.quantity for row in rows]
    match aggregation:
        case "sum":
            with localcontext(Context(prec=100)):
                return sum(quantities, Decimal(0))
        case "count":
            return Decimal(len(rows))
        case "count_unique":
            return Decimal(len({row.unique for row in rows if row.version == 2}))
        case "max":
            return max(quantities)
        case "min":
            return min(quantities)
        case "latest":
            return max((row.at, row.unique.encode(), row.quantity) for row in rows)[2]


def totals(engine: Engine, query: UsageQuery) -> dict[Group, tuple[Any, int]]:
    return by_group(usage_totals(engine.client, query))


def by_group(rows: Iterable[UsageGroup]) -> dict[Group, tuple[Any, int]]:
    return {
        (row.account_id, row.bucket_us, row.json_values): (row.usage.quantity, row.usage.events)
        for row in rows
        if row.usage.events
    }
