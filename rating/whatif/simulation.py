"""A past period billed twice, by the catalog as it is and as it would be, and set side by side."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final

from rating.invoices.ledger import Invoice, Standing
from rating.invoices.waiting import Progress
from rating.invoicing.measure import measure
from rating.invoicing.plan import Plan as BillingPlan
from rating.invoicing.plan import build_invoices, make_plan
from rating.periods import parse_range, parse_zone
from rating.pricing import money_text
from rating.pricing.exact import exact_sum
from rating.whatif import catalog
from rating.whatif.catalog import Scenario, ScenarioError
from schemas.catalog.state import NamespaceView
from schemas.ledgers.checkpoints import Run
from schemas.values.instants import DAY, micros

# Grace is for billing alone: a period that has ended may be simulated at once.
_GRACE: Final = 32 * DAY


@dataclass(frozen=True, slots=True)
class ComparedCharge:
    """A charge before and after; ``quantity`` as the lines show it, empty for a flat one."""

    charge: str
    quantity: str
    before: Decimal
    after: Decimal


@dataclass(frozen=True, slots=True)
class ComparedSubscription:
    """A subscription before and after, over all its billing periods that begin in the simulated one."""

    account_id: str
    subscription: str
    currency: str
    before: Decimal
    after: Decimal
    charges: tuple[ComparedCharge, ...]

    @property
    def difference(self) -> Decimal:
        return self.after - self.before

    def to_json(self) -> dict[str, Any]:
        """Ready for json.dumps."""
        return {
            "account_id": self.account_id, "subscription": self.subscription, "currency": self.currency,
            **_amounts(self.before, self.after, self.currency), "pays": pays(self.difference),
            "charges": [
                {"charge": one.charge, "quantity": one.quantity or None, **_amounts(one.before, one.after, self.currency)}
                for one in self.charges
            ],
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class PeriodSimulation:
    """``compared``: who would pay less first, each by how much. ``problems``: sentences about what could not be
    compared."""

    period: str
    compared: tuple[ComparedSubscription, ...]
    problems: tuple[str, ...]

    def totals(self) -> list[dict[str, Any]]:
        """Sums by currency, and how many would pay less, more and the same."""
        result = []
        for currency in sorted({one.currency for one in self.compared}):
            mine = [one for one in self.compared if one.currency == currency]
            before = exact_sum(one.before for one in mine)
            effects = [pays(one.difference) for one in mine]
            result.append(
                {
                    "currency": currency, **_amounts(before, exact_sum(one.after for one in mine), currency),
                    "subscriptions": len(mine), "pay_less": effects.count("less"), "pay_more": effects.count("more"),
                    "pay_the_same": effects.count("the same"),
                }
            )  # fmt: skip
        return result

    def to_json(self, limit: int | None = None) -> dict[str, Any]:
        """Ready for json.dumps; ``limit``: at most so many subscriptions, half from each end of the list."""
        shown = self.compared
        if limit is not None and len(shown) > limit:
            first = limit - limit // 2
            shown = (*shown[:first], *shown[len(shown) - limit // 2 :])
        return {
            "period": self.period, "totals": self.totals(), "problems": list(self.problems),
            "subscriptions": [one.to_json() for one in shown], "left_out": len(self.compared) - len(shown),
        }  # fmt: skip


def pays(difference: Decimal) -> str:
    """In a word, from the customer's side."""
    return "less" if difference < 0 else "more" if difference > 0 else "the same"


def simulate(
    client: Any, view: NamespaceView, scenario: Scenario, period: str, now_us: int, on_progress: Progress
) -> PeriodSimulation:
    """Every billing period that begins in ``period`` (dates as ``parse_range`` takes them, local to each account) and
    has ended, billed from the present usage before and after. One query a total for all accounts. Raises ScenarioError.
    Blocking.
    """
    as_is, as_would = catalog.before(view, scenario), catalog.after(view, scenario)
    try:
        parse_range(period, parse_zone("UTC"))  # also where there is no subscription
        plans = [
            _period(make_plan(one, Standing(), now_us + _GRACE, {}, "ended"), period, now_us)
            for one in (as_is, as_would)
        ]
    except (ValueError, OverflowError) as error:
        raise ScenarioError("period", str(error)) from None
    needs: dict[Any, set[str]] = {}
    for plan in plans:
        for need, accounts in plan.needs().items():
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
    kept = []
    for billing in plan.billings:
        due = billing.due
        if due.time_zone not in ranges:
            interval = parse_range(period, parse_zone(due.time_zone))
            ranges[due.time_zone] = (micros(interval.start), micros(interval.end))
        start, end = ranges[due.time_zone]
        if start <= due.start_us < end and due.end_us <= now_us:
            kept.append(billing)
    # Prepaid credits would pay either bill, and so hide the difference.
    return replace(plan, billings=tuple(kept), grants=())


def _intervals(plan: BillingPlan) -> dict[str, str]:
    """Subscription → how often its plan bills."""
    return {billing.due.subscription: billing.due.plan.interval for billing in plan.billings}


def _compare(
    before: Iterable[Invoice], after: Iterable[Invoice], old: dict[str, str], new: dict[str, str], problems: list[str]
) -> list[ComparedSubscription]:
    ours, theirs = _by_subscription(before), _by_subscription(after)
    found: list[ComparedSubscription] = []
    for name in dict.fromkeys([*ours, *theirs]):
        mine, other = ours.get(name, []), theirs.get(name, [])
        currencies = {invoice["currency"] for invoice in [*mine, *other]}
        if len(currencies) > 1:
            problems.append(
                f"subscription {name}: the currencies {' and '.join(sorted(currencies))} cannot be compared"
            )
        elif not mine or not other or old.get(name) != new.get(name):
            problems.append(f"subscription {name}: its billing periods would be others, so they cannot be compared")
        else:
            found.append(_compared(name, mine, other))
    found.sort(key=lambda one: (one.difference, one.account_id, one.subscription))
    return found


def _by_subscription(invoices: Iterable[Invoice]) -> dict[str, list[Invoice]]:
    found: dict[str, list[Invoice]] = {}
    for invoice in invoices:
        found.setdefault(invoice["subscription"], []).append(invoice)
    return found


def _compared(subscription: str, before: list[Invoice], after: list[Invoice]) -> ComparedSubscription:
    sides = [[line for invoice in one for line in invoice["lines"]] for one in (before, after)]
    charges = []
    for code in dict.fromkeys(line["charge"] for side in sides for line in side):
        sums = [exact_sum(Decimal(line["amount"]) for line in side if line["charge"] == code) for side in sides]
        quantities = [line["quantity"] for side in sides for line in side if line["charge"] == code]
        charges.append(ComparedCharge(code, quantities[0], sums[0], sums[1]))
    totals = [exact_sum(Decimal(line["amount"]) for line in side) for side in sides]
    head = before[0]
    return ComparedSubscription(
        head["account_id"], subscription, head["currency"], totals[0], totals[1], tuple(charges)
    )


def _amounts(before: Decimal, after: Decimal, currency: str) -> dict[str, str]:
    return {
        "before": money_text(before, currency), "after": money_text(after, currency),
        "difference": money_text(after - before, currency),
    }  # fmt: skip
