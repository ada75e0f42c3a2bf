"""What a catalog document may say, and somebody should know of before it bills: events that two charges bill, withdrawn currencies (pure)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Final

from ingest.catalog_document import Fault, Tick, no_tick
from schemas.both_match import Budget, Measuring, double_billed
from schemas.catalog.base import Model
from schemas.catalog.models import Meter, Plan, Product
from schemas.currency import withdrawn

MAX_WARNINGS: Final = 100


def catalog_warnings(
    current: Mapping[str, Mapping[str, Model]], place: Callable[[str, str], str | None], tick: Tick = no_tick
) -> tuple[Fault, ...]:
    """Of the plans that a document declares, or whose products or meters it does; at most MAX_WARNINGS.

    ``current[kind][code]``: the models as they would be; ``place(kind, code)``: where the document has an entry, None where it has not. Raises
    what ``tick`` raises.
    """
    return tuple(islice(_warnings(current, place, tick), MAX_WARNINGS))


def _warnings(
    current: Mapping[str, Mapping[str, Model]], place: Callable[[str, str], str | None], tick: Tick
) -> Iterator[Fault]:
    budget = Budget()
    for code, plan in current["plan"].items():
        assert isinstance(plan, Plan)
        tick()
        at = place("plan", code)
        if at is not None and (gone := withdrawn(plan.currency)) is not None:
            detail = f"{plan.currency} is not in use since {gone}; it bills what was used before, and each later period is told when it is billed"
            yield Fault(f"{at}.currency", detail)
        charges: list[Measuring] = []
        declared = at is not None
        for charge in plan.charges:
            product = current["product"].get(charge.product)
            if not isinstance(product, Product) or product.profile is None:
                continue
            meter_code, _, profile_code = product.profile.partition(".")
            meter = current["meter"].get(meter_code)
            if not isinstance(meter, Meter):
                continue
            declared = declared or place("product", product.code) is not None or place("meter", meter.code) is not None
            profiles = [one for one in meter.profiles if not profile_code or one.code == profile_code]
            charges += [Measuring.of(charge.key, meter, profile) for profile in profiles[:1]]
        if declared and len(charges) > 1:
            for sentence in double_billed(charges, budget):
                yield Fault(at or "$", f"plan {code}: {sentence}; it is allowed, look whether it is meant")
