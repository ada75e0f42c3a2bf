"""From the fields of a form to the JSON object that the API takes. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rating.console.catalog.form_nodes import MOST_ROWS, FieldGroup, FieldObject, FieldRows, FormNode, TypedField
from rating.console.catalog.form_texts import read_text
from schemas.values.json_text import JsonObject

REMOVED: Final = "~removed"
"""The name, within a row, of the box that takes the row out."""
NONE: Final = "~none"
"""The name, within a list, of the box that says the empty list."""


def body_of_form(
    nodes: Sequence[FormNode], fields: Mapping[str, str], base: JsonObject, prefix: str = ""
) -> JsonObject:
    """``base`` with what the form says in its place; what the form does not ask for stays. An empty field says nothing:
    its key is left out."""
    body = dict(base)
    for node in nodes:
        if isinstance(node, FieldGroup):
            body = body_of_form(node.nodes, fields, body, prefix)
        elif isinstance(node, FieldRows):
            at = f"{prefix}{node.name}."
            if not any(name.startswith(at) for name in fields):
                continue  # of a form that did not have the list, which stays
            _set(body, node.name, _rows(node, fields, at))
            if node.none and node.name not in body and fields.get(at + NONE) == "on":
                body[node.name] = []
        elif isinstance(node, FieldObject):
            at = f"{prefix}{node.name}."
            said = not node.optional or _says_something(node.nodes, fields, at)
            _set(body, node.name, body_of_form(node.nodes, fields, {}, at) if said else None)
        else:
            _set(body, node.name, _value(node, fields, prefix))
    return body


def _set(body: JsonObject, name: str, value: Any) -> None:
    if value is None or value == {} or value == []:
        body.pop(name, None)
    else:
        body[name] = value


def _value(node: TypedField, fields: Mapping[str, str], prefix: str) -> Any:
    text = fields.get(prefix + node.name, "")
    if node.kind == "flag":
        return text == "on"
    return read_text(node, text, fields.get(f"{prefix}operator", "")) if text else None


def _rows(node: FieldRows, fields: Mapping[str, str], prefix: str) -> list[JsonObject]:
    rows = []
    for index in row_numbers(fields, prefix):
        at = f"{prefix}{index}."
        if fields.get(at + REMOVED) == "on" or not _says_something(node.nodes, fields, at):
            continue
        rows.append(body_of_form(node.nodes, fields, {}, at))
    return rows


def row_numbers(fields: Mapping[str, str], prefix: str) -> list[int]:
    """The rows that a form has of one list, in order, MOST_ROWS at most."""
    heads = {name[len(prefix) :].partition(".")[0] for name in fields if name.startswith(prefix)}
    return sorted(int(head) for head in heads if head.isascii() and head.isdigit() and int(head[:9]) < MOST_ROWS)


def _says_something(nodes: Sequence[FormNode], fields: Mapping[str, str], prefix: str) -> bool:
    """Whether anything was typed in a row; a choice that always says something does not count."""
    for node in nodes:
        if isinstance(node, TypedField):
            typed_in = node.kind not in ("flag", "choice", "truth") or (node.options and node.options[0][0] == "")
            if typed_in and _value(node, fields, prefix) not in (None, []):
                return True
        elif isinstance(node, FieldGroup):
            if _says_something(node.nodes, fields, prefix):
                return True
        elif isinstance(node, FieldObject):
            if _says_something(node.nodes, fields, f"{prefix}{node.name}."):
                return True
        else:
            at = f"{prefix}{node.name}."
            numbers = row_numbers(fields, at)
            if any(_says_something(node.nodes, fields, f"{at}{number}.") for number in numbers):
                return True
    return False
