"""Rates a plan as of a run."""

from __future__ import annotations

from dataclasses import replace

from rating.close.close_request import CloseRequest
from rating.invoicing.measure import measure
from rating.invoicing.run_plan import RunPlan, build_invoices
from schemas.ledgers.checkpoints import Cut, Run
from schemas.ledgers.invoice_record import Invoice

RatedInvoices = tuple[tuple[Invoice, ...], tuple[str, ...]]
"""Invoices, and messages about what cannot be rated."""


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
            totals = measure(request.client, request.namespace, plan.needs(), cut, request.on_progress, plan.listed)
            self._rated = plan, pinned, build_invoices(plan, totals, run)
        return self._rated[2]
