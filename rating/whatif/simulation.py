"""A past period billed twice, by the catalog as it is and as it would be, and set side by side."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from clickhouse_connect.driver.client import Client

from rating.invoices.ledger import StandingInvoices
from rating.invoices.waiting import Progress
from rating.invoicing.measure import measure, needs_of
from rating.invoicing.need import Need
from rating.invoicing.run_plan import RunPlan as BillingPlan
from rating.invoicing.run_plan import build_invoices, make_plan
from rating.periods import parse_range, parse_zone
from rating.pricing import money_text
from rating.pricing.exact import exact_sum
from rating.whatif import catalog
from rating.whatif.catalog import Scenario, ScenarioError
from schemas.catalog.state import NamespaceView
from schemas.ledgers.checkpoints import Run
from schemas.ledgers.invoice_record import Invoice
from schemas.values.instants import DAY, micros
from schemas.values.json_text import JsonObject
from schemas.values.record_copy import replace

# Grace is for billing alone: a period that has ended may be simulated at once.
_GRACE: Final = 32 * DAY


@dataclass(frozen=True, slots=True)
class ChargeComparison:
    """A charge before and after; ``quantity`` as the lines show it, empty for a flat one."""

    charge: str
    quantity: str
    amount_before: Decimal
    amount_after: Decimal


@dataclass(frozen=True, slots=True)
class SubscriptionComparison:
    """A subscription before and after, over all its billing periods that begin in the simulated one."""

    account_id: str
    subscription: str
    currency: str
    amount_before: Decimal
    amount_after: Decimal
    charges: tuple[ChargeComparison, ...]

    @property
    def difference(self) -> Decimal:
        """What the subscription would pay more, in major units; below zero: less."""
        return self.amount_after - self.amount_before

    def to_json(self) -> JsonObject:
        """Ready for json.dumps."""
        return {
            "account_id": self.account_id,
            "subscription": self.subscription,
            "currency": self.currency,
            **_amounts(self.amount_before, self.amount_after, self.currency),
            "pays": pays(self.difference),
            "charges": [
                {
                    "charge": charge.charge,
                    "quantity": charge.quantity or None,
                    **_amounts(charge.amount_before, charge.amount_after, self.currency),
                }
                for charge in self.charges
            ],
        }


@dataclass(frozen=True, slots=True)
class PeriodSimulation:
    """The comparison of a period. ``compared``: subscriptions, those that would pay less first. ``problems``: sentences
    about what could not be compared."""

    period: str
    compared: tuple[SubscriptionComparison, ...]
    problems: tuple[str, ...]

    def totals(self) -> list[JsonObject]:
        """Sums by currency, and how many would pay less, more and the same."""
        result = []
        for currency in sorted({compared.currency for compared in self.compared}):
            of_currency = [compared for compared in self.compared if compared.currency == currency]
            total_before = exact_sum(compared.amount_before for compared in of_currency)
            effects = [pays(compared.difference) for compared in of_currency]
            result.append(
                {
                    "currency": currency,
                    **_amounts(total_before, exact_sum(compared.amount_after for compared in of_currency), currency),
                    "subscriptions": len(of_currency),
                    "pay_less": effects.count("less"),
                    "pay_more": effects.count("more"),
                    "pay_the_same": effects.count("the same"),
                }
            )
        return result

    def to_json(self, limit: int | None = None) -> JsonObject:
        """Ready for json.dumps; ``limit``: at most so many subscriptions, half from each end of the list."""
        shown = self.compared
        if limit is not None and len(shown) > limit:
            head_count = limit - limit // 2
            shown = (*shown[:head_count], *shown[len(shown) - limit // 2 :])
        return {
            "period": self.period,
            "totals": self.totals(),
            "problems": list(self.problems),
            "subscriptions": [subscription.to_json() for subscription in shown],
            "left_out": len(self.compared) - len(shown),
        }


def pays(difference: Decimal) -> str:
    """In a word, from the customer's side."""
    return "less" if difference < 0 else "more" if difference > 0 else "the same"


