"""Which floor applies to an account. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from rating.invoicing.expected_invoice import Running
from schemas.catalog.prepaid.top_ups import TopUp
from schemas.catalog.state import NamespaceView

Floors = Mapping[str, Mapping[str, TopUp]]
"""Account → currency → when it tops up."""


@dataclass(frozen=True, slots=True)
class FloorOwners:
    """The accounts, subscriptions and plans (of any version) that declare top-ups."""

    accounts: frozenset[str]
    subscriptions: frozenset[str]
    plans: frozenset[str]

    def __bool__(self) -> bool:
        return bool(self.accounts or self.subscriptions or self.plans)


NO_OWNERS: Final = FloorOwners(frozenset(), frozenset(), frozenset())


def floor_owners(view: NamespaceView) -> FloorOwners:
    """Those of the namespace."""

    def read() -> tuple[FloorOwners, int]:
        accounts, subscriptions = (
            frozenset(entry.code for entry in view.all(kind) if entry.body.get("top_ups"))
            for kind in ("account", "subscription")
        )
        plans = frozenset(
            versions[0].code
            for versions in view.histories("plan")
            if any(version.body.get("top_ups") for version in versions)
        )
        return FloorOwners(accounts, subscriptions, plans), 1 + len(accounts) + len(subscriptions) + len(plans)

    return view.derived("floor_owners", ("account", "subscription", "plan"), read)


def floors_of(view: NamespaceView, accounts: Iterable[str], running: Sequence[Running]) -> Floors:
    """The floors of the accounts: their own; else of each currency that of a running subscription, or of its plan: the
    one with the highest target. ``running``: the running periods of their subscriptions."""
    floors: dict[str, dict[str, TopUp]] = {}
    for period in running:
        subscription = view.get("subscription", period.line.subscription)
        of_subscription = {} if subscription is None else _by_currency(subscription.model.top_ups)
        of_account = floors.setdefault(period.line.account_id, {})
        for currency, top_up in (_by_currency(period.span.plan.top_ups) | of_subscription).items():
            standing = of_account.get(currency)
            if standing is None or top_up.target > standing.target:
                of_account[currency] = top_up
    for name in accounts:
        if (account := view.get("account", name)) is not None:
            floors[name] = floors.get(name, {}) | _by_currency(account.model.top_ups)
    return {name: of_account for name, of_account in floors.items() if of_account}


def _by_currency(top_ups: Iterable[TopUp]) -> dict[str, TopUp]:
    return {top_up.currency: top_up for top_up in top_ups}
