"""What the demo prints at its end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from rich.text import Text

from deploy.cli.billing.invoice_tables import invoice_parts, local_date
from deploy.cli.connection import base_url
from deploy.cli.operation.verify import books_table
from deploy.cli.output import say, table
from deploy.demo.retrying import retried
from ingest.client import Summary
from rating.invoices.read import read_invoice
from rating.invoices.stored_invoice import WholeInvoice
from schemas.clickhouse.client import connect
from schemas.settings import Settings

if TYPE_CHECKING:
    from rich.console import RenderableType

    from schemas.values.json_text import JsonObject

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_IN_FULL = ("UA", "2013-03-01")


def invoices_tables(invoices: Sequence[JsonObject], names: Mapping[str, str]) -> list[RenderableType]:
    """Totals of every invoice, by airline and month: two tables of half a year. ``names``: airline → its name."""
    totals: dict[str, dict[str, Decimal]] = defaultdict(dict)
    for invoice in invoices:
        month = local_date(invoice["period_start"], invoice["time_zone"])
        totals[invoice["account_id"]][month] = Decimal(invoice["total"])
    return [_half_year(half, totals, names, len(invoices)) for half in (range(1, 7), range(7, 13))]


def _half_year(
    half: range, totals: Mapping[str, Mapping[str, Decimal]], names: Mapping[str, str], invoices: int
) -> RenderableType:
    months = [f"2013-{month:02d}-01" for month in half]
    with_year = half.start == 7
    columns = ["airline", *[_MONTHS[month - 1] for month in half], *(["2013"] if with_year else [])]
    rows = []
    for account in sorted(totals):
        amounts = [totals[account].get(month) for month in months]
        if with_year:
            amounts.append(sum(totals[account].values(), Decimal(0)))
        cells = ["" if amount is None else f"{amount:,.2f}" for amount in amounts]
        rows.append((f"{account} {names.get(account, '')}"[:27], *cells))
    sums = [sum((by_month.get(month, Decimal(0)) for by_month in totals.values()), Decimal(0)) for month in months]
    if with_year:
        sums.append(sum((sum(by_month.values(), Decimal(0)) for by_month in totals.values()), Decimal(0)))
    rows.append(("all", *[f"{total:,.2f}" for total in sums]))
    title = f"{invoices} invoices, USD, {_MONTHS[half.start - 1]} to {_MONTHS[half.stop - 2]} 2013"
    return table(title, columns, rows, right=columns[1:])


def sample_invoice(settings: Settings, invoices: Sequence[JsonObject]) -> list[RenderableType]:
    """An invoice with its lines and steps, as a sample: of a month with a change of clocks."""
    ids = [
        invoice["invoice_id"]
        for invoice in invoices
        if (invoice["account_id"], local_date(invoice["period_start"], invoice["time_zone"])) == _IN_FULL
    ]
    if not ids:
        return []

    def read() -> WholeInvoice | None:
        client = connect(settings)
        try:
            return read_invoice(client, settings.namespace, ids[0])
        finally:
            client.close()

    invoice = retried("reading an invoice", read)
    return [] if invoice is None else invoice_parts(invoice.to_json())


def ledger(books: JsonObject) -> list[RenderableType]:
    """The books, and whether they balance."""
    return [Text("The ledger"), books_table(books)]


def speed(sent: Summary, seconds: float) -> str:
    """What the run reached; ``seconds``: from the first event sent until all were metered."""
    acknowledged_rate = sent.accepted / sent.seconds if sent.seconds else 0.0
    metered_rate = sent.accepted / seconds if seconds else 0.0
    return (
        f"sent {sent.accepted:,} events in {sent.seconds:.1f} s, {acknowledged_rate:,.0f} events/s acknowledged; "
        f"metered {seconds:.1f} s after the first, {metered_rate:,.0f} events/s end to end; "
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
