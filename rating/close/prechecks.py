"""The pre-close checklist of a run: what is asked of Kafka and ClickHouse for what it bills, and compared. Blocking."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rating.close.checklist import Check, Limits, Seen, checklist
from rating.close.plan import Plan
from rating.close.seen import look
from rating.close.standing import Invoice, Standing
from schemas.catalog.state import NamespaceView
from schemas.checkpoints import Cut
from schemas.settings import Settings


def make_checks(
    settings: Settings,
    client: Any,
    view: NamespaceView,
    plan: Plan,
    invoices: Sequence[Invoice],
    standing: Standing,
    problems: Sequence[str],
    cut: Cut | None,
) -> tuple[Check, ...]:
    """For the ``invoices`` of ``plan``, or their drafts, as of ``cut`` (None: live); ``view``: the run's catalog."""
    needs = plan.needs()
    billed = {(account, need.profile.profile_id) for need, accounts in needs.items() for account in accounts}
    # A run of flat fees alone looks at their periods: usage that nobody pays for may be just there.
    spans = [(need.start_us, need.end_us) for need in needs]
    spans = spans or [(one["period_start"], one["period_end"]) for one in invoices]
    seen = Seen()
    if spans:
        start_us, end_us = min(start for start, _ in spans), max(end for _, end in spans)
        seen = look(settings, client, view.namespace, start_us, end_us, cut)
    limits = Limits(settings.close_differs_factor, settings.close_differs_amount)
    return checklist(seen, view, billed, invoices, standing, problems, limits)
