"""Reading usage out of a large table, and rolling it up: part of `make bench-large`.

Fills usage_records with a month of --records records of --accounts accounts and two profiles (by INSERT … SELECT, a day
of append time after another, as metering would), of which a fifth is one account's ("whale"), rolls the days up one
slice after another by the statement that the worker runs, but for the last one, folds them, and asks the usage API for
one account and the month, live. Prints the roll-up's µs a record, p50 and p99 of the question (any account, and the
whale), its plan, and the CPU that ClickHouse's merges took; saves JSON.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
from measuring import cpu_seconds
from workload import CATALOG

from deploy.local.stack import Stack
from schemas.catalog.follower import read_catalog
from schemas.catalog.profiles import profile_versions
from schemas.clickhouse.client import connect
from schemas.ledgers.checkpoints import CheckpointLedger, Cut
from schemas.values.instants import DAY, SECOND
from stream_processors.metering.journal import Journal
from stream_processors.rollup.folds import Folds
from stream_processors.rollup.roll_up import roll_up_sql, versions_table

DAYS = 30
PARTITIONS = 4
BATCH = 500
MONTH = "2026-09"
_START = "2026-09-01 00:00:00.000000"
START = 1_788_220_800 * SECOND
"""The same in microseconds."""

# Event n of a day: partition, offset and index from n; both profiles match every second event, as in the comparison.
FILL = f"""
INSERT INTO usage_records (namespace, profile_id, profile_version, account_id, timestamp,
    quantity, unique_value, dimensions,
    generation, partition, offset, `index`, append_time)
SELECT 'default', profile, 1, if(n % 5 = 0, 'whale', concat('acct_', toString(cityHash64(n) % {{accounts:UInt32}}))),
    toDateTime64('{_START}', 6, 'UTC') + toIntervalDay({{day:UInt32}})
        + toIntervalMicrosecond((n - {{first:UInt64}}) * {{step:UInt64}}),
    if(profile = 'song.plays', toDecimal128(1, 12), toDecimal128(n % 1000, 12)), '', '',
    1, intDiv(n, {BATCH}) % {PARTITIONS}, intDiv(intDiv(n, {BATCH}), {PARTITIONS}), n % {BATCH},
    toDateTime64('{_START}', 3, 'UTC') + toIntervalDay({{day:UInt32}})
        + toIntervalMillisecond(intDiv((intDiv(n, {BATCH}) * {BATCH} - {{first:UInt64}}) * {{step:UInt64}}, 1000))
FROM (SELECT number AS n, arrayJoin(if(number % 2 = 1, ['song.plays', 'song.bytes'], ['song.plays'])) AS profile
    FROM numbers({{first:UInt64}}, {{count:UInt64}}))"""
BATCHES = f"""
INSERT INTO usage_batches (generation, partition, offset, namespace, events, catalog_offset, append_time)
SELECT 1, intDiv(n, {BATCH}) % {PARTITIONS}, intDiv(intDiv(n, {BATCH}), {PARTITIONS}), 'default', {BATCH}, 2,
    toDateTime64('{_START}', 3, 'UTC') + toIntervalDay({{day:UInt32}})
        + toIntervalMillisecond(intDiv((n - {{first:UInt64}}) * {{step:UInt64}}, 1000))
