"""The pre-close checklist of a run: what is asked of Kafka and ClickHouse for what it bills, and compared. Blocking."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rating.close.checklist.checks import MAX_EXAMPLES, Check, Limits, Seen, checklist
from rating.close.checklist.observe import look
from rating.invoices.amounts.listed_values import beyond
from rating.invoices.ledger import Standing
from rating.invoicing.plan import Plan
from rating.invoicing.unpriced_usage import UnpricedUsage, on_invoices, told
from rating.usage import Measured
from schemas.catalog.state import NamespaceView
from schemas.ledgers.checkpoints import Cut
from schemas.ledgers.invoice_record import Invoice
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
    spans = spans or [(one.period_start, one.period_end) for one in invoices]
    seen = Seen()
    if spans:
        start_us, end_us = min(start for start, _ in spans), max(end for _, end in spans)
        seen = look(settings, client, view.namespace, start_us, end_us, cut)
    limits = Limits(settings.close_differs_factor, settings.close_differs_amount)
    checks = checklist(seen, view, billed, invoices, standing, problems, limits)
    profiles = {need.profile.profile_id: need.profile for need in needs}
    return (*checks, *_unlisted(invoices), *_unpriced(client, view, list(on_invoices(invoices)), profiles, cut))


def _unlisted(invoices: Sequence[Invoice]) -> Iterator[Check]:
    """Values that somebody may have made up by mistake, or on purpose. The check is on the list where there are
    some."""
    found = [
        f"{invoice.account_id}, charge {charge}: {count} more combinations of values than WEIR_PRICED_VALUES, billed together by the default"
        for invoice, charge, count in beyond(invoices)
    ]
    if found:
        yield Check(
            "many_values",
            len(found),
            "lines with very many dimension values that no cell names",
            tuple(found[:MAX_EXAMPLES]),
        )


def _unpriced(
    client: Any, view: NamespaceView, found: Sequence[UnpricedUsage], profiles: Mapping[str, Measured], cut: Cut | None
) -> Iterator[Check]:
    """Usage that is on the lines without a price: nothing else waits for it. The check is on the list where there is
    some."""
    if found:
        examples = (one.sentence() for one in told(client, view, found[:MAX_EXAMPLES], profiles, cut))
        yield Check(
            "unpriced_usage",
            len(found),
            "quantities of dimension values that no price has an amount for",
            tuple(examples),
        )
