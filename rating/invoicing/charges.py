"""Resolves the charges of plans against a catalog: what an invoice must measure, and at which prices. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from msgspec import Struct

from rating.invoicing.bounded_groups import named_values
from rating.invoicing.need import Need
from rating.invoicing.split_lines import by_time, joins, split_prices
from rating.pricing import PriceError
from rating.pricing.allowance import allowance
from rating.subscriptions.billing_periods import PeriodPart
from rating.subscriptions.period_lock import PeriodLock
from rating.subscriptions.timeline import PlanningError
from rating.usage import UsageGroup, measured, valid_versions
from schemas.catalog.models import Charge, Product
from schemas.catalog.profiles import ProfileVersion, profile_versions
from schemas.catalog.state import NamespaceView
from schemas.ledgers.invoice_record import LinePlan
from schemas.prices import FlatPrice, MatrixPrice, Price, Proration, price_in
from schemas.values.instants import SECOND, rfc3339
from schemas.values.json_text import JsonObject
from schemas.values.record_copy import replace

__all__ = ["ChargeBook", "Need", "ResolvedCharge", "Totals", "metered", "proration"]

_MAX_ITEMS: Final = 1000


class ResolvedCharge(Struct, frozen=True):
    """A resolved charge over a part of a period. ``need`` is None and ``versions`` () for a flat product.
    ``price``: as pinned on its line, with proration and trial of the part. ``plan`` None: the invoice's own."""

    charge: Charge
    product: Product
    price: Price
    need: Need | None = None
    versions: tuple[int, ...] = ()
    start_us: int = 0
    end_us: int = 0
    note: str = ""
    plan: LinePlan | None = None


Totals = Mapping[Need, Mapping[str, list[UsageGroup]]]
"""Need → account → its rows (one, or one per combination of dimensions); accounts without usage are missing."""


