"""Explains why properties do not fit their schema: the slow path, used only after the compiled check failed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from schemas.event_schema.check import compile_schema_node
from schemas.event_schema.nodes import Array, Enum, Exact, Fixed, Map, Node, RecordNode, Ref, Scalar, Schema, Union
from schemas.event_schema.scalars import SCALARS
from schemas.values.json_text import JsonObject, path_text

_SHOWN: Final = 60


@dataclass(frozen=True, slots=True)
class Mismatch:
    """The first value that does not fit. ``path`` begins below the properties: ``.items[0].price``."""

    path: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"expected {self.expected}, found {self.found}"


def mismatch(schema: Schema, properties: Any) -> Mismatch | None:
    """Where ``properties`` do not fit the schema; None if they fit. Agrees with the compiled check."""
    return _of(schema, schema.root, properties, "")


def _of(schema: Schema, node: Node, value: Any, path: str) -> Mismatch | None:
    node = schema.resolve(node)
    match node:
        case RecordNode() if isinstance(value, dict):
            return _record(schema, node, value, path)
        case Map(values) if isinstance(value, dict):
            mismatches = (_of(schema, values, inner, path + path_text((name,))) for name, inner in value.items())
            return next(filter(None, mismatches), None)
        case Array(items) if isinstance(value, list):
            mismatches = (_of(schema, items, inner, f"{path}[{index}]") for index, inner in enumerate(value))
            return next(filter(None, mismatches), None)
        case Union(branches):
            return _union(schema, branches, value, path)
        case _:
            if compile_schema_node(node, schema.named)(value):
                return None
            return Mismatch(path, describe(schema, node), shown(value))


def _record(schema: Schema, record: RecordNode, value: JsonObject, path: str) -> Mismatch | None:
    for field in record.fields:
        field_path = path + path_text((field.name,))
        if field.name in value:
            if (wrong := _of(schema, field.type, value[field.name], field_path)) is not None:
                return wrong
        elif field.required:
            return Mismatch(field_path, describe(schema, field.type), "nothing; it has no default, so it must be sent")
    if not record.additional:
        names = [field.name for field in record.fields]
        for name, inner in value.items():
            if name not in names:
                listed = ", ".join(names) or "none"
                return Mismatch(path + path_text((name,)), f"no such field (allowed: {listed})", shown(inner))
    return None


def _union(schema: Schema, branches: tuple[Node, ...], value: Any, path: str) -> Mismatch | None:
    mismatches = [_of(schema, branch, value, path) for branch in branches]
    if None in mismatches:
        return None
    # If only one branch got past the top level it was meant: report the fault inside it, not at the whole object.
    inside = [wrong for wrong in mismatches if wrong is not None and wrong.path != path]
    if len(inside) == 1:
        return inside[0]
    return Mismatch(path, describe(schema, Union(branches)), shown(value))


def describe(schema: Schema, node: Node) -> str:
    """A type in words."""
    node = schema.resolve(node)
    match node:
        case Scalar(kind):
            return SCALARS[kind][1]
        case Exact(precision, scale):
            return f"a number or numeric string of at most {precision} digits, {scale} of them after the point"
        case Fixed(size):
            return f"{size} bytes as base64 text"
        case Enum(symbols=symbols):
            listed = ", ".join(symbols[:12]) + (", …" if len(symbols) > 12 else "")
            return f"one of {listed}"
        case Array(items):
            return f"a list of {_kind(schema, items)}"
        case Map():
            return "an object"
        case RecordNode(name=name):
            return f"an object ({name})"
        case Union(branches):
            return " or ".join(dict.fromkeys(describe(schema, branch) for branch in branches))
        case Ref(name):
            return name


def _kind(schema: Schema, node: Node) -> str:
    """A list's item type in a few words, without its own items."""
    node = schema.resolve(node)
    return "lists" if isinstance(node, Array) else describe(schema, node)


def shown(value: Any) -> str:
    """A JSON value in words, shortened."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, str):
        return "text " + _cut(json.dumps(value, ensure_ascii=False))
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    return "number " + _cut(str(Decimal(value)))


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
