"""What a close costs, by stage: `python tests/bench/bench_close.py [--subscriptions 100000] [--records 10000000]`, or
`make bench-close`.

Fills a namespace of one month: accounts and subscriptions through the catalog's topic, events by INSERT … SELECT
(positions of their own in batches that a worker has metered before), all rolled up by a checkpoint beforehand, as a
worker does every minute. Then one close, as `weir close` runs it, with its checklist; `--months 2` closes the month
after it as well, which has fees and no usage, but looks for what came late. Prints seconds and µs a subscription by
stage, checks the sum of the invoices, saves JSON.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from measuring import cpu_seconds

from deploy.local.stack import Stack
from rating.close import announcing, close_run
from rating.close import billing_run as closing_run
from rating.close.checkpoint import covering_cut, end_offsets, wait_metered, wait_rolled_up
from rating.invoices import publish_invoices as publishing
from schemas.catalog.follower import read_catalog
from schemas.catalog.models import KINDS
from schemas.catalog.state import record_of
from schemas.clickhouse.client import connect
from schemas.events.acceptance import AcceptedEvent
from schemas.events.batch import encode_batch
from schemas.events.identity import content_hash, identity, partition_of
from schemas.kafka.codec import codec
from schemas.kafka.topics import CATALOG, events_topic
from schemas.ledgers.checkpoints import CheckpointLedger
from schemas.ledgers.ledger_writer import LedgerWriter
from schemas.values.instants import micros

NAMESPACE = "bench"
PROFILES = ("calls.number", "calls.seconds")
MONTH = "2026-06-01 00:00:00.000000"
END = datetime(2026, 7, 1, tzinfo=UTC)
_MONTH_US = 30 * 86_400_000_000
_AT_ONCE = 10_000
_SLICE = 1_000_000
_INDEXES = 1 << 31  # far beyond the index of any event that a batch holds

# Both profiles match every event; event n is of account n modulo their number, so that every account has as many.
FILL = f"""
INSERT INTO usage_flush (namespace, account_id, event_name, timestamp, idempotency_key, identity, content_hash,
    properties, match_profile_ids, match_profile_versions, match_quantities, match_unique_values, match_dimensions,
    generation, partition, offset, `index`, append_time)
SELECT '{NAMESPACE}', concat('acct_', toString(n % {{accounts:UInt64}})), 'call',
    toDateTime64('{MONTH}', 6, 'UTC') + toIntervalMicrosecond(cityHash64(n) % {_MONTH_US}), toString(n),
    unhex(hex(sipHash128(n))), toFixedString(unhex(hex(cityHash64(n))), 8), '{{{{}}}}', {list(PROFILES)}, [1, 1],
    [toDecimal128(1, 12), toDecimal128(n % 100, 12)], ['', ''], ['', ''], 1, 0, 0,
    {_INDEXES} + n, {{at:DateTime64(3, 'UTC')}}