class ChargeBook:
    """Resolves charges against one catalog view, with every lookup cached. ``waits``: what a pending backfill counts
    is not billed before it is done; an estimate does not wait. ``lock``: the invoices that nothing adjusts any more."""

    def __init__(self, view: NamespaceView, *, waits: bool = False) -> None:
        self._view = view
        self.lock = PeriodLock.of(view)
        self._profiles: dict[str, tuple[ProfileVersion, ...]] = {}
        for version in profile_versions(view):
            self._profiles[version.profile_id] = (*self._profiles.get(version.profile_id, ()), version)
        # Most subscriptions share their plan and their period. By the plans themselves, which are kept so that their
        # ids stay theirs.
        self._items: dict[Any, tuple[tuple[PeriodPart, ...], tuple[ResolvedCharge, ...]]] = {}
        self._waiting = {
            name: min(starts)
            for name, versions in (self._profiles.items() if waits else ())
            if (
                starts := [
                    version.backfill_from_us
                    for version in versions
                    if version.backfill_from_us is not None and version.waits()
                ]
            )
        }

    def items(self, parts: tuple[PeriodPart, ...], in_advance: bool = False) -> tuple[ResolvedCharge, ...]:
        """The charges over a period's parts, by part in the plan's order: charges in arrears, or the fees in
        advance.

        A flat fee is not charged in a trial; one that is not prorated is billed once, with the first part that has
        it. Raises PlanningError, which names the charge.
        """
        key = (
            in_advance,
            *[
                (id(part.plan), part.plan_version, part.start_us, part.end_us, part.whole_us, part.trial)
                for part in parts
            ],
        )
        known = self._items.get(key)
        if known is None:
            if len(self._items) >= _MAX_ITEMS:
                self._items.clear()
            known = self._items[key] = parts, self._resolved(parts, in_advance)
        return known[1]

    def _resolved(self, parts: tuple[PeriodPart, ...], in_advance: bool) -> tuple[ResolvedCharge, ...]:
        items: list[ResolvedCharge] = []
        together: dict[int, list[tuple[PeriodPart, Charge]]] = {}
        whole_fees: set[str] = set()
        several_plans = len({(part.plan.code, part.plan_version) for part in parts}) > 1
        for part in parts:
            for charge in part.plan.charges:
                if charge.in_advance != in_advance:
                    continue
                note = f"plan {part.plan.code} version {part.plan_version}" if several_plans else ""
                item = self._item(part, charge, note)
                joined = next(
                    (position for position, earlier in enumerate(items) if joins(earlier, part, charge, item)), None
                )
                if joined is not None:
                    together[joined].append((part, charge))
                    items[joined] = self._over(together[joined], note)
                    continue
                fee = item.need is None or isinstance(item.price, FlatPrice)
                if fee and (charge.key in whole_fees or (part.trial and item.need is None)):
                    continue
                if fee and not charge.prorated and not part.trial:
                    whole_fees.add(charge.key)
                together[len(items)] = [(part, charge)]
                items.append(item)
        if len(parts) > 1:  # within a part no price changes
            for number, price in split_prices(items, [together[number][0] for number in range(len(items))]):
                items[number] = replace(items[number], price=price)
        return tuple(items)

    def _over(self, parts: Sequence[tuple[PeriodPart, Charge]], note: str) -> ResolvedCharge:
        """A charge measured once over consecutive parts, on the last one's plan; each part's price is computed as
        if it applied to all of them."""
        start_us, end_us = parts[0][0].start_us, parts[-1][0].end_us
        last_part, last_charge = parts[-1]
        item = self._item(replace(last_part, start_us=start_us), last_charge, note)
        prices = [
            (_part_price(replace(part, start_us=start_us, end_us=end_us), charge), part.end_us - part.start_us)
            for part, charge in parts
        ]
        return replace(item, price=by_time(prices))

    def _item(self, part: PeriodPart, charge: Charge, note: str) -> ResolvedCharge:
        location = _location(part, charge)
        price = _part_price(part, charge)
        plan = LinePlan(part.plan.code, part.plan_version)
        entry = self._view.get("product", charge.product)
        if entry is None:
            raise PlanningError(f"{location}: there is no product {charge.product}; publish it")
        product: Product = entry.model
        if product.profile is None:
            return ResolvedCharge(charge, product, price, None, (), part.start_us, part.end_us, note, plan)
        versions = self._versions(product.profile, location)
        backfilled_us = self._waiting.get(versions[0].profile_id)
        if backfilled_us is not None and backfilled_us < part.end_us:
            raise PlanningError(
                f"profile {versions[0].profile_id} is being backfilled from {rfc3339(backfilled_us)} on; what it "
                "measures is billed once that is done (`weir backfill list`)"
            )
        need = self.need(versions[0].profile_id, price, part.start_us, part.end_us)
        valid = tuple(version.version for version in valid_versions(versions, part.start_us, part.end_us))
        return ResolvedCharge(charge, product, price, need, valid, part.start_us, part.end_us, note, plan)

    def need(self, profile_id: str, price: Price, start_us: int, end_us: int) -> Need:
        """The measurement needed to re-rate a line of a stored invoice. Raises PlanningError."""
        versions = self._versions(profile_id, f"profile {profile_id} of an earlier invoice")
        dimensions = price.dimensions if isinstance(price, MatrixPrice) else ()
        return Need(measured(versions, start_us, end_us), start_us, end_us, dimensions, named_values(price))

    def _versions(self, address: str, location: str) -> tuple[ProfileVersion, ...]:
        found = self._profiles.get(address)
        if found is None and "." not in address:
            of_meter = [versions for versions in self._profiles.values() if versions[0].meter == address]
            found = of_meter[0] if len(of_meter) == 1 else None
        if found is None:
            raise PlanningError(f"{location}: there is no profile {address}; publish its meter, or mend the product")
        return found


def metered(items: Iterable[ResolvedCharge]) -> tuple[ResolvedCharge, ...]:
    """The charges that an interim invoice bills: those by use. Fees come with the period's own invoice."""
    return tuple(item for item in items if item.need is not None and not isinstance(item.price, FlatPrice))


def _location(part: PeriodPart, charge: Charge) -> str:
    return f"plan {part.plan.code} version {part.plan_version}, charge {charge.key}"


def _part_price(part: PeriodPart, charge: Charge) -> Price:
    try:
        price = price_in(charge.price, part.plan.currency)
    except PriceError as error:
        raise PlanningError(f"{_location(part, charge)}: {error}") from None
    return _of_part(price, part, charge)


def _of_part(price: Price, part: PeriodPart, charge: Charge) -> Price:
    """The price as pinned on the line of a part, with its proration if that changes the amount."""
    length = part.end_us - part.start_us
    changes: JsonObject = {"trial": True} if part.trial else {}
    if charge.prorated and length < part.whole_us and (isinstance(price, FlatPrice) or price.minimum_amount):
        changes["proration"] = proration(length, part.whole_us)
    if charge.included == "prorated" and length < part.whole_us and allowance(price):
        changes["included_proration"] = proration(length, part.whole_us)
    return price.model_copy(update=changes) if changes else price


def proration(part_us: int, whole_us: int) -> Proration:
    """The proration for lengths in microseconds."""
    return Proration(part_seconds=Decimal(part_us) / SECOND, whole_seconds=Decimal(whole_us) / SECOND)
