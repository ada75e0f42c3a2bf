"""Creates the checklist of a run: queries Kafka and ClickHouse and evaluates the results. Blocking."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from clickhouse_connect.driver.client import Client

from rating.close.checklist.checks import (
    MAX_EXAMPLES,
    ChecklistLimits,
    ChecklistPoint,
    Observations,
    PlannedInvoices,
    checklist,
)
from rating.close.checklist.observe import observe_namespace
from rating.invoices.amounts.listed_values import beyond
from rating.invoicing.measure import needs_of
from rating.invoicing.unpriced_usage import UnpricedQuantity, unpriced_on_invoices, with_examples
from rating.usage import Measured
from schemas.catalog.state import NamespaceView
from schemas.ledgers.checkpoints import Cut
from schemas.ledgers.invoice_record import Invoice
from schemas.settings import Settings


def make_checks(
    settings: Settings,
    client: Client,
    planned: PlannedInvoices,
    cut: Cut | None,
) -> tuple[ChecklistPoint, ...]:
    """The checklist for the invoices that a run would publish as of ``cut`` (None: live)."""
    view, invoices, needs = planned.view, planned.invoices, needs_of(planned.plan.billings)
    billed = {(account, need.profile.profile_id) for need, accounts in needs.items() for account in accounts}
    # A run with flat fees only uses their periods, in which there may be usage that nobody pays for.
    spans = [(need.start_us, need.end_us) for need in needs]
    spans = spans or [(invoice.period_start, invoice.period_end) for invoice in invoices]
    seen = Observations()
    if spans:
        start_us, end_us = min(start for start, _ in spans), max(end for _, end in spans)
        seen = observe_namespace(settings, client, view.namespace, start_us, end_us, cut)
    limits = ChecklistLimits(settings.close_differs_factor, settings.close_differs_amount)
    checks = checklist(seen, planned, billed, limits)
    profiles = {need.profile.profile_id: need.profile for need in needs}
    return (
        *checks,
        *_unlisted(invoices),
        *_unpriced(client, view, list(unpriced_on_invoices(invoices)), profiles, cut),
    )


def _unlisted(invoices: Sequence[Invoice]) -> Iterator[ChecklistPoint]:
    """Lines with more dimension values than are listed, perhaps by mistake or abuse; no check if there are none."""
    unlisted = [
        f"{invoice.account_id}, charge {charge}: {count} more combinations of values than WEIR_PRICED_VALUES, billed "
        "together by the default"
        for invoice, charge, count in beyond(invoices)
    ]
    if unlisted:
        yield ChecklistPoint(
            "many_values",
            len(unlisted),
            "lines with very many dimension values that no cell names",
            tuple(unlisted[:MAX_EXAMPLES]),
        )


def _unpriced(
    client: Client,
    view: NamespaceView,
    usage: Sequence[UnpricedQuantity],
    profiles: Mapping[str, Measured],
    cut: Cut | None,
) -> Iterator[ChecklistPoint]:
    """Usage without a price. It is on the lines, so nothing else waits for it; no check if there is none."""
    if usage:
        examples = (
            unpriced.sentence() for unpriced in with_examples(client, view, usage[:MAX_EXAMPLES], profiles, cut)
        )
        yield ChecklistPoint(
            "unpriced_usage",
            len(usage),
            "quantities of dimension values that no price has an amount for",
            tuple(examples),
        )
