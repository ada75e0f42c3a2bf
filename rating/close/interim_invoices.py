"""Makes interim invoices: of subscriptions whose use has reached its threshold, or of one that is named. A part of
every close, with a checkpoint and a run of its own.

It keeps nothing. Whether a threshold is reached follows from the chain and the usage alone, and an interim invoice is
valid only as the next one of the chain by which that was found: so two processes, or one that was killed at any point,
make one invoice of a crossing, and once that stands its use is billed and reaches no threshold again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from hashlib import blake2b

from rating.close.checkpoint import covering_cut, end_offsets, wait_metered, wait_rolled_up
from rating.close.close_request import CloseRequest, FollowedLedgers
from rating.invoices.publish_invoices import publish
from rating.invoicing.interim.interim_plan import (
    lines_with_threshold,
    named_lines,
    only,
    plan_interims,
    reached,
)
from rating.invoicing.late.late_usage import LateBySubscription
from rating.invoicing.measure import measure, needs_of
from rating.invoicing.run_plan import RunPlan, build_invoices
from rating.subscriptions.shared_timelines import timelines
from schemas.catalog.state import NamespaceView
from schemas.kafka.topics import INVOICES
from schemas.ledgers.checkpoints import Cut, Run
from schemas.ledgers.generations import Offsets
from schemas.ledgers.invoice_record import Invoice
from schemas.ledgers.ledger_writer import LedgerWriter
from schemas.values.instants import micros, rfc3339
from schemas.values.time_zones import VERSION


@dataclass(frozen=True, slots=True)
class Interims:
    """``invoices``: published here (in a dry run: would be). ``run``: the run they are of; None if nothing was billed.
    ``problems``: messages about what cannot be billed."""

    invoices: tuple[Invoice, ...] = ()
    problems: tuple[str, ...] = ()
    run: Run | None = None


def bill_interims(
    request: CloseRequest,
    ledgers: FollowedLedgers,
    view: NamespaceView,
    late: Callable[[Cut | None, Collection[str] | None], LateBySubscription],
    require: Callable[[Offsets], None],
) -> Interims:
    """Bill what is not billed of running periods, of the subscriptions that have reached their threshold, or of
    ``request.subscription`` whatever it comes to, or those of ``request.reached`` that have; based on the invoices
    already in ``ledgers``. Blocking.

    ``late``: late usage up to a cut, of some accounts or of all; ``require`` raises if ClickHouse lacks rows below
    some offsets. Raises CloseError and LedgerUnavailable.
    """
    named = request.subscription
    as_of_us, client, standing = micros(request.as_of), request.client, ledgers.standing
    problems: list[str] = []
    alone = request.reached or {named} - {""}
    lines = named_lines(view, alone, problems) if alone else list(timelines(view, []))
    if not named:
        lines = lines_with_threshold(lines, as_of_us)
    if not lines:
        return Interims(problems=tuple(problems))
    accounts = sorted({line.account_id for line in lines}) if alone else None

    def planned(cut: Cut | None) -> RunPlan:
        listed = request.settings.priced_values
        return plan_interims(view, standing, as_of_us, late(cut, accounts), lines, listed)

    plan = planned(None)
    if not plan.billings:
        problem = (
            f"subscription {named} has no running period to bill as of {rfc3339(as_of_us)}: it has not begun, it has "
            "ended, or a period before that is not billed yet, which `weir close` does or explains"
        )
        return Interims(problems=(*problems, *plan.problems, *([problem] if named else ())))
    run = Run("", 0, view.before, micros(request.present), {})
    if named or request.dry_run:
        wait_metered(client, end_offsets(request.settings), request.on_progress)
    totals = measure(client, view.namespace, needs_of(plan.billings), None, request.on_progress, plan.listed)
    over = reached(plan, totals, run, anything=bool(named))
    if request.dry_run:
        invoices, failed = build_invoices(only(plan, over), totals, run)
        return Interims(invoices, (*problems, *plan.problems, *failed))
    if not over:
        return Interims(problems=(*problems, *plan.problems))
    wait_metered(client, ends := end_offsets(request.settings), request.on_progress)
    require(ends)
    cut = covering_cut(request.settings, client, ledgers.checkpoints, ends, request.now)
    wait_rolled_up(client, cut, request.on_progress)
    plan = only(planned(cut), over)
    body = {
        "namespace": view.namespace, "as_of": rfc3339(as_of_us), "interim": sorted(over), "time_zone_data": VERSION,
    }  # fmt: skip
    run = Run(_run_id(plan, cut, view.before), cut.number, view.before, request.instant_us(cut), body)
    totals = measure(client, view.namespace, needs_of(plan.billings), cut, request.on_progress, plan.listed)
    plan = only(plan, reached(plan, totals, run, anything=bool(named)))
    invoices, failed = build_invoices(plan, totals, run)
    if invoices:
        ledgers.checkpoints.announce(run)
        writer = LedgerWriter(request.settings, INVOICES)
        invoices = tuple(publish(writer, ledgers.invoices, standing, invoices, request.on_progress))
    return Interims(invoices, (*problems, *plan.problems, *failed), run if invoices else None)


def _run_id(plan: RunPlan, cut: Cut, catalog_offset: int) -> str:
    """Equal in every process that makes the same invoices as of the same checkpoint and catalog."""
    names = ":".join(billing.due.invoice_id for billing in plan.billings)
    text = f"{len(plan.namespace)}:{plan.namespace}interim:{cut.number}:{catalog_offset}:{plan.as_of_us}:{names}"
    return "run_" + blake2b(text.encode(), digest_size=12).hexdigest()