FROM (SELECT number AS n FROM numbers({{first:UInt64}}, {{count:UInt64}}))"""


def entries(subscriptions: int, new: int) -> list[tuple[str, dict[str, Any]]]:
    """(kind, body) of the whole catalog; ``new`` subscriptions start each at an instant of its own."""
    profiles = [{"code": "number", "aggregation": "count"}, {"code": "seconds", "aggregation": "sum", "property": "s"}]
    tiers = [{"up_to": "100", "unit_amount": "0"}, {"up_to": None, "unit_amount": "0.01"}]
    charges = [
        {"product": "fee", "price": {"model": "flat", "amount": "5"}},
        {"product": "calls", "price": {"model": "tiered", "tiers": tiers}},
        {"product": "time", "price": {"model": "per_unit", "unit_amount": "0.001"}},
    ]
    found: list[tuple[str, dict[str, Any]]] = [
        ("namespace", {"code": NAMESPACE, "max_event_age_seconds": None}),
        ("meter", {"code": "calls", "event_name": "call", "window": "day", "profiles": profiles}),
        ("product", {"code": "fee", "kind": "flat"}),
        ("product", {"code": "calls", "profile": "calls.number"}),
        ("product", {"code": "time", "profile": "calls.seconds"}),
        ("plan", {"code": "basic", "currency": "USD", "grace_seconds": 0, "charges": charges}),
    ]
    for number in range(subscriptions):
        name = f"acct_{number}"
        found.append(("account", {"code": name}))
        start = f"2026-06-01T00:00:00.{number if number < new else 0:06}Z"
        found.append(("subscription", {"code": name, "account": name, "plan": "basic", "start": start}))
    return found


def fill(stack: Stack, subscriptions: int, records: int, new: int) -> float:
    """Everything, rolled up; the seconds that the roll-up took."""
    settings = stack.settings
    client = connect(settings)
    catalog, encoder = LedgerWriter(settings, CATALOG), codec("catalog_entry")
    made = entries(subscriptions, new)
    for start in range(0, len(made), _AT_ONCE):
        some = made[start : start + _AT_ONCE]
        models = [(kind, KINDS[kind].model_validate(body)) for kind, body in some]
        claims = [
            record_of(NAMESPACE, model, kind=kind, version=1, author="bench", claim_id=f"{kind}{start + number}")
            for number, (kind, model) in enumerate(models)
        ]
        catalog.append_all([(b"", encoder.encode(claim)) for claim in claims], 0)
    # A real batch in partition 0 takes offset 0 there; the filled events are further ones of that batch.
    offset = read_catalog(settings).next_offset
    key = next(str(n) for n in range(1000) if partition_of(identity(NAMESPACE, "", str(n)), settings.partitions) == 0)
    hashed = content_hash("call", "acct_0", b'{"s": 0}')
    first = AcceptedEvent(
        identity(NAMESPACE, "", key), hashed, "call", "acct_0", key, "", micros(datetime(2026, 6, 2, tzinfo=UTC)),
        '{"s": 0}'
    )  # fmt: skip
    LedgerWriter(settings, events_topic(1)).append_all([(b"", encode_batch(NAMESPACE, offset, [first]))], 0)
    ends = end_offsets(settings)
    wait_metered(client, ends, lambda *_: None)
    at = client.query("SELECT append_time FROM usage_batches WHERE partition = 0 AND offset = 0").result_rows[0][0]
    events = records // len(PROFILES)
    for start in range(0, events, _SLICE):
        asked = {"accounts": subscriptions, "at": at, "first": start, "count": min(_SLICE, events - start)}
        client.command(FILL.replace("{{}}", "{}"), parameters=asked)
    # The batch says what it holds now, since a close bills nothing of a batch that has other events than that.
    client.command(
        "INSERT INTO usage_batches SELECT * REPLACE (toUInt32(events + {more:UInt32}) AS events)"
        " FROM usage_batches FINAL WHERE partition = 0 AND offset = 0",
        parameters={"more": events},
    )
    began = time.perf_counter()
    with closing(CheckpointLedger(settings)) as ledger:
        cut = covering_cut(settings, client, ledger, ends, datetime.now(UTC))
    wait_rolled_up(client, cut, lambda *_: None)
    return time.perf_counter() - began


class Stages:
    """Wraps the close's own functions, where it looks them up, and sums what each takes, inner ones taken off: seconds
    by the clock, and of the process's CPU, which tells more than the clock where others use the machine."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.cpu: dict[str, float] = {}
        self._open: list[tuple[float, float]] = []

    def timed(self, stage: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **named: Any) -> Any:
            began, used = time.perf_counter(), time.process_time()
            self._open.append((0.0, 0.0))
            try:
                return work(*arguments, **named)
            finally:
                took, cpu = time.perf_counter() - began, time.process_time() - used
                inner, inner_cpu = self._open.pop()
                self.seconds[stage] = self.seconds.get(stage, 0.0) + took - inner
                self.cpu[stage] = self.cpu.get(stage, 0.0) + cpu - inner_cpu
                if self._open:
                    outer, outer_cpu = self._open[-1]
                    self._open[-1] = outer + took, outer_cpu + cpu

        return wrapped

    def install(self) -> None:
        stages = {
            "read invoices": "read_standing", "read catalog": "read_catalog", "late usage": "find_late",
            "plan": "make_plan",
            "wait for metering": "wait_metered", "checkpoint": "covering_cut", "wait for roll-up": "wait_rolled_up",
            "measure": "measure", "rate": "build_invoices", "checklist": "make_checks",
            "publish": "publish", "visible": "wait_visible",
        }  # fmt: skip
        for stage, name in stages.items():
            for steps in (closing_run, announcing):
                if hasattr(steps, name):
                    setattr(steps, name, self.timed(stage, getattr(steps, name)))
        publishing.encode_invoice = self.timed("publish: encode", publishing.encode_invoice)


