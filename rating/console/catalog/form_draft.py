"""An entry as a form has it: what would be sent, in place of which version. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from rating.console.catalog.entry_forms import PLACES, CatalogPlace, charge_nodes, nodes_of, opening
from rating.console.catalog.form_body import body_of_form
from rating.console.catalog.form_nodes import FieldGroup, FieldObject, FieldRows, FormNode, TypedField
from schemas.catalog.state import Entry, NamespaceView
from schemas.values.json_text import JsonObject

CODE: Final = "~code"
VERSION: Final = "~version"
CHARGE: Final = "~charge"
"""Hidden fields: the entry that is changed, the version that the form was filled from, and the charge of a plan."""


@dataclass(frozen=True, slots=True)
class EntryDraft:
    """``body``: the entry as it would be sent; ``shown``: the object whose fields the form has, ``within`` the entry
    ("charges.0"; "": the entry itself). ``standing``: the version it was filled from, None for a new entry; ``charge``:
    the plan's charge that is changed, "" for a new one."""

    place: CatalogPlace
    nodes: tuple[FormNode, ...]
    body: JsonObject
    shown: JsonObject
    within: str = ""
    standing: Entry | None = None
    charge: str = ""

    @property
    def code(self) -> str | None:
        """The entry that is replaced; None: a new one."""
        return None if self.standing is None else self.standing.code

    @property
    def version(self) -> int | None:
        """The version that must be in force."""
        return None if self.standing is None else self.standing.version


def opened(view: NamespaceView, path: str, code: str, given: Mapping[str, str]) -> EntryDraft | None:
    """The form of an entry as it stands, or of a new one where ``code`` is ""; None where there is no such entry."""
    catalog_place = PLACES[path]
    nodes = nodes_of(view, catalog_place.kind)
    if not code:
        body = opening(catalog_place.kind, dict(given))
        return EntryDraft(catalog_place, nodes, body, body)
    entry = view.get(catalog_place.kind, code)
    if entry is None:
        return None
    body = compact(entry.body)
    return EntryDraft(catalog_place, nodes, body, _without_momentary(nodes, body), standing=entry)


def opened_charge(view: NamespaceView, plan: str, charge: str) -> EntryDraft | None:
    """The form of a plan's charge, of a new one where ``charge`` is ""; None where there is none."""
    entry = view.get("plan", plan)
    if entry is None:
        return None
    body = compact(entry.body)
    charges = body.get("charges", [])
    number = charge_number(charges, charge) if charge else len(charges)
    if number is None:
        return None
    shown = charges[number] if charge else {"price": {"model": "per_unit"}, "prorated": True}
    nodes = charge_nodes(view, model_of(shown))
    return EntryDraft(PLACES["plans"], nodes, body, shown, f"charges.{number}", entry, charge)


def filled(view: NamespaceView, path: str, fields: Mapping[str, str]) -> EntryDraft | None:
    """What was sent of a form; None where the entry or its version is not there."""
    catalog_place = PLACES[path]
    nodes = nodes_of(view, catalog_place.kind)
    if not fields.get(CODE):
        body = body_of_form(nodes, fields, {})
        return EntryDraft(catalog_place, nodes, body, body)
    entry = _version(view, catalog_place.kind, fields)
    if entry is None:
        return None
    base = compact(entry.body)
    body = body_of_form(nodes, fields, base)
    body["code"] = entry.code
    moved = catalog_place.kind == "subscription" and body.get("plan") != base.get("plan")
    if moved and body.get("plan_version") == base.get("plan_version"):
        body.pop("plan_version", None)  # it was one of the other plan
    return EntryDraft(catalog_place, nodes, body, body, standing=entry)


def filled_charge(view: NamespaceView, fields: Mapping[str, str]) -> EntryDraft | None:
    """Likewise of a charge."""
    entry = _version(view, "plan", fields)
    if entry is None:
        return None
    body, charge = compact(entry.body), fields.get(CHARGE, "")
    charges = list(body.get("charges", []))
    number = charge_number(charges, charge) if charge else len(charges)
    if number is None:
        return None
    nodes = charge_nodes(view, fields.get("price.model", ""))
    shown = body_of_form(nodes, fields, {})
    charges[number : number + 1] = [shown]
    return EntryDraft(PLACES["plans"], nodes, body | {"charges": charges}, shown, f"charges.{number}", entry, charge)


def without_charge(draft: EntryDraft) -> JsonObject:
    """The plan's body without the charge that the form is of."""
    number = int(draft.within.rpartition(".")[2])
    charges = draft.body["charges"]
    return {**draft.body, "charges": [*charges[:number], *charges[number + 1 :]]}


def charge_number(charges: list[JsonObject], code: str) -> int | None:
    """Where the charge of a code stands."""
    keys = [charge.get("code") or charge.get("product") for charge in charges]
    return keys.index(code) if code in keys else None


def model_of(charge: JsonObject) -> str:
    """The price model of a charge, "" for none."""
    price = charge.get("price")
    return str(price.get("model", "")) if isinstance(price, dict) else ""


def compact(value: Mapping[str, Any]) -> JsonObject:
    """A stored body without what says nothing."""
    small = {name: inner if name == "value" else _small(inner) for name, inner in value.items()}
    return {name: inner for name, inner in small.items() if inner not in _NOTHING or _says(value, name)}


def _says(body: Mapping[str, Any], name: str) -> bool:
    """Whether what looks like nothing says something: what a filter compares with, a static value that is an empty
    text, and a granted feature's empty list of limits, with which it has none, while without it the feature's hold."""
    if name == "value":
        return "operator" in body or body[name] is not None
    return name == "limits" and "feature" in body and body[name] is not None


_NOTHING: Final[tuple[Any, ...]] = (None, "", [], {})


def _small(value: Any) -> Any:
    if isinstance(value, dict):
        return compact(value)
    return [_small(part) for part in value] if isinstance(value, list) else value


def version_of(fields: Mapping[str, str]) -> int:
    """The number of the version that a form was filled from; 0, which none has, where it names none."""
    text = fields.get(VERSION, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def _version(view: NamespaceView, kind: str, fields: Mapping[str, str]) -> Entry | None:
    return view.version(kind, fields.get(CODE, ""), version_of(fields))


def _without_momentary(nodes: tuple[FormNode, ...], body: JsonObject) -> JsonObject:
    """Without what says something of the last change alone."""
    names = {node.name for node in _inputs(nodes) if node.each_time}
    return {name: value for name, value in body.items() if name not in names}


def _inputs(nodes: tuple[FormNode, ...]) -> list[TypedField]:
    """The inputs of the entry itself."""
    inputs: list[TypedField] = []
    for node in nodes:
        if isinstance(node, TypedField):
            inputs.append(node)
        elif isinstance(node, FieldGroup):
            inputs += _inputs(node.nodes)
        else:
            assert isinstance(node, FieldRows | FieldObject)
    return inputs
