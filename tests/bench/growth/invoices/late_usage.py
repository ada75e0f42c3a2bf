"""Invoices of so many checkpoints, as of each of which late usage is looked for among 400,000 records: milliseconds of
CPU of a search, and the questions that ClickHouse is asked."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from measuring import cpu_seconds

from deploy.local.stack import Stack
from rating.invoicing.late.late_usage import find_late
from schemas.clickhouse.client import connect
from schemas.ledgers.checkpoints import Checkpoints, Cut, cut_record
from schemas.ledgers.invoice_record import Invoice, Line
from schemas.migrations import migrate
from schemas.values.instants import SECOND

SIZES = (8, 64)
RECORDS = 400_000
ACCOUNTS = 2_000
PARTITIONS = 4
ASKS = 3
NAMESPACE = "default"
START = 1_770_000_000 * SECOND
EACH = SECOND  # a record a second, some four and a half days
_AT = "fromUnixTimestamp64Micro({start:Int64} + number * {each:Int64}, 'UTC')"
_APPENDED = f"toDateTime64({_AT}, 3, 'UTC')"
# One in five hundred is an hour old.
RECORDS_SQL = f"""INSERT INTO usage_records (namespace, profile_id, profile_version, account_id, timestamp, quantity,
    generation, partition, offset, `index`, append_time)
SELECT 'default', 'song.plays', 1, concat('a', toString(cityHash64(number) % {{accounts:UInt32}})),
    {_AT} - if(number % 500 = 0, toIntervalHour(1), toIntervalHour(0)), 1, 1, number % {{partitions:UInt32}},
    intDiv(number, {{partitions:UInt32}}), 0, {_APPENDED}
FROM numbers({{records:UInt64}})"""
BATCHES_SQL = f"""INSERT INTO usage_batches (generation, partition, offset, namespace, events, catalog_offset,
    append_time)
SELECT 1, number % {{partitions:UInt32}}, intDiv(number, {{partitions:UInt32}}), 'default', 1, 0, {_APPENDED}
FROM numbers({{records:UInt64}})"""


class Chains:
    """Chains of one invoice each, as the ledger gives them."""

    def __init__(self, invoices: Sequence[Invoice]) -> None:
        self._chains = {invoice.subscription: [invoice] for invoice in invoices}

    def chains(self, _namespace: str) -> Iterator[list[Invoice]]:
        return iter(self._chains.values())

    def chain(self, _namespace: str, subscription: str) -> list[Invoice]:
        return self._chains[subscription]

    def expand(self, _namespace: str, _subscription: str) -> None:
        """Each is whole."""


class Questions:
    """A ClickHouse that counts its questions."""

    def __init__(self, client: Any) -> None:
        self._client, self.count = client, 0

    def query(self, *arguments: Any, **named: Any) -> Any:
        self.count += 1
        return self._client.query(*arguments, **named)


def measure(size: int) -> Iterator[tuple[str, float]]:
    """The accounts are billed in turn, as many as there are to a checkpoint, up to the checkpoint's own instant."""
    with (
        tempfile.TemporaryDirectory(prefix="weir-bench-") as folder,
        Stack(Path(folder), ports="free", processes=("clickhouse",)) as stack,
    ):
        migrate(stack.settings)
        client = connect(stack.settings)
        fill = {
            "start": START, "each": EACH, "records": RECORDS, "accounts": ACCOUNTS, "partitions": PARTITIONS,
        }  # fmt: skip
        for statement in (RECORDS_SQL, BATCHES_SQL):
            client.command(statement, parameters=fill)
        checkpoints, invoices = Checkpoints(), []
        for number in range(1, size + 1):
            end = RECORDS // PARTITIONS * number // (size + 1)
            cut = Cut(number, {(1, partition): end for partition in range(PARTITIONS)}, 0, 0)
            checkpoints.apply(cut_record(cut, f"claim {number}"))
            ended = START + end * PARTITIONS * EACH
            invoices += [_invoice(account, number, ended) for account in range(number - 1, ACCOUNTS, size)]
        standing: Any = Chains(invoices)
        asked = Questions(client)
        find_late(asked, NAMESPACE, standing, checkpoints, None)
        yield "questions", asked.count
        pid, own = stack.pid("clickhouse"), time.process_time()
        used = cpu_seconds(pid)
        for _ in range(ASKS):
            find_late(asked, NAMESPACE, standing, checkpoints, None)
        yield "ClickHouse, ms", (cpu_seconds(pid) - used) / ASKS * 1e3
        yield "own, ms", (time.process_time() - own) / ASKS * 1e3


def _invoice(account: int, checkpoint: int, ended: int) -> Invoice:
    line = Line(
        number=1, kind="usage", charge="c", product="", description="", profile_id="song.plays", period_start=0,
        period_end=ended, price="{}", amount="1.00", unrounded="1", steps="[]",
    )  # fmt: skip
    return Invoice(
        namespace=NAMESPACE, invoice_id=f"inv_{account}", version=1, predecessor="", subscription=f"s{account}",
        sequence=0, account_id=f"a{account}", plan="basic", plan_version=1, period_start=0, period_end=ended,
        time_zone="UTC", run_id=f"run_{checkpoint}", checkpoint=checkpoint, catalog_offset=0, as_of=ended,
        state="finalized", currency="EUR", total="1.00", lines=(line,), claim_id="claim",
    )  # fmt: skip
