"""Random event schemas, and random JSON values that fit them."""

from __future__ import annotations

import base64
import json
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

NAMES = st.sampled_from(["a", "b", "c", "long name", "é"])
_PRIMITIVES = ("null", "boolean", "int", "long", "float", "double", "string", "bytes")
_LOGICAL = (
    {"type": "string", "logicalType": "uuid"},
    {"type": "int", "logicalType": "date"},
    {"type": "long", "logicalType": "timestamp-millis"},
    {"type": "long", "logicalType": "local-timestamp-micros"},
    {"type": "bytes", "logicalType": "decimal", "precision": 6, "scale": 2},
    {"type": "bytes", "logicalType": "decimal", "precision": 22, "scale": 3},
    {"type": "bytes", "logicalType": "big-decimal"},
)
SIMPLE = st.one_of(st.sampled_from(_PRIMITIVES), st.sampled_from(_LOGICAL))


@st.composite
def types(draw: st.DrawFn, levels: int = 2) -> Any:
    """A type; enums and records get names that differ within a schema (``named`` makes them so)."""
    kind = draw(
        st.sampled_from(["simple"] * 4 + ["enum", "nullable", "union"] + (["array", "map", "record"] if levels else []))
    )
    if kind == "enum":
        symbols = draw(st.lists(st.sampled_from("XYZ"), min_size=1, max_size=3, unique=True))
        return {"type": "enum", "name": "E", "symbols": symbols}
    if kind == "nullable":
        return ["null", draw(st.sampled_from(["long", "string", "double", {"type": "int", "logicalType": "date"}]))]
    if kind == "union":
        return draw(st.lists(st.sampled_from(_PRIMITIVES), min_size=1, max_size=4, unique=True))
    if kind == "array":
        return {"type": "array", "items": draw(types(levels - 1))}
    if kind == "map":
        return {"type": "map", "values": draw(types(levels - 1))}
    if kind == "record":
        return draw(records(levels - 1))
    return draw(SIMPLE)


@st.composite
def records(draw: st.DrawFn, levels: int = 2) -> dict[str, Any]:
    """A record of up to four fields, some optional, sometimes closed."""
    fields = []
    for name in draw(st.lists(NAMES, max_size=4, unique=True)):
        field: dict[str, Any] = {"name": name, "type": draw(types(levels))}
        if draw(st.booleans()):
            field["type"] = ["null", "string"] if isinstance(field["type"], list) else field["type"]
            field["optional"] = True
        fields.append(field)
    document: dict[str, Any] = {"type": "record", "name": "R", "fields": fields}
    if draw(st.booleans()):
        document["additional"] = draw(st.booleans())
    return document


def named(schema: Any, counter: list[int] | None = None) -> Any:
    """The schema with a name of its own for each named type, and a default for each field marked optional."""
    counter = counter if counter is not None else [0]
    if isinstance(schema, list):
        return [named(item, counter) for item in schema]
    if not isinstance(schema, dict):
        return schema
    by_key = {
        name: named(value, counter) if name in ("type", "items", "values", "fields") else value
        for name, value in schema.items()
    }
    if "name" in by_key and schema.get("type") in ("record", "enum"):
        counter[0] += 1
        by_key["name"] = f"T{counter[0]}"
    if by_key.pop("optional", False):
        by_key["default"] = a_value(by_key["type"])
    return by_key


def a_value(kind: Any) -> Any:
    """One value that fits, made without thought."""
    if isinstance(kind, list):
        return a_value(kind[0])
    if isinstance(kind, str):
        return {"null": None, "boolean": True, "string": "s", "bytes": "QUI="}.get(kind, 1)
    name = kind["type"]
    if name == "record":
        return {field["name"]: a_value(field["type"]) for field in kind["fields"]}
    if name == "enum":
        return kind["symbols"][0]
    if name == "array":
        return []
    if name == "map":
        return {}
    if kind.get("logicalType") == "uuid":
        return "00000000-0000-4000-8000-000000000000"
    return 1


_NUMBERS = st.one_of(st.integers(), st.decimals(allow_nan=False, allow_infinity=False))
_TEXTS = st.one_of(st.text(max_size=4), st.sampled_from(["X", "Y", "Z", "1.5", "QUI=", "2026-01-31"]))
ANYTHING = st.recursive(
    st.one_of(st.none(), st.booleans(), _NUMBERS, _TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=4,
)


@st.composite
def fitting(draw: st.DrawFn, kind: Any) -> Any:
    """A value that the type accepts, written plainly."""
    if isinstance(kind, list):
        return draw(fitting(draw(st.sampled_from(kind))))
    name = kind if isinstance(kind, str) else kind["type"]
    if not isinstance(kind, str):
        logical = kind.get("logicalType")
        if name == "record":
            by_key = {
                field["name"]: draw(fitting(field["type"]))
                for field in kind["fields"]
                if "default" not in field or draw(st.booleans())
            }
            if kind.get("additional", True) and draw(st.booleans()):
                by_key["never a field"] = draw(ANYTHING)
            return by_key
        if name == "enum":
            return draw(st.sampled_from(kind["symbols"]))
        if name == "array":
            return draw(st.lists(fitting(kind["items"]), max_size=2))
        if name == "map":
            return draw(st.dictionaries(NAMES, fitting(kind["values"]), max_size=2))
        if logical == "decimal":
            scale = kind["scale"]
            units = draw(st.integers(1 - 10 ** kind["precision"], 10 ** kind["precision"] - 1))
            number = Decimal(f"{units}E-{scale}")
            return draw(st.sampled_from([number, str(number)]))
        if logical == "big-decimal":
            return draw(st.sampled_from([Decimal("1.5"), "1.5", 7]))
        if logical == "uuid":
            return str(draw(st.uuids()))
        if logical == "date":
            return draw(st.one_of(st.dates().map(str), st.integers(-(2**31), 2**31 - 1)))
        if logical is not None:
            zone = "" if logical.startswith("local") else "Z"
            return draw(
                st.one_of(st.integers(-(2**63), 2**63 - 1), st.datetimes().map(lambda at: at.isoformat() + zone))
            )
    if name == "int":
        return draw(st.one_of(st.integers(-(2**31), 2**31 - 1), st.just(Decimal("2.0"))))
    if name == "long":
        return draw(st.one_of(st.integers(-(2**63), 2**63 - 1), st.just(Decimal("1E+3"))))
    if name in ("float", "double"):
        return draw(_NUMBERS)
    if name == "bytes":
        return base64.b64encode(draw(st.binary(max_size=4))).decode()
    return draw({"null": st.none(), "boolean": st.booleans()}.get(name, _TEXTS))


def json_text(value: Any) -> str:
    """JSON that keeps every digit of a Decimal."""
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, list):
        return "[" + ",".join(map(json_text, value)) + "]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(key)}:{json_text(inner)}" for key, inner in value.items()) + "}"
    return json.dumps(value)


def record(*fields: Any, **extra: Any) -> dict[str, Any]:
    return {"type": "record", "name": "R", "fields": list(fields), **extra}


def field(kind: Any, name: str = "v", **extra: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, **extra}


def decimal(precision: int, scale: int, **extra: Any) -> dict[str, Any]:
    return {"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale, **extra}


MILLIS = {"type": "long", "logicalType": "timestamp-millis"}
LOCAL = {"type": "long", "logicalType": "local-timestamp-micros"}
INNER = {"type": "record", "name": "I", "fields": [field("long", "n")]}
NESTED = st.deferred(records).map(named)
