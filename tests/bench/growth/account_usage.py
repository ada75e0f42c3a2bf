"""Usage of a month of records, live, with a checkpoint a day, the last day beyond them: CPU milliseconds of ClickHouse
a question, with that for what is rolled up."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

from bench_usage import BATCH, BATCHES, DAYS, FILL, PARTITIONS, START
from measuring import cpu_seconds

from deploy.local.stack import Stack
from rating.usage import Measured, UsageQuery, usage_totals
from rating.usage.usage_parameters import UsageQuestion
from schemas.catalog.profiles import BEGINNING, FOREVER, ProfileVersion
from schemas.clickhouse.client import connect
from schemas.ledgers.checkpoints import Cut, RolledUp
from schemas.migrations import migrate
from schemas.values.instants import DAY
from stream_processors.metering.journal import Journal
from stream_processors.rollup.folds import Folds
from stream_processors.rollup.roll_up import roll_up_sql, versions_table

SIZES = (250_000, 1_000_000)
ACCOUNTS = 1_000
ASKS = 12
CHECKPOINTS = 525_600
"""As many as a year has of minutes, of which the newest are those of the days."""
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
        client, progress = connect(stack.settings), RolledUp()
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
            assert progress.read(client) == CHECKPOINTS
            used = cpu_seconds(pid)
            for _ in range(ASKS):
                progress.read(client)
                usage_totals(client, question.query)
            yield what, (cpu_seconds(pid) - used) / ASKS * 1e3


def _fill(stack: Stack, records: int) -> Cut:
    """Days of records, each but the last rolled up and folded. The last cut."""
    client = connect(stack.settings)
    profiles = versions_table([("default", profile) for profile in PROFILES])
    Journal(stack.settings, threading.Event()).insert("profile_versions", profiles)
    events = records * 2 // 3 // DAYS // (BATCH * PARTITIONS) * BATCH * PARTITIONS
    each = events // BATCH // PARTITIONS
    cuts: list[Cut] = []
    for day in range(DAYS):
        fill = {"day": day, "first": day * events, "count": events, "step": DAY // events, "accounts": ACCOUNTS}
        client.command(FILL, parameters=fill)
        client.command(BATCHES, parameters=fill)
        if day == DAYS - 1:
            break
        sql, parameters = roll_up_sql({(1, p): (day * each, (day + 1) * each) for p in range(PARTITIONS)})
        client.command(sql, parameters=parameters | {"k": day + 1})
        cuts.append(Cut(day + 1, {(1, p): (day + 1) * each for p in range(PARTITIONS)}, 0, START + (day + 1) * DAY - 1))
    client.command(
        "INSERT INTO usage_checkpoints (number, generation, partition) SELECT intDiv(number, 4) + 1, 1, number % 4"
        " FROM numbers({count:UInt32})", parameters={"count": CHECKPOINTS * 4},
    )  # fmt: skip
    Folds(Journal(stack.settings, threading.Event())).write(cuts, len(cuts))
    return cuts[-1]
