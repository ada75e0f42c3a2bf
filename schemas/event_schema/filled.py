"""The defaults that a schema puts in place of what an event leaves out, along the paths that filters, values and
dimensions ask for. Pure.

An event is stored, hashed and compared as it was sent; it is *read* as if each field that it leaves out had its
default, wherever the path to it leads through records (also through those of maps, and through a union that holds one
of either). A default of null fills nothing in: it is how Avro says that a field is optional. What a path ends at is
taken whole, an object as it was sent or as its default is written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from schemas.event_schema.nodes import Map, Node, Record, Schema, Union
from schemas.filters import MISSING, Path, exact_value, lookup

Steps = tuple[tuple[str, Any], ...]
"""A path with each field's default, MISSING where there is none."""


class Defaults:
    """Those of one schema; without one there are none. ``any``: whether the schema has some at all."""

    def __init__(self, schema: Schema | None = None) -> None:
        self._schema = schema
        self.any = schema is not None and any(
            not field.required and field.default is not None
            for node in (schema.root, *schema.named.values())
            if isinstance(node, Record)
            for field in node.fields
        )

    def steps(self, path: Sequence[str]) -> Steps | None:
        """The path with the defaults on it; None where nothing is ever filled in there."""
        if self._schema is None or not self.any:
            return None
        node: Node | None = self._schema.root
        steps: list[tuple[str, Any]] = []
        for name in path:
            default: Any = MISSING
            node = None if node is None else _object(self._schema, node)
            if isinstance(node, Record):
                field = next((field for field in node.fields if field.name == name), None)
                if field is not None and not field.required and field.default is not None:
                    default = exact_value(field.default)
                node = None if field is None else field.type
            elif isinstance(node, Map):
                node = node.values
            steps.append((name, default))
        return None if all(default is MISSING for _, default in steps) else tuple(steps)

    def getter(self, path: Path) -> Callable[[Any], Any]:
        """What stands at the path of parsed properties, or stands in for it; MISSING for neither."""
        steps = self.steps(path)
        if steps is None:
            if len(path) == 1:
                only = path[0]
                return lambda properties: properties.get(only, MISSING)
            return lambda properties: lookup(properties, path)
        return lambda properties: lookup_filled(properties, steps)


NO_DEFAULTS: Final = Defaults()


def lookup_filled(properties: Any, steps: Steps) -> Any:
    """As ``lookup``, with the default of a field that its record leaves out."""
    value = properties
    for name, default in steps:
        if not isinstance(value, dict):
            return MISSING
        value = value.get(name, default)
    return value


def _object(schema: Schema, node: Node) -> Record | Map | None:
    """The one record or map that ``node`` may be; None where it is none, or one of several."""
    resolved = schema.resolve(node)
    branches = [schema.resolve(branch) for branch in resolved.branches] if isinstance(resolved, Union) else [resolved]
    objects = [branch for branch in branches if isinstance(branch, Record | Map)]
    return objects[0] if len(objects) == 1 else None
