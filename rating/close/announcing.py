"""The run by which a close bills: plans what is due, rates it as of a checkpoint, and announces the run with its
checklist, or joins one announced earlier."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from itertools import count

from rating.close.announced_runs import run_id
from rating.close.checklist.checks import ChecklistPoint, PlannedInvoices, warnings
from rating.close.checklist.make import make_checks
from rating.close.checkpoint import covering_cut, present_ends, wait_metered, wait_rolled_up
from rating.close.close_request import CloseRequest, FollowedLedgers
from rating.close.complete_rows import CompleteRows
from rating.invoices.waiting import CloseError
from rating.invoicing.late.late_usage import LateBySubscription, find_late
from rating.invoicing.measure import measure, needs_of
from rating.invoicing.run_plan import RunPlan, build_invoices, make_plan
from rating.subscriptions.period_lock import PeriodLock
from schemas.catalog.follower import read_catalog
from schemas.catalog.profiles import profile_versions
from schemas.catalog.state import Catalog, NamespaceView
from schemas.ledgers.checkpoints import Cut, Run
from schemas.ledgers.invoice_record import Invoice
from schemas.values.instants import micros, rfc3339
from schemas.values.record_copy import replace
from schemas.values.time_zones import VERSION

RatedInvoices = tuple[tuple[Invoice, ...], tuple[str, ...]]
"""Invoices, and messages about what cannot be rated."""


class Planning:
    """Plans by the last catalog read. The newest plan is cached, since it is needed several times for the same
    state."""

    def __init__(self, request: CloseRequest, ledgers: FollowedLedgers) -> None:
        self._request = request
        self._ledgers = ledgers
        self._catalog: Catalog | None = None
        self._planned: tuple[tuple[int, LateBySubscription, int], RunPlan] | None = None

    @property
    def catalog(self) -> Catalog:
        """The last catalog read. Raises LedgerUnavailable."""
        return self._catalog or self.read_catalog()

    def read_catalog(self) -> Catalog:
        """Read the present catalog. Raises LedgerUnavailable."""
        self._catalog = read_catalog(self._request.settings)
        return self._catalog

    def view(self, offset: int | None = None) -> NamespaceView:
        """The namespace as of a catalog offset, None: everything read."""
        return self.catalog.view(self._request.namespace, offset)

    def late(
        self, as_of: Cut | None, offset: int | None = None, accounts: Collection[str] | None = None
    ) -> LateBySubscription:
        """Usage that arrived for billed periods (of ``accounts``; None: of all), up to a cut (None: live), and that the
        lock date as of the catalog's ``offset`` (None: everything read) lets be billed."""
        carried = {version.profile_id for version in profile_versions(self.view()) if version.carry_over}
        request, ledgers = self._request, self._ledgers
        return find_late(
            request.client, request.namespace, ledgers.standing, ledgers.checkpoints.checkpoints, as_of, carried,
            accounts=None if accounts is None else sorted(accounts), lock=PeriodLock.of(self.view(offset)),
        )  # fmt: skip

    def plan(self, late: LateBySubscription, offset: int | None = None) -> RunPlan:
        """What is due by the catalog as of ``offset`` (None: everything read). Raises CloseError."""
        request, standing = self._request, self._ledgers.standing
        view = self.view(offset)
        if offset is None and not view.known:
            known = ", ".join(self.catalog.namespaces())
            raise CloseError(f"there is no namespace {request.namespace}; known: {known}")
        state = (view.before, late, standing.applied)
        if self._planned is None or self._planned[0] != state:
            plan = make_plan(view, standing, micros(request.as_of), late)
            self._planned = state, replace(plan, listed=request.settings.priced_values)
        return self._planned[1]


class RatedPlan:
    """Measures and rates a plan once, so that the checklist and the published invoices are the same."""

    def __init__(self, request: CloseRequest) -> None:
        self._request = request
        self._rated: tuple[RunPlan, Run, RatedInvoices] | None = None

    def rated(self, plan: RunPlan, run: Run, cut: Cut | None) -> RatedInvoices:
        """The invoices as of ``cut`` (None: live), and messages about what cannot be rated."""
        pinned = replace(run, body={})  # invoices do not depend on the body
        if self._rated is None or self._rated[0] is not plan or self._rated[1] != pinned:
            request = self._request
            needs = needs_of(plan.billings)
            totals = measure(request.client, request.namespace, needs, cut, request.on_progress, plan.listed)
            self._rated = plan, pinned, build_invoices(plan, totals, run)
        return self._rated[2]


