"""Which lines of a period belong together, because a change of price has split what was one: pure.

Parts of a charge of one code on one profile, whose usage adds up, share its allowance and go on with its tiers as long
as the plan is the same, or where the charge says so. Which they are stands in the price that each line pins
(``Split.of``), so that late usage of one part rates the others again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final, Protocol

from rating.invoicing.need import Need
from rating.pricing.split_charges import must_be_priced_together
from rating.subscriptions.billing_periods import PeriodPart
from schemas.catalog.meters import Aggregation
from schemas.catalog.models import Charge
from schemas.ledgers.invoice_record import LinePlan
from schemas.prices import ByTime, EarlierPrice, FlatPrice, Price, Split
from schemas.values.instants import SECOND

ADDS_UP: Final[frozenset[Aggregation]] = frozenset({"sum", "count"})
"""Aggregations of which a period's quantity is the sum of its parts'."""


class Joinable(Protocol):
    """What a part of a period has to bill of one charge, resolved."""

    @property
    def charge(self) -> Charge: ...
    @property
    def price(self) -> Price: ...
    @property
    def need(self) -> Need | None: ...
    @property
    def end_us(self) -> int: ...
    @property
    def plan(self) -> LinePlan | None: ...


def joins(earlier: Joinable, part: PeriodPart, charge: Charge, item: Joinable) -> bool:
    """Whether a charge is measured once over ``part`` and what is ``earlier``. A highest or last value, or distinct
    values, of two parts do not add up to the whole's, so they would be charged twice if they were billed apart; a
    charge whose price or plan changes is billed apart only where it says that it begins anew (``tiers: reset``)."""
    need, earlier_need = item.need, earlier.need
    if need is None or earlier_need is None or need.profile.aggregation in ADDS_UP:
        return False
    if isinstance(item.price, FlatPrice) or isinstance(earlier.price, FlatPrice):
        return False
    same_charge = charge.key == earlier.charge.key and charge.product == earlier.charge.product
    same_usage = (
        need.profile.profile_id == earlier_need.profile.profile_id and need.dimensions == earlier_need.dimensions
    )
    goes_on = earlier.end_us == part.start_us and earlier.price.trial == item.price.trial
    unchanged = charge == earlier.charge and earlier.plan is not None and earlier.plan.code == part.plan.code
    return same_charge and same_usage and goes_on and (unchanged or charge.tiers != "reset")


def by_time(prices: Sequence[tuple[Price, int]]) -> Price:
    """The price of a line over parts that follow one another; ``prices``: each part's price and length, microseconds.
    The last one's, with those before it where they differ."""
    distinct: list[tuple[Price, int]] = []
    for price, length_us in prices:
        if distinct and distinct[-1][0] == price:
            length_us += distinct.pop()[1]
        distinct.append((price, length_us))
    last_price, last_us = distinct[-1]
    if len(distinct) == 1:
        return last_price
    earlier = tuple(
        EarlierPrice(price=price, seconds=Decimal(length_us) / SECOND) for price, length_us in distinct[:-1]
    )
    return last_price.model_copy(update={"by_time": ByTime(seconds=Decimal(last_us) / SECOND, earlier=earlier)})


@dataclass(frozen=True, slots=True)
class _Member:
    """Item ``number`` of the period; whether what was used of the allowance before counts, and tiers go on."""

    number: int
    shared: bool
    goes_on: bool


@dataclass(slots=True)
class _Group:
    """``plans``: codes of the plans that its parts are on; the first names it."""

    plans: list[str]
    members: list[_Member] = field(default_factory=list)


class Groups:
    """Collects the items of a period, part by part."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], list[_Group]] = {}

    def add(self, part: PeriodPart, charge: Charge, need: Need | None, number: int) -> None:
        """Item ``number`` is ``charge`` over ``part``. What is in a trial, or adds up to no sum, stands alone."""
        if need is None or part.trial or need.profile.aggregation not in ADDS_UP:
            return
        groups = self._found.setdefault((charge.key, need.profile.profile_id), [])
        group = next((group for group in groups if part.plan.code in group.plans), None)
        same_plan = group is not None
        if group is None and groups and (charge.included == "shared" or charge.tiers == "continue"):
            group = groups[-1]
            group.plans.append(part.plan.code)
        if group is None:
            group = _Group([part.plan.code])
            groups.append(group)
        shared = charge.included == "shared" or (charge.included is None and same_plan)
        goes_on = charge.tiers == "continue" or (charge.tiers is None and same_plan)
        group.members.append(_Member(number, shared, goes_on))

    def split(self, prices: Sequence[Price]) -> Iterator[tuple[int, Price]]:
        """(number, its price as one of several parts) of items that stand together; ``prices``: of all items. What the
        parts used and priced is not known yet."""
        for groups in self._found.values():
            for group in groups:
                later = group.members[1:]
                member_prices = [prices[member.number] for member in group.members]
                if not any(
                    later_price.shared or later_price.goes_on for later_price in later
                ) or not must_be_priced_together(member_prices):
                    continue
                for position, (one, price) in enumerate(zip(group.members, member_prices, strict=True)):
                    split = Split(
                        of=group.plans[0],
                        included_before=Decimal(0) if position and one.shared else None,
                        priced_before=Decimal(0) if position and one.goes_on else None,
                    )
                    yield one.number, price.model_copy(update={"split": split})