def main() -> None:
    """Fill, close once, tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subscriptions", type=int, default=100_000)
    parser.add_argument("--records", type=int, default=10_000_000)
    parser.add_argument("--new", type=int, default=5000, help="subscriptions that start each at an instant of its own")
    parser.add_argument("--months", type=int, default=1, choices=(1, 2, 3))
    parser.add_argument("--save", type=Path)
    asked = parser.parse_args()
    kinds = ("kafka", "clickhouse", "init", "worker")
    with (
        tempfile.TemporaryDirectory(prefix="weir-bench-") as folder,
        Stack(Path(folder), ports="free", processes=kinds) as stack,
    ):
        print(f"filling {asked.subscriptions:,} subscriptions and {asked.records:,} records", flush=True)
        rolled = fill(stack, asked.subscriptions, asked.records, asked.new)
        print(f"rolled up beforehand in {rolled:.1f} s; closing", flush=True)
        stages = Stages()
        stages.install()
        closes = [closed(stack, stages, asked.subscriptions, month) for month in range(asked.months)]
    events = asked.records // len(PROFILES) + 1
    if closes[0]["events"] != events * len(PROFILES):
        raise AssertionError(f"{closes[0]['events']} of {events * len(PROFILES)} records are billed")
    if asked.save:
        asked.save.parent.mkdir(parents=True, exist_ok=True)
        report = {
            "subscriptions": asked.subscriptions,
            "records": asked.records,
            "roll_up_seconds": rolled,
            "closes": closes,
        }
        asked.save.write_text(json.dumps(report, indent=1))


def closed(stack: Stack, stages: Stages, subscriptions: int, month: int) -> dict[str, Any]:
    """Close the month that ended ``month`` months after END, and tell what it took."""
    stages.seconds.clear()
    stages.cpu.clear()
    pids = {name: stack.pid(name) for name in ("clickhouse", "worker-0", "kafka")}
    used = {name: cpu_seconds(pid) for name, pid in pids.items()}
    as_of = END.replace(month=END.month + month)
    began, cpu = time.perf_counter(), time.process_time()
    result = close_run.run_close(stack.settings, NAMESPACE, as_of, datetime.now(UTC), lambda *_: None)
    took, cpu = time.perf_counter() - began, time.process_time() - cpu
    spent = {name: cpu_seconds(pid) - used[name] for name, pid in pids.items()} | {"close": cpu}
    if len(result.invoices) != subscriptions:
        raise AssertionError(f"{len(result.invoices)} invoices of {subscriptions} subscriptions")
    total = sum((Decimal(invoice.total) for invoice in result.invoices), Decimal(0))
    print(
        f"as of {as_of:%Y-%m-%d}: {subscriptions:,} invoices, {total:,} USD, in {took:.1f} s: "
        f"{took / subscriptions * 1e6:.0f} µs a subscription"
    )
    stages.seconds["other"] = took - sum(stages.seconds.values())
    stages.cpu["other"] = cpu - sum(stages.cpu.values())
    for stage, seconds in sorted(stages.seconds.items(), key=lambda one: -one[1]):
        each = stages.cpu[stage] / subscriptions * 1e6
        print(f"  {stage:20} {seconds:8.2f} s; CPU {stages.cpu[stage]:8.2f} s, {each:8.1f} µs a subscription")
    print("CPU seconds: " + ", ".join(f"{name} {seconds:.1f}" for name, seconds in sorted(spent.items())), flush=True)
    return {
        "seconds": took, "events": sum(int(line.events or 0) for invoice in result.invoices for line in invoice.lines),
        "stages": dict(stages.seconds), "stages_cpu": dict(stages.cpu), "cpu_seconds": spent,
    }  # fmt: skip


if __name__ == "__main__":
    main()
