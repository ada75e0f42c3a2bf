"""A monthly subscription whose usage is a list of events, closed step by step, without ClickHouse: what is measured is
folded here."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from rating.invoices.amounts.prepaid.live_balances import DrawnInAll
from rating.invoices.amounts.prepaid_credits import drawn, owned_grants
from rating.invoices.ledger import StandingInvoices
from rating.invoicing.charges import Totals
from rating.invoicing.due import current_span
from rating.invoicing.expected_invoice import EstimateInputs, MeasureUsage, Running, expect
from rating.invoicing.late.late_usage import Late, LateBySubscription
from rating.invoicing.measure import needs_of
from rating.invoicing.need import Need
from rating.invoicing.run_plan import RunPlan, build_invoices, make_plan
from rating.subscriptions.shared_timelines import timelines
from rating.usage import Usage, UsageGroup
from schemas.ledgers.checkpoints import Run
from schemas.ledgers.invoice_record import Invoice
from schemas.values.instants import DAY
from tests.unit.rating.builders import Shelf, us

JANUARY, FEBRUARY, MARCH, APRIL = (us(f"2026-0{month}-01T00:00:00Z") for month in (1, 2, 3, 4))
SUBSCRIPTION = {"code": "s", "account": "acme", "plan": "basic", "start": "2026-01-01T00:00:00Z"}


@dataclass(frozen=True, slots=True)
class Used:
    """An event: quantity, dimension values, instant in microseconds, and the numbers of the closes before which it
    came and was voided (0: before the first; never)."""

    quantity: Decimal
    at_us: int
    values: tuple[str, ...] = ()
    close: int = 0
    voided: int = 0

    def counts(self, close: int) -> bool:
        return self.close <= close and not 0 < self.voided <= close


def used(day: float, quantity: Any, *values: str, close: int = 0, voided: int = 0) -> Used:
    """On a day of 2026, counted from 0 (1 January)."""
    return Used(Decimal(quantity), JANUARY + int(day * DAY), values, close, voided)


def catalog(price: dict[str, Any], more: Sequence[dict[str, Any]] = (), **charge: Any) -> Shelf:
    """One metered charge ``c`` on plan basic, in UTC, without grace; profile m.p, a sum by dimension ``model``."""
    shelf = Shelf()
    profile = {"code": "p", "aggregation": "sum", "property": "n", "dimensions": ["model"]}
    others = [
        {"code": "top", "aggregation": "max", "property": "n"},
        {"code": "users", "aggregation": "count_unique", "property": "n"},
    ]
    shelf.add("meter", {"code": "m", "profiles": [profile, *others]})
    shelf.add("product", {"code": "c", "profile": "m.p"})
    shelf.add("product", {"code": "top", "profile": "m.top"})
    shelf.add("product", {"code": "users", "profile": "m.users"})
    shelf.add("product", {"code": "fee", "kind": "flat"})
    shelf.add("plan", plan(price, more=more, **charge))
    shelf.add("account", {"code": "acme"})
    shelf.add("subscription", SUBSCRIPTION)
    return shelf


def plan(
    price: dict[str, Any], code: str = "basic", more: Sequence[dict[str, Any]] = (), **charge: Any
) -> dict[str, Any]:
    charges = [{"product": "c", "price": price} | charge, *more]
    return {"code": code, "currency": "USD", "grace_seconds": 0, "charges": charges}


def close(expected: Shelf, standing: StandingInvoices, as_of: str | int, *, dated: bool = False) -> list[Invoice]:
    """What a run as of that instant (RFC 3339, or UTC microseconds) publishes where nothing was used. ``dated``: the
    run names the instant, else 1970."""
    as_of_us = as_of if isinstance(as_of, int) else us(as_of)
    result = make_plan(expected.view(), standing, as_of_us, {})
    assert result.problems == ()
    invoices, problems = build_invoices(result, {}, Run("run", 1, 0, as_of_us if dated else 0, {}))
    assert problems == ()
    assert all(standing.apply(invoice) for invoice in invoices)
    return list(invoices)


class Books:
    """A subscription's invoices, and the events that came so far."""

    def __init__(self, shelf: Shelf, events: Sequence[Used]) -> None:
        self.shelf, self.events, self.standing, self.closes = shelf, list(events), StandingInvoices(), 0

    def close(self, as_of_us: int) -> list[Invoice]:
        """What the next run publishes: with everything that came before it, also late."""
        self.closes += 1
        late = [event for event in self.events if self.closes in (event.close, event.voided)]
        profiles = ("m.p", "m.top")
        records = (
            {"s": tuple(Late(name, item.at_us, item.at_us, 1) for item in late for name in profiles)} if late else {}
        )
        result = make_plan(self.shelf.view(), self.standing, as_of_us, records)
        assert result.problems == (), result.problems
        run = Run(f"run_{self.closes}", self.closes, 0, as_of_us, {})
        invoices, problems = build_invoices(result, self.totals(result), run)
        assert problems == ()
        assert all(self.standing.apply(invoice) for invoice in invoices)
        return list(invoices)

    def totals(self, found: RunPlan) -> Totals:
        return self.measure(needs_of(found.billings))

    def measure(self, needs: Iterable[Need]) -> Totals:
        """The totals of the events that count at the last close."""
        totals: dict[Any, dict[str, list[UsageGroup]]] = {}
        for need in needs:
            cells: dict[tuple[str, ...], list[Decimal]] = {}
            for event in self.events:
                if need.start_us <= event.at_us < need.end_us and event.counts(self.closes):
                    cells.setdefault(event.values if need.dimensions else (), []).append(event.quantity)
            folds: dict[str, Any] = {"max": max, "count_unique": lambda values: len(set(values))}
            fold = folds.get(need.profile.aggregation, sum)
            totals[need] = {
                "acme": [
                    UsageGroup(Usage(Decimal(fold(cell)), len(cell)), "acme", None, values) for values,
                    cell in sorted(cells.items())
                ]
            }  # fmt: skip
        return totals