def simulate(
    client: Client, view: NamespaceView, scenario: Scenario, period: str, now_us: int, on_progress: Progress
) -> PeriodSimulation:
    """Every billing period that begins in ``period`` (dates as ``parse_range`` takes them, local to each account) and
    has ended, billed from the present usage before and after. One query a total for all accounts. Raises ScenarioError.
    Blocking.
    """
    as_is, as_would = catalog.as_it_is(view, scenario), catalog.as_it_would_be(view, scenario)
    try:
        parse_range(period, parse_zone("UTC"))  # also where there is no subscription
        plans = [
            _period(make_plan(catalog_view, StandingInvoices(), now_us + _GRACE, {}, "ended"), period, now_us)
            for catalog_view in (as_is, as_would)
        ]
    except (ValueError, OverflowError) as error:
        raise ScenarioError("period", str(error)) from None
    needs: dict[Need, set[str]] = {}
    for plan in plans:
        for need, accounts in needs_of(plan.billings).items():
            needs.setdefault(need, set()).update(accounts)
    totals = measure(client, view.namespace, needs, None, on_progress)
    run = Run("", 0, view.before, now_us, {})
    problems = list(dict.fromkeys(problem for plan in plans for problem in plan.problems))
    billed: list[tuple[Invoice, ...]] = []
    for plan in plans:
        invoices, failed = build_invoices(plan, totals, run)
        billed.append(invoices)
        problems += [problem for problem in failed if problem not in problems]
    compared = _compare(billed[0], billed[1], _intervals(plans[0]), _intervals(plans[1]), problems)
    return PeriodSimulation(period, tuple(compared), tuple(problems))


def _period(plan: BillingPlan, period: str, now_us: int) -> BillingPlan:
    ranges: dict[str, tuple[int, int]] = {}
    billings = []
    for billing in plan.billings:
        due = billing.due
        if due.time_zone not in ranges:
            interval = parse_range(period, parse_zone(due.time_zone))
            ranges[due.time_zone] = (micros(interval.start), micros(interval.end))
        start, end = ranges[due.time_zone]
        if start <= due.start_us < end and due.end_us <= now_us:
            billings.append(billing)
    # Prepaid credits would pay either bill, and so hide the difference.
    return replace(plan, billings=tuple(billings), grants=())


def _intervals(plan: BillingPlan) -> dict[str, str]:
    """Subscription → how often its plan bills."""
    return {billing.due.subscription: billing.due.plan.interval for billing in plan.billings}


def _compare(
    invoices_before: Iterable[Invoice],
    invoices_after: Iterable[Invoice],
    old: dict[str, str],
    new: dict[str, str],
    problems: list[str],
) -> list[SubscriptionComparison]:
    ours, theirs = _by_subscription(invoices_before), _by_subscription(invoices_after)
    compared: list[SubscriptionComparison] = []
    for name in dict.fromkeys([*ours, *theirs]):
        bills_before, bills_after = ours.get(name, []), theirs.get(name, [])
        currencies = {invoice.currency for invoice in [*bills_before, *bills_after]}
        if len(currencies) > 1:
            problems.append(
                f"subscription {name}: the currencies {' and '.join(sorted(currencies))} cannot be compared"
            )
        elif not bills_before or not bills_after or old.get(name) != new.get(name):
            problems.append(f"subscription {name}: its billing periods would be others, so they cannot be compared")
        else:
            compared.append(_compared(name, bills_before, bills_after))
    compared.sort(
        key=lambda subscription: (subscription.difference, subscription.account_id, subscription.subscription)
    )
    return compared


def _by_subscription(invoices: Iterable[Invoice]) -> dict[str, list[Invoice]]:
    by_subscription: dict[str, list[Invoice]] = {}
    for invoice in invoices:
        by_subscription.setdefault(invoice.subscription, []).append(invoice)
    return by_subscription


def _compared(
    subscription: str, invoices_before: list[Invoice], invoices_after: list[Invoice]
) -> SubscriptionComparison:
    sides = [
        [line for invoice in side_invoices for line in invoice.lines]
        for side_invoices in (invoices_before, invoices_after)
    ]
    charges = []
    for code in dict.fromkeys(line.charge for side in sides for line in side):
        sums = [exact_sum(Decimal(line.amount) for line in side if line.charge == code) for side in sides]
        quantities = [line.quantity for side in sides for line in side if line.charge == code]
        charges.append(ChargeComparison(code, quantities[0], sums[0], sums[1]))
    totals = [exact_sum(Decimal(line.amount) for line in side) for side in sides]
    head = invoices_before[0]
    return SubscriptionComparison(head.account_id, subscription, head.currency, totals[0], totals[1], tuple(charges))


def _amounts(amount_before: Decimal, amount_after: Decimal, currency: str) -> dict[str, str]:
    return {
        "before": money_text(amount_before, currency),
        "after": money_text(amount_after, currency),
        "difference": money_text(amount_after - amount_before, currency),
    }
