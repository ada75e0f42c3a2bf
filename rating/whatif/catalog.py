"""A catalog as it would be under a scenario: a view over the real one with some bodies replaced. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from schemas.catalog.models import Plan, Subscription
from schemas.catalog.state import Catalog, Entry, NamespaceView
from schemas.errors import WeirError
from schemas.prices import PriceError, parse_price
from schemas.values.json_text import JsonObject
from schemas.values.record_copy import replace

_INLINE_OFFSET: Final = -1  # older than every record, so that every subscription may be on it


class ScenarioError(WeirError, ValueError):
    """A scenario that contradicts itself or names what is not in the catalog; ``field_path`` is the field of the
    request that is wrong."""

    def __init__(self, field_path: str, detail: str) -> None:
        super().__init__(detail)
        self.field_path = field_path


@dataclass(frozen=True, slots=True)
class Scenario:
    """What would be different: ``prices`` of charges by their codes, or another plan for the subscriptions.

    ``to_plan``: code of a plan in the catalog, ``to_version`` None for its newest; or a whole Plan that nobody has
    published.
    ``account_id``, ``plan``: only this account's subscriptions, only those on this plan; None: all.
    """

    prices: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    to_plan: str | Plan | None = None
    to_version: int | None = None
    account_id: str | None = None
    plan: str | None = None


def as_it_is(view: NamespaceView, scenario: Scenario) -> NamespaceView:
    """The catalog as it is, with the scenario's subscriptions alone. Raises ScenarioError."""
    _check(view, scenario)
    return _overlaid(view, scenario, lambda entry: entry)


def as_it_would_be(view: NamespaceView, scenario: Scenario) -> NamespaceView:
    """The catalog as it would be, with the scenario's subscriptions alone. Raises ScenarioError."""
    _check(view, scenario)

    def change(entry: Entry) -> Entry:
        if entry.kind == "plan" and scenario.prices and scenario.plan in (None, entry.code):
            return replace(entry, body=_repriced(entry.body, scenario.prices))
        if entry.kind == "subscription" and scenario.to_plan is not None:
            target, version = _target(view, scenario)
            return replace(entry, body={**entry.body, "plan": target, "plan_version": version})
        return entry

    return _overlaid(view, scenario, change)


def _overlaid(view: NamespaceView, scenario: Scenario, change: Callable[[Entry], Entry]) -> NamespaceView:
    return NamespaceView(_Overlay(view, scenario, change), view.namespace, view.before)


def _target(view: NamespaceView, scenario: Scenario) -> tuple[str, int]:
    """(code, version) of the plan that the subscriptions would be on; an inline one follows all published versions."""
    if isinstance(scenario.to_plan, Plan):
        return scenario.to_plan.code, len(view.history("plan", scenario.to_plan.code)) + 1
    assert scenario.to_plan is not None, "asked where there is a target"
    return scenario.to_plan, scenario.to_version or len(view.history("plan", scenario.to_plan))


def target_plan(view: NamespaceView, scenario: Scenario) -> Plan | None:
    """The plan that the subscriptions would be on; None where they stay on theirs."""
    if scenario.to_plan is None or isinstance(scenario.to_plan, Plan):
        return scenario.to_plan
    code, version = _target(view, scenario)
    entry = view.version("plan", code, version)
    return None if entry is None else entry.model


def _repriced(body: Mapping[str, Any], prices: Mapping[str, Mapping[str, Any]]) -> JsonObject:
    charges = [
        {**charge, "price": dict(prices[key])} if (key := charge.get("code") or charge["product"]) in prices else charge
        for charge in body.get("charges", ())
    ]
    return {**body, "charges": charges}


def _check(view: NamespaceView, scenario: Scenario) -> None:
    if bool(scenario.prices) == (scenario.to_plan is not None):
        raise ScenarioError("prices", "give either other prices of charges, or another plan (to_plan)")
    if scenario.account_id is not None and view.get("account", scenario.account_id) is None:
        raise ScenarioError("account_id", f"there is no account {scenario.account_id[:64]!r}")
    plans = [entry for entry in view.all("plan") if scenario.plan in (None, entry.code)]
    if scenario.plan is not None and not plans:
        raise ScenarioError("plan", f"there is no plan {scenario.plan}; known: {_known(view)}")
    for code, price in scenario.prices.items():
        charging_plans = [entry for entry in plans if any(charge.key == code for charge in entry.model.charges)]
        if not charging_plans:
            charges = sorted({charge.key for entry in plans for charge in entry.model.charges})
            raise ScenarioError(f"prices.{code}", f"no plan has such a charge; known: {', '.join(charges)}")
        for entry in charging_plans:
            try:
                parse_price(dict(price), entry.model.currency)
            except PriceError as error:
                raise ScenarioError(f"prices.{code}", str(error)) from None
    if isinstance(scenario.to_plan, str) and target_plan(view, scenario) is None:
        which = f" version {scenario.to_version}" if scenario.to_version else ""
        raise ScenarioError("to_plan", f"there is no plan {scenario.to_plan}{which}; known: {_known(view)}")


def _known(view: NamespaceView) -> str:
    return ", ".join(sorted(entry.code for entry in view.all("plan"))[:20]) or "none"


class _Overlay(Catalog):
    """The entries of one namespace as ``change`` has them. Prepaid credits are left out: they pay, and are no price."""

    def __init__(self, view: NamespaceView, scenario: Scenario, change: Callable[[Entry], Entry]) -> None:
        super().__init__()
        self._view = view
        self._scenario = scenario
        self._change = change
        self._changed: dict[tuple[str, str, int], Entry] = {}

    def entries(self, namespace: str, kind: str, before: int) -> Iterator[list[Entry]]:
        for versions in self._view.histories(kind):
            if overlaid := self._overlaid_versions(kind, versions):
                yield overlaid

    def versions(self, namespace: str, kind: str, code: str, before: int) -> list[Entry]:
        overlaid = self._overlaid_versions(kind, self._view.history(kind, code))
        inline = self._scenario.to_plan
        if kind == "plan" and isinstance(inline, Plan) and inline.code == code:
            body = inline.model_dump(mode="json")
            return [*overlaid, Entry(namespace, kind, code, len(overlaid) + 1, False, None, 0, _INLINE_OFFSET, body)]
        return overlaid

    def _overlaid_versions(self, kind: str, versions: list[Entry]) -> list[Entry]:
        if kind == "credit_grant" or (
            kind == "subscription" and versions and not self._is_in_scenario(versions[-1].model)
        ):
            return []
        return [self._changed_entry(entry) for entry in versions]

    def _changed_entry(self, entry: Entry) -> Entry:
        # Cached, since an entry's model is read once and an overlay asks for the same plan for every subscription.
        key = (entry.kind, entry.code, entry.version)
        if key not in self._changed:
            self._changed[key] = self._change(entry)
        return self._changed[key]

    def _is_in_scenario(self, subscription: Subscription) -> bool:
        scenario = self._scenario
        return scenario.account_id in (None, subscription.account) and scenario.plan in (None, subscription.plan)