def amounts(invoices: Sequence[Invoice]) -> list[str]:
    """Kind, charge and amount of each line."""
    return [f"{line.kind} {line.charge} {line.amount}" for invoice in invoices for line in invoice.lines]


def by_part(standing: StandingInvoices) -> dict[tuple[str, int], Decimal]:
    """(charge, start of the part) → all that was billed for it, adjustments included."""
    recorded: dict[tuple[str, int], Decimal] = {}
    for invoice in standing.invoices("air"):
        for line in invoice.lines:
            key = line.charge, line.period_start
            recorded[key] = recorded.get(key, Decimal(0)) + Decimal(line.amount)
    return recorded


def estimates(
    expected: Shelf,
    standing: StandingInvoices,
    at_us: int,
    measure: MeasureUsage = lambda needs: {},
    late: LateBySubscription | None = None,
) -> dict[str, Invoice]:
    """Subscription → the invoice that its running period will have; nothing of ``standing`` is changed."""
    return estimates_and_draws(expected, standing, at_us, measure, late)[0]


def estimates_and_draws(
    expected: Shelf,
    standing: StandingInvoices,
    at_us: int,
    measure: MeasureUsage = lambda needs: {},
    late: LateBySubscription | None = None,
) -> tuple[dict[str, Invoice], DrawnInAll]:
    """The same, and what grants pay with them."""
    view = expected.view()
    settled = drawn(standing.invoices("air"))
    known = StandingInvoices.holding(item for chain in standing.chains("air") for item in chain)
    lines = timelines(view, [])
    running = []
    for line in lines:
        until = max((item.period_end for item in known.chain("air", line.subscription)), default=None)
        if (result := current_span(line, until, at_us)) is not None:
            running.append(Running(line, result[0]))
    run = Run("", 1 + max((invoice.checkpoint for invoice in known.invoices("air")), default=0), 0, at_us, {})
    account = EstimateInputs(view, known, lines, owned_grants(view), late or {})
    account, periods, problems = expect(account, running, run, measure)
    assert problems == {}
    wallet, ended = account.wallet(), drawn(account.standing.invoices("air"))
    invoices = {period.running.line.subscription: period.invoice(period.totals, run, wallet) for period in periods}
    return invoices, DrawnInAll(settled, ended, wallet.used)


def amounts_of(invoice: Invoice) -> tuple[str, str]:
    return json.loads(invoice.body)["subtotal"], invoice.total
