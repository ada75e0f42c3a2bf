"""Own units that nobody declares, where something is priced, granted, topped up, watched or left in one. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from ingest.catalog.planned import Planned
from schemas.catalog.alerts import AlertRule
from schemas.catalog.base import Model
from schemas.catalog.models import Account, Plan, Subscription
from schemas.catalog.terms import CreditGrant
from schemas.values.currency import is_own_unit

NAMING_UNITS = ("plan", "credit_grant", "alert_rule", "account", "subscription")
"""Kinds whose entries may name one."""


def undeclared_units(planned: Planned, model: Model) -> Iterator[tuple[str, str]]:
    """(place below the entry, unit) of each unit that the entry names and that is not there after the plan."""
    named: list[tuple[str, str]] = []
    if isinstance(model, Plan | CreditGrant | AlertRule):
        named.append((".currency", model.currency or ""))
    if isinstance(model, Account | Plan | Subscription):
        named += [(f".top_ups[{number}].currency", item.currency) for number, item in enumerate(model.top_ups)]
    if isinstance(model, Plan | Subscription):
        floors = ((number, grant.credit_floor) for number, grant in enumerate(model.features))
        named += [(f".features[{number}].credit_floor.currency", floor.currency) for number, floor in floors if floor]
    for field_path, currency in named:
        if is_own_unit(currency) and not planned.has("unit", currency):
            yield field_path, currency
