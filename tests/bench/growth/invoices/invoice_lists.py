"""Pages of invoices and credit notes beside all that a namespace has: CPU milliseconds of ClickHouse a page."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from measuring import cpu_seconds

from deploy.local.stack import Stack
from rating.invoices.lists import list_invoices
from rating.invoices.read_credit_notes import list_credit_notes
from schemas.clickhouse.client import connect
from schemas.migrations import migrate

SIZES = (10_000, 80_000)
MONTHS = 20
ASKS = 20
NAMESPACE = "default"
_BODY = '{"subtotal":"30.00","tax_amount":null,"due_date":"2026-03-01","after":"run_12","time_zone_data":"2026a"}'
_BEFORE_NOTE = _BODY[:-1] + (
    ',"credit_notes":[{"number":1,"reference":"n","amount":"1.00","tax_amount":null,"reason":"r","author":"a","at":"'
)
# One in a hundred has a credit note.
_BODIES = """if(number % 100 != 0, {body:String}, concat({before:String},
    formatDateTime(toDateTime('2026-03-01 00:00:00', 'UTC') + number, '%Y-%m-%dT%H:%i:%SZ', 'UTC'), '"}]}'))"""
_IDS = "concat('inv_', lower(hex(sipHash128(number)))) AS invoice_id"
FILL = f"""INSERT INTO invoices
SELECT 'default', {_IDS}, 1, '', concat('s', toString(number % {{each:UInt32}})) AS subscription, 0,
    concat('a', toString(number % {{each:UInt32}})) AS account_id, 'basic', 1,
    addMonths(toDateTime64('2024-01-01 00:00:00', 6, 'UTC'), intDiv(number, {{each:UInt32}})) AS period_start,
    addMonths(period_start, 1), 'UTC', concat('run_', toString(intDiv(number, {{each:UInt32}}))), 1, 7,
    addMonths(period_start, 1), 'finalized', 'EUR', 30, {_BODIES}
FROM numbers({{count:UInt32}})"""
NUMBERS = f"""INSERT INTO invoice_numbers
SELECT 'default', {_IDS}, number + 1, concat('INV-', toString(number + 1)) FROM numbers({{count:UInt32}})"""


def measure(size: int) -> Iterator[tuple[str, float]]:
    """The console's front page asks for the first two, an account's page for the next."""
    with (
        tempfile.TemporaryDirectory(prefix="weir-bench-") as folder,
        Stack(Path(folder), ports="free", processes=("clickhouse",)) as stack,
    ):
        migrate(stack.settings)
        client = connect(stack.settings)
        fill = {"count": size, "each": size // MONTHS, "body": _BODY, "before": _BEFORE_NOTE}
        client.command(FILL, parameters=fill)
        client.command(NUMBERS, parameters=fill)
        pid = stack.pid("clickhouse")
        first = list_invoices(client, NAMESPACE, limit=500)
        for what, asked in (
            ("first page of 50", {"limit": 50}),
            ("drafts (none)", {"limit": 50, "state": "draft"}),
            ("of an account", {"limit": 24, "account_id": "a7"}),
            ("second page of 500", {"limit": 500, "cursor": first.next_cursor}),
            ("of a run", {"limit": 50, "run_id": "run_3"}),
            ("finalized", {"limit": 50, "state": "finalized"}),
        ):  # fmt: skip
            list_invoices(client, NAMESPACE, **asked)
            used = cpu_seconds(pid)
            for _ in range(ASKS):
                list_invoices(client, NAMESPACE, **asked)
            yield what, (cpu_seconds(pid) - used) / ASKS * 1e3
        assert len(list_credit_notes(client, NAMESPACE).notes) == 50
        used = cpu_seconds(pid)
        for _ in range(ASKS):
            list_credit_notes(client, NAMESPACE)
        yield "credit notes", (cpu_seconds(pid) - used) / ASKS * 1e3
