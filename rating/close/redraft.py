"""Creates and refreshes drafts of periods that have ended and are not billed; part of every close, with its own
checkpoint.

A draft gets a new version only if its content changed, so a close without changes writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b

from clickhouse_connect.driver.client import Client

from rating.close.checklist.checks import PlannedInvoices
from rating.close.checklist.make import make_checks
from rating.close.checkpoint import covering_cut, end_offsets, wait_metered, wait_rolled_up
from rating.close.close_request import CloseRequest, FollowedLedgers
from rating.invoices.ledger import StandingInvoices
from rating.invoices.publish_invoices import publish, wait_written
from rating.invoices.waiting import Progress
from rating.invoicing.build_drafts import build_drafts
from rating.invoicing.late.late_usage import LateBySubscription
from rating.invoicing.measure import measure, needs_of
from rating.invoicing.run_plan import make_plan
from schemas.catalog.state import NamespaceView
from schemas.kafka.topics import INVOICES
from schemas.ledgers.checkpoints import Cut, Run
from schemas.ledgers.generations import Offsets
from schemas.ledgers.invoice_claims import DRAFT
from schemas.ledgers.invoice_record import Invoice
from schemas.ledgers.ledger_writer import LedgerWriter
from schemas.values.instants import micros, rfc3339
from schemas.values.record_copy import replace
from schemas.values.time_zones import VERSION


@dataclass(frozen=True, slots=True)
class Redrafted:
    """``drafts``: versions that were (or would be) written, except withdrawn ones. ``run``: the run they refer to,
    with its checklist; None if nothing was written."""

    drafts: tuple[Invoice, ...] = ()
    problems: tuple[str, ...] = ()
    run: Run | None = None


def refresh_drafts(
    request: CloseRequest,
    ledgers: FollowedLedgers,
    view: NamespaceView,
    late: Callable[[Cut | None], LateBySubscription],
    require: Callable[[Offsets], None] = lambda _: None,
) -> Redrafted:
    """Refresh the drafts, based on the invoices already in ``ledgers``. Blocking.

    ``late`` returns late usage up to a cut; ``require`` raises if ClickHouse lacks rows below some offsets. Two
    processes at once write the same versions, of which one is valid. A draft that is held meanwhile stays as it is
    until the next close. Raises CloseError and LedgerUnavailable.
    """
    settings, client, now = request.settings, request.client, request.now
    standing, on_progress = ledgers.standing, request.on_progress
    name, cut = view.namespace, None
    wait_metered(client, ends := end_offsets(settings), on_progress)
    require(ends)
    run = Run("", 0, view.before, micros(request.present), {})
    if not request.dry_run:
        cut = covering_cut(settings, client, ledgers.checkpoints, ends, now)
        body = {"namespace": name, "as_of": rfc3339(micros(request.as_of)), "drafts": True, "time_zone_data": VERSION}
        run = Run(_run_id(name, cut, view.before), cut.number, view.before, request.instant_us(cut), body)
        wait_rolled_up(client, cut, on_progress)
    plan = make_plan(view, standing, micros(request.as_of), late(cut), "drafts")
    plan = replace(plan, listed=settings.priced_values)
    totals = measure(client, name, needs_of(plan.billings), cut, on_progress, plan.listed)
    drafts, failed = build_drafts(plan, totals, run, standing)
    if not drafts:
        return Redrafted(problems=(*plan.problems, *failed))
    ids = {invoice.invoice_id for invoice in drafts}
    others = [draft for draft in standing.drafts(name) if draft.invoice_id not in ids]
    standing_drafts = [*(invoice for invoice in drafts if invoice.state == DRAFT), *others]
    planned = PlannedInvoices(
        plan=plan, view=view, invoices=standing_drafts, standing=standing, problems=(*plan.problems, *failed)
    )
    checks = make_checks(settings, client, planned, cut)
    run = replace(run, body={**run.body, "checklist": [check.to_json() for check in checks]})
    if request.dry_run:
        for invoice in drafts:
            standing.apply(invoice)
    else:
        run = ledgers.checkpoints.announce(run)
        drafts = tuple(publish(LedgerWriter(settings, INVOICES), ledgers.invoices, standing, drafts, on_progress))
    return Redrafted(tuple(invoice for invoice in drafts if invoice.state == DRAFT), (*plan.problems, *failed), run)


def wait_drafts_visible(client: Client, namespace: str, standing: StandingInvoices, on_progress: Progress) -> None:
    """Wait until ClickHouse has every version of every draft (written by the `invoices` agent). Raises CloseError."""
    total = standing.draft_versions(namespace)
    wait_written(client, namespace, "invoice_drafts", "invoice_id, version", total, on_progress)


def _run_id(namespace: str, cut: Cut, catalog_offset: int) -> str:
    """A run id that is equal in every process that makes drafts as of the same checkpoint and catalog."""
    text = f"{len(namespace)}:{namespace}drafts:{cut.number}:{catalog_offset}"
    return "run_" + blake2b(text.encode(), digest_size=12).hexdigest()
