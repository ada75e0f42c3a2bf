"""Fills in a schema's defaults for fields that an event omits, along the paths used by filters, values and
dimensions. Pure.

An event is stored, hashed and compared as sent, but it is *read* as if each omitted field had its default, wherever
its path leads through records (including those inside maps, and through a union that contains one record or map). A
default of null fills in nothing: it is Avro's way to mark a field as optional. The value at the end of a path is
taken as a whole, either as sent or as the default is written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from schemas.event_schema.nodes import Map, Node, RecordNode, Schema, Union
from schemas.filters import MISSING, Path, exact_value, lookup

Steps = tuple[tuple[str, Any], ...]
"""The fields of a path, each with its default, MISSING if it has none."""


class Defaults:
    """The defaults of one schema (None: no defaults). ``any``: whether the schema has any."""

    def __init__(self, schema: Schema | None = None) -> None:
        self._schema = schema
        self.any = schema is not None and any(
            not field.required and field.default is not None
            for node in (schema.root, *schema.named.values())
            if isinstance(node, RecordNode)
            for field in node.fields
        )

    def steps(self, path: Sequence[str]) -> Steps | None:
        """The path with the defaults on it; None if nothing can be filled in there."""
        if self._schema is None or not self.any:
            return None
        node: Node | None = self._schema.root
        steps: list[tuple[str, Any]] = []
        for name in path:
            default: Any = MISSING
            node = None if node is None else _object(self._schema, node)
            if isinstance(node, RecordNode):
                field = next((field for field in node.fields if field.name == name), None)
                if field is not None and not field.required and field.default is not None:
                    default = exact_value(field.default)
                node = None if field is None else field.type
            elif isinstance(node, Map):
                node = node.values
            steps.append((name, default))
        return None if all(default is MISSING for _, default in steps) else tuple(steps)

    def getter(self, path: Path) -> Callable[[Any], Any]:
        """A function that returns the value at the path in parsed properties, or its default, or MISSING."""
        steps = self.steps(path)
        if steps is None:
            if len(path) == 1:
                only = path[0]
                return lambda properties: properties.get(only, MISSING)
            return lambda properties: lookup(properties, path)
        return lambda properties: lookup_filled(properties, steps)


NO_DEFAULTS: Final = Defaults()


def lookup_filled(properties: Any, steps: Steps) -> Any:
    """As ``lookup``, with the default of a field that its record omits."""
    value = properties
    for name, default in steps:
        if not isinstance(value, dict):
            return MISSING
        value = value.get(name, default)
    return value


def _object(schema: Schema, node: Node) -> RecordNode | Map | None:
    """The only record or map that ``node`` may be; None if there is none, or several."""
    resolved = schema.resolve(node)
    branches = [schema.resolve(branch) for branch in resolved.branches] if isinstance(resolved, Union) else [resolved]
    objects = [branch for branch in branches if isinstance(branch, RecordNode | Map)]
    return objects[0] if len(objects) == 1 else None
