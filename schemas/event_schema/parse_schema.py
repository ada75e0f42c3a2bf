"""Parses an Avro schema in JSON to nodes and locates every fault."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from difflib import get_close_matches
from itertools import islice
from typing import Any, Final, TypeGuard

from schemas.event_schema.check import node_compiler
from schemas.event_schema.errors import SchemaError, SchemaFault
from schemas.event_schema.nodes import (
    Array,
    Enum,
    Exact,
    Field,
    Fixed,
    Map,
    Node,
    RecordNode,
    Ref,
    Scalar,
    Schema,
    Union,
)
from schemas.filters import exact_value

MAX_TYPES: Final = 2000
MAX_NESTING: Final = 24
_LISTED: Final = 20  # names in a message
PRIMITIVES: Final = ("null", "boolean", "int", "long", "float", "double", "bytes", "string")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FULL_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")
_LOGICAL: Final[dict[str, tuple[str, ...]]] = {
    "int": ("date", "time-millis"),
    "long": (
        "time-micros", "timestamp-millis", "timestamp-micros", "timestamp-nanos", "local-timestamp-millis",
        "local-timestamp-micros", "local-timestamp-nanos",
    ),
    "string": ("uuid",),
    "bytes": ("decimal", "big-decimal"),
    "fixed": ("decimal", "duration", "uuid"),
}  # fmt: skip
_NOTES: Final = ("type", "doc")
_ATTRIBUTES: Final[dict[str, frozenset[str]]] = {
    "record": frozenset({"name", "namespace", "fields", "additional", "aliases"}),
    "enum": frozenset({"name", "namespace", "symbols", "default", "aliases"}),
    "fixed": frozenset({"name", "namespace", "size", "logicalType", "precision", "scale", "aliases"}),
    "array": frozenset({"items"}),
    "map": frozenset({"values"}),
    "primitive": frozenset({"logicalType", "precision", "scale"}),
    "field": frozenset({"name", "type", "default", "order", "aliases"}),
}  # fmt: skip


def parse_schema(value: Any) -> Schema:
    """Parse a record schema. Raises SchemaError."""
    parser = _Parser()
    if not isinstance(value, Mapping) or value.get("type") != "record":
        kind = value.get("type") if isinstance(value, Mapping) else value
        detail = f'an Avro record is needed ({{"type": "record", …}}), found {str(kind)[:60]!r}'
        raise SchemaError((SchemaFault("", detail),))
    root = parser.node(value, "", "", 0)
    if not parser.faults:
        parser.check_defaults()
    if parser.faults or not isinstance(root, Ref):
        raise SchemaError(tuple(parser.faults[:50]))
    record = parser.named[root.name]
    assert isinstance(record, RecordNode)
    return Schema(record, parser.named)


class _Parser:
    def __init__(self) -> None:
        self.faults: list[SchemaFault] = []
        self.named: dict[str, Node] = {}
        self._types = 0
        self._defaults: list[tuple[str, Node, Any]] = []

    def _wrong(self, path: str, detail: str) -> Node:
        self.faults.append(SchemaFault(path, detail))
        return Scalar("null")

    def node(self, value: Any, path: str, namespace: str, level: int) -> Node:
        """Parse the type at ``path``; names are resolved in ``namespace``."""
        self._types += 1
        if self._types > MAX_TYPES or level > MAX_NESTING:
            if self._types == MAX_TYPES + 1 or level == MAX_NESTING + 1:
                self._wrong(path, f"too large: at most {MAX_TYPES} types, nested at most {MAX_NESTING} deep")
            return Scalar("null")
        if isinstance(value, str):
            return self._by_name(value, path, namespace)
        if isinstance(value, list):
            return self._union(value, path, namespace, level)
        if not isinstance(value, Mapping):
            return self._wrong(path, f"a type is text, a list (union) or an object, not {value!r}")
        kind = value.get("type")
        if isinstance(kind, Mapping | list):
            return self.node(kind, f"{path}.type", namespace, level + 1)
        if not isinstance(kind, str):
            return self._wrong(f"{path}.type", 'missing; write e.g. "type": "string"')
        node: Node
        match kind:
            case "record":
                node = self._record(value, path, namespace, level)
            case "enum":
                node = self._enum(value, path, namespace)
            case "fixed":
                node = self._fixed(value, path, namespace)
            case "array":
                self._known(value, kind, path)
                node = Array(self._below(value, "items", path, namespace, level))
            case "map":
                self._known(value, kind, path)
                node = Map(self._below(value, "values", path, namespace, level))
            case _ if kind in PRIMITIVES:
                node = self._primitive(value, kind, path)
            case _:
                node = self._by_name(kind, f"{path}.type", namespace)
        return node

    def _below(self, value: Mapping[str, Any], part: str, path: str, namespace: str, level: int) -> Node:
        if part not in value:
            return self._wrong(path, f"{value['type']} needs {part!r}: the type of what it holds")
        return self.node(value[part], f"{path}.{part}", namespace, level + 1)

    def _known(self, value: Mapping[str, Any], what: str, path: str) -> None:
        """Report misspelt attributes. Attributes unknown to Avro are allowed as annotations, but a misspelt one
        would silently loosen the schema."""
        known = _ATTRIBUTES[what]
        for name in value:
            if name not in known and name not in _NOTES and (near := get_close_matches(name, known, 1, 0.8)):
                self._wrong(f"{path}.{name}", f"unknown; did you mean {near[0]}?")

    def _by_name(self, name: str, path: str, namespace: str) -> Node:
        if name in PRIMITIVES:
            return Scalar(name)
        for full in dict.fromkeys((name if "." in name or not namespace else f"{namespace}.{name}", name)):
            if full in self.named:
                return Ref(full)
        known = ", ".join((*PRIMITIVES, "record", "enum", "fixed", "array", "map", *islice(self.named, _LISTED)))
        return self._wrong(path, f"unknown type {name!r}; known here: {known}")

    def _primitive(self, value: Mapping[str, Any], kind: str, path: str) -> Node:
        self._known(value, "primitive", path)
        logical = value.get("logicalType")
        if logical is None:
            return Scalar(kind)
        if logical not in _LOGICAL.get(kind, ()):
            return self._logical(logical, kind, path)
        return self._exact(value, path, None) if logical == "decimal" else Scalar(logical)

    def _logical(self, logical: Any, kind: str, path: str) -> Node:
        fits = ", ".join(_LOGICAL.get(kind, ())) or "none"
        where = [base for base, names in _LOGICAL.items() if logical in names]
        hint = f"; {logical} belongs to {' or '.join(where)}" if where else ""
        return self._wrong(
            f"{path}.logicalType", f"{str(logical)[:60]!r} is no logical type of {kind} (known: {fits}){hint}"
        )

    def _exact(self, value: Mapping[str, Any], path: str, size: int | None) -> Node:
        precision, scale = value.get("precision"), value.get("scale", 0)
        # The number of digits that fit into so many bytes, by logarithm: Python refuses to print numbers of more than
        # 4,300 digits.
        most = 1000 if size is None else math.floor((8 * size - 1) * math.log10(2))
        if not _natural(precision) or not 1 <= precision <= most:
            return self._wrong(f"{path}.precision", f"a decimal needs a precision of 1 to {most} digits")
        if not _natural(scale) or scale > precision:
            return self._wrong(f"{path}.scale", f"a whole number from 0 to the precision, {precision}")
        return Exact(precision, scale)

    def _union(self, value: list[Any], path: str, namespace: str, level: int) -> Node:
        if not value:
            return self._wrong(path, "an empty union accepts nothing; name its types")
        branches: list[Node] = []
        kinds: set[str] = set()
        for index, item in enumerate(value):
            branch_path = f"{path}[{index}]"
            branch = self.node(item, branch_path, namespace, level + 1)
            if isinstance(branch, Union):
                self._wrong(branch_path, "a union may not hold a union; write its types into this one")
            name = item if isinstance(item, str) else str(item.get("type")) if isinstance(item, Mapping) else ""
            name = branch.name if isinstance(branch, Ref) else name
            if name in kinds:
                self._wrong(branch_path, f"{name} stands twice in the union")
            kinds.add(name)
            branches.append(branch)
        return Union(tuple(branches))

    def _full_name(self, value: Mapping[str, Any], path: str, namespace: str) -> tuple[str, str]:
        """(full name, namespace of the nested types)."""
        name, own_namespace = value.get("name"), value.get("namespace", namespace)
        if not isinstance(name, str) or not _FULL_NAME.fullmatch(name):
            self._wrong(f"{path}.name", f"a {value['type']} needs a name of letters, digits and _")
            name = f"unnamed{len(self.named)}"
        if not isinstance(own_namespace, str) or (own_namespace and not _FULL_NAME.fullmatch(own_namespace)):
            self._wrong(f"{path}.namespace", "names of letters, digits and _, joined by dots")
            own_namespace = ""
        full = name if "." in name or not own_namespace else f"{own_namespace}.{name}"
        if full in self.named or full in PRIMITIVES:
            self._wrong(f"{path}.name", f"{full} is taken; give this type another name")
            full = f"{full}.{len(self.named)}"
        return full, full.rpartition(".")[0]

    def _record(self, value: Mapping[str, Any], path: str, namespace: str, level: int) -> Node:
        self._known(value, "record", path)
        full, inner = self._full_name(value, path, namespace)
        additional = value.get("additional", True)
        if not isinstance(additional, bool):
            self._wrong(f"{path}.additional", "true (unknown fields are taken, the default) or false")
        self.named[full] = RecordNode(full, (), True)  # so that its fields may refer to it
        fields: list[Field] = []
        named: set[str] = set()
        listed = value.get("fields")
        if not isinstance(listed, list):
            self._wrong(f"{path}.fields", "a record needs a list of fields, which may be empty")
            listed = []
        for index, item in enumerate(listed):
            field_path = f"{path}.fields[{index}]"
            if not isinstance(item, Mapping):
                self._wrong(field_path, 'a field is an object: {"name": …, "type": …}')
                continue
            self._known(item, "field", field_path)
            name = item.get("name")
            if not isinstance(name, str) or not name or len(name) > 256:
                self._wrong(f"{field_path}.name", "a field needs a name: that of the JSON property")
                continue
            if name in named:
                self._wrong(f"{field_path}.name", f"{name} stands twice")
            named.add(name)
            if "type" not in item:
                self._wrong(field_path, f"field {name} needs a type")
                continue
            field_type = self.node(item["type"], f"{field_path}.type", inner, level + 1)
            if "default" in item:
                self._defaults.append((f"{field_path}.default", field_type, item["default"]))
            fields.append(Field(name, field_type, "default" not in item, item.get("default")))
        self.named[full] = RecordNode(full, tuple(fields), additional is not False)
        return Ref(full)

    def _enum(self, value: Mapping[str, Any], path: str, namespace: str) -> Node:
        self._known(value, "enum", path)
        full, _ = self._full_name(value, path, namespace)
        symbols = value.get("symbols")
        if (
            not isinstance(symbols, list)
            or not symbols
            or not all(isinstance(symbol, str) and symbol for symbol in symbols)
        ):
            self._wrong(f"{path}.symbols", "an enum needs a list of symbols, each a text")
            symbols = [""]
        if len(set(symbols)) < len(symbols):
            self._wrong(f"{path}.symbols", "a symbol stands twice")
        default = value.get("default")
        if default is not None and default not in symbols:
            self._wrong(f"{path}.default", f"{default!r} is none of the symbols")
        self.named[full] = Enum(full, tuple(symbols), default if isinstance(default, str) else None)
        return Ref(full)

    def _fixed(self, value: Mapping[str, Any], path: str, namespace: str) -> Node:
        self._known(value, "fixed", path)
        full, _ = self._full_name(value, path, namespace)
        size, logical = value.get("size"), value.get("logicalType")
        node: Node
        if not _natural(size) or not 1 <= size <= 65_536:
            node = self._wrong(f"{path}.size", "a fixed needs a size of 1 to 65536 bytes")
        elif logical is None:
            node = Fixed(size)
        elif logical not in _LOGICAL["fixed"]:
            node = self._logical(logical, "fixed", path)
        elif logical == "decimal":
            node = self._exact(value, path, size)
        elif logical == "uuid" and size != 16:
            node = self._wrong(f"{path}.size", "a uuid has 16 bytes")
        elif logical == "duration" and size != 12:
            node = self._wrong(f"{path}.size", "a duration has 12 bytes")
        else:
            node = Scalar("uuid") if logical == "uuid" else Fixed(size)
        self.named[full] = node
        return Ref(full)

    def check_defaults(self) -> None:
        """Check, once all names are known, that each default is a value of its type (plain JSON; for a union of any
        branch)."""
        compiled = node_compiler(self.named)
        for path, node, default in self._defaults:
            if not compiled(node)(exact_value(default)):
                self._wrong(path, f"{default!r} is no value of the field's type")


def _natural(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
