"""What an event's schema says of a field that the event leaves out, worked out apart from
``schemas.event_schema.filled``, which it checks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal

from schemas.event_schema.nodes import Map, Node, RecordNode, Schema, Union


def with_default(properties: object, schema: Schema | None, path: Sequence[str]) -> object:
    """The properties, a copy, with the defaults on the way along the path written into them; null is no default."""
    return properties if schema is None else _written(properties, schema.root, tuple(path), schema)


def _written(value: object, node: Node, path: tuple[str, ...], schema: Schema) -> object:
    if not path or not isinstance(value, dict):
        return value
    resolved = schema.resolve(node)
    branches = resolved.branches if isinstance(resolved, Union) else (resolved,)
    objects = [branch for branch in map(schema.resolve, branches) if isinstance(branch, RecordNode | Map)]
    if len(objects) != 1:
        return value
    name, below = path[0], path[1:]
    if isinstance(objects[0], Map):
        return {**value, name: _written(value[name], objects[0].values, below, schema)} if name in value else value
    for field in objects[0].fields:
        if field.name == name and (name in value or not (field.required or field.default is None)):
            inner = value[name] if name in value else json.loads(json.dumps(field.default), parse_float=Decimal)
            return {**value, name: _written(inner, field.type, below, schema)}
    return value
