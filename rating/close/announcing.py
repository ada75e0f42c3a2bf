"""Finds the run by which a close rates: it announces a new one with its checklist, or joins one announced earlier."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import count

from rating.close.announced_runs import run_id
from rating.close.checklist.checks import ChecklistPoint, PlannedInvoices, warnings
from rating.close.checklist.make import make_checks
from rating.close.checkpoint import covering_cut, end_offsets, wait_metered, wait_rolled_up
from rating.close.close_request import CloseRequest, FollowedLedgers
from rating.close.complete_rows import CompleteRows
from rating.close.planning import Planning
from rating.close.rated_plan import RatedPlan
from rating.invoicing.late.late_usage import LateBySubscription
from rating.invoicing.run_plan import RunPlan
from schemas.ledgers.checkpoints import Cut, Run
from schemas.values.instants import rfc3339
from schemas.values.time_zones import VERSION


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
            late_then = planning.late(cut)
            if run.catalog_offset > planning.catalog.next_offset:
                planning.read_catalog()
            holds_late = late_then == late if standing_run else True
            if holds_late and planning.plan(late, run.catalog_offset).billings == plan.billings:
                break
        return Announced(run, cut, planning.plan(late_then, run.catalog_offset), standing_run is not None)

    def _new_run(self, name: str, attempt: int, plan: RunPlan) -> Run:
        """Announce a run with its checklist, which requires rating everything first. A close refused by its
        checklist leaves no trace but a checkpoint."""
        request, ledger = self._request, self._ledgers.checkpoints
        ends = end_offsets(request.settings)
        wait_metered(request.client, ends, request.on_progress)
        self._rows.require(ends)
        cut = covering_cut(request.settings, request.client, ledger, ends, request.now)
        body = {
            "namespace": request.namespace, "as_of": rfc3339(plan.ready_us), "attempt": attempt,
            "time_zone_data": VERSION,
        }  # fmt: skip
        run = Run(name, cut.number, self._planning.catalog.next_offset, cut.as_of_us, body)
        wait_rolled_up(request.client, cut, request.on_progress)
        whole_plan = self._planning.plan(self._planning.late(cut), run.catalog_offset)
        return ledger.announce(self.checked(run, whole_plan, cut))

    def checked(self, run: Run, plan: RunPlan, cut: Cut | None) -> Run:
        """The run with the checklist in its body. Raises RefusedByChecks if the close is strict and the checklist
        has findings."""
        invoices, problems = self._rated_plan.rated(plan, run, cut)
        planned = PlannedInvoices(
            plan=plan,
            view=self._planning.view(run.catalog_offset),
            invoices=invoices,
            standing=self._ledgers.standing,
            problems=plan.problems + problems,
        )
        checks = make_checks(self._request.settings, self._request.client, planned, cut)
        run = replace(run, body={**run.body, "checklist": [check.to_json() for check in checks]})
        if self._request.strict and warnings(checks):
            raise RefusedByChecks(run, checks)
        return run
