"""Warnings about a valid catalog document: events billed by two charges, withdrawn currencies, default values that
cannot be measured, terms that do nothing. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice
from typing import Final

from ingest.catalog.checks.idle_terms import idle_terms
from ingest.catalog.checks.touched import Touched
from ingest.catalog.document import Fault, Tick, no_tick
from ingest.catalog.planned import Planned
from schemas.catalog.meters import EventType, Meter
from schemas.catalog.models import Plan, Product
from schemas.event_schema import parse_schema
from schemas.event_schema.filled import Defaults
from schemas.filters import MISSING as ABSENT
from schemas.matching.overlap import Budget, Measuring, double_billed
from schemas.values.currency import withdrawn
from schemas.values.quantity import number

MAX_WARNINGS: Final = 100


def catalog_warnings(
    planned: Planned, touched: Touched, tick: Tick = no_tick, now_us: int | None = None
) -> tuple[Fault, ...]:
    """At most MAX_WARNINGS warnings about the plans, meters, event types, credit grants and alert rules that a document
    declares or affects; ``now_us``: the present, microseconds UTC. Raises what ``tick`` raises."""
    of_document = chain(
        _warnings(planned, touched, tick), _defaults(planned, touched, tick), idle_terms(planned, touched, now_us)
    )
    return tuple(islice(of_document, MAX_WARNINGS))


def _defaults(planned: Planned, touched: Touched, tick: Tick) -> Iterator[Fault]:
    """Default values of event types that a profile cannot measure, for meters declared in the document directly or
    by their event type."""
    path_of = planned.paths.get
    for code in touched.codes.get("meter", ()):
        meter = planned.get("meter", code)
        if not isinstance(meter, Meter):
            continue
        declared = planned.get("event_type", meter.event_name or code)
        if not isinstance(declared, EventType) or declared.avro is None or not declared.fill_defaults:
            continue
        at = path_of(("meter", code)) or path_of(("event_type", declared.code))
        if at is None:
            continue
        tick()
        defaults = Defaults(parse_schema(declared.avro))
        for profile in meter.profiles:
            if profile.property is None or profile.aggregation == "count_unique":
                continue
            default = defaults.getter(profile.property)({})
            if default is not ABSENT and number(default) is None:
                yield Fault(
                    at,
                    f"profile {code}.{profile.code}: an event that leaves out {'.'.join(profile.property)} counts "
                    "for nothing, since the default of the "
                    f"event type's schema, {str(default)[:60]!r}, is no number; give it one, or null",
                )


def _warnings(planned: Planned, touched: Touched, tick: Tick) -> Iterator[Fault]:
    path_of = planned.paths.get
    budget = Budget()
    for code in touched.plans:
        plan = planned.get("plan", code)
        if not isinstance(plan, Plan):
            continue
        tick()
        at = path_of(("plan", code))
        if at is not None and (gone := withdrawn(plan.currency)) is not None:
            detail = (
                f"{plan.currency} is not in use since {gone}; it bills what was used before, and each later "
                "period is told when it is billed"
            )
            yield Fault(f"{at}.currency", detail)
        charges: list[Measuring] = []
        declared = at is not None
        for charge in plan.charges:
            product = planned.get("product", charge.product)
            if not isinstance(product, Product) or product.profile is None:
                continue
            meter_code, _, profile_code = product.profile.partition(".")
            meter = planned.get("meter", meter_code)
            if not isinstance(meter, Meter):
                continue
            declared = (
                declared or path_of(("product", product.code)) is not None or path_of(("meter", meter.code)) is not None
            )
            profiles = [counted for counted in meter.profiles if not profile_code or counted.code == profile_code]
            charges += [Measuring.of(charge.key, meter, profile) for profile in profiles[:1]]
        if declared and len(charges) > 1:
            for sentence in double_billed(charges, budget):
                yield Fault(at or "$", f"plan {code}: {sentence}; it is allowed, look whether it is meant")