FROM (SELECT number * {BATCH} AS n
    FROM numbers(intDiv({{first:UInt64}}, {BATCH}), intDiv({{count:UInt64}}, {BATCH})))"""
CHECKPOINT = (
    "INSERT INTO usage_checkpoints (number, generation, partition, from_offset, next_offset, "
    "catalog_offset, as_of, backfill) "
    "VALUES ({k:UInt32}, 1, {p:UInt32}, {a:UInt64}, {b:UInt64}, 2, toDateTime64({at:String}, 6, 'UTC'), '')"
)


def fill_and_roll_up(stack: Stack, records: int, accounts: int) -> dict[str, Any]:
    """Day by day: insert, then roll up the day's slice. Microseconds a record of each day's roll-up."""
    settings = stack.settings
    client = connect(settings)
    view = read_catalog(settings).view("default")
    Journal(settings, threading.Event()).insert(
        "profile_versions", versions_table([("default", one) for one in profile_versions(view)])
    )
    events = (
        records * 2 // 3 // DAYS // (BATCH * PARTITIONS) * BATCH * PARTITIONS
    )  # a day's, whole batches in every partition
    step = 86_400_000_000 // events
    costs: list[float] = []
    pid, used, written = stack.pid("clickhouse"), cpu_seconds(stack.pid("clickhouse")), 0
    ledger, each = CheckpointLedger(settings), events // BATCH // PARTITIONS
    for day in range(DAYS):
        asked = {"day": day, "first": day * events, "count": events, "step": step, "accounts": accounts}
        client.command(FILL, parameters=asked)
        client.command(BATCHES, parameters=asked)
        written += int(events * 1.5)
        if day == DAYS - 1:
            break  # it lies beyond the last checkpoint
        sql, parameters = roll_up_sql({(1, p): (day * each, (day + 1) * each) for p in range(PARTITIONS)})
        began = time.perf_counter()
        client.command(sql, parameters=parameters | {"k": day + 1})
        costs.append((time.perf_counter() - began) / (events * 1.5) * 1e6)
        ends = {(1, partition): (day + 1) * each for partition in range(PARTITIONS)}
        cut = Cut(day + 1, ends, 2, START + (day + 1) * DAY - 1)
        assert ledger.cut(lambda _, cut=cut: cut) == cut
        for partition in range(PARTITIONS):
            at = {
                "k": day + 1,
                "p": partition,
                "a": day * each,
                "b": (day + 1) * each,
                "at": f"2026-09-{day + 1:02d} 23:59:59",
            }
            client.command(CHECKPOINT, parameters=at)
        print(f"  day {day + 1}: rolled up {events * 1.5:,.0f} records at {costs[-1]:.2f} µs", flush=True)
    Folds(Journal(settings, threading.Event())).write(ledger.checkpoints.cuts, DAYS - 1)
    ledger.close()
    counted = client.query("SELECT count(), uniqExact(account_id) FROM usage_records").result_rows[0]
    rolled = client.query("SELECT sum(count) FROM usage_windows FINAL").result_rows[0][0]
    if not counted[0] == written == rolled + int(events * 1.5):
        raise AssertionError(
            f"{counted[0]} records, {written} written, {rolled} in windows: a day must be missing there"
        )
    return {
        "records": counted[0], "accounts": counted[1], "roll_up_us_per_record": {
            "median": statistics.median(costs), "first": costs[0], "last": costs[-1], "highest": max(costs)},
        "clickhouse_cpu_us_per_record": (cpu_seconds(pid) - used) / written * 1e6,
    }  # fmt: skip


def ask(stack: Stack, times: int, accounts: Sequence[str]) -> dict[str, Any]:
    """The usage of one account in the month, each time of any of these, over HTTP."""
    settings = stack.settings
    head = {"Authorization": f"Bearer {settings.admin_key.get_secret_value()}"}
    chance = random.Random(1)
    seconds: list[float] = []
    with httpx.Client(base_url=f"http://127.0.0.1:{settings.rating_port}", headers=head, timeout=60) as client:
        for number in range(times + 20):
            asked = {"metric": "song.bytes", "account_id": chance.choice(accounts), "from": MONTH}
            began = time.perf_counter()
            client.get("/v1/usage", params=asked).raise_for_status()
            if number >= 20:
                seconds.append(time.perf_counter() - began)
    seconds.sort()
    return {
        "asked": times,
        "p50_ms": seconds[times // 2] * 1e3,
        "p99_ms": seconds[int(times * 0.99)] * 1e3,
        "highest_ms": seconds[-1] * 1e3,
    }


def plan(stack: Stack) -> list[str]:
    """What ClickHouse reads of usage_records for one account and month."""
    client = connect(stack.settings)
    sql = (
        "EXPLAIN indexes = 1 SELECT sum(quantity) FROM usage_records FINAL WHERE namespace = 'default' "
        "AND profile_id = 'song.bytes' "
        "AND account_id = 'acct_1' AND timestamp >= '2026-09-01' AND timestamp < '2026-10-01'"
    )
    return [str(row[0]) for row in client.query(sql).result_rows]


def main() -> None:
    """Fill, roll up, ask."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=50_000_000)
    parser.add_argument("--accounts", type=int, default=10_000)
    parser.add_argument("--asks", type=int, default=500)
    parser.add_argument("--save", type=Path, required=True)
    asked = parser.parse_args()
    kinds = ("kafka", "clickhouse", "init", "gateway", "rating")
    with (
        tempfile.TemporaryDirectory(prefix="weir-bench-") as folder,
        Stack(Path(folder), ports="free", processes=kinds) as stack,
    ):
        head = {"Authorization": f"Bearer {stack.settings.admin_key.get_secret_value()}"}
        url = f"http://127.0.0.1:{stack.settings.gateway_port}/v1/catalog/apply"
        httpx.post(url, json=CATALOG, headers=head).raise_for_status()
        report = fill_and_roll_up(stack, asked.records, asked.accounts)
        report["usage_query"] = ask(stack, asked.asks, [f"acct_{number}" for number in range(asked.accounts)])
        report["usage_query_of_a_fifth_of_all"] = ask(stack, asked.asks, ["whale"])
        report["plan"] = plan(stack)
    cost, query, whale = (
        report[name] for name in ("roll_up_us_per_record", "usage_query", "usage_query_of_a_fifth_of_all")
    )
    print(
        f"{report['records']:,} records of {report['accounts']:,} accounts; roll-up {cost['median']:.2f} "
        "µs a record (first day "
        f"{cost['first']:.2f}, last {cost['last']:.2f}); one account's month p50 {query['p50_ms']:.1f} "
        f"ms, p99 {query['p99_ms']:.1f} ms; of the account with a fifth of all records p50 {whale['p50_ms']:.1f}"
        f" ms, p99 {whale['p99_ms']:.1f} ms"
    )
    print("\n".join(report["plan"]))
    asked.save.parent.mkdir(parents=True, exist_ok=True)
    asked.save.write_text(json.dumps(report, indent=1))
    print(f"saved to {asked.save}")


if __name__ == "__main__":
    main()
