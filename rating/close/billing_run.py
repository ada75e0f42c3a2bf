"""One billing run, from the log's end to visible invoices (DESIGN invariant 9). Safe to repeat, and to run in two
processes."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

from rating.close.announcing import Announcer, Planning, RatedPlan, RefusedByChecks
from rating.close.checklist.checks import warnings
from rating.close.checkpoint import present_ends, wait_metered, wait_rolled_up
from rating.close.close_request import CloseRequest, FollowedLedgers
from rating.close.complete_rows import CompleteRows
from rating.close.interim_invoices import bill_interims
from rating.close.redraft import Redrafted, refresh_drafts, wait_drafts_visible
from rating.close.result import CloseResult, stored_checks
from rating.invoices.amend import wait_shown
from rating.invoices.amounts.account_balances import counterparts, draws
from rating.invoices.amounts.unpriced_values import values_without_price
from rating.invoices.draft_decisions import awaiting
from rating.invoices.ledger import read_standing
from rating.invoices.numbering import number_all
from rating.invoices.publish_invoices import publish, wait_visible
from rating.invoices.waiting import CloseError
from rating.invoicing.late.late_report import lines_to_rate_again
from rating.invoicing.late.late_usage import LateBySubscription
from rating.invoicing.run_plan import RunPlan
from rating.subscriptions.period_lock import PeriodLock
from schemas.kafka.topics import INVOICES
from schemas.ledgers.checkpoints import Cut, Run
from schemas.ledgers.invoice_record import Invoice
from schemas.ledgers.ledger_writer import LedgerWriter
from schemas.values.instants import micros
from schemas.values.record_copy import replace

_ATTEMPTS: Final = 3
_ROUNDS: Final = 100
_SHOWN_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class _Billed:
    """``missed``: ids of due invoices that did not become valid. ``waiting``: number of ended periods that are
    still drafts."""

    result: CloseResult
    missed: tuple[str, ...] = ()
    waiting: int = 0


class Close:
    """The protocol of a close (``run``); its steps are separate methods, so that a test can stop between two of
    them."""

    def __init__(self, request: CloseRequest, ledgers: FollowedLedgers) -> None:
        self._request = request
        self._ledgers = ledgers
        self.planning = Planning(request, ledgers)
        self.rated_plan = RatedPlan(request)
        self._rows = CompleteRows(request.client, request.namespace, lambda: self.planning.catalog)
        self.announcer = Announcer(request, ledgers, self.planning, self.rated_plan, self._rows)

    def run(self) -> CloseResult:
        """Bill, number and make visible all that is due, and create drafts of the rest. Raises CloseError,
        LedgerUnavailable."""
        try:
            alone = self._request.subscription or self._request.reached
            return self._with_interims(self._nothing_ended() if alone else self._run())
        except RefusedByChecks as refused:
            self._request.on_checks(refused.checks)
            return replace(self._result(refused.run), refused=True)

    def _run(self) -> CloseResult:
        billed = self._billed()
        result = billed.result
        for _ in range(_ATTEMPTS):
            if not billed.missed:
                break
            # The state on which the plan was based has changed: an invoice was voided or held, or another run won.
            billed = self._billed()
            further = billed.result
            result = replace(
                further,
                run=further.run or result.run,
                joined=further.joined if further.run else result.joined,
                checks=further.checks or result.checks,
                invoices=result.invoices + further.invoices,
                already=result.already + further.already,
            )
        problems = [f"{name} changed again and again while it was billed; close again" for name in billed.missed]
        return self._drafted(replace(result, problems=(*result.problems, *problems)), billed.waiting)

    def _billed(self) -> _Billed:
        """Finalise due invoices. Raises RefusedByChecks."""
        request, planning, standing = self._request, self.planning, self._ledgers.standing
        client, namespace, on_progress = request.client, request.namespace, request.on_progress
        # 1. Plan what is due, from the present catalog, the valid invoices, and their late usage.
        read_standing(self._ledgers.invoices, standing)
        planning.read_catalog()
        self._ledgers.checkpoints.refresh()
        late = planning.late(None)
        plan = planning.plan(late)
        if (request.dry_run or not plan.billings) and any(standing.chains(namespace)):
            # No run follows that would wait for events not metered yet, which may be late usage of billed periods.
            wait_metered(client, present_ends(request.settings, planning.catalog), on_progress)
            late = planning.late(None)
            plan = planning.plan(late)
        waiting = plan.waiting
        if not plan.billings:
            return _Billed(self._nothing_due(plan, late), (), waiting)
        if request.dry_run:
            return _Billed(self._tried(plan), (), waiting)
        writer = LedgerWriter(request.settings, INVOICES)
        # 2. Cut a checkpoint over all that is acknowledged by now, and announce the run as of it.
        announced = self.announcer.announced(plan, late)
        run, cut, plan = announced.run, announced.cut, announced.plan
        if request.strict and warnings(stored_checks(run)):  # announced earlier, by a close that was not strict
            raise RefusedByChecks(run, stored_checks(run))
        request.on_checks(stored_checks(run))
        self._rows.require(cut.offsets)
        # 3. Wait for its roll-up, so that totals as of it can be read.
        wait_rolled_up(client, cut, on_progress)
        # 4. Rate everything as of the run (already done for the checklist if this process announced it).
        invoices, problems = self.rated_plan.rated(plan, run, cut)
        # 5. Publish; the ledger decides which invoices are valid.
        won = publish(writer, self._ledgers.invoices, standing, invoices, on_progress)
        names = [invoice.invoice_id for invoice in invoices]
        missed = tuple(name for name in names if standing.invoice(namespace, name) is None)
        # 6. Assign numbers, settle balances, and wait until the invoices are visible.
        number_all(self._ledgers.checkpoints, client, standing, planning.view(), request.present)
        self.balance()
        wait_visible(client, namespace, standing, on_progress)
        already = len(invoices) - len(won) - len(missed)
        result = self._result(run, won, already, plan.problems + problems)
        return _Billed(replace(result, joined=announced.joined), missed, waiting)

    def _nothing_due(self, plan: RunPlan, late: LateBySubscription) -> CloseResult:
        request, standing = self._request, self._ledgers.standing
        if not request.dry_run:  # an earlier close may have died before its invoices were visible and numbered
            wait_visible(request.client, request.namespace, standing, request.on_progress)
            number_all(self._ledgers.checkpoints, request.client, standing, self.planning.view(), request.present)
        # Nothing is rated in this case, so late usage that cannot be rated is reported here.
        unrated = lines_to_rate_again(self.planning.view(), standing, late, unpriced=False)[1] if late else []
        return self._result(None, problems=tuple(dict.fromkeys((*plan.problems, *unrated))))

    def _tried(self, plan: RunPlan) -> CloseResult:
        """Result of a dry run: the invoices that would be published, rated by live usage."""
        request = self._request
        ends = present_ends(request.settings, self.planning.catalog)
        wait_metered(request.client, ends, request.on_progress)
        self._rows.require(ends)
        run = Run("", 0, self.planning.catalog.next_offset, micros(request.present), {})
        invoices, problems = self.rated_plan.rated(plan, run, None)
        run = self.announcer.checked(run, plan, None)
        request.on_checks(stored_checks(run))
        return self._result(run, invoices, problems=plan.problems + problems)

    def _drafted(self, result: CloseResult, ended: int) -> CloseResult:
        """7. Create drafts of periods that have ended and are not finalised; ``ended``: their number."""
        request, planning, standing = self._request, self.planning, self._ledgers.standing
        late = planning.late(None) if request.dry_run else {}
        billed = {invoice.subscription for invoice in result.invoices}
        if request.dry_run:  # as if the invoices were valid; their late usage is included in them
            for invoice in result.invoices:
                standing.apply(invoice)
            late = {name: of_account for name, of_account in late.items() if name not in billed}
        redrafted = Redrafted()
        if ended or standing.drafts(request.namespace):
            redrafted = refresh_drafts(
                request,
                self._ledgers,
                planning.view(),
                lambda cut: late if request.dry_run else planning.late(cut),
                self._rows.require,
            )
        if not request.dry_run:
            wait_drafts_visible(request.client, request.namespace, standing, request.on_progress)
        if redrafted.run is not None and not result.checks:  # nothing was billed, so this is the first checklist
            result = replace(result, run=result.run or redrafted.run, checks=stored_checks(redrafted.run))
            request.on_checks(result.checks)
        problems = tuple(dict.fromkeys(result.problems + redrafted.problems))
        waiting = tuple(awaiting(standing.drafts(request.namespace)))
        return replace(
            result,
            problems=problems,
            drafts=redrafted.drafts,
            awaiting=waiting,
            unpriced=values_without_price(standing.chains(request.namespace), PeriodLock.of(planning.view())),
        )

    def _nothing_ended(self) -> CloseResult:
        """The result before the running period of some subscriptions alone is billed. Raises CloseError."""
        read_standing(self._ledgers.invoices, self._ledgers.standing)
        self.planning.read_catalog()
        self._ledgers.checkpoints.refresh()
        name, namespace = self._request.subscription, self._request.namespace
        if name and not self.planning.view().history("subscription", name):
            raise CloseError(
                f"there is no subscription {name} in namespace {namespace}; GET /v1/subscriptions lists them"
            )
        return self._result(None)

    def _with_interims(self, result: CloseResult) -> CloseResult:
        """8. Bill what running periods have used, of subscriptions that have reached their threshold."""
        request, ledgers, planning = self._request, self._ledgers, self.planning
        view = planning.view()

        def late(cut: Cut | None, accounts: Collection[str] | None) -> LateBySubscription:
            return planning.late(cut, accounts=accounts)

        interims = bill_interims(request, ledgers, view, late, self._rows.require)
        if (interims.invoices or request.reached) and not request.dry_run:  # also what a close that died left
            number_all(ledgers.checkpoints, request.client, ledgers.standing, view, request.present)
            self.balance()
            wait_visible(request.client, request.namespace, ledgers.standing, request.on_progress)
        return replace(
            result,
            run=result.run or interims.run,
            invoices=result.invoices + interims.invoices,
            problems=tuple(dict.fromkeys(result.problems + interims.problems)),
        )

    def balance(self) -> None:
        """Use negative invoices to pay what their accounts owe. Safe to repeat and to run in two processes. Raises
        LedgerUnavailable."""
        request, ledgers = self._request, self._ledgers
        changed: dict[str, Invoice] = {}
        for _ in range(_ROUNDS):
            invoices = ledgers.standing.invoices(request.namespace)
            negative = {invoice.account_id for invoice in invoices if invoice.total.startswith("-")}
            if not negative:
                break
            for account_id in sorted(negative):  # which may pay any invoice of its account
                ledgers.standing.expand_account(request.namespace, account_id)
            invoices = ledgers.standing.invoices(request.namespace)
            now_us = micros(request.present)
            following = list(counterparts(invoices, now_us)) or draws(invoices, now_us)
            if not following:
                break
            writer = LedgerWriter(request.settings, INVOICES)
            won = publish(writer, ledgers.invoices, ledgers.standing, following, request.on_progress)
            changed |= {invoice.invoice_id: invoice for invoice in won}
        for invoice in changed.values():
            wait_shown(request.client, request.namespace, invoice, _SHOWN_SECONDS)

    def _result(
        self, run: Run | None, invoices: Iterable[Invoice] = (), already: int = 0, problems: tuple[str, ...] = ()
    ) -> CloseResult:
        return CloseResult(
            namespace=self._request.namespace,
            as_of=self._request.as_of,
            run=run,
            invoices=tuple(invoices),
            already=already,
            problems=problems,
            dry_run=self._request.dry_run,
            checks=stored_checks(run) if run else (),
        )
