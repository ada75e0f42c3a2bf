"""One billing run, from the log's end to invoices that can be read (DESIGN invariant 9). Safe to repeat and to
double."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from hashlib import blake2b
from itertools import count
from typing import Any, Final

from rating.close.checklist.checks import Check, warnings
from rating.close.checklist.make import make_checks
from rating.close.checkpoint import covering_cut, end_offsets, wait_metered, wait_rolled_up
from rating.close.complete_rows import require_complete
from rating.close.redraft import Redrafted, refresh_drafts, wait_drafts_visible
from rating.close.result import CloseResult, stored_checks
from rating.invoices.amend import wait_shown
from rating.invoices.amounts.account_balances import counterparts, draws
from rating.invoices.amounts.unpriced_values import unpriced_lines
from rating.invoices.draft_decisions import awaiting
from rating.invoices.ledger import Standing, invoices_reader, read_standing
from rating.invoices.numbering import number_invoices
from rating.invoices.publish import publish, wait_visible
from rating.invoices.waiting import CloseError, Progress
from rating.invoicing.late_report import again
from rating.invoicing.late_usage import LateUsage, find_late
from rating.invoicing.measure import measure
from rating.invoicing.plan import Plan, build_invoices, make_plan
from schemas.catalog.follower import read_catalog
from schemas.catalog.profiles import profile_versions
from schemas.catalog.state import Catalog
from schemas.clickhouse.client import connect
from schemas.kafka.clock import TOLERANCE_US, kafka_time_us, words
from schemas.kafka.topics import INVOICES
from schemas.ledgers.checkpoints import CheckpointLedger, Cut, Offsets, Run
from schemas.ledgers.invoice_record import Invoice
from schemas.ledgers.transport import LedgerReader, LedgerWriter
from schemas.settings import Settings
from schemas.values.instants import micros, rfc3339
from schemas.values.time_zones import VERSION

_ATTEMPTS: Final = 3
_ROUNDS: Final = 100
_SHOWN_SECONDS: Final = 5.0


def run_close(
    settings: Settings,
    namespace: str | None,
    as_of: datetime | None,
    now: datetime,
    on_progress: Progress,
    dry_run: bool = False,
    *,
    strict: bool = False,
    on_checks: Callable[[tuple[Check, ...]], None] = lambda _: None,
) -> CloseResult:
    """Bill every period of ``namespace`` (None: the settings') that is due at ``as_of`` (None: ``now``); blocking.

    ``on_checks`` is told the checklist before anything is billed; ``strict``: nothing is billed where it found
    something. A dry run waits for metering, rates what is live, and writes nothing at all. Raises CloseError where it
    cannot go on and LedgerUnavailable where Kafka does not answer; after either, simply run it again.
    """
    name = namespace or settings.namespace
    until = as_of or now
    if until > now:
        raise CloseError(f"as of {rfc3339(micros(until))} lies in the future; choose an instant up to now")
    if not dry_run and (kafka_us := kafka_time_us(settings)) is not None and micros(until) > kafka_us + TOLERANCE_US:
        detail = (
            f"this machine's clock is {words(micros(now) - kafka_us)}: set it (NTP), or close as of an instant "
            "that has passed"
        )
        raise CloseError(
            f"as of {rfc3339(micros(until))} lies in the future by Kafka's clock, {rfc3339(kafka_us)}; {detail}"
        )
    client = connect(settings)
    # What a close makes it keeps to its end, and looking for garbage in millions of lines over and over is a quarter of
    # its time.
    collecting = gc.isenabled()
    gc.disable()
    try:
        return Close(settings, name, until, now, on_progress, client, strict, on_checks).run(dry_run)
    finally:
        if collecting:
            gc.enable()
        client.close()


class _Refused(Exception):
    """The checklist of a strict close found something: ``run`` would have been announced with it."""

    def __init__(self, run: Run, checks: tuple[Check, ...]) -> None:
        super().__init__()
        self.run, self.checks = run, checks


class Close:
    """``run`` is the protocol; its steps stand alone, so that a test can stop between two of them."""

    def __init__(
        self,
        settings: Settings,
        namespace: str,
        as_of: datetime,
        now: datetime,
        on_progress: Progress,
        client: Any,
        strict: bool = False,
        on_checks: Callable[[tuple[Check, ...]], None] = lambda _: None,
    ) -> None:
        self._settings = settings
        self._namespace = namespace
        self._as_of = as_of
        self._now = now
        self._on_progress = on_progress
        self._client = client
        self._strict = strict
        self._on_checks = on_checks
        self._read: Catalog | None = None
        self._waiting = 0
        self._joined = False
        self._whole: Offsets = {}
        self._planned: tuple[int, LateUsage, int, Plan] | None = None
        self._rated: tuple[Plan, Run, tuple[tuple[Invoice, ...], tuple[str, ...]]] | None = None

    def run(self, dry_run: bool) -> CloseResult:
        try:
            return self._run(dry_run)
        except _Refused as refused:
            refusal = CloseResult(self._namespace, self._as_of, refused.run, (), 0, (), dry_run, refused.checks, True)
            self._on_checks(refused.checks)
            return refusal

    def _run(self, dry_run: bool) -> CloseResult:
        with invoices_reader(self._settings) as reader, closing(CheckpointLedger(self._settings)) as ledger:
            standing = Standing(self._namespace)
            result, missed = self._billed(reader, ledger, standing, dry_run)
            for _ in range(_ATTEMPTS):
                if not missed:
                    break
                # What it was planned after is no longer so: an invoice was voided or held, or another run was first.
                further, missed = self._billed(reader, ledger, standing, dry_run)
                result = replace(
                    further, run=further.run or result.run, checks=further.checks or result.checks,
                    invoices=result.invoices + further.invoices, already=result.already + further.already,
                )  # fmt: skip
            problems = [f"{name} changed again and again while it was billed; close again" for name in missed]
            return self._drafted(replace(result, problems=(*result.problems, *problems)), reader, ledger, standing)

    def _billed(
        self, reader: LedgerReader, ledger: CheckpointLedger, standing: Standing, dry_run: bool
    ) -> tuple[CloseResult, list[str]]:
        """What is finalised, and the invoices that do not stand although they were due. Raises _Refused."""
        # 1. What is due, by the present catalog and the invoices that stand, and what came late for those.
        read_standing(reader, standing)
        catalog = self.catalog()
        ledger.refresh()
        late = self.late(standing, ledger, None)
        plan = self.plan(catalog, standing, late)
        if (dry_run or not plan.billings) and any(standing.chains(self._namespace)):
            # No run will wait for what was acknowledged and is not metered yet, and it may be late for what is billed.
            wait_metered(self._client, end_offsets(self._settings), self._on_progress)
            late = self.late(standing, ledger, None)
            plan = self.plan(catalog, standing, late)
        self._waiting = plan.waiting
        if not plan.billings:
            if not dry_run:  # whoever published before may have died before all could be read
                wait_visible(self._client, self._namespace, standing, self._on_progress)
                self.number(ledger, catalog, standing)
            # Nothing will be rated, so what could not be is told here.
            unrated = again(catalog.view(self._namespace), standing, late, unpriced=False)[1] if late else []
            return self._result(None, (), 0, tuple(dict.fromkeys((*plan.problems, *unrated))), dry_run), []
        if dry_run:
            ends = end_offsets(self._settings)
            wait_metered(self._client, ends, self._on_progress)
            self.require(ends)
            run = Run("", 0, catalog.next_offset, micros(self._now), {})
            invoices, problems = self.rated(plan, run, None)
            run = self._checked(run, plan, catalog, standing, None)
            self._on_checks(stored_checks(run))
            return self._result(run, invoices, 0, plan.problems + problems, dry_run), []
        writer = LedgerWriter(self._settings, INVOICES)
        # 2. A checkpoint holds all that was acknowledged before this moment, and the run is announced as of it.
        run, cut, plan = self.announced(ledger, plan, catalog, standing, late)
        if self._strict and warnings(stored_checks(run)):  # announced before, by a close that was not strict
            raise _Refused(run, stored_checks(run))
        self._on_checks(stored_checks(run))
        self.require(cut.offsets)
        # 3. Its windows are rolled up, so that totals as of it can be read.
        wait_rolled_up(self._client, cut, self._on_progress)
        # 4. Everything is rated as of the run; whoever announced it has done so, for the checklist.
        invoices, problems = self.rated(plan, run, cut)
        # 5. The ledger decides which invoices stand.
        won = publish(writer, reader, standing, invoices, self._on_progress)
        names = [invoice.invoice_id for invoice in invoices]
        missed = [name for name in names if standing.invoice(self._namespace, name) is None]
        # 6. Everybody can read them, with the numbers that they have from now on.
        self.number(ledger, catalog, standing)
        self.balance(reader, standing)
        wait_visible(self._client, self._namespace, standing, self._on_progress)
        already = len(invoices) - len(won) - len(missed)
        return self._result(run, won, already, plan.problems + problems, dry_run), missed

    def _drafted(
        self, result: CloseResult, reader: LedgerReader, ledger: CheckpointLedger, standing: Standing
    ) -> CloseResult:
        """7. What has ended and is not finalised is a draft, as of now."""
        catalog = self._read or self.catalog()
        late = self.late(standing, ledger, None) if result.dry_run else {}
        billed = {invoice.subscription for invoice in result.invoices}
        if result.dry_run:  # as if it stood; what came late for those is on them
            for invoice in result.invoices:
                standing.apply(invoice)
            late = {name: of_account for name, of_account in late.items() if name not in billed}
        redrafted = Redrafted()
        if self._waiting or standing.drafts(self._namespace):
            redrafted = refresh_drafts(
                self._settings, self._client, ledger, reader, standing, catalog.view(self._namespace), self._as_of,
                self._now,
                lambda cut: late if result.dry_run else self.late(standing, ledger, cut), self._on_progress,
                result.dry_run,
                self.require,
            )  # fmt: skip
        if not result.dry_run:
            wait_drafts_visible(self._client, self._namespace, standing, self._on_progress)
        if redrafted.run is not None and not result.checks:  # nothing was billed, so this is the first list
            result = replace(result, run=result.run or redrafted.run, checks=stored_checks(redrafted.run))
            self._on_checks(result.checks)
        problems = tuple(dict.fromkeys(result.problems + redrafted.problems))
        waiting = tuple(awaiting(standing.drafts(self._namespace)))
        lacking = sum(len(parts) for chain in standing.chains(self._namespace) for *_, parts in unpriced_lines(chain))
        return replace(
            result, problems=problems, drafts=redrafted.drafts, awaiting=waiting, unpriced=lacking, joined=self._joined
        )

    def require(self, ends: Offsets) -> None:
        """Raises CloseError where ClickHouse has not every row below ``ends``; what was found whole in this close is
        not looked at again."""
        if any(end > self._whole.get(key, 0) for key, end in ends.items()):
            require_complete(self._client, self._namespace, ends, self._read or self.catalog())
            self._whole = dict(ends)

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
        # Asked for several times in a close, mostly of the same state: no invoice is published in between.
        state = (view.before, late, standing.applied)
        if self._planned is None or self._planned[:3] != state:
            plan = make_plan(view, standing, micros(self._as_of), late)
            self._planned = (*state, replace(plan, listed=self._settings.priced_values))
        return self._planned[3]

    def number(self, ledger: CheckpointLedger, catalog: Catalog, standing: Standing) -> None:
        """Numbers for what stands, and for credit notes, where they have none. Raises LedgerUnavailable."""
        settings = catalog.view(self._namespace).settings
        invoices = standing.invoices(self._namespace)
        number_invoices(ledger, self._client, self._namespace, settings, invoices, self._now)

    def balance(self, reader: LedgerReader, standing: Standing) -> None:
        """Invoices below zero pay what their accounts owe. Safe to repeat and to double. Raises LedgerUnavailable."""
        changed: dict[str, Invoice] = {}
        for _ in range(_ROUNDS):
            invoices = standing.invoices(self._namespace)
            if not any(standing_invoice.total.startswith("-") for standing_invoice in invoices):
                break
            now_us = micros(self._now)
            following = list(counterparts(invoices, now_us)) or draws(invoices, now_us)
            if not following:
                break
            won = publish(LedgerWriter(self._settings, INVOICES), reader, standing, following, self._on_progress)
            changed |= {invoice.invoice_id: invoice for invoice in won}
        for invoice in changed.values():
            wait_shown(self._client, self._namespace, invoice, _SHOWN_SECONDS)

    def late(self, standing: Standing, ledger: CheckpointLedger, as_of: Cut | None) -> LateUsage:
        """What came for billed periods, up to a cut (None: live)."""
        view = (self._read or self.catalog()).view(self._namespace)
        carried = {version.profile_id for version in profile_versions(view) if version.carry_over}
        return find_late(self._client, self._namespace, standing, ledger.checkpoints, as_of, carried)

    def announced(
        self, ledger: CheckpointLedger, plan: Plan, catalog: Catalog, standing: Standing, late: LateUsage
    ) -> tuple[Run, Cut, Plan]:
        """The run to rate as of, and the plan as of it. ``ledger`` is refreshed.

        A run that was announced for just this plan, by a process that died in it or is in it now, gives the same bytes;
        else it is a new one. Late usage is what lies below its cut, neither less nor more: a next run looks beyond it
        only.
        """
        for attempt in count():
            name = run_id(self._namespace, plan.ready_us, attempt, plan.voids)
            standing_run = ledger.checkpoints.runs.get(name)
            self._joined = standing_run is not None
            run = standing_run or self._new_run(ledger, name, attempt, plan, catalog, standing)
            cut = ledger.checkpoints.cut(run.number)
            late_then = self.late(standing, ledger, cut)
            if run.catalog_offset > catalog.next_offset:
                catalog = self.catalog()
            holds_late = late_then == late if standing_run else True
            if holds_late and self.plan(catalog, standing, late, run.catalog_offset).billings == plan.billings:
                break
        return run, cut, self.plan(catalog, standing, late_then, run.catalog_offset)

    def _new_run(
        self, ledger: CheckpointLedger, name: str, attempt: int, plan: Plan, catalog: Catalog, standing: Standing
    ) -> Run:
        """Announced with its checklist, which takes rating everything: a strict close leaves no trace but a
        checkpoint."""
        ends = end_offsets(self._settings)
        wait_metered(self._client, ends, self._on_progress)
        self.require(ends)
        cut = covering_cut(self._settings, self._client, ledger, ends, self._now)
        body = {
            "namespace": self._namespace, "as_of": rfc3339(plan.ready_us), "attempt": attempt,
            "time_zone_data": VERSION,
        }  # fmt: skip
        run = Run(name, cut.number, catalog.next_offset, cut.as_of_us, body)
        wait_rolled_up(self._client, cut, self._on_progress)
        whole_plan = self.plan(catalog, standing, self.late(standing, ledger, cut), run.catalog_offset)
        return ledger.announce(self._checked(run, whole_plan, catalog, standing, cut))

    def _checked(self, run: Run, plan: Plan, catalog: Catalog, standing: Standing, cut: Cut | None) -> Run:
        """The run with its checklist in its body. Raises _Refused where it found something and the close is strict."""
        invoices, problems = self.rated(plan, run, cut)
        view = catalog.view(self._namespace, run.catalog_offset)
        all_problems = plan.problems + problems
        checks = make_checks(self._settings, self._client, view, plan, invoices, standing, all_problems, cut)
        run = replace(run, body={**run.body, "checklist": [check.to_json() for check in checks]})
        if self._strict and warnings(checks):
            raise _Refused(run, checks)
        return run

    def rated(self, plan: Plan, run: Run, cut: Cut | None) -> tuple[tuple[Invoice, ...], tuple[str, ...]]:
        """The invoices as of ``cut`` (None: live), and what cannot be rated."""
        pinned = replace(run, body={})  # an invoice has nothing of the body
        if self._rated is None or self._rated[0] is not plan or self._rated[1] != pinned:
            totals = measure(self._client, self._namespace, plan.needs(), cut, self._on_progress)
            self._rated = plan, pinned, build_invoices(plan, totals, run)
        return self._rated[2]

    def _result(
        self, run: Run | None, invoices: Iterable[Invoice], already: int, problems: tuple[str, ...], dry_run: bool
    ) -> CloseResult:
        checks = stored_checks(run) if run else ()
        return CloseResult(self._namespace, self._as_of, run, tuple(invoices), already, problems, dry_run, checks)


def run_id(namespace: str, as_of_us: int, attempt: int, voids: Iterable[str] = ()) -> str:
    """The same in every process that closes the same periods: ``run_`` + 24 hex digits.

    ``as_of_us``: the instant at which the last of them became due. ``attempt`` counts plans of it: the next one is for
    what an earlier one did not know, such as a subscription that was published after it. ``voids``: void invoices of
    what it bills, so that a period which is billed again is so as of its own run.
    """
    text = f"{len(namespace)}:{namespace}{as_of_us}:{attempt}" + "".join(f":{name}" for name in voids)
    return "run_" + blake2b(text.encode(), digest_size=12).hexdigest()
