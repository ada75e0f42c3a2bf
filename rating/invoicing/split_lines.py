"""Groups the lines of a period that was split by a change of price. Pure.

Parts of a charge with one code and one profile, whose usage adds up, share the allowance and continue the tiers as
long as the plan is the same, or if the charge says so. The group is stored in the price pinned on each line
(``Split.of``), so that late usage of one part re-rates the others.
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
"""Aggregations for which a period's quantity is the sum of its parts' quantities."""


class Joinable(Protocol):
    """A resolved charge over a part of a period."""

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
    """Whether a charge is measured once over ``part`` and the ``earlier`` part. Highest, last or distinct values of
    two parts do not add up to the whole's and would be charged twice; such a charge is billed separately only if it
    says that it starts anew (``tiers: reset``)."""
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
    """The price of a line over consecutive parts; ``prices``: each part's price and its length in microseconds. The
    last price, with the earlier ones where they differ."""
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
    """Item ``number`` of the period; whether allowance and tiers continue from earlier parts."""

    number: int
    shared: bool
    goes_on: bool


@dataclass(slots=True)
class _Group:
    """``plans``: codes of the plans of its parts; the first names the group."""

    plans: list[str]
    members: list[_Member] = field(default_factory=list)


def split_prices(items: Sequence[Joinable], begins: Sequence[tuple[PeriodPart, Charge]]) -> Iterator[tuple[int, Price]]:
    """(number of an item, its price with its Split) for the items of a period that belong together; ``begins``: each
    item's first part, and the charge in it. What the parts used is not known yet."""
    for group in _groups(items, begins):
        later = group.members[1:]
        prices = [items[member.number].price for member in group.members]
        if not any(member.shared or member.goes_on for member in later) or not must_be_priced_together(prices):
            continue
        for position, (member, price) in enumerate(zip(group.members, prices, strict=True)):
            split = Split(
                of=group.plans[0],
                included_before=Decimal(0) if position and member.shared else None,
                priced_before=Decimal(0) if position and member.goes_on else None,
            )
            yield member.number, price.model_copy(update={"split": split})


def _groups(items: Sequence[Joinable], begins: Sequence[tuple[PeriodPart, Charge]]) -> Iterator[_Group]:
    """Items in a trial, and those whose usage does not add up, stand alone."""
    by_charge: dict[tuple[str, str], list[_Group]] = {}
    for number, (item, (part, charge)) in enumerate(zip(items, begins, strict=True)):
        need = item.need
        if need is None or part.trial or need.profile.aggregation not in ADDS_UP:
            continue
        groups = by_charge.setdefault((charge.key, need.profile.profile_id), [])
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
    for groups in by_charge.values():
        yield from groups
