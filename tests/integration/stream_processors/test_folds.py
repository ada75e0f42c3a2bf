"""Folds of windows: whatever is killed between which steps, every total, live and as of every checkpoint, is what the
records say; and one epoch's folds count for nothing in the next."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, get_args

import pytest
from clickhouse_connect.driver.client import Client
from hypothesis import HealthCheck, given
from hypothesis import settings as bounded
from hypothesis import strategies as st

from deploy.local.stack import Stack
from rating.usage import Measured, UsageQuery, render, usage_totals
from rating.usage.beside_windows import FoldEnd
from rating.usage.existence import beside_windows
from rating.usage.measured_profile import Backfilled
from rating.verify import window_totals
from rating.verify.difference import Findings
from schemas.catalog.backfill_reach import BackfillReach
from schemas.catalog.meters import Aggregation
from schemas.catalog.profiles import BEGINNING, FOREVER, ProfileVersion
from schemas.clickhouse.client import connect
from schemas.ledgers.checkpoints import Cut, RolledUp, rolled_up
from schemas.migrations import migrate
from schemas.settings import Settings
from schemas.values.instants import SECOND, instant
from stream_processors.metering.journal import Journal
from stream_processors.rollup.backfilled import roll_up_backfill_sql
from stream_processors.rollup.folds import Folds, fold_ends
from stream_processors.rollup.roll_up import roll_up_sql, versions_table
from stream_processors.rollup.slices import between

pytestmark = pytest.mark.integration

HOUR = 3600 * SECOND
START = 1_356_998_400 * SECOND  # 2013-01-01T00:00:00Z
PARTITIONS, PER_CUT, CUTS = 2, 6, 12
AGGREGATIONS: tuple[Aggregation, ...] = get_args(Aggregation)
ACCOUNTS = ("acme", "o'neil\\")
RECORDS = ["namespace", "profile_id", "profile_version", "account_id", "timestamp", "quantity", "unique_value",
           "dimensions", "generation", "partition", "offset", "index", "append_time"]  # fmt: skip
TABLES = ("usage_records", "usage_batches", "usage_windows", "usage_checkpoints", "usage_window_folds", "usage_folds")
BATCHES = ["generation", "partition", "offset", "namespace", "events", "catalog_offset", "append_time"]
PROFILE = ProfileVersion(
    profile_id="m.p", version=1, meter="m", profile="p", name="", unit="", event_name="e", aggregation="count_unique",
    property=("n",), filters=(), dimensions=(), window_seconds=3600, valid_from_us=BEGINNING, valid_to_us=FOREVER,
    by_text=False,
)  # fmt: skip
# Three checkpoints an hour.
ALL_CUTS = [
    Cut(number, {(1, part): number * PER_CUT for part in range(PARTITIONS)}, 0, START + number * HOUR // 3)
    for number in range(1, CUTS + 1)
]


class Killed(BaseException):
    """The process ended here."""


class MortalJournal(Journal):
    """Ends after ``steps`` statements."""

    steps = 1_000

    def before_last(self) -> None:
        """Called before the statement that ends a fold."""

    def command(self, what: str, sql: str, parameters: Any) -> None:
        if self.steps == 0:
            raise Killed(what)
        self.steps -= 1
        if what.endswith("say that they are"):
            self.before_last()
        super().command(what, sql, parameters)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A ClickHouse of its own: a fold is of all namespaces."""
    with Stack(tmp_path_factory.mktemp("folds"), ports="free", processes=("clickhouse",)) as stack:
        migrate(stack.settings)
        yield stack.settings


