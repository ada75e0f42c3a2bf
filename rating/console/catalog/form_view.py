"""A form as HTML, with what is wrong beside each field. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from rating.console.catalog.form_body import NONE, REMOVED
from rating.console.catalog.form_nodes import MOST_ROWS, FieldGroup, FieldObject, FieldRows, FormNode, TypedField
from rating.console.catalog.form_texts import typed
from rating.console.html import Child, Html, join, tag
from schemas.values.json_text import JsonObject


def fields_of(
    nodes: Sequence[FormNode], body: JsonObject, faults: Mapping[str, str], prefix: str = "", *, standing: bool = False
) -> list[Html]:
    """The inputs with the values of ``body``. ``faults``: field → what is wrong with it; ``standing``: the entry is
    there already, so that what lasts cannot be written."""
    return [_node(node, body, faults, prefix, standing) for node in nodes]


def _node(node: FormNode, body: JsonObject, faults: Mapping[str, str], prefix: str, standing: bool) -> Html:
    if isinstance(node, TypedField):
        text = typed(node, body.get(node.name), str(body.get("operator", "")))
        return _input(node, body.get(node.name), text, faults.get(prefix + node.name), prefix, standing)
    if isinstance(node, FieldRows):
        return _rows(node, body.get(node.name), faults, f"{prefix}{node.name}.")
    if isinstance(node, FieldObject):
        inner = body.get(node.name)
        held = inner if isinstance(inner, dict) else {}
        at = f"{prefix}{node.name}"
        inputs = fields_of(node.nodes, held, faults, f"{at}.", standing=standing)
        if not node.label:
            return join(inputs)
        about = tag("p", faults[at], class_="bad") if at in faults else None
        return tag("fieldset", tag("legend", node.label), about, tag("div", inputs, class_="fields"), class_="rows")
    inside = tag("div", fields_of(node.nodes, body, faults, prefix, standing=standing), class_="fields")
    if not node.closed:
        return tag("fieldset", tag("legend", node.label), inside)
    names = {prefix + part.name for part in node.nodes if not isinstance(part, FieldGroup)}
    opened = any(field == name or field.startswith(f"{name}.") for field in faults for name in names) or any(
        _says_more(part, body.get(part.name)) for part in node.nodes if not isinstance(part, FieldGroup)
    )
    return tag("details", tag("summary", node.label), inside, class_="more", open=opened)


def _says_more(node: FormNode, value: Any) -> bool:
    """Whether a value is other than what everybody gets."""
    if isinstance(node, TypedField) and node.kind in ("flag", "choice", "truth"):
        return node.kind != "flag" and typed(node, value) not in ("", *[key for key, _ in node.options[:1]])
    return value not in (None, "", [], {})


def _input(node: TypedField, value: Any, text: str, fault: str | None, prefix: str, standing: bool) -> Html:
    name = prefix + node.name
    notes = _notes(name, node, fault)
    common: dict[str, str | int | bool | None] = {
        "name": name, "id": f"f-{name}", "aria_describedby": f"d-{name}" if notes else None,
        "aria_invalid": "true" if fault else None,
    }  # fmt: skip
    if node.kind == "flag":
        box = tag("input", type="checkbox", value="on", checked=value is True, **common)
        return tag("div", tag("label", box, " ", node.label, class_="box"), notes)
    if node.kind in ("choice", "truth"):
        given = node.options if text in dict(node.options) or not text else (*node.options, (text, text))
        options = [tag("option", label, value=key, selected=key == text) for key, label in given]
        field = tag("select", options, required=node.required, **common)
        return tag("div", tag("label", node.label, field), notes)
    suggested = tag("datalist", [tag("option", label, value=key) for key, label in node.options], id=f"l-{name}")
    field = tag(
        "input", value=text, size=node.size, required=node.required, readonly=node.lasting and standing,
        list=f"l-{name}" if node.options else None, autocomplete="off",
        inputmode="numeric" if node.kind == "integer" else None, **common,
    )  # fmt: skip
    return tag("div", tag("label", node.label, field), notes, suggested if node.options else None)


def _notes(name: str, node: TypedField, fault: str | None) -> Html | None:
    if not fault and not node.hint:
        return None
    wrong = tag("span", fault, class_="bad") if fault else None
    return tag("p", wrong, " " if fault and node.hint else None, node.hint, id=f"d-{name}", class_="hint")


def _rows(node: FieldRows, value: Any, faults: Mapping[str, str], prefix: str) -> Html:
    held = [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []
    drawn: list[Child] = []
    for index, row in enumerate([*held, {}] if len(held) < MOST_ROWS else held):
        at = f"{prefix}{index}."
        title = f"{node.what} {index + 1}" if index < len(held) else f"A further {node.what.lower()}"
        box = tag("input", type="checkbox", name=at + REMOVED, value="on", aria_label=f"Remove {title.lower()}")
        remove = tag("label", box, " Remove", class_="box") if index < len(held) else None
        wrong = faults.get(at[:-1])
        inside = tag("div", fields_of(node.nodes, row, faults, at), remove, class_="fields")
        drawn.append(
            tag(
                "fieldset", tag("legend", title), tag("p", wrong, class_="bad") if wrong else None, inside, class_="row"
            )
        )
    about = tag("p", node.hint, class_="hint") if node.hint else None
    whole = faults.get(prefix[:-1])
    none = None
    if node.none:
        box = tag("input", type="checkbox", name=prefix + NONE, value="on", checked=value == [])
        none = tag("label", box, " ", node.none, class_="box")
    return tag(
        "fieldset", tag("legend", node.label), about, tag("p", whole, class_="bad") if whole else None, none, drawn,
        class_="rows",
    )  # fmt: skip


def field_of(path: str, within: str = "") -> str:
    """The name of the field that a fault of the API is about: ``$.charges[0].price.tiers[1].up_to`` →
    ``price.tiers.1.up_to`` within ``charges.0``; "" for the whole."""
    field = re.sub(r"\[(\d+)\]", r".\1", path.removeprefix("$")).strip(".")
    if within and (field == within or field.startswith(f"{within}.")):
        return field[len(within) :].strip(".")
    return field


def place_faults(
    nodes: Sequence[FormNode], faults: Sequence[tuple[str, str]], body: JsonObject
) -> tuple[dict[str, str], list[str]]:
    """(field → fault, what no field is about): a fault within a field that is typed as one text stands at that field, a
    fault of something that the form does not ask for with its place at the top."""
    shown, known = dict[str, str](), set(_names(nodes, body, ""))
    rest: list[str] = []
    for field, detail in faults:
        at = field
        while at and at not in known:
            at = at.rpartition(".")[0]
        if at:
            shown[at] = f"{shown[at]}; {detail}" if at in shown else detail
        else:
            rest.append(f"{field}: {detail}" if field else detail)
    return shown, rest


def _names(nodes: Sequence[FormNode], body: JsonObject, prefix: str) -> list[str]:
    names: list[str] = []
    for node in nodes:
        if isinstance(node, FieldGroup):
            names += _names(node.nodes, body, prefix)
        elif isinstance(node, FieldObject):
            inner = body.get(node.name)
            names += [prefix + node.name] if node.label else []
            names += _names(node.nodes, inner if isinstance(inner, dict) else {}, f"{prefix}{node.name}.")
        else:
            names.append(prefix + node.name)
            if isinstance(node, FieldRows):
                rows = body.get(node.name) or []
                for index, row in enumerate(rows if isinstance(rows, list) else []):
                    at = f"{prefix}{node.name}.{index}"
                    names += [at, *_names(node.nodes, row if isinstance(row, dict) else {}, f"{at}.")]
    return names
