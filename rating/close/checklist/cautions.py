"""Findings that are allowed but reported: events that two charges can bill, and withdrawn currencies. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rating.periods import parse_zone
from rating.subscriptions.shared_timelines import timelines
from rating.subscriptions.timeline import Segment
from schemas.catalog.models import Plan
from schemas.catalog.profiles import resolve
from schemas.catalog.state import NamespaceView
from schemas.ledgers.invoice_record import Invoice
from schemas.matching.overlap import Budget, Measuring, double_billed
from schemas.values.currency import withdrawn
from schemas.values.instants import instant
from schemas.values.record_copy import replace


def billed_twice(view: NamespaceView, start_us: int, end_us: int) -> list[str]:
    """Messages for pairs of charges that an account has at the same time within [start_us, end_us), on one plan or
    on two subscriptions, and that can bill the same event."""
    held: dict[str, list[_Held]] = {}
    for line in timelines(view, []):
        for segment in line.segments:
            if max(segment.start_us, start_us) < min(segment.end_us, end_us):
                held.setdefault(line.account_id, []).append((line.subscription, segment))
    charges: dict[tuple[str, int], list[Measuring]] = {}
    sentences: dict[str, None] = {}
    budget = Budget()
    compared: set[tuple[tuple[str, int], ...]] = set()
    for account, all_of_it in held.items():
        for together in _at_one_time(all_of_it):
            plans = tuple(sorted((segment.plan.code, segment.plan_version) for _, segment in together))
            if plans in compared:
                continue
            compared.add(plans)
            codes = sorted({code for code, _ in plans})
            where = (
                f"plan {codes[0]}"
                if len(plans) == 1
                else f"plan{'s' if len(codes) > 1 else ''} {', '.join(codes)} of {account}"
            )
            measuring: list[Measuring] = []
            for subscription, segment in together:
                plan = segment.plan.code, segment.plan_version
                if plan not in charges:
                    charges[plan] = list(_charges(view, segment.plan))
                prefix = f"{plan[0]}." if len(plans) > 1 else ""
                suffix = f" of {subscription}" if plans.count(plan) > 1 else ""
                measuring += [replace(charge, charge=f"{prefix}{charge.charge}{suffix}") for charge in charges[plan]]
            sentences |= {f"{where}: {sentence}": None for sentence in double_billed(measuring, budget)}
    return list(sentences)


_Held = tuple[str, Segment]  # a subscription's code, and a segment of its timeline


def _at_one_time(held: Iterable[_Held]) -> Iterator[list[_Held]]:
    """The maximal groups of segments in force at the same time; of one plan version at most two, since more add
    nothing."""
    changes = sorted(
        (
            (us, begins, holding)
            for holding in held
            for us, begins in ((holding[1].start_us, True), (holding[1].end_us, False))
        ),
        key=lambda change: change[:2],  # at one instant, ends come before begins
    )
    standing: list[_Held] = []
    grown = False
    for _, begins, holding in changes:
        if grown and not begins:
            plans: dict[tuple[str, int], list[_Held]] = {}
            for there in standing:
                plans.setdefault((there[1].plan.code, there[1].plan_version), []).append(there)
            yield [there for plan in plans.values() for there in plan[:2]]
        grown = begins
        if begins:
            standing.append(holding)
        else:
            standing.remove(holding)


def _charges(view: NamespaceView, plan: Plan) -> Iterator[Measuring]:
    for charge in plan.charges:
        product = view.get("product", charge.product)
        if product is None or product.model.profile is None:
            continue
        try:
            profile = resolve(view, product.model.profile)[-1]
        except LookupError:  # reported as a subscription that cannot be billed
            continue
        yield Measuring(
            charge.key, profile.profile_id, profile.event_name, profile.aggregation, profile.property, profile.filters
        )


def withdrawn_currencies(invoices: Iterable[Invoice]) -> list[str]:
    """Currencies of invoices whose periods begin after the currency's withdrawal."""
    counts: dict[str, int] = {}
    for invoice in invoices:
        gone = withdrawn(invoice.currency)
        if gone is not None:
            began = instant(invoice.period_start).astimezone(parse_zone(invoice.time_zone)).date()
            if began >= gone:
                counts[invoice.currency] = counts.get(invoice.currency, 0) + 1
    return [f"{code}: not in use since {withdrawn(code)}, {count} invoices" for code, count in sorted(counts.items())]
