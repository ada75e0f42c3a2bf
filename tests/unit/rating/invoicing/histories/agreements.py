"""Agreements of a subscription drawn at random, and what each owes, in plain fractions."""

from __future__ import annotations

import calendar
import random
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from math import floor
from typing import Any

from schemas.values.instants import DAY, rfc3339
from tests.unit.rating.builders import us

START = us("2025-01-01T00:00:00Z")


PLANS = {"basic": ("30", "10", "1"), "pro": ("60", "0", "2"), "plus": ("60.5", "7", "1.5")}
"""Plan → fee of a seat in advance, fee of support, price of a unit."""


FREE = 10


def rounded(amount: Fraction) -> Fraction:
    return Fraction(floor(abs(amount) * 100 + Fraction(1, 2)), 100) * (1 if amount >= 0 else -1)


def price(model: str, unit: str) -> dict[str, Any]:
    tiers = [{"up_to": str(FREE), "unit_amount": "0"}, {"up_to": None, "unit_amount": unit}]
    if model == "per_unit":
        return {"model": model, "unit_amount": unit, "included_units": str(FREE)}
    if model == "package":
        return {"model": model, "package_size": "3", "package_amount": unit, "free_units": "4"}
    return {"model": model, "tiers": tiers}


def costs(model: str, parts: list[tuple[Fraction, str]]) -> Fraction:
    """What (quantity, unit amount) of the parts of a period come to that a change of price has split."""
    fraction = previous_fraction = Fraction(0)
    full_sum = sum((quantity for quantity, _ in parts), Fraction(0))
    for quantity, unit in parts:
        until = previous_fraction + quantity
        if model == "volume":
            count = quantity if full_sum > FREE else Fraction(0)
        elif model == "package":
            count = Fraction(-(-max(until - 4, Fraction(0)) // 3) + (-max(previous_fraction - 4, Fraction(0)) // 3))
        else:
            count = max(until - FREE, Fraction(0)) - max(previous_fraction - FREE, Fraction(0))
        fraction += rounded(count * Fraction(unit))
        previous_fraction = until
    return fraction


@dataclass
class Event:
    """``quantity`` on ``day``, known from ``came`` on, voided on ``gone``."""

    day: int
    quantity: int
    came: int
    gone: int | None

    def counts(self, today: int) -> bool:
        return self.came <= today and (self.gone is None or self.gone > today)


@dataclass
class Agreement:
    """A subscription as it will have been told; ``news``: day → what is published of it then."""

    code: str
    model: str
    interval: str
    terms: dict[str, Any]
    trial: int
    end: int
    changes: list[tuple[int, str, str]] = field(default_factory=list)
    news: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)

    def owes(self) -> Fraction:
        """In all, by its periods."""
        months = [calendar.monthrange(2025, month)[1] for month in range(1, 13)]
        step = 1 if self.interval == "month" else 3
        lengths = [sum(months[first_number : first_number + step]) for first_number in range(0, 12, step)]
        used = {discount["code"]: 0 for discount in self.terms["discounts"]}
        owed, first_count = Fraction(0), 0
        for length in lengths:
            if first_count < self.end:
                owed += self._period(first_count, min(first_count + length, self.end), length, used)
            first_count += length
        return owed

    def _period(self, first: int, last: int, length: int, used: dict[str, int]) -> Fraction:
        edges = {first, last, *(day for day, _, _ in self.changes), self.trial}
        charges: dict[str, Fraction] = {}
        groups: dict[str, list[tuple[Fraction, str]]] = {}
        paying = Fraction(0)
        for begin, end in pairwise(sorted(edge for edge in edges if first <= edge <= last)):
            if begin < self.trial:
                continue
            part = Fraction(end - begin, length)
            paying += part
            plan, unit = ([("basic", "1")] + [(plan, unit) for day, plan, unit in self.changes if day <= begin])[-1]
            for product, amount in zip(("seat", "support"), PLANS[plan], strict=False):
                if amount != "0":
                    charges[product] = charges.get(product, Fraction(0)) + rounded(Fraction(amount) * part)
            used_units = sum(
                event.quantity for event in self.events if begin <= event.day < end and event.counts(10**6)
            )
            groups.setdefault(plan, []).append((Fraction(used_units), unit))
        for parts in groups.values():
            charges["c"] = charges.get("c", Fraction(0)) + costs(self.model, parts)
        total = sum(charges.values(), Fraction(0))
        moment = rfc3339(START + last * DAY - 1)[:10]
        discounts = [
            discount for discount in self.terms["discounts"] if used[discount["code"]] < discount.get("periods", 99)
        ]
        discounts = [
            discount for discount in discounts if discount.get("start", "") <= moment < discount.get("end", "9")
        ]
        for discount in sorted(discounts, key=lambda item: "product" not in item):
            used[discount["code"]] += 1
            base = min(charges.get(discount["product"], Fraction(0)), total) if "product" in discount else total
            wants = (
                base * Fraction(discount["percent"]) / 100 if "percent" in discount else Fraction(discount["amount"])
            )
            off = rounded(min(wants, base))
            total -= off
            if "product" in discount and base:
                charges[discount["product"]] -= off
        least = rounded(Fraction(self.terms.get("minimum_commitment", 0)) * paying)
        return max(total, least) if charges else total


def agreement(code: str, draw: random.Random, *, terms: bool) -> Agreement:
    discounts: list[dict[str, Any]] = []
    for number in range(draw.choice([0, 1, 1, 2]) if terms else 0):
        value: dict[str, Any] = {"code": f"d{number}"} | draw.choice(
            [{"percent": "50"}, {"percent": "33"}, {"amount": "25"}]
        )
        value |= draw.choice([{}, {"product": "seat"}, {"product": "support"}, {"product": "c"}])
        value |= draw.choice([{}, {"periods": draw.randint(1, 3)}])
        value |= draw.choice(
            [{}, {"start": f"2025-0{draw.randint(1, 4)}-01"}, {"end": f"2025-0{draw.randint(3, 6)}-01"}]
        )
        discounts.append(value)
    agreed: dict[str, Any] = {"discounts": discounts}
    if terms and draw.random() < 0.5:
        agreed["minimum_commitment"] = draw.choice(["20", "100", "300"])
    end = draw.randint(20, 130)
    interval = draw.choice(["month", "month", "quarter"])
    item = Agreement(
        code,
        draw.choice(["per_unit", "tiered", "volume", "package"]),
        interval,
        agreed,
        draw.choice([0, 0, 10, 31]),
        end,
    )
    body = {"code": code, "account": "acme", "plan": f"basic-{code}", "start": rfc3339(START)} | agreed
    if item.trial:
        body["trial_end"] = rfc3339(START + item.trial * DAY)
    item.news[0] = [body]
    current, count = ("basic", "1"), 0
    for day in sorted({draw.randint(1, end) for _ in range(draw.randint(0, 3))} - {end}):
        plan = draw.choice(list(PLANS)) if draw.random() < 0.5 else current[0]
        unit = draw.choice(["2", "1.5", "0.33", PLANS[plan][2]])
        if (plan, unit) != current:
            current, count = (plan, unit), max(count, day - draw.choice([0, 0, 5, 30]), 0)
            item.changes.append((day, plan, unit))
            body = body | {"plan": f"{plan}-{code}", "change_at": rfc3339(START + day * DAY)}
            second_value = [{"charge": "c", "price": price(item.model, unit)}] if unit != PLANS[plan][2] else []
            body = body | {"overrides": second_value}
            item.news.setdefault(count, []).append(body)
    count = max(count, end - draw.randint(0, 40), 0)
    item.news.setdefault(count, []).append(body | {"end": rfc3339(START + end * DAY)})
    for _ in range(draw.randint(0, 10)):
        day = draw.randint(0, end + 5)
        came = day + draw.choice([0, 0, 15, 40])
        item.events.append(Event(day, draw.randint(0, 12), came, draw.choice([None, None, came + draw.randint(1, 60)])))
    return item
