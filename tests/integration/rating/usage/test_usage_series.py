"""The analysts' view of usage by hour, day, week and month of a time zone says what a plain fold of the counted records
says: over windows and folds, ragged edges, voided events, backfills, and what no checkpoint holds."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as bounded
from hypothesis import strategies as st

from schemas.clickhouse.binder import Binder
from schemas.clickhouse.positions import position_below
from schemas.migrations import migrate
from schemas.settings import Settings
from schemas.values.instants import SECOND, instant
from stream_processors.rollup.windows import folded_windows_sql
from tests.integration.rating.usage.plan_builders import BEGIN, CUTS, REPLACES_FROM, Engine, Row, aggregate

pytestmark = pytest.mark.integration

ROLLED_UP = CUTS[:4]
"""The last cut is not rolled up: what the view reads beside windows is beyond the fourth."""


@pytest.fixture(scope="module")
def engine(settings: Settings) -> Iterator[Engine]:
    """In tables of its own, since the view reads what the newest checkpoint of the whole database holds."""
    name = f"series_{uuid.uuid4().hex[:8]}"
    own = settings.model_copy(update={"clickhouse_database": name})
    migrate(own)
    made = Engine(own)
    checkpoints = [
        [cut.number, *partition, 0, end, 0, instant(BEGIN)]
        for cut in ROLLED_UP
        for partition, end in cut.offsets.items()
    ]
    columns = ["number", "generation", "partition", "from_offset", "next_offset", "catalog_offset", "as_of"]
    made.client.insert("usage_checkpoints", checkpoints, column_names=columns)
    reaches = [
        [made.namespace, "m.b", 7, instant(REPLACES_FROM), cut.number, ends_of(cut.offsets)]
        for cut in ROLLED_UP
        if cut.backfill
    ]
    columns = ["namespace", "profile_id", "profile_version", "start", "checkpoint", "ends"]
    made.client.insert("usage_backfills", reaches, column_names=columns)
    folded_up_to = CUTS[1]
    below = position_below(folded_up_to.offsets, bind := Binder())
    named = bind.parameters | {"k": folded_up_to.number, "epoch": 1, "n": made.namespace}
    made.client.command(folded_windows_sql(f"checkpoint = 0 AND {below}"), parameters=named)
    made.client.command("INSERT INTO usage_folds VALUES ('', 0, 1), ({n:String}, {k:UInt32}, 1)", parameters=named)
    yield made
    made.client.command(f"DROP DATABASE {name}")
    made.client.close()


def ends_of(offsets: Any) -> dict[int, int]:
    return {(generation << 32) + partition: end for (generation, partition), end in offsets.items()}


STEPS = ("hour", "day", "week", "month")
ZONES = ("UTC", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe")
Totals = tuple[int, Decimal, Decimal, Decimal, Decimal, Decimal]
edges = st.integers(-40, 8 * 24).map(lambda hours: BEGIN + hours * 3600 * SECOND)
instants = edges | st.tuples(edges, st.sampled_from([60 * SECOND, 1800 * SECOND, 1_234_567])).map(sum)


def bucket_of(at_us: int, step: str, zone: str) -> datetime:
    """The start of the local hour, day, week or month."""
    local = instant(at_us).astimezone(ZoneInfo(zone))
    if step == "hour":
        begun = timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
        return (local - begun).astimezone(UTC)
    day = local.replace(hour=0, minute=0, second=0, microsecond=0)
    if step == "week":
        day -= timedelta(days=day.weekday())
    return (day.replace(day=1) if step == "month" else day).astimezone(UTC)


def counts(row: Row, backfilled: bool) -> bool:
    """Live: the backfill of the cut that is not rolled up is not known yet."""
    if row.voided(None) or row.checkpoint > ROLLED_UP[-1].number:
        return False
    return not backfilled or not row.replaced(ROLLED_UP[-1])


def totals_of(rows: list[Row]) -> Totals:
    sums, most, least, latest, unique = (
        aggregate(name, rows) for name in ("sum", "max", "min", "latest", "count_unique")
    )
    return len(rows), sums, most, least, latest, unique


@bounded(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    ends=st.lists(instants, min_size=2, max_size=2, unique=True).map(sorted),
    step=st.sampled_from(STEPS),
    zone=st.sampled_from(ZONES),
    backfilled=st.booleans(),
)
def test_a_series_is_what_a_plain_fold_says(
    engine: Engine, ends: list[int], step: str, zone: str, backfilled: bool
) -> None:
    expected: dict[tuple[str, str, datetime], list[Row]] = {}
    for row in engine.backfilled_rows if backfilled else engine.rows:
        if ends[0] <= row.at < ends[1] and counts(row, backfilled):
            expected.setdefault((row.account, row.dimensions, bucket_of(row.at, step, zone)), []).append(row)
    asked = engine.client.query(
        "SELECT account_id, dimensions, bucket, count, sum, max, min, latest, count_unique FROM usage_series("
        "namespace = {n:String}, profile_id = {p:String}, period_start = {from:String}, period_end = {to:String},"
        " step = {step:String}, time_zone = {zone:String})",
        parameters={
            "n": engine.namespace, "p": "m.b" if backfilled else "m.p", "step": step, "zone": zone,
            "from": f"{instant(ends[0]):%Y-%m-%d %H:%M:%S.%f}", "to": f"{instant(ends[1]):%Y-%m-%d %H:%M:%S.%f}",
        },
    )  # fmt: skip
    series = {(row[0], row[1], row[2].astimezone(UTC)): row[3:] for row in asked.result_rows}
    assert series == {group: totals_of(rows) for group, rows in expected.items()}
