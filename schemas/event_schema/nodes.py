"""The node types of a parsed event schema."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import Any


@dataclass(frozen=True, slots=True)
class Scalar:
    """A type without parameters, by its name in ``scalars.SCALARS``: long, string, timestamp-millis …"""

    kind: str


@dataclass(frozen=True, slots=True)
class Exact:
    """Avro's decimal: at most ``precision`` digits, at most ``scale`` of them after the point."""

    precision: int
    scale: int


@dataclass(frozen=True, slots=True)
class Fixed:
    """A fixed number of bytes, in JSON as base64 text."""

    size: int


@dataclass(frozen=True, slots=True)
class Enum:
    """One of the symbols. ``default`` is used only for compatibility; an event must name one of the symbols."""

    name: str
    symbols: tuple[str, ...]
    default: str | None


@dataclass(frozen=True, slots=True)
class Array:
    """A JSON list."""

    items: Node


@dataclass(frozen=True, slots=True)
class Map:
    """A JSON object with arbitrary names."""

    values: Node


@dataclass(frozen=True, slots=True)
class Union:
    """One of the branches, written plainly (not wrapped in an object that names the branch)."""

    branches: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a record; it may be omitted if it has a ``default``."""

    name: str
    type: Node
    required: bool
    default: Any = dataclass_field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class RecordNode:
    """A JSON object. ``additional``: whether it may have fields that the schema does not name."""

    name: str
    fields: tuple[Field, ...]
    additional: bool


@dataclass(frozen=True, slots=True)
class Ref:
    """A reference to a named type by its full name, possibly from inside itself."""

    name: str


Node = Scalar | Exact | Fixed | Enum | Array | Map | Union | RecordNode | Ref


@dataclass(frozen=True, slots=True)
class Schema:
    """A complete schema. ``named``: every record, enum and fixed by its full name."""

    root: RecordNode
    named: Mapping[str, Node]

    def resolve(self, node: Node) -> Node:
        """The type that a reference points to; any other node unchanged."""
        return self.named[node.name] if isinstance(node, Ref) else node
