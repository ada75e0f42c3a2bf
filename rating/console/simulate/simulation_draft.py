"""What is simulated, as the form has it: another price of a charge, or another plan. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import Final

from rating.console.catalog.form_body import body_of_form
from rating.console.catalog.form_draft import compact, model_of
from rating.console.catalog.form_nodes import FieldGroup, FormNode, TypedField
from rating.console.catalog.form_view import place_faults
from rating.console.catalog.price_nodes import price_nodes
from schemas.catalog.state import NamespaceView
from schemas.prices import PriceError, parse_price
from schemas.values.json_text import JsonObject

PLANS_LISTED: Final = 300
"""Plans and charges to choose from; another is typed."""


@dataclass(frozen=True, slots=True)
class SimulationDraft:
    """``shown``: the values of the form. ``faults``: field → what is wrong with it; ``general``: what no field is
    about."""

    nodes: tuple[FormNode, ...]
    shown: JsonObject
    faults: Mapping[str, str] = field(default_factory=dict)
    general: tuple[str, ...] = ()

    def request(self, limit: int) -> JsonObject:
        """The body of POST /v1/simulations that asks for it; ``limit``: subscriptions in the answer."""
        shown = self.shown
        body: JsonObject = {"period": str(shown.get("period", "")), "limit": limit}
        body |= {name: shown[name] for name in ("account_id", "plan") if shown.get(name)}
        if shown.get("to_plan"):
            return body | {"to_plan": shown["to_plan"]}
        return body | {"prices": {str(shown.get("charge", "")): shown.get("price", {})}}

    def with_faults(self, faults: list[tuple[str, str]]) -> SimulationDraft:
        """The same with what POST /v1/simulations says against it: (path below its body, detail) each."""
        charge = f"prices.{self.shown.get('charge', '')}"
        at = [("charge" if path in (charge, "prices") else path, detail) for path, detail in faults]
        shown, general = place_faults(self.nodes, at, self.shown)
        return SimulationDraft(self.nodes, self.shown, shown, tuple(general))


def opened_simulation(view: NamespaceView, plan: str, charge: str, now: datetime) -> SimulationDraft:
    """The form with a charge's price as it is, over the month before; of the first charge where none is named."""
    month_before = now.date().replace(day=1) - timedelta(days=1)
    known = list(_charges(view, plan))
    body = next((body for key, body in known if key == charge), known[0][1] if known else {})
    shown: JsonObject = {
        "period": f"{month_before:%Y-%m}",
        "plan": plan,
        "charge": body.get("code") or body.get("product", ""),
        "price": body.get("price", {"model": "per_unit"}),
    }
    return SimulationDraft(_nodes(view, plan, model_of(shown)), shown)


def filled_simulation(view: NamespaceView, fields: Mapping[str, str]) -> SimulationDraft:
    """What was sent of the form, with what is wrong with the price."""
    nodes = _nodes(view, fields.get("plan", ""), fields.get("price.model", ""))
    draft = SimulationDraft(nodes, body_of_form(nodes, fields, {}))
    if draft.shown.get("to_plan"):
        return draft
    try:
        parse_price(draft.shown.get("price", {}))
    except PriceError as error:
        lines = [problem.partition(": ") for problem in error.problems]
        shown, general = place_faults(nodes, [(path, detail) for path, _, detail in lines], draft.shown)
        return SimulationDraft(nodes, draft.shown, shown, tuple(general))
    return draft


def _charges(view: NamespaceView, plan: str) -> list[tuple[str, JsonObject]]:
    """(code, body) of the charges of a plan, of all plans where it is ""; a code that several have once."""
    found: dict[str, JsonObject] = {}
    for entry in islice(view.after("plan", ""), PLANS_LISTED):
        if plan in ("", entry.code):
            for charge in entry.body.get("charges", ()):
                found.setdefault(str(charge.get("code") or charge.get("product")), compact(charge))
    return list(found.items())


def _nodes(view: NamespaceView, plan: str, model: str) -> tuple[FormNode, ...]:
    plans = [
        (entry.code, str(entry.body.get("name") or entry.code))
        for entry in islice(view.after("plan", ""), PLANS_LISTED)
    ]
    charges = [(code, code) for code, _ in _charges(view, plan)]
    return (
        FieldGroup(
            "Whose usage",
            (
                TypedField("period", "Period", hint="2026, 2026-Q1, 2026-03 or A..B, by local dates", required=True),
                TypedField("plan", "Customers on the plan", "choice", options=(("", "all plans"), *plans)),
                TypedField("account_id", "Only the customer", hint="its code; empty: all"),
            ),
        ),
        FieldGroup(
            "Another price",
            (
                TypedField("charge", "Product on the plan", "choice", options=(("", "–"), *charges)),
                price_nodes(model),
            ),
        ),
        FieldGroup(
            "Or another plan, in place of a price",
            (TypedField("to_plan", "They would be on", "choice", options=(("", "their own plan"), *plans)),),
        ),
    )
