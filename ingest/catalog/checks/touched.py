"""Which entries a plan can make invalid: what it declares, and what refers to an entry that it changes or retires.
Everything else is as valid after the plan as it was before. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain

from ingest.catalog.changes import Change
from ingest.catalog.planned import Planned
from schemas.catalog.models import Product, Subscription


@dataclass(frozen=True, slots=True)
class Touched:
    """What is checked.

    ``codes``: by kind, the entries whose references and terms are checked; ``accounts``: those whose subscriptions
    are compared with each other; ``plans``: those about which there may be warnings.
    """

    codes: Mapping[str, Collection[str]]
    accounts: Collection[str]
    plans: Collection[str]


_REFERRING = {
    # A changed or retired entry of the first kind → kinds whose entries are checked if they refer to it.
    "meter": ("product", "feature", "alert_rule"),
    "product": ("plan", "credit_grant"),
    "feature": ("plan", "subscription", "alert_rule"),
}
_REFERRING_TO_RETIRED = {
    "unit": ("plan", "credit_grant", "alert_rule", "account", "subscription"),
    "plan": ("subscription", "alert_rule"),
    "account": ("subscription", "credit_grant", "alert_rule"),
    "subscription": ("credit_grant", "alert_rule"),
}


def touched_by(planned: Planned) -> Touched:
    """What a plan touches, on a catalog that was valid before it."""
    codes: dict[str, dict[str, None]] = {}
    accounts: dict[str, None] = {}

    def add(kind: str, code: str) -> None:
        codes.setdefault(kind, {})[code] = None

    for change in planned.changes:
        if change.action != "retired":
            add(change.kind, change.code)
            if isinstance(change.model, Subscription):
                accounts[change.model.account] = None
        if change.kind == "event_type":
            for entry in planned.referring("meter", "event_type", change.code):
                add("meter", entry.code)
    for change in planned.published():
        kinds = _REFERRING.get(change.kind, ())
        if change.action == "retired":
            kinds += _REFERRING_TO_RETIRED.get(change.kind, ())
        for kind in kinds:
            for entry in planned.referring(kind, change.kind, change.code):
                add(kind, entry.code)
                if kind == "feature":  # its limits may stand with who grants it
                    for granting in _REFERRING["feature"]:
                        for granted in planned.referring(granting, "feature", entry.code):
                            add(granting, granted.code)
        if change.kind == "product" and change.action == "retired":
            for code, _ in _charged(planned, change.code):
                add("subscription", code)
        elif change.kind == "product" and _measures_otherwise(planned, change):
            for code, account in _charged(planned, change.code):
                accounts[account] = None
                if _grants(planned, code):
                    add("subscription", code)
    return Touched(codes, accounts, dict.fromkeys(_plans(planned)))


def _charged(planned: Planned, product: str) -> Iterator[tuple[str, str]]:
    """Code and account of each subscription to a plan of which some version charges the product, since a subscription
    keeps to the version that it has."""
    for plan in planned.view.indexes.referring("plan", "product", product):
        for entry in planned.referring("subscription", "plan", plan):
            yield entry.code, entry.model.account


def _grants(planned: Planned, subscription: str) -> bool:
    """Whether a subscription grants features itself, perhaps with limits in money."""
    model = planned.get("subscription", subscription)
    return isinstance(model, Subscription) and bool(model.features)


def _measures_otherwise(planned: Planned, change: Change) -> bool:
    standing = planned.standing("product", change.code)
    return (
        isinstance(standing, Product) and isinstance(change.model, Product) and standing.profile != change.model.profile
    )


def _plans(planned: Planned) -> Iterator[str]:
    """The plans that the document declares, and those that charge for a product or meter that it declares."""
    declared = [(change.kind, change.code) for change in planned.changes if change.action != "retired"]
    yield from (code for kind, code in declared if kind == "plan")
    products = (code for kind, code in declared if kind == "product")
    measured = (
        entry.code
        for kind, code in declared
        if kind == "meter"
        for entry in planned.referring("product", "meter", code)
    )
    for product in dict.fromkeys(chain(products, measured)):
        yield from (entry.code for entry in planned.referring("plan", "product", product))
