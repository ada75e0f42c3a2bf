"""Late usage: events that arrived, or were voided, for periods already billed, and the lines that bill it (DESIGN
invariant 10)."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from rating.invoices.amounts.line_plans import plan_in
from rating.invoices.amounts.unpriced_values import (
    LaterPrice,
    completed,
    later_prices,
    may_have_cells,
    newest,
    same_line,
    unpriced_lines,
)
from rating.invoices.chain import billed_up_to, is_interim
from rating.invoices.ledger import StandingInvoices
from rating.invoicing.bounded_groups import named_values
from rating.invoicing.charges import ChargeBook, Need
from rating.invoicing.late.late_records import BilledAsOf, Late, late_records
from rating.invoicing.late.pinned_prices import price_of
from rating.pricing.exact import exact_sum
from rating.subscriptions.period_lock import NO_LOCK, PeriodLock
from rating.subscriptions.timeline import Timeline
from schemas.catalog.profiles import FOREVER
from schemas.ledgers.checkpoints import Checkpoints, Cut
from schemas.ledgers.invoice_claims import VOID
from schemas.ledgers.invoice_record import (
    Invoice,
    Line,
    LinePlan,
)
from schemas.prices import MatrixPrice, Price, prices_in_time
from schemas.values.record_copy import replace


@dataclass(frozen=True, slots=True)
class Prior:
    """A billed line that may have changed; ``billed``: its amount with all adjustments so far.

    ``price``: that of ``newest`` (its last adjustment), or of the line itself; ``later``: later prices of the
    subscription, for matrix values without an amount.
    """

    invoice_id: str
    line: Line
    price: Price
    need: Need
    billed: Decimal
    newest: Line
    plan: LinePlan | None = None
    later: tuple[LaterPrice, ...] = ()

    @property
    def group(self) -> tuple[str, str, str, str] | None:
        """Equal for parts of one period that are rated together; None if the line stands alone."""
        split = self.price.split
        return None if split is None else (self.invoice_id, self.line.charge, self.line.profile_id, split.of)


LateBySubscription = Mapping[str, tuple[Late, ...]]
"""Subscription → late records of its billed periods."""


def find_late(
    client: Any,
    namespace: str,
    standing: StandingInvoices,
    checkpoints: Checkpoints,
    as_of: Cut | None,
    carried: Collection[str] = (),
    *,
    accounts: Sequence[str] | None = None,
    lock: PeriodLock = NO_LOCK,
) -> LateBySubscription:
    """Late records as of a cut (None: live). A superset: re-rating decides whether they change anything. Blocking.

    ``carried``: profiles whose last value is carried over, where a late record may change every later period.
    ``accounts``: limits the result to these accounts. ``lock``: chains
    behind it are not looked at, and records that touch nothing but locked invoices are left out. Only records
    beyond the last invoice's checkpoint count, since its predecessors were adjusted as of it; if one was voided
    since, beyond that of the last invoice before it. Raises UnknownCheckpoint for an invoice with a checkpoint
    unknown to ``checkpoints``.
    """
    by_checkpoint: dict[int, list[list[Invoice]]] = {}
    chosen = None if accounts is None else frozenset(accounts)
    for chain in standing.chains(namespace):
        if (chosen is None or chain[-1].account_id in chosen) and not all(map(lock.covers, chain)):
            by_checkpoint.setdefault(billed_up_to(chain), []).append(chain)
    by_subscription: dict[str, tuple[Late, ...]] = {}
    ends = {number: [_last_end(chain) for chain in chains] for number, chains in by_checkpoint.items()}
    billed = [
        BilledAsOf(checkpoints.cut(number) if number else Cut(0, {}, 0, 0), max(of_chains))
        for number, of_chains in ends.items()
    ]
    late = late_records(client, namespace, billed, as_of, accounts)
    for number, chains in sorted(by_checkpoint.items()):
        for chain, end in zip(chains, ends[number], strict=True):
            records = late.of(number, chain[-1].account_id)
            of_chain = tuple(carried_on((record for record in records if record.first_us < end), carried))
            if not of_chain:
                continue
            standing.expand(namespace, chain[-1].subscription)
            whole = standing.chain(namespace, chain[-1].subscription)
            if prior_lines((invoice for invoice in whole if not lock.covers(invoice)), of_chain):
                by_subscription[chain[-1].subscription] = of_chain
    return by_subscription


def _last_end(chain: Iterable[Invoice]) -> int:
    return max(invoice.period_end for invoice in chain)


def carried_on(records: Iterable[Late], carried: Collection[str]) -> Iterator[Late]:
    """The same records, those of the ``carried`` profiles with whatever comes after them."""
    return (replace(record, last_us=FOREVER) if record.profile_id in carried else record for record in records)


def prior_lines(chain: Iterable[Invoice], late: Iterable[Late]) -> list[tuple[Invoice, Line]]:
    """Usage lines of valid invoices to whose profile and period late records may belong, and those rated together
    with them. Those of interim invoices are none: what comes after them is on the invoice that takes them off."""
    records = tuple(late)

    def touched(line: Line) -> bool:
        return any(
            record.profile_id == line.profile_id
            and record.first_us < line.period_end
            and record.last_us >= line.period_start
            for record in records
        )

    return [
        (invoice, line)
        for invoice in chain
        if invoice.state != VOID and not is_interim(invoice)
        for line in _with_parts(invoice, touched)
    ]


def _with_parts(invoice: Invoice, chosen: Callable[[Line], bool]) -> list[Line]:
    """The chosen usage lines of an invoice, and the other parts of periods split by a change of price."""
    lines = [line for line in invoice.lines if line.kind == "usage"]
    chosen_lines = [line for line in lines if chosen(line)]
    groups = {group for line in chosen_lines if (group := _group(line)) is not None}
    if not groups:
        return chosen_lines
    return [line for line in lines if _group(line) in groups or line in chosen_lines]


def _group(line: Line) -> tuple[str, str, str] | None:
    # Searched as text, since a price that cannot be parsed must not stop other subscriptions.
    if '"split"' not in line.price:
        return None
    split = json.loads(line.price).get("split")
    return None if split is None else (line.charge, line.profile_id, split["of"])


def priors(
    chain: list[Invoice],
    late: Collection[Late],
    book: ChargeBook,
    timeline: Timeline | None = None,
    unpriced: bool = False,
) -> tuple[Prior, ...]:
    """What must be re-rated for a subscription: lines with late records, and lines without a price that have one
    now on its ``timeline``; with ``unpriced`` also those that still have none. Nothing of invoices that the lock date
    of the book's catalog covers. Raises PlanningError."""
    adjustable = [invoice for invoice in chain if not book.lock.covers(invoice)]
    billed_lines = prior_lines(adjustable, late) if late else []
    if timeline is not None or unpriced:
        known = {id(line) for _, line in billed_lines}
        chosen = {id(line) for _, line, _ in unpriced_lines(chain)} if unpriced else set[int]()
        chosen |= {id(line) for _, line in priced_by_now(chain, timeline)} if timeline is not None else set()
        for invoice in adjustable if chosen else ():
            parts = _with_parts(invoice, lambda line: id(line) in chosen)
            billed_lines += [(invoice, line) for line in parts if id(line) not in known]
    return priors_of(chain, billed_lines, book, timeline)


