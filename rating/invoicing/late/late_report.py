"""Reports late usage that no invoice contains yet: what the next close would adjust, line by line, by the close's
own code."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from rating.invoices.amounts import credited_in_all
from rating.invoices.amounts.line_balances import credits_of_chain, nothing_further, taken_back
from rating.invoices.amounts.prior_terms import prior_terms
from rating.invoices.amounts.reductions import adjusted_terms
from rating.invoices.amounts.unpriced_values import unpriced_lines
from rating.invoices.chain import billed_up_to
from rating.invoices.ledger import StandingInvoices
from rating.invoicing.charges import ChargeBook, Totals
from rating.invoicing.late.adjustments import adjusted, rate_again
from rating.invoicing.late.changed_line import ChangedLine, lines_json
from rating.invoicing.late.late_usage import ChainPriors, LateBySubscription, Prior, find_late, needs_of_priors, priors
from rating.invoicing.late.left_out import LeftOut, left_out
from rating.invoicing.measure import measure
from rating.invoicing.unpriced_usage import UnpricedQuantity, unpriced_on_line, with_examples
from rating.subscriptions.period_lock import PeriodLock
from rating.subscriptions.timeline import PlanningError, timeline
from schemas.catalog.profiles import profile_versions
from schemas.catalog.state import NamespaceView
from schemas.ledgers.checkpoints import Checkpoints
from schemas.ledgers.invoice_record import (
    Invoice,
    Line,
)
from schemas.values.json_text import JsonObject


@dataclass(frozen=True, slots=True)
class LateReport:
    """``lines`` by account and subscription; ``problems``: messages about late usage that cannot be rated;
    ``unpriced``: usage of billed periods without a price, late or not; ``behind_lock``: what no close bills."""

    checkpoint: int
    lines: tuple[ChangedLine, ...]
    problems: tuple[str, ...]
    unpriced: tuple[UnpricedQuantity, ...] = ()
    behind_lock: LeftOut = field(default_factory=LeftOut)

    def to_json(self, limit: int) -> JsonObject:
        """The first ``limit`` lines; ``totals`` and ``count`` cover all."""
        return {
            "last_checkpoint": self.checkpoint,
            **lines_json(self.lines, limit),
            "problems": list(self.problems),
            "unpriced": [part.to_json() for part in self.unpriced[:limit]],
            "left_out": self.behind_lock.to_json(limit),
        }


def late_report(
    client: Any,
    view: NamespaceView,
    standing: StandingInvoices,
    checkpoints: Checkpoints,
    account_id: str | None = None,
    left_out_since: date | None = None,
) -> LateReport:
    """All late usage not yet invoiced, live; of one account if given. ``left_out_since``: as ``left_out`` takes it.
    Blocking."""
    carried = {version.profile_id for version in profile_versions(view) if version.carry_over}
    lock = PeriodLock.of(view)
    late = find_late(client, view.namespace, standing, checkpoints, None, carried, lock=lock)
    by_chain, problems = lines_to_rate_again(view, standing, late, account_id)
    needs = needs_of_priors(by_chain)
    totals = measure(client, view.namespace, needs, None, lambda *_: None)
    lines: list[ChangedLine] = []
    unpriced: list[UnpricedQuantity] = []
    for chain, chain_priors in by_chain:
        try:
            lines += (late_line for late_line in late_lines(chain, chain_priors, totals) if late_line.difference)
            unpriced += unpriced_now(chain, chain_priors, totals)
        except PlanningError as error:
            problems.append(f"subscription {chain[-1].subscription}: {error}")
    lines.sort(key=lambda line: line.order)
    unpriced.sort(key=lambda one: (one.account_id, one.subscription, one.start_us, one.charge, one.part.values))
    profiles = {need.profile.profile_id: need.profile for need in needs}
    newest_cut = checkpoints.last
    shown = with_examples(client, view, unpriced, profiles, None)
    behind = left_out(client, view, standing, checkpoints, carried, left_out_since, account_id)
    return LateReport(newest_cut.number if newest_cut else 0, tuple(lines), tuple(problems), tuple(shown), behind)


def lines_to_rate_again(
    view: NamespaceView,
    standing: StandingInvoices,
    late: LateBySubscription,
    account_id: str | None = None,
    unpriced: bool = True,
) -> tuple[list[ChainPriors], list[str]]:
    """(chain, lines to re-rate) for every subscription with late usage or usage without a price, and messages about
    what cannot be re-rated."""
    book = ChargeBook(view)
    by_chain: list[ChainPriors] = []
    problems: list[str] = []
    for chain in standing.chains(view.namespace):
        subscription = chain[-1].subscription
        records = late.get(subscription, ())
        if account_id is not None and chain[-1].account_id != account_id:
            continue
        if not records and not (unpriced and any(not book.lock.covers(owner) for owner, *_ in unpriced_lines(chain))):
            continue
        try:
            line = timeline(view, subscription)
            if chain_priors := priors(chain, records, book, line, unpriced):
                by_chain.append((chain, chain_priors))
        except (PlanningError, ValueError) as error:
            problems.append(f"subscription {subscription}: {error}")
    return by_chain, problems


def unpriced_now(chain: list[Invoice], billed: Iterable[Prior], totals: Totals) -> list[UnpricedQuantity]:
    """The usage on ``billed`` lines that has no price now. Raises PlanningError."""
    by_id = {invoice.invoice_id: invoice for invoice in chain}
    rated = rate_again(billed, totals, chain[-1].account_id, chain[-1].currency)
    return [
        unpriced_on_line(
            by_id[rated_prior.prior.invoice_id], rated_prior.prior.line, part, rated_prior.prior.invoice_id
        )
        for rated_prior in rated
        for part in rated_prior.priced.unpriced
    ]


def late_lines(chain: list[Invoice], found: Iterable[Prior], totals: Totals) -> list[ChangedLine]:
    """What the next invoice of ``chain`` would adjust for late usage. Raises PlanningError."""
    head = chain[-1]
    account, currency = head.account_id, head.currency
    changes: list[tuple[Line, Decimal | None]] = [
        (line, prior.billed) for line, prior in adjusted(found, totals, account, currency)
    ]
    lines = [line for line, _ in changes]
    terms = prior_terms(chain, [line.adjusts for line in lines])
    changes += [(line, None) for line in adjusted_terms(terms, lines, currency)]
    further = [line for line, _ in changes]
    noted = taken_back(credits_of_chain(chain, {line.adjusts for line in lines}), further, currency)
    next_invoice = credited_in_all.BilledInvoice("", head.period_end, head.period_end, [*further, *noted], None)
    noted += credited_in_all.kept_above_notes(credited_in_all.standing_with_notes(chain), next_invoice, currency)
    if nothing_further([*further, *noted]):
        return []
    changes += [(line, None) for line in noted]
    return [ChangedLine.of(head, billed_up_to(chain), line, billed) for line, billed in changes]
