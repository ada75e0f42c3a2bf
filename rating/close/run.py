"""One billing run, from the log's end to invoices that can be read (DESIGN invariant 9). Safe to repeat and to double."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from itertools import count
from typing import Any

from rating.close.checkpoint import covering_cut, end_offsets, wait_metered, wait_rolled_up
from rating.close.due import Due, PlanningError, due_invoices
from rating.close.lines import ChargeBook, Item, Need, build_invoice
from rating.close.measure import measure
from rating.close.progress import CloseError, Progress
from rating.close.publish import publish, wait_visible
from rating.close.standing import Invoice, Standing, invoices_reader, read_standing
from schemas.catalog.follower import read_catalog
from schemas.catalog.state import Catalog, NamespaceView
from schemas.checkpoints import CheckpointLedger, Cut, Run
from schemas.clickhouse import connect
from schemas.instants import micros, rfc3339
from schemas.ledger_io import LedgerWriter
from schemas.settings import Settings
from schemas.topics import INVOICES


@dataclass(frozen=True, slots=True)
class CloseResult:
    """``invoices``: records that this run made stand (or, of a dry run, would). ``already``: due ones that another process
    made stand first. ``problems``: sentences about what cannot be billed. ``run`` is None where nothing was due."""

    namespace: str
    as_of: datetime
    run: Run | None
    invoices: tuple[Invoice, ...]
    already: int
    problems: tuple[str, ...]
    dry_run: bool

    def summary(self) -> str:
        """One sentence for people."""
        until = rfc3339(micros(self.as_of))
        if self.run is None:
            return f"nothing is due in {self.namespace} as of {until}: no invoice was published"
        done = f"{len(self.invoices)} invoice{'' if len(self.invoices) == 1 else 's'}"
        if self.dry_run:
            return f"{done} would be published in {self.namespace} as of {until}; nothing was written"
        first = f"; {self.already} stood already, by another process" if self.already else ""
        return f"{done} published in {self.namespace} as of {until}, checkpoint {self.run.number}{first}"


@dataclass(frozen=True, slots=True)
class _Planned:
    """What a run has to bill, by the catalog it is as of."""

    due: tuple[tuple[Due, tuple[Item, ...]], ...]
    problems: tuple[str, ...]

    def needs(self) -> dict[Need, set[str]]:
        needs: dict[Need, set[str]] = {}
        for due, items in self.due:
            for item in items:
                if item.need is not None:
                    needs.setdefault(item.need, set()).add(due.account_id)
        return needs


def run_close(
    settings: Settings,
    namespace: str | None,
    as_of: datetime | None,
    now: datetime,
    on_progress: Progress,
    dry_run: bool = False,
) -> CloseResult:
    """Bill every period of ``namespace`` (None: the settings') that is due at ``as_of`` (None: ``now``); blocking.

    A dry run waits for metering, rates what is live, and writes nothing at all. Raises CloseError where it cannot go on
    and LedgerUnavailable where Kafka does not answer; after either, simply run it again.
    """
    name = namespace or settings.namespace
    until = as_of or now
    if until > now:
        raise CloseError(f"as of {rfc3339(micros(until))} lies in the future; choose an instant up to now")
    client = connect(settings)
    try:
        return Close(settings, name, until, now, on_progress, client).run(dry_run)
    finally:
        client.close()


class Close:
    """``run`` is the protocol; its steps stand alone, so that a test can stop between two of them."""

    def __init__(
        self, settings: Settings, namespace: str, as_of: datetime, now: datetime, on_progress: Progress, client: Any
    ) -> None:
        self._settings = settings
        self._namespace = namespace
        self._as_of = as_of
        self._now = now
        self._on_progress = on_progress
        self._client = client

    def run(self, dry_run: bool) -> CloseResult:
        with invoices_reader(self._settings) as reader:
            # 1. What is due, by the present catalog and the invoices that stand.
            standing = read_standing(reader, Standing())
            catalog = self.catalog()
            planned = self.plan(catalog, standing)
            if not planned.due:
                return self._result(None, (), 0, planned.problems, dry_run)
            if dry_run:
                wait_metered(self._client, end_offsets(self._settings), self._on_progress)
                run = Run("", 0, catalog.next_offset, micros(self._now), {})
                invoices, problems = self.rated(planned, run, None)
                return self._result(run, invoices, 0, planned.problems + problems, dry_run)
            # 2. A checkpoint holds all that was acknowledged before this moment, and the run is announced as of it.
            run, cut = self.announced(planned, catalog, standing)
            # 3. Its windows are rolled up, so that totals as of it can be read.
            wait_rolled_up(self._client, cut, self._on_progress)
            # 4. Everything is rated as of the run.
            invoices, problems = self.rated(planned, run, cut)
            # 5. The ledger decides which invoices stand.
            won = publish(LedgerWriter(self._settings, INVOICES), reader, standing, invoices, self._on_progress)
            # 6. Everybody can read them.
            wait_visible(self._client, self._namespace, invoices, self._on_progress)
            return self._result(run, won, len(invoices) - len(won), planned.problems + problems, dry_run)

    def catalog(self) -> Catalog:
        """The catalog as of now. Raises LedgerUnavailable."""
        return read_catalog(self._settings)

    def plan(self, catalog: Catalog, standing: Standing, offset: int | None = None) -> _Planned:
        """What is due by the catalog as of ``offset``, None: all that was read. Raises CloseError."""
        view = catalog.view(self._namespace, offset)
        if offset is None and not view.known:
            known = ", ".join(catalog.namespaces())
            raise CloseError(f"there is no namespace {self._namespace}; known: {known}")
        return plan(view, standing, micros(self._as_of))

    def announced(self, planned: _Planned, catalog: Catalog, standing: Standing) -> tuple[Run, Cut]:
        """The run to rate as of: one that was announced for just this plan (by a process that died in it, or is in
        it now), which gives the same bytes; else a new one."""
        ready_us = max(due.ready_us for due, _ in planned.due)
        ledger = CheckpointLedger(self._settings)
        try:
            runs = ledger.refresh().runs
            for attempt in count():
                name = run_id(self._namespace, ready_us, attempt)
                run = runs.get(name) or self._new_run(ledger, name, ready_us, attempt, catalog)
                if run.catalog_offset > catalog.next_offset:
                    catalog = self.catalog()
                if self.plan(catalog, standing, run.catalog_offset).due == planned.due:
                    return run, ledger.checkpoints.cut(run.number)
            raise AssertionError("count() does not end")
        finally:
            ledger.close()

    def _new_run(self, ledger: CheckpointLedger, name: str, ready_us: int, attempt: int, catalog: Catalog) -> Run:
        ends = end_offsets(self._settings)
        wait_metered(self._client, ends, self._on_progress)
        cut = covering_cut(self._settings, self._client, ledger, ends, self._now)
        body = {"namespace": self._namespace, "as_of": rfc3339(ready_us), "attempt": attempt}
        return ledger.announce(Run(name, cut.number, catalog.next_offset, cut.as_of_us, body))

    def rated(self, planned: _Planned, run: Run, cut: Cut | None) -> tuple[tuple[Invoice, ...], tuple[str, ...]]:
        """The invoices as of ``cut`` (None: live), and what cannot be rated."""
        totals = measure(self._client, self._namespace, planned.needs(), cut, self._on_progress)
        invoices: list[Invoice] = []
        failed: dict[str, str] = {}
        for due, items in planned.due:
            # A chain has no gaps: after one that cannot be rated, the subscription's later periods wait, too.
            if due.subscription not in failed:
                try:
                    invoices.append(build_invoice(due, items, totals, run))
                except PlanningError as error:
                    failed[due.subscription] = str(error)
        return tuple(invoices), tuple(failed.values())

    def _result(
        self, run: Run | None, invoices: Iterable[Invoice], already: int, problems: tuple[str, ...], dry_run: bool
    ) -> CloseResult:
        return CloseResult(self._namespace, self._as_of, run, tuple(invoices), already, problems, dry_run)


def plan(view: NamespaceView, standing: Standing, as_of_us: int) -> _Planned:
    """What is due, with its charges resolved; a subscription whose charges cannot be is a problem and waits. Pure."""
    found, problems = due_invoices(view, standing, as_of_us)
    book = ChargeBook(view)
    planned: list[tuple[Due, tuple[Item, ...]]] = []
    failed: dict[str, str] = {}
    for due in found:
        if due.subscription not in failed:
            try:
                planned.append((due, book.items(due.plan, due.plan_version, due.start_us, due.end_us)))
            except PlanningError as error:
                failed[due.subscription] = f"subscription {due.subscription}: {error}"
    return _Planned(tuple(planned), (*problems, *failed.values()))


def run_id(namespace: str, as_of_us: int, attempt: int) -> str:
    """The same in every process that closes the same periods: ``run_`` + 24 hex digits.

    ``as_of_us``: the instant at which the last of them became due. ``attempt`` counts plans of it: the next one is for what
    an earlier one did not know, such as a subscription that was published after it.
    """
    return "run_" + blake2b(f"{len(namespace)}:{namespace}{as_of_us}:{attempt}".encode(), digest_size=12).hexdigest()
