"""Checks a namespace's limits (bounds) on its catalog. Growth beyond a bound is refused; what already exceeds it,
or shrinks, is not. Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from ingest.catalog.changes import Change
from ingest.catalog.document import Fault
from ingest.catalog.planned import Planned
from schemas.catalog.alerts import MAX_RULES
from schemas.catalog.base import Model
from schemas.catalog.bounds import Bounds
from schemas.catalog.meters import Meter
from schemas.catalog.models import KINDS, Plan, Subscription

CountHeld = Callable[[Any], Mapping[str, int]]
"""Measures one entry: relative JSON path → size at that path."""
_ESTIMATED: Final = 64  # minimum size of an entry, in characters
_CHANGE: Final = 1024  # growth of an existing entry that is allowed even in a full catalog, in characters


def bound_faults(bounds: Bounds, planned: Planned) -> Iterator[Fault]:
    """The bounds that a plan would exceed."""
    changed = list(planned.published())
    if not changed:
        return
    yield from _of_entries(bounds, planned, changed)
    yield from _of_all(bounds, planned, changed)
    yield from _of_names(bounds, planned, changed)
    yield from _of_accounts(bounds, planned, changed)
    grown = []
    for change in changed:
        if change.kind != "namespace":
            standing = planned.standing(change.kind, change.code)
            grown.append((_size(planned.get(change.kind, change.code)) - _size(standing), standing))
    if not any(growth > (_CHANGE if standing else 0) for growth, standing in grown):
        return
    size = planned.view.indexes.size + sum(growth for growth, _ in grown)
    if size > bounds.catalog_bytes:
        yield _beyond("$", "catalog_bytes", bounds.catalog_bytes, size, "bytes of entries in all")


def _of_entries(bounds: Bounds, planned: Planned, changed: Sequence[Change]) -> Iterator[Fault]:
    measures: tuple[tuple[str, str, int, str, CountHeld], ...] = (
        ("meter", "filters", bounds.filters, "filters with its meter's", _filters),
        ("meter", "filter_values", bounds.filter_values, "values in one filter", _filter_values),
        ("meter", "dimensions", bounds.dimensions, "dimensions", _dimensions),
        ("plan", "price_cells", bounds.price_cells, "priced combinations", _plan_cells),
        ("subscription", "price_cells", bounds.price_cells, "priced combinations", _override_cells),
    )
    for change in changed:
        model = planned.get(change.kind, change.code)
        for kind, name, bound, what, measure in measures:
            if model is None or kind != change.kind:
                continue
            for below, value in measure(model).items():
                if value <= bound:
                    continue
                standing = planned.standing(kind, change.code)
                if standing is None or value > max(measure(standing).values(), default=0):
                    yield _beyond(f"{planned.path_of(kind, change.code)}.{below}", name, bound, value, what)


def _of_all(bounds: Bounds, planned: Planned, changed: Sequence[Change]) -> Iterator[Fault]:
    indexes = planned.view.indexes
    growth = sum(planned.growth(kind) for kind in KINDS)
    profiles = _profile_growth(planned, changed).total()
    totals = (
        ("$", "entries", bounds.entries, "entries of all kinds", indexes.in_force.total(), growth),
        (
            "$.event_types", "event_types", bounds.event_types, "event types",
            indexes.in_force["event_type"], planned.growth("event_type"),
        ),
        ("$.meters", "profiles", bounds.profiles, "profiles of all meters", indexes.profiles.total(), profiles),
    )  # fmt: skip
    for path, name, bound, what, before, more in totals:
        if more > 0 and before + more > bound:
            yield _beyond(path, name, bound, before + more, what)
    rules = indexes.in_force["alert_rule"] + planned.growth("alert_rule")
    if planned.growth("alert_rule") > 0 and rules > MAX_RULES:
        yield Fault(
            "$.alert_rules", f"{rules} alert rules, and a namespace has at most {MAX_RULES}; retire others first"
        )


def _of_names(bounds: Bounds, planned: Planned, changed: Sequence[Change]) -> Iterator[Fault]:
    most = bounds.profiles_per_event_name
    for name, more in _profile_growth(planned, changed).items():
        value = planned.view.indexes.profiles[name] + more
        if more > 0 and value > most:
            codes = (
                change.code
                for change in changed
                if change.kind == "meter" and _event_name(planned.get("meter", change.code)) == name
            )
            at = planned.path_of("meter", next(codes, ""))
            yield _beyond(at, "profiles_per_event_name", most, value, f"profiles that look at events named {name!r}")


def _profile_growth(planned: Planned, changed: Sequence[Change]) -> Counter[str]:
    """By how many more profiles of meters would look at events of each name."""
    growth: Counter[str] = Counter()
    for change in changed:
        if change.kind == "meter":
            for model, sign in ((planned.get("meter", change.code), 1), (planned.standing("meter", change.code), -1)):
                if isinstance(model, Meter):
                    growth[_event_name(model)] += sign * len(model.profiles)
    return growth


def _of_accounts(bounds: Bounds, planned: Planned, changed: Sequence[Change]) -> Iterator[Fault]:
    most = bounds.subscriptions_per_account
    code_by_account: dict[str, str] = {}
    for change in changed:
        model = planned.get("subscription", change.code) if change.kind == "subscription" else None
        if isinstance(model, Subscription):
            code_by_account.setdefault(model.account, change.code)
    for account, code in code_by_account.items():
        value = len(planned.subscriptions(account))
        if value > most and value > sum(1 for _ in planned.view.referring("subscription", "account", account)):
            at = planned.path_of("subscription", code)
            yield _beyond(at, "subscriptions_per_account", most, value, f"subscriptions of account {account}")


def _beyond(path: str, name: str, bound: int, value: int, what: str) -> Fault:
    return Fault(
        path,
        f"{value} {what}, and this namespace is bound to {bound} ({name}); make it fewer, or "
        f"{REMEDY.format(name=name, value=value)}",
    )


REMEDY: Final = (
    "ask the operator, who alone can raise it: namespace: {{code: …, bounds: {{{name}: {value}}}}}, with the admin key"
)


def _size(model: Model | None) -> int:
    return 0 if model is None else max(_ESTIMATED, len(json.dumps(model.model_dump(mode="json"), ensure_ascii=False)))


def _event_name(model: Model | None) -> str:
    return model.event_name or model.code if isinstance(model, Meter) else ""


def _filters(meter: Meter) -> Mapping[str, int]:
    return {
        f"profiles[{number}].filters": len(meter.filters) + len(profile.filters)
        for number, profile in enumerate(meter.profiles)
    }


def _filter_values(meter: Meter) -> Mapping[str, int]:
    counts = {f"filters[{number}].value": _values(item.value) for number, item in enumerate(meter.filters)}
    for index, profile in enumerate(meter.profiles):
        counts |= {
            f"profiles[{index}].filters[{number}].value": _values(item.value)
            for number, item in enumerate(profile.filters)
        }
    return counts


def _values(value: Any) -> int:
    """Number of scalars in a filter's value, which may nest lists and objects."""
    stack, count = [value], 0
    while stack:
        item = stack.pop()
        if isinstance(item, list):
            stack.extend(item)
        elif isinstance(item, dict):
            stack.extend(item.values())
        else:
            count += 1
    return count


def _dimensions(meter: Meter) -> Mapping[str, int]:
    return {f"profiles[{number}].dimensions": len(profile.dimensions) for number, profile in enumerate(meter.profiles)}


def _plan_cells(plan: Plan) -> Mapping[str, int]:
    return {f"charges[{number}].price.cells": _cells(charge.price) for number, charge in enumerate(plan.charges)}


def _override_cells(subscription: Subscription) -> Mapping[str, int]:
    return {
        f"overrides[{number}].price.cells": _cells(override.price)
        for number, override in enumerate(subscription.overrides)
    }


def _cells(price: Mapping[str, Any]) -> int:
    cells = price.get("cells")
    return len(cells) if isinstance(cells, list | tuple) else 0
