"""Usage of all accounts from windows, after so many hours with twelve checkpoints each: CPU milliseconds of ClickHouse
a question."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from bench_usage import BATCH, BATCHES, FILL, PARTITIONS
from measuring import cpu_seconds

from deploy.local.stack import Stack
from growth.account_usage import PROFILES, START
from rating.usage import Measured, UsageQuery, usage_totals
from schemas.clickhouse.client import connect
from schemas.ledgers.checkpoints import Cut
from schemas.migrations import migrate
from schemas.values.instants import SECOND
from stream_processors.metering.journal import Journal
from stream_processors.rollup.roll_up import roll_up_sql, versions_table

SIZES = (12, 48)
CUTS = 12
"""an hour; the setting's default is 60"""
ACCOUNTS = 200
EACH = BATCH * PARTITIONS
ASKS = 12


def measure(size: int) -> Iterator[tuple[str, float]]:
    """A month's total, and by account; the same as of a checkpoint between two folds."""
    with (
        tempfile.TemporaryDirectory(prefix="weir-bench-") as folder,
        Stack(Path(folder), ports="free", processes=("clickhouse",)) as stack,
    ):
        migrate(stack.settings)
        cuts = _fill(stack, size * CUTS)
        client = connect(stack.settings)
        pid = stack.pid("clickhouse")
        for what, by_account, as_of in (
            ("total", False, cuts[-1]), ("by account", True, cuts[-1]), ("as of one between", True, cuts[-3]),
        ):  # fmt: skip
            query = UsageQuery(
                "default", Measured("song.plays", "sum", ((1, 3600),)), START, START + size * 3600 * SECOND,
                by_account=by_account, as_of=as_of, rolled_up=cuts[-1], plan="windows",
            )  # fmt: skip
            usage_totals(client, query)
            used = cpu_seconds(pid)
            for _ in range(ASKS):
                usage_totals(client, query)
            yield what, (cpu_seconds(pid) - used) / ASKS * 1e3


def _fill(stack: Stack, count: int) -> list[Cut]:
    client = connect(stack.settings)
    journal = Journal(stack.settings, threading.Event())
    journal.insert("profile_versions", versions_table([("default", profile) for profile in PROFILES]))
    cuts: list[Cut] = []
    step = 3600 * SECOND // CUTS // EACH
    # One event after another since the month began, whatever its day.
    fill, batches = (text.replace("{day:UInt32}", "0").replace(" - {first:UInt64})", ")") for text in (FILL, BATCHES))
    for number in range(count):
        own = {"first": number * EACH, "count": EACH, "step": step, "accounts": ACCOUNTS}
        client.command(fill, parameters=own)
        client.command(batches, parameters=own)
        sql, parameters = roll_up_sql({(1, part): (number, number + 1) for part in range(PARTITIONS)})
        client.command(sql, parameters=parameters | {"k": number + 1})
        offsets = {(1, part): number + 1 for part in range(PARTITIONS)}
        cuts.append(Cut(number + 1, offsets, 0, START + (number + 1) * 3600 * SECOND // CUTS))
    try:
        from stream_processors.rollup.folds import Folds
    except ImportError:  # an earlier checkout
        return cuts
    Folds(journal).write(cuts, len(cuts))
    return cuts
