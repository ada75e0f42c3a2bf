"""What is allowed and told before it bills: one event that two charges can bill, and currencies that are no longer in use (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rating.close.standing import Invoice
from rating.close.timeline import timelines
from rating.periods import parse_zone
from schemas.both_match import Budget, Measuring, double_billed
from schemas.catalog.models import Plan
from schemas.catalog.profiles import resolve
from schemas.catalog.state import NamespaceView
from schemas.currency import withdrawn
from schemas.instants import instant


def billed_twice(view: NamespaceView, start_us: int, end_us: int) -> list[str]:
    """Pairs of charges that an account has at one time within [start_us, end_us), on one plan or on plans of two subscriptions."""
    plans: dict[str, dict[tuple[str, int], Plan]] = {}
    for line in timelines(view, []):
        for segment in line.segments:
            if segment.start_us < end_us and start_us < segment.end_us:
                plans.setdefault(line.account_id, {})[segment.plan.code, segment.plan_version] = segment.plan
    told: dict[str, None] = {}
    budget = Budget()
    seen: set[frozenset[tuple[str, int]]] = set()
    for account, some in plans.items():
        if (combination := frozenset(some)) in seen:
            continue
        seen.add(combination)
        where = (
            f"plan {next(iter(some))[0]}"
            if len(some) == 1
            else f"plans {', '.join(sorted({code for code, _ in some}))} of {account}"
        )
        charges = {one.charge: one for plan in some.values() for one in _charges(view, plan, several=len(some) > 1)}
        told |= {f"{where}: {sentence}": None for sentence in double_billed(list(charges.values()), budget)}
    return list(told)


def _charges(view: NamespaceView, plan: Plan, *, several: bool) -> Iterator[Measuring]:
    for charge in plan.charges:
        product = view.get("product", charge.product)
        if product is None or product.model.profile is None:
            continue
        try:
            profile = resolve(view, product.model.profile)[-1]
        except LookupError:  # told as a subscription that cannot be billed
            continue
        name = f"{plan.code}.{charge.key}" if several else charge.key
        yield Measuring(
            name, profile.profile_id, profile.event_name, profile.aggregation, profile.property, profile.filters
        )


def withdrawn_currencies(invoices: Iterable[Invoice]) -> list[str]:
    """Currencies of invoices whose periods begin after they were withdrawn."""
    found: dict[str, int] = {}
    for invoice in invoices:
        gone = withdrawn(invoice["currency"])
        if gone is not None:
            began = instant(invoice["period_start"]).astimezone(parse_zone(invoice["time_zone"])).date()
            if began >= gone:
                found[invoice["currency"]] = found.get(invoice["currency"], 0) + 1
    return [f"{code}: not in use since {withdrawn(code)}, {count} invoices" for code, count in sorted(found.items())]