class World:
    """A namespace with records and their windows. ``cuts``: those that are rolled up."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.client: Client = connect(settings)
        self.namespace = f"t{uuid.uuid4().hex[:12]}"
        self.measured = Measured("m.p", "sum", ((1, 3600),))
        for table in TABLES:
            self.client.command(f"TRUNCATE TABLE {table}")
        Journal(settings, threading.Event()).insert("profile_versions", versions_table([(self.namespace, PROFILE)]))
        rows, batches = [], []
        for offset in range(PER_CUT * CUTS):
            for part in range(PARTITIONS):
                at = START + (offset * 7 % 60) * HOUR // 12
                batches.append([1, part, offset, self.namespace, 1, 0, instant(START + offset * SECOND)])
                rows.append(
                    [self.namespace, "m.p", 1, ACCOUNTS[offset % 2], instant(at), (offset * 37) % 101 - 50,
                     f'"{offset % 5}"', "", 1, part, offset, 0, instant(START + offset * SECOND)]
                )  # fmt: skip
        self.client.insert("usage_records", rows, column_names=RECORDS)
        self.client.insert("usage_batches", batches, column_names=BATCHES)
        for cut in ALL_CUTS:
            self.roll_up(cut)
        self.client.insert(
            "usage_checkpoints",
            [[cut.number, 1, 0] for cut in ALL_CUTS],
            column_names=["number", "generation", "partition"],
        )

    def roll_up(self, cut: Cut) -> None:
        previous = ALL_CUTS[cut.number - 2].offsets if cut.number > 1 else {}
        sql, parameters = roll_up_sql(between(previous, cut.offsets))
        self.client.command(sql, parameters=parameters | {"k": cut.number})

    def totals(self, aggregation: Aggregation, as_of: Cut | None, plan: Any) -> list[Any]:
        return usage_totals(self.client, self.query(aggregation, as_of, plan))

    def query(self, aggregation: Aggregation, as_of: Cut | None, plan: Any) -> UsageQuery:
        """By account and by hour."""
        return UsageQuery(
            self.namespace, replace(self.measured, aggregation=aggregation), START + HOUR // 2, START + 5 * HOUR,
            by_account=True, buckets_us=(START + HOUR // 2, START + 3 * HOUR), as_of=as_of,
            rolled_up=ALL_CUTS[-1], plan=plan,
        )  # fmt: skip

    def agrees(self) -> None:
        """Live, and as of checkpoints that end a fold and of such that do not, from windows and folds as from records;
        aggregations in turn."""
        for number, as_of in enumerate((None, *(ALL_CUTS[index] for index in (1, 2, 4, 6, 10, 11)))):
            for aggregation in AGGREGATIONS[number % 3 :: 3]:
                windows = self.totals(aggregation, as_of, "windows")
                assert windows == self.totals(aggregation, as_of, "records"), (aggregation, as_of)
                assert windows

    def folded_to(self) -> int:
        [[number]] = self.client.query(
            "SELECT max(number) FROM usage_folds WHERE namespace = {n:String} AND epoch = "
            "(SELECT max(epoch) FROM usage_folds WHERE namespace = '')",
            parameters={"n": self.namespace},
        ).result_rows
        return int(number)


@pytest.fixture
def world(database: Settings) -> World:
    return World(database)


ENDS = list(fold_ends(ALL_CUTS))


@bounded(deadline=None, max_examples=3, suppress_health_check=list(HealthCheck))
@given(deaths=st.lists(st.integers(0, 11), max_size=3), known=st.integers(1, CUTS))
def test_totals_are_exact_whatever_is_killed_between_two_steps(
    database: Settings, deaths: list[int], known: int
) -> None:
    world = World(database)
    for steps in deaths:
        journal = MortalJournal(database, threading.Event())
        journal.steps = steps
        try:
            Folds(journal).write(ALL_CUTS[:known], known)
        except Killed:
            continue
    world.agrees()
    assert Folds(Journal(database, threading.Event())).write(ALL_CUTS, CUTS) == ENDS[-1]
    assert world.folded_to() == ENDS[-1]
    world.agrees()


def test_the_newest_checkpoint_that_is_rolled_up_has_all_before_it(world: World) -> None:
    """Also for who counts on from what it has seen complete: checkpoints are taken away in an epoch of their own."""
    counting = RolledUp()
    assert rolled_up(world.client) == CUTS == counting.read(world.client)
    world.client.command(f"INSERT INTO usage_checkpoints (number, generation) VALUES ({CUTS}, 1), ({CUTS + 2}, 1)")
    assert rolled_up(world.client) == CUTS == counting.read(world.client)
    world.client.command(f"INSERT INTO usage_checkpoints (number, generation) VALUES ({CUTS + 1}, 1)")
    assert counting.read(world.client) == CUTS + 2 == counting.read(world.client)
    for missing, left in ((4, 3), (1, 0)):
        Folds(Journal(world.settings, threading.Event())).begin_epoch()
        world.client.command("DELETE FROM usage_checkpoints WHERE number = {n:UInt32}", parameters={"n": missing})
        assert rolled_up(world.client) == left == counting.read(world.client)
    world.client.command("INSERT INTO usage_checkpoints (number, generation) VALUES (1, 1), (4, 1)")
    assert counting.read(world.client) == CUTS + 2
    world.client.command("DELETE FROM usage_checkpoints WHERE number > 7")  # as an older copy has it
    assert counting.read(world.client) == 7
    world.client.command("TRUNCATE TABLE usage_checkpoints")
    assert rolled_up(world.client) == 0 == counting.read(world.client)


def test_what_is_folded_is_read_from_folds(world: World) -> None:
    """Otherwise nothing above would say anything."""
    Folds(Journal(world.settings, threading.Event())).write(ALL_CUTS, CUTS)
    world.client.command("TRUNCATE TABLE usage_windows")
    cut = ALL_CUTS[ENDS[-1] - 1]
    assert world.totals("sum", cut, "windows") == world.totals("sum", cut, "records")
    [[windows, folds]] = world.client.query(
        "SELECT uniqExact(account_id, window_start), count() FROM usage_window_folds FINAL"
    ).result_rows
    assert folds < windows * len(ENDS)


def test_an_epoch_has_windows_read_until_they_are_folded_again(world: World) -> None:
    journal = Journal(world.settings, threading.Event())
    Folds(journal).write(ALL_CUTS, CUTS)
    world.client.command("DELETE FROM usage_records WHERE offset % 3 = 1")  # as after a replay that finds fewer
    world.client.command("TRUNCATE TABLE usage_windows")
    Folds(journal).begin_epoch()
    for cut in ALL_CUTS:
        world.roll_up(cut)
    assert world.folded_to() == 0
    world.agrees()
    Folds(journal).write(ALL_CUTS, CUTS)
    assert world.folded_to() == ENDS[-1]
    world.agrees()


def test_a_question_between_two_epochs_still_finds_the_folds_that_it_has_learnt_of(world: World) -> None:
    Folds(Journal(world.settings, threading.Event())).write(ALL_CUTS, CUTS)
    query = world.query("sum", None, "windows")
    beside = beside_windows(world.client, query)
    assert (beside.voids, beside.appended, beside.fold) == (False, False, FoldEnd(0, ENDS[-1]))
    rendered = render(query, beside=beside)
    before = world.client.query(rendered.sql, parameters=rendered.parameters).result_rows
    Folds(Journal(world.settings, threading.Event())).begin_epoch()
    assert world.client.query(rendered.sql, parameters=rendered.parameters).result_rows == before
    assert beside_windows(world.client, query).fold == FoldEnd(1, 0)


def test_a_fold_that_was_begun_before_an_epoch_counts_for_nothing(world: World) -> None:
    slow = MortalJournal(world.settings, threading.Event())
    journal = Journal(world.settings, threading.Event())
    slow.before_last = Folds(journal).begin_epoch
    Folds(slow).write(ALL_CUTS[:4], 4)
    assert world.folded_to() == 0
    world.agrees()


def test_a_backfill_ends_a_fold_and_its_windows_are_read_beside_folds(world: World) -> None:
    """It replaces what is in windows up to its checkpoint: no fold may hold more than that."""
    cuts = [replace(cut, backfill="n/m/1#1") if cut.number == 4 else cut for cut in ALL_CUTS]
    assert list(fold_ends(cuts)) == sorted({*ENDS, 4})
    columns = [*RECORDS, "checkpoint"]
    world.client.insert(
        "usage_records",
        [[world.namespace, "m.p", 2, "acme", instant(START + HOUR), 7, '"x"', "", 1, 0, 3, 1, instant(START), 4]],
        column_names=columns,
    )
    version = replace(PROFILE, version=2)
    Journal(world.settings, threading.Event()).insert("profile_versions", versions_table([(world.namespace, version)]))
    world.client.command(roll_up_backfill_sql(), parameters={"k": 4, "namespace": world.namespace, "profiles": ["m.p"]})
    Folds(Journal(world.settings, threading.Event())).write(cuts, CUTS)
    reach = BackfillReach(4, 0, tuple(sorted(cuts[3].offsets.items())))
    world.measured = replace(
        world.measured, windows=((1, 3600), (2, 3600)), backfilled=(Backfilled(2, START, (reach,), True),)
    )
    world.agrees()


@pytest.mark.parametrize(
    "damage",
    [
        "INSERT INTO usage_window_folds SELECT * REPLACE (count + 1 AS count) FROM usage_window_folds FINAL LIMIT 1",
        "INSERT INTO usage_window_folds SELECT * REPLACE ('ghost' AS account_id) FROM usage_window_folds FINAL LIMIT 1",
        "DELETE FROM usage_window_folds WHERE account_id = 'acme'",
        "INSERT INTO usage_windows SELECT * REPLACE (sum + 1 AS sum) FROM usage_windows FINAL LIMIT 1",
    ],
)
def test_a_fold_that_is_not_what_its_windows_come_to_is_found(world: World, damage: str) -> None:
    Folds(Journal(world.settings, threading.Event())).write(ALL_CUTS, CUTS)

    def differences() -> list[str]:
        findings = Findings()
        scope: Any = SimpleNamespace(rows=lambda sql, own: world.client.query(sql, parameters=own).result_rows)
        own = {"ns": world.namespace, "profile": "m.p", "k": CUTS, "room": 100}
        window_totals._compare(scope, findings, "fold of windows", window_totals._FOLDS_SQL, own)
        return [difference.what for difference in findings.differences()]

    assert differences() == []
    world.client.command(damage)
    assert "fold of windows" in differences()
