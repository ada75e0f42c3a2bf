"""Estimates the invoices of an account's running periods, with the close's own code and in its order.

First it simulates what a close would bill now, whether within grace, approved or not: ended periods, changes, last
words. These use up a discount's periods, draw prepaid credits and include late usage. Then come the running periods
in the order in which they can be billed, each as if no more usage followed; they include late usage if no other
invoice precedes. Pure except for ``measure``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Final

from rating.invoices.amounts.prepaid_credits import Owned, Wallet, drawn
from rating.invoices.ledger import StandingInvoices
from rating.invoicing.charges import ChargeBook, Need, Totals
from rating.invoicing.due import due_of
from rating.invoicing.invoice_plan import Billing, billing_of
from rating.invoicing.late.late_usage import LateBySubscription
from rating.invoicing.measure import needs_of
from rating.invoicing.run_plan import ended_dues, invoice_of
from rating.subscriptions.billing_periods import Span
from rating.subscriptions.timeline import PlanningError, Timeline
from schemas.catalog.state import NamespaceView
from schemas.ledgers.checkpoints import Run
from schemas.ledgers.invoice_record import Invoice, Line
from schemas.values.record_copy import replace

_ROUNDS: Final = 5
"""Limit on simulated closes at one instant: a change or a last word follows the period before it."""

MeasureUsage = Callable[[Mapping[Need, Set[str]]], Totals]
"""Live totals by need and account."""


@dataclass(frozen=True, slots=True)
class EstimateInputs:
    """The input of an estimate. ``standing``: the account's invoices; ``lines``: its subscriptions in catalog
    order; ``late``: late usage by subscription."""

    view: NamespaceView
    standing: StandingInvoices
    lines: Sequence[Timeline]
    grants: tuple[Owned, ...] = ()
    late: LateBySubscription = field(default_factory=dict)

    def wallet(self) -> Wallet:
        """The present balances of prepaid credits."""
        return Wallet(self.grants, drawn(self.standing.invoices(self.view.namespace)) if self.grants else {})


@dataclass(frozen=True, slots=True)
class Running:
    """The running period of a subscription."""

    line: Timeline
    span: Span


@dataclass(frozen=True, slots=True)
class Expected:
    """The planned invoice of a running period."""

    running: Running
    billing: Billing
    totals: Totals

    def invoice(self, totals: Totals, run: Run, wallet: Wallet) -> Invoice:
        """Its record for these totals; draws on ``wallet``. Raises PlanningError."""
        invoice = invoice_of(self.billing, totals, run, wallet)
        assert invoice is not None, "a period that runs is no invoice of adjustments alone"
        return invoice

    def beside_charges(self, invoice: Invoice) -> Sequence[Line]:
        """The lines of adjustments, discounts, true-up and prepaid credits."""
        return invoice.lines[len(self.billing.items) :]


def bill_ended(
    account: EstimateInputs, book: ChargeBook, run: Run, measure: MeasureUsage
) -> tuple[EstimateInputs, dict[str, str]]:
    """The account after a simulated close, and subscription → why something cannot be billed. The simulated
    invoices are added to ``standing``."""
    standing, late = account.standing, dict(account.late)
    problems: dict[str, str] = {}
    for _ in range(_ROUNDS):
        billings: list[Billing] = []
        for line in account.lines:
            if line.subscription in problems:
                continue
            try:
                billings += _ended(line, standing, run.as_of_us, late, book)
            except (PlanningError, ValueError) as error:
                problems[line.subscription] = str(error)
        wallet = account.wallet()
        totals = measure(needs_of(billings))
        count = 0
        for billing in billings:
            name = billing.due.subscription
            if name in problems:
                continue
            try:
                invoice = invoice_of(billing, totals, run, wallet)
            except PlanningError as error:
                problems[name] = str(error)
                continue
            late.pop(name, None)
            if invoice is not None:
                standing.assume(invoice)
                count += 1
        if not count:
            break
    return replace(account, late=late), problems


def expected_billing(account: EstimateInputs, book: ChargeBook, running: Running) -> Billing:
    """The billing of the running period, after ``bill_ended``. Raises PlanningError."""
    line, span, standing = running.line, running.span, account.standing
    chain = standing.chain(line.namespace, line.subscription)
    dues = due_of(line, standing, span.end_us)
    due = next((due for due in dues if due.start_us == span.start_us < due.end_us), None)
    if due is None:
        raise PlanningError("the period is billed, or one before it cannot be; `weir close --dry-run` says why")
    if chain:
        due = due.after_run(chain[-1].run_id)
    return billing_of(due, book, chain, account.late.get(line.subscription, ()), (), line)


def expect(
    account: EstimateInputs, running: Iterable[Running], run: Run, measure: MeasureUsage
) -> tuple[EstimateInputs, list[Expected], dict[str, str]]:
    """(the account with ended periods billed, its running periods in order of billing, subscription → why it has
    none)."""
    book = ChargeBook(account.view)
    account, problems = bill_ended(account, book, run, measure)
    billings: list[tuple[Running, Billing]] = []
    for running_period in running:
        name = running_period.line.subscription
        if name in problems:
            continue
        try:
            billings.append((running_period, expected_billing(account, book, running_period)))
        except (PlanningError, ValueError) as error:
            problems[name] = str(error)
    billings.sort(
        key=lambda pair: pair[1].due.ready_us
    )  # of one instant in the order of the catalog, as a close has them
    totals = measure(needs_of(billing for _, billing in billings))
    return account, [Expected(running_period, billing, totals) for running_period, billing in billings], problems


def _ended(
    line: Timeline, standing: StandingInvoices, now_us: int, late: LateBySubscription, book: ChargeBook
) -> list[Billing]:
    chain = standing.chain(line.namespace, line.subscription)
    billings: list[Billing] = []
    for due in ended_dues(line, standing, now_us):
        billings.append(billing_of(due, book, chain, late.get(line.subscription, ()), billings, line))
    return [billing for billing in billings if not billing.empty]
