"""Usage of a month of records, live, with a checkpoint a day: CPU milliseconds of ClickHouse a question."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

from bench_usage import BATCH, BATCHES, DAYS, FILL, PARTITIONS
from measuring import cpu_seconds

from deploy.local.stack import Stack
from rating.usage import Measured, UsageQuery, usage_totals
from rating.usage.usage_parameters import UsageQuestion
from schemas.catalog.profiles import BEGINNING, FOREVER, ProfileVersion
from schemas.clickhouse.client import connect
from schemas.ledgers.checkpoints import Cut
from schemas.migrations import migrate
from schemas.values.instants import DAY, SECOND
from stream_processors.metering.journal import Journal
from stream_processors.rollup.roll_up import roll_up_sql, versions_table

SIZES = (500_000, 2_000_000)
ACCOUNTS = 1_000
ASKS = 12
START = 1_788_220_800 * SECOND  # 2026-09-01T00:00:00Z
# A fifth of all events is one customer's.
WHALE = FILL.replace("concat('acct_'", "if(n % 5 = 0, 'whale', concat('acct_'").replace(
    "% {accounts:UInt32}))", "% {accounts:UInt32})))"
)
PROFILES = [
    ProfileVersion(
        profile_id=profile_id, version=1, meter="song", profile="p", name="", unit="", event_name="song",
        aggregation="sum", property=("n",), filters=(), dimensions=(), window_seconds=3600,
        valid_from_us=BEGINNING, valid_to_us=FOREVER, by_text=False,
    )
    for profile_id in ("song.plays", "song.bytes")
]  # fmt: skip


def measure(size: int) -> Iterator[tuple[str, float]]:
    """A small account, one with a fifth of all records, and all accounts together; by day as a chart asks for it."""
    with (
        tempfile.TemporaryDirectory(prefix="weir-bench-") as folder,
        Stack(Path(folder), ports="free", processes=("clickhouse",)) as stack,
    ):
        migrate(stack.settings)
        cut = _fill(stack, size)
        client = connect(stack.settings)
        pid = stack.pid("clickhouse")
        days = tuple(START + day * DAY for day in range(DAYS))
        for what, accounts, buckets in (
            ("small account, month", ("acct_1",), ()), ("large account, month", ("whale",), ()),
            ("large account, by day", ("whale",), days), ("all accounts, month", (), ()),
        ):  # fmt: skip
            query = UsageQuery(
                "default", Measured("song.plays", "sum", ((1, 3600),)), START, START + DAYS * DAY,
                accounts=accounts or None, buckets_us=buckets,
            )  # fmt: skip
            question = UsageQuestion(query, "song.plays", accounts, ZoneInfo("UTC"), ()).as_of(None, cut)
            usage_totals(client, question.query)
            used = cpu_seconds(pid)
            for _ in range(ASKS):
                usage_totals(client, question.query)
            yield what, (cpu_seconds(pid) - used) / ASKS * 1e3


def _fill(stack: Stack, records: int) -> Cut:
    """Days of records, each rolled up. The cut at their end."""
    client = connect(stack.settings)
    profiles = versions_table([("default", profile) for profile in PROFILES])
    Journal(stack.settings, threading.Event()).insert("profile_versions", profiles)
    events = records * 2 // 3 // DAYS // (BATCH * PARTITIONS) * BATCH * PARTITIONS
    each = events // BATCH // PARTITIONS
    for day in range(DAYS):
        fill = {"day": day, "first": day * events, "count": events, "step": DAY // events, "accounts": ACCOUNTS}
        client.command(WHALE, parameters=fill)
        client.command(BATCHES, parameters=fill)
        sql, parameters = roll_up_sql({(1, p): (day * each, (day + 1) * each) for p in range(PARTITIONS)})
        client.command(sql, parameters=parameters | {"k": day + 1})
    return Cut(DAYS, {(1, partition): DAYS * each for partition in range(PARTITIONS)}, 0, 0)
