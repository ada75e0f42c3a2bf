"""The metrics that an account is or was billed by, by the catalog alone. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any, Final

from schemas.catalog.state import NamespaceView

_MOST_SUBSCRIPTIONS: Final = 200
_MOST_VERSIONS: Final = 20
"""Versions of each subscription, the newest ones."""


def billed_metrics(view: NamespaceView, account_id: str) -> list[str]:
    """The addresses of the profiles of its subscriptions' plans, of those that have ended too."""
    metrics: dict[str, None] = {}
    for subscription in islice(view.referring("subscription", "account", account_id), _MOST_SUBSCRIPTIONS):
        for entry in view.history("subscription", subscription.code)[-_MOST_VERSIONS:]:
            terms = entry.body
            if terms.get("account") != account_id:
                continue  # it was another's then
            plan = _plan(view, str(terms.get("plan", "")), terms.get("plan_version"))
            for charge in plan.get("charges", ()):
                product = view.get("product", str(charge.get("product", "")))
                if product is not None and product.body.get("profile"):
                    metrics[str(product.body["profile"])] = None
    return list(metrics)


def _plan(view: NamespaceView, code: str, version: object) -> Mapping[str, Any]:
    entry = view.version("plan", code, version) if isinstance(version, int) else view.get("plan", code)
    return {} if entry is None else entry.body
