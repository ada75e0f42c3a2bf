"""One billing run, from the log's end to invoices that can be read (DESIGN invariant 9). Safe to repeat and to double."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from itertools import count
from typing import Any

from rating.close.checkpoint import covering_cut, end_offsets, wait_metered, wait_rolled_up
from rating.close.late import LateUsage, find_late
from rating.close.measure import measure
from rating.close.plan import Plan, build_invoices, make_plan
from rating.close.progress import CloseError, Progress
from rating.close.publish import publish, wait_visible
from rating.close.standing import Invoice, Standing, invoices_reader, read_standing
from schemas.catalog.follower import read_catalog
from schemas.catalog.profiles import profile_versions
from schemas.catalog.state import Catalog
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
        if self.run is None or not (self.invoices or self.already or self.problems):
            return f"nothing is due in {self.namespace} as of {until}: no invoice was published"
        done = f"{len(self.invoices)} invoice{'' if len(self.invoices) == 1 else 's'}"
        if self.dry_run:
            return f"{done} would be published in {self.namespace} as of {until}; nothing was written"
        first = f"; {self.already} stood already, by another process" if self.already else ""
        return f"{done} published in {self.namespace} as of {until}, checkpoint {self.run.number}{first}"


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
        self._read: Catalog | None = None

    def run(self, dry_run: bool) -> CloseResult:
        with invoices_reader(self._settings) as reader, closing(CheckpointLedger(self._settings)) as ledger:
            # 1. What is due, by the present catalog and the invoices that stand, and what came late for those.
            standing = read_standing(reader, Standing())
            catalog = self.catalog()
            ledger.refresh()
            late = self.late(standing, ledger, None)
            plan = self.plan(catalog, standing, late)
            if not plan.billings:
                if not dry_run:  # whoever published before may have died before all could be read
                    wait_visible(self._client, self._namespace, standing, self._on_progress)
                return self._result(None, (), 0, plan.problems, dry_run)
            if dry_run:
                wait_metered(self._client, end_offsets(self._settings), self._on_progress)
                run = Run("", 0, catalog.next_offset, micros(self._now), {})
                invoices, problems = self.rated(plan, run, None)
                return self._result(run, invoices, 0, plan.problems + problems, dry_run)
            # 2. A checkpoint holds all that was acknowledged before this moment, and the run is announced as of it.
            run, cut, plan = self.announced(ledger, plan, catalog, standing, late)
            # 3. Its windows are rolled up, so that totals as of it can be read.
            wait_rolled_up(self._client, cut, self._on_progress)
            # 4. Everything is rated as of the run.
            invoices, problems = self.rated(plan, run, cut)
            # 5. The ledger decides which invoices stand.
            won = publish(LedgerWriter(self._settings, INVOICES), reader, standing, invoices, self._on_progress)
            # 6. Everybody can read them.
            wait_visible(self._client, self._namespace, standing, self._on_progress)
            return self._result(run, won, len(invoices) - len(won), plan.problems + problems, dry_run)

    def catalog(self) -> Catalog:
        """The catalog as of now. Raises LedgerUnavailable."""
        self._read = read_catalog(self._settings)
        return self._read

    def plan(self, catalog: Catalog, standing: Standing, late: LateUsage, offset: int | None = None) -> Plan:
        """What is due by the catalog as of ``offset``, None: all that was read. Raises CloseError."""
        view = catalog.view(self._namespace, offset)
        if offset is None and not view.known:
            known = ", ".join(catalog.namespaces())
            raise CloseError(f"there is no namespace {self._namespace}; known: {known}")
        return make_plan(view, standing, micros(self._as_of), late)

    def late(self, standing: Standing, ledger: CheckpointLedger, as_of: Cut | None) -> LateUsage:
        """What came for billed periods, up to a cut (None: live)."""
        view = (self._read or self.catalog()).view(self._namespace)
        carried = {version.profile_id for version in profile_versions(view) if version.carry_over}
        return find_late(self._client, self._namespace, standing, ledger.checkpoints, as_of, carried)

    def announced(
        self, ledger: CheckpointLedger, plan: Plan, catalog: Catalog, standing: Standing, late: LateUsage
    ) -> tuple[Run, Cut, Plan]:
        """The run to rate as of, and the plan as of it. ``ledger`` is refreshed.

        A run that was announced for just this plan, by a process that died in it or is in it now, gives the same bytes; else
        it is a new one. Late usage is what lies below its cut, neither less nor more: a next run looks beyond it only.
        """
        for attempt in count():
            name = run_id(self._namespace, plan.ready_us, attempt, plan.voids)
            standing_run = ledger.checkpoints.runs.get(name)
            run = standing_run or self._new_run(ledger, name, attempt, plan, catalog)
            cut = ledger.checkpoints.cut(run.number)
            late_then = self.late(standing, ledger, cut)
            if run.catalog_offset > catalog.next_offset:
                catalog = self.catalog()
            holds_late = late_then == late if standing_run else True
            if holds_late and self.plan(catalog, standing, late, run.catalog_offset).billings == plan.billings:
                break
        return run, cut, self.plan(catalog, standing, late_then, run.catalog_offset)

    def _new_run(self, ledger: CheckpointLedger, name: str, attempt: int, plan: Plan, catalog: Catalog) -> Run:
        ends = end_offsets(self._settings)
        wait_metered(self._client, ends, self._on_progress)
        cut = covering_cut(self._settings, self._client, ledger, ends, self._now)
        body = {"namespace": self._namespace, "as_of": rfc3339(plan.ready_us), "attempt": attempt}
        return ledger.announce(Run(name, cut.number, catalog.next_offset, cut.as_of_us, body))

    def rated(self, plan: Plan, run: Run, cut: Cut | None) -> tuple[tuple[Invoice, ...], tuple[str, ...]]:
        """The invoices as of ``cut`` (None: live), and what cannot be rated."""
        totals = measure(self._client, self._namespace, plan.needs(), cut, self._on_progress)
        return build_invoices(plan, totals, run)

    def _result(
        self, run: Run | None, invoices: Iterable[Invoice], already: int, problems: tuple[str, ...], dry_run: bool
    ) -> CloseResult:
        return CloseResult(self._namespace, self._as_of, run, tuple(invoices), already, problems, dry_run)


def run_id(namespace: str, as_of_us: int, attempt: int, voids: Iterable[str] = ()) -> str:
    """The same in every process that closes the same periods: ``run_`` + 24 hex digits.

    ``as_of_us``: the instant at which the last of them became due. ``attempt`` counts plans of it: the next one is for what
    an earlier one did not know, such as a subscription that was published after it. ``voids``: void invoices of what it bills, so
    that a period which is billed again is so as of its own run.
    """
    text = f"{len(namespace)}:{namespace}{as_of_us}:{attempt}" + "".join(f":{name}" for name in voids)
    return "run_" + blake2b(text.encode(), digest_size=12).hexdigest()
