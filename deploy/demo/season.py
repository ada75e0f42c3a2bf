"""The demo from end to end, top to bottom: stack, catalog, events, metering, close, report. Safe to run again."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from deploy.cli.billing.invoices import fetch_invoices
from deploy.cli.catalog.apply import publish
from deploy.cli.connection import base_url, connection, data_dir, services_of
from deploy.cli.output import StepsBar, console, progress_bar, say
from deploy.demo import data, report
from deploy.demo.demo_requests import BATCH, events_sent, requests
from deploy.demo.events import event
from deploy.demo.retrying import retried, wait
from deploy.local import daemon
from deploy.local.stack import ALL
from deploy.local.stack_state import read_state
from ingest.client import Client, Summary, batched
from rating.books import read_books
from rating.close import CloseResult, run_close
from rating.close.checkpoint import end_offsets
from schemas.clickhouse.client import connect
from schemas.ledgers.checkpoints import read_progress
from schemas.settings import Settings
from schemas.values.json_text import JsonObject

CATALOG: Final = Path(__file__).with_name("catalog.yaml")
NAMESPACE: Final = "nyc-airports"
AS_OF: Final = datetime(2014, 1, 1, 6, tzinfo=UTC)
"""An hour, the plans' grace, after the year's end in New York: twelve months are due, the next is not."""
AIRLINES: Final = 16
"""Each has a subscription, and so an invoice a month."""
_STALLED_S: Final = 300.0
_CONCURRENCY: Final = 6


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What a run did. ``sent`` is None where all had been there."""

    sent: Summary | None
    metered_seconds: float
    closed: CloseResult


@dataclass(frozen=True, slots=True)
class Season:
    """What of the year is sent and billed: its first ``months``."""

    months: int = 12

    @property
    def flights(self) -> int:
        """Flights of these months, each an event."""
        return sum(data.FLIGHTS_BY_MONTH[: self.months])

    @property
    def invoices(self) -> int:
        """Invoices that these months end with."""
        return AIRLINES * self.months

    @property
    def as_of(self) -> datetime:
        """The instant that the months are billed at: the last is due then, the next is not."""
        if self.months == len(data.FLIGHTS_BY_MONTH):
            return AS_OF
        return datetime(2013, self.months + 1, 1, 6, tzinfo=UTC)


def run(season: Season) -> None:
    """Run the demo on the local stack: the running one, or one that it starts and stops."""
    data.package()
    folder = data_dir()
    started = read_state(folder) is None
    if started:
        say(f"starting the local stack on {folder}")
        # It closes by itself, as of an instant of its own: no schedule may be first.
        daemon.detach(folder, processes=tuple(kind for kind in ALL if kind not in ("webhooks", "scheduler")))
    else:
        say(f"the local stack is running on {folder}")
    try:
        settings = connection(NAMESPACE, local_stack=True)
        outcome = bill(settings, season)
        show(settings, season, outcome)
        report.next_steps(settings, stopped=started)
    finally:
        if started:
            daemon.down(folder)
            say("the stack that the demo had started is stopped; its data stays")


def bill(settings: Settings, season: Season) -> DemoResult:
    """Everything but the printing."""
    # 1. The catalog: what it declares already changes nothing.
    document = CATALOG.read_bytes()
    with services_of(settings).http("gateway") as client:
        retried("publishing the catalog", lambda: publish(client, document))
    # 2. The events, unless all of them are metered.
    sent: Summary | None = None
    began = time.monotonic()
    if retried("reading the ledger", lambda: books(settings))["metered"] < season.flights:
        sent = send_all(settings, season)
        # 3. Everything that the gateway acknowledged is metered.
        wait_metered(settings)
    seconds = time.monotonic() - began
    # 4. The months.
    with StepsBar() as bar:
        closed = retried(
            "closing", lambda: run_close(settings, NAMESPACE, season.as_of, datetime.now(UTC), bar), seconds=_STALLED_S
        )
    return DemoResult(sent, seconds, closed)


def send_all(settings: Settings, season: Season) -> Summary:
    """Every flight of these months through the gateway."""
    url, key = base_url(settings, "gateway"), settings.admin_key.get_secret_value()
    events = (event(row) for row in data.flights(months=season.months))
    with Client(url, key, NAMESPACE, deadline=_STALLED_S) as client, progress_bar("events") as bar:
        task = bar.add_task("sending", total=events_sent(season.flights))
        return client.send_batches(
            requests(batched(events, BATCH)),
            concurrency=_CONCURRENCY,
            on_result=lambda result: bar.advance(task, result.size),
        )


def wait_metered(settings: Settings) -> None:
    """Until the cursor has reached the log's end of this moment."""
    ends = retried("reading the log's end", lambda: end_offsets(settings))

    def measure() -> tuple[int, int]:
        client = connect(settings)
        try:
            progress = read_progress(client)
        finally:
            client.close()
        return sum(min(progress.get(key, 0), end) for key, end in ends.items()), sum(ends.values())

    with progress_bar("packed batches") as bar:
        task = bar.add_task("metering", total=sum(ends.values()))
        wait("metering", measure, lambda done, total: bar.update(task, completed=done, total=total), _STALLED_S)


def books(settings: Settings) -> JsonObject:
    """The ledger's lines by name."""
    client = connect(settings)
    try:
        return read_books(client, NAMESPACE).to_json()
    finally:
        client.close()


def show(settings: Settings, season: Season, outcome: DemoResult) -> None:
    """Print what stands and what this run did."""
    with services_of(settings).http("rating") as client:
        invoices = retried("reading the invoices", lambda: fetch_invoices(client))
    out = console()
    for part in report.invoices_tables(invoices, data.airlines()):
        out.print(part)
        out.print()
    for part in report.sample_invoice(settings, invoices):
        out.print(part)
    out.print()
    for part in report.ledger(retried("reading the ledger", lambda: books(settings))):
        out.print(part)
    out.print()
    if outcome.sent is not None:
        say(report.speed(outcome.sent, outcome.metered_seconds))
    say(outcome.closed.summary())
    for problem in outcome.closed.problems:
        say(f"not billed: {problem}")
    if outcome.sent is None and not outcome.closed.invoices:
        say(
            f"nothing was changed: all {season.flights:,} events were metered and all {len(invoices)} invoices "
            "stood before"
            " this run"
        )