ChainPriors = tuple[list[Invoice], tuple[Prior, ...]]
"""A chain, and its lines to rate again."""


def needs_of_priors(by_chain: Iterable[ChainPriors]) -> dict[Need, set[str]]:
    """Every total by which lines are rated again → the accounts for which it is needed."""
    needs: dict[Need, set[str]] = {}
    for chain, chain_priors in by_chain:
        for prior in chain_priors:
            needs.setdefault(prior.need, set()).add(chain[-1].account_id)
    return needs


def priors_of(
    chain: list[Invoice],
    billed_lines: Iterable[tuple[Invoice, Line]],
    book: ChargeBook,
    timeline: Timeline | None = None,
) -> tuple[Prior, ...]:
    """Billed lines of a chain, each with what it is rated again by. Raises PlanningError."""
    result: list[Prior] = []
    for invoice, line in billed_lines:
        newest_line = newest(chain, invoice.invoice_id, line)
        price = price_of(invoice, line, newest_line)
        need = book.need(line.profile_id, price, line.period_start, line.period_end)
        if need.profile.backfilled:
            need = replace(need, profile=need.profile.as_pinned(invoice.catalog_offset, invoice.checkpoint))
        billed = _billed(chain, invoice.invoice_id, line)
        open_matrix = any(
            isinstance(held, MatrixPrice) and held.default_unit_amount is None for held, _ in prices_in_time(price)
        )
        later = (
            later_prices(timeline, line.charge, line.product, line.period_start)
            if timeline is not None and open_matrix
            else ()
        )
        if later:  # what one of them names is priced by it
            named = need.named.union(*(named_values(later_price.price) for later_price in later))
            need = replace(need, named=named)
        result.append(Prior(invoice.invoice_id, line, price, need, billed, newest_line, plan_in(invoice, line), later))
    return tuple(result)


def priced_by_now(chain: list[Invoice], timeline: Timeline) -> list[tuple[Invoice, Line]]:
    """Billed lines with usage that had no price, for some of which the subscription has one now, or may have: of
    values that were measured together only their totals apart tell. Raises PlanningError."""
    priced = []
    for invoice, line, lacking in unpriced_lines(chain):
        price = price_of(invoice, line, newest(chain, invoice.invoice_id, line))
        later = later_prices(timeline, line.charge, line.product, line.period_start)
        if completed(price, lacking, later)[1] or may_have_cells(price, lacking, later):
            priced.append((invoice, line))
    return priced


def _billed(chain: Iterable[Invoice], invoice_id: str, line: Line) -> Decimal:
    return exact_sum(
        Decimal(adjusting.amount)
        for invoice in chain
        if invoice.state != VOID
        for adjusting in invoice.lines
        if same_line(adjusting, line)
        and (adjusting.adjusts == invoice_id or (adjusting is line and invoice.invoice_id == invoice_id))
    )