class RefusedByChecks(Exception):
    """The checklist of a strict close has findings; ``run`` is the run that would have been announced."""

    def __init__(self, run: Run, checks: tuple[ChecklistPoint, ...]) -> None:
        super().__init__()
        self.run, self.checks = run, checks


@dataclass(frozen=True, slots=True)
class Announced:
    """The run, its checkpoint, and the plan as of both. ``joined``: the run was announced by an earlier close."""

    run: Run
    cut: Cut
    plan: RunPlan
    joined: bool


class Announcer:
    """Announces runs with their checklists."""

    def __init__(
        self,
        request: CloseRequest,
        ledgers: FollowedLedgers,
        planning: Planning,
        rated_plan: RatedPlan,
        rows: CompleteRows,
    ) -> None:
        self._request = request
        self._ledgers = ledgers
        self._planning = planning
        self._rated_plan = rated_plan
        self._rows = rows

    def announced(self, plan: RunPlan, late: LateBySubscription) -> Announced:
        """The run by which to rate ``plan``; refreshes the checkpoint ledger. Raises RefusedByChecks.

        A run that another process (finished, crashed or still running) announced for exactly this plan yields the
        same bytes and is joined; otherwise a new one is announced. It includes exactly the late usage below its
        cut, since the next run only considers later arrivals.
        """
        planning, checkpoints = self._planning, self._ledgers.checkpoints.checkpoints
        for attempt in count():
            name = run_id(self._request.namespace, plan.ready_us, attempt, plan.voids)
            standing_run = checkpoints.runs.get(name)
            run = standing_run or self._new_run(name, attempt, plan)
            cut = checkpoints.cut(run.number)
            if run.catalog_offset > planning.catalog.next_offset:
                planning.read_catalog()
            late_then = planning.late(cut, run.catalog_offset)
            holds_late = late_then == late if standing_run else True
            if holds_late and planning.plan(late, run.catalog_offset).billings == plan.billings:
                break
        return Announced(run, cut, planning.plan(late_then, run.catalog_offset), standing_run is not None)

    def _new_run(self, name: str, attempt: int, plan: RunPlan) -> Run:
        """Announce a run with its checklist, which requires rating everything first. A close refused by its
        checklist leaves no trace but a checkpoint."""
        request, ledger = self._request, self._ledgers.checkpoints
        ends = present_ends(request.settings, self._planning.catalog)
        wait_metered(request.client, ends, request.on_progress)
        self._rows.require(ends)
        cut = covering_cut(request.settings, request.client, ledger, ends, request.now)
        body = {
            "namespace": request.namespace, "as_of": rfc3339(plan.ready_us), "attempt": attempt,
            "time_zone_data": VERSION,
        }  # fmt: skip
        run = Run(name, cut.number, self._planning.catalog.next_offset, request.instant_us(cut), body)
        wait_rolled_up(request.client, cut, request.on_progress)
        whole_plan = self._planning.plan(self._planning.late(cut, run.catalog_offset), run.catalog_offset)
        return ledger.announce(self.checked(run, whole_plan, cut))

    def checked(self, run: Run, plan: RunPlan, cut: Cut | None) -> Run:
        """The run with the checklist in its body. Raises RefusedByChecks if the close is strict and the checklist
        has findings."""
        invoices, problems = self._rated_plan.rated(plan, run, cut)
        checks = make_checks(
            self._request.settings,
            self._request.client,
            PlannedInvoices(
                plan=plan,
                view=self._planning.view(run.catalog_offset),
                invoices=invoices,
                standing=self._ledgers.standing,
                problems=plan.problems + problems,
            ),
            cut,
        )
        run = replace(run, body={**run.body, "checklist": [check.to_json() for check in checks]})
        if self._request.strict and warnings(checks):
            raise RefusedByChecks(run, checks)
        return run
