"""Checks a namespace's limits (bounds) on its catalog. Growth beyond a bound is refused; what already exceeds it,
or shrinks, is not. Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from ingest.catalog.document import Fault
from schemas.catalog.base import Model
from schemas.catalog.bounds import Bounds
from schemas.catalog.meters import Meter
from schemas.catalog.models import Plan, Subscription

CountHeld = Callable[[Any], Mapping[str, int]]
"""Measures one entry: relative JSON path → size at that path."""
_ESTIMATED: Final = 64  # minimum size of an entry, in characters
_CHANGE: Final = 1024  # growth of an existing entry that is allowed even in a full catalog, in characters


class Current:
    """The models in force by kind and code, and the total size of their JSON in characters."""

    def __init__(self, models: Mapping[str, Mapping[str, Model]], size: int) -> None:
        self.models = models
        self.size = size


def bound_faults(
    bounds: Bounds,
    current: Callable[[], Current],
    planned: Mapping[str, Mapping[str, Model]],
    changed: Sequence[tuple[str, str, Model | None]],
    path_of: Callable[[str, str], str],
) -> Iterator[Fault]:
    """The bounds that publishing ``changed`` would exceed.

    ``changed``: kind, code and present model (None if new) of each entry to publish; ``planned``: all models as
    they would be. ``current`` is called only if a bound is exceeded. ``path_of``: see ``references.After``.
    """
    yield from _of_entries(bounds, planned, changed, path_of)
    yield from _of_all(bounds, current, planned)
    yield from _of_names(bounds, current, planned, changed, path_of)
    yield from _of_accounts(bounds, current, planned, changed, path_of)
    grown = [
        (_size(planned[kind].get(code)) - _size(standing), standing)
        for kind, code, standing in changed
        if kind != "namespace"
    ]
    size = current().size + sum(growth for growth, _ in grown) if any(growth > 0 for growth, _ in grown) else 0
    if size > bounds.catalog_bytes and any(growth > (_CHANGE if standing else 0) for growth, standing in grown):
        yield _beyond("$", "catalog_bytes", bounds.catalog_bytes, size, "bytes of entries in all")


def _of_entries(
    bounds: Bounds, planned: Mapping[str, Mapping[str, Model]], changed: Sequence[tuple[str, str, Model | None]],
    path_of: Callable[[str, str], str],
) -> Iterator[Fault]:  # fmt: skip
    measures: tuple[tuple[str, str, int, str, CountHeld], ...] = (
        ("meter", "filters", bounds.filters, "filters with its meter's", _filters),
        ("meter", "filter_values", bounds.filter_values, "values in one filter", _filter_values),
        ("meter", "dimensions", bounds.dimensions, "dimensions", _dimensions),
        ("plan", "price_cells", bounds.price_cells, "priced combinations", _plan_cells),
        ("subscription", "price_cells", bounds.price_cells, "priced combinations", _override_cells),
    )
    for kind, code, standing in changed:
        model = planned[kind].get(code)
        for of_kind, name, bound, what, measure in measures:
            if model is None or kind != of_kind:
                continue
            for below, value in measure(model).items():
                if value > bound and (standing is None or value > max(measure(standing).values(), default=0)):
                    at = path_of(kind, code)
                    yield _beyond(f"{at}.{below}" if at != "$" else at, name, bound, value, what)


def _of_all(
    bounds: Bounds, current: Callable[[], Current], planned: Mapping[str, Mapping[str, Model]]
) -> Iterator[Fault]:
    totals: tuple[tuple[str, str, int, str, Callable[[Mapping[str, Mapping[str, Model]]], int]], ...] = (
        ("$", "entries", bounds.entries, "entries of all kinds", lambda models: sum(map(len, models.values()))),
        ("$.event_types", "event_types", bounds.event_types, "event types", lambda models: len(models["event_type"])),
        ("$.meters", "profiles", bounds.profiles, "profiles of all meters", _profiles),
    )
    for path, name, bound, what, total in totals:
        value = total(planned)
        if value > bound and value > total(current().models):
            yield _beyond(path, name, bound, value, what)


def _of_names(
    bounds: Bounds, current: Callable[[], Current], planned: Mapping[str, Mapping[str, Model]],
    changed: Sequence[tuple[str, str, Model | None]], path_of: Callable[[str, str], str],
) -> Iterator[Fault]:  # fmt: skip
    if not any(kind == "meter" for kind, _, _ in changed):
        return
    counts = _by_name(planned)
    for name, value in counts.items():
        if value > bounds.profiles_per_event_name and value > _by_name(current().models)[name]:
            codes = (
                code for kind, code, _ in changed if kind == "meter" and _event_name(planned[kind].get(code)) == name
            )
            code = next(codes, "")
            what = f"profiles that look at events named {name!r}"
            at = path_of("meter", code)
            yield _beyond(at, "profiles_per_event_name", bounds.profiles_per_event_name, value, what)


def _of_accounts(
    bounds: Bounds, current: Callable[[], Current], planned: Mapping[str, Mapping[str, Model]],
    changed: Sequence[tuple[str, str, Model | None]], path_of: Callable[[str, str], str],
) -> Iterator[Fault]:  # fmt: skip
    codes = [code for kind, code, _ in changed if kind == "subscription" and code in planned[kind]]
    if not codes:
        return
    counts = Counter(model.account for model in planned["subscription"].values() if isinstance(model, Subscription))
    for account in dict.fromkeys(_account(planned["subscription"][code]) for code in codes):
        value = counts[account]
        if value > bounds.subscriptions_per_account:
            held = sum(_account(model) == account for model in current().models["subscription"].values())
            if value > held:
                at = next(
                    path_of("subscription", code)
                    for code in codes
                    if _account(planned["subscription"][code]) == account
                )
                what = f"subscriptions of account {account}"
                yield _beyond(at, "subscriptions_per_account", bounds.subscriptions_per_account, value, what)


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


def _profiles(models: Mapping[str, Mapping[str, Model]]) -> int:
    return sum(len(model.profiles) for model in models["meter"].values() if isinstance(model, Meter))


def _by_name(models: Mapping[str, Mapping[str, Model]]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for model in models["meter"].values():
        if isinstance(model, Meter):
            counts[_event_name(model)] += len(model.profiles)
    return counts


def _event_name(model: Model | None) -> str:
    return model.event_name or model.code if isinstance(model, Meter) else ""


def _account(model: Model) -> str:
    return model.account if isinstance(model, Subscription) else ""


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
