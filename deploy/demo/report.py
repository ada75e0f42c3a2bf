"""What the demo prints at its end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from rich.text import Text

from deploy.cli.billing.invoice_tables import invoice_parts, local_date
from deploy.cli.connection import base_url
from deploy.cli.operation.verify import books_table
from deploy.cli.output import say, table
from deploy.demo.steady import steadily
from ingest.client import Summary
from rating.invoices.read import read_invoice
from schemas.clickhouse.client import connect
from schemas.settings import Settings

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_IN_FULL = ("UA", "2013-03-01")


def invoices_tables(found: Sequence[Mapping[str, Any]], names: Mapping[str, str]) -> list[Any]:
    """Totals of every invoice, by airline and month: two tables of half a year."""
    totals: dict[str, dict[str, Decimal]] = defaultdict(dict)
    for item in found:
        totals[item["account_id"]][local_date(item["period_start"], item["time_zone"])] = Decimal(item["total"])
    tables = []
    for half in (range(1, 7), range(7, 13)):
        months = [f"2013-{month:02d}-01" for month in half]
        year = half.start == 7
        columns = ["airline", *[_MONTHS[month - 1] for month in half], *(["2013"] if year else [])]
        rows = []
        for account in sorted(totals):
            amounts = [totals[account].get(month) for month in months]
            if year:
                amounts.append(sum(totals[account].values(), Decimal(0)))
            rows.append(
                (f"{account} {names.get(account, '')}"[:27], *["" if one is None else f"{one:,.2f}" for one in amounts])
            )
        sums = [sum((one.get(month, Decimal(0)) for one in totals.values()), Decimal(0)) for month in months]
        if year:
            sums.append(sum((sum(one.values(), Decimal(0)) for one in totals.values()), Decimal(0)))
        rows.append(("all", *[f"{one:,.2f}" for one in sums]))
        title = f"{len(found)} invoices, USD, {_MONTHS[half.start - 1]} to {_MONTHS[half.stop - 2]} 2013"
        tables.append(table(title, columns, rows, right=columns[1:]))
    return tables


def one_in_full(settings: Settings, found: Sequence[Mapping[str, Any]]) -> list[Any]:
    """One invoice with its lines and steps: a month with a change of clocks."""
    chosen = next(
        (
            item
            for item in found
            if (item["account_id"], local_date(item["period_start"], item["time_zone"])) == _IN_FULL
        ),
        None,
    )
    if chosen is None:
        return []

    def read() -> Any:
        client = connect(settings)
        try:
            return read_invoice(client, settings.namespace, chosen["invoice_id"])
        finally:
            client.close()

    whole = steadily("reading an invoice", read)
    return [] if whole is None else invoice_parts(whole.to_json())


def ledger(books: Mapping[str, Any]) -> list[Any]:
    """The books, and whether they balance."""
    return [Text("The ledger"), books_table(books)]


def speed(sent: Summary, seconds: float) -> str:
    """What the run reached."""
    accepted = sent.accepted / sent.seconds if sent.seconds else 0.0
    whole = sent.accepted / seconds if seconds else 0.0
    return (
        f"sent {sent.accepted:,} events in {sent.seconds:.1f} s, {accepted:,.0f} events/s acknowledged; "
        f"metered {seconds:.1f} s after the first, {whole:,.0f} events/s end to end; "
        f"{sent.refused} refused as they should be, {sent.retries} retries"
    )


def next_steps(settings: Settings, *, stopped: bool) -> None:
    """Where to look next."""
    name = settings.namespace
    say("")
    say("Where to look next" + (" (start the stack again with `make run`, then)" if stopped else "") + ":")
    say(f"  {base_url(settings, 'rating')}/docs and {base_url(settings, 'gateway')}/docs")
    for command in (
        f"weir invoices -n {name} --account UA",
        f"weir usage miles -n {name} --period 2013-03 --tz America/New_York",
        f"weir usage departures.jfk -n {name} --account DL --period 2013 --by month",
        f"weir ledger -n {name}",
        f"weir verify -n {name}",
        f"weir doctor UA miles.total -n {name} --period 2013-03",
    ):
        say(f"  .venv/bin/{command}")
    say("  make demo-check     recomputes every bill from the data file alone and compares each line")
