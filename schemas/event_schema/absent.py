"""The values that a missing property stands for according to its event type's schema: Avro's default, or null.
Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from schemas.event_schema.nodes import Node, RecordNode, Scalar, Schema, Union
from schemas.filters import MISSING, lookup


def stands_for(schema: Schema, path: Sequence[str]) -> tuple[Any, ...]:
    """The values that the property at ``path`` may stand for when it is missing or null, one for each way this can
    happen.

    A field on the path may be omitted if it has a default, and be null if its type allows it. Empty if the schema
    does not contain the property, or requires it.
    """
    defaults: list[Any] = []
    node: Node = schema.root
    for level, name in enumerate(path, 1):
        record = _record(schema, node)
        field = (
            next((candidate for candidate in record.fields if candidate.name == name), None)
            if record is not None
            else None
        )
        if field is None:
            return ()
        if not field.required:
            inner = lookup({"": field.default}, ("", *path[level:]))
            defaults.append(None if inner is MISSING else inner)
        if _nullable(schema, field.type):
            defaults.append(None)
        node = field.type
    return tuple(defaults)


def _branches(schema: Schema, node: Node) -> list[Node]:
    resolved = schema.resolve(node)
    return [schema.resolve(branch) for branch in resolved.branches] if isinstance(resolved, Union) else [resolved]


def _nullable(schema: Schema, node: Node) -> bool:
    return Scalar("null") in _branches(schema, node)


def _record(schema: Schema, node: Node) -> RecordNode | None:
    """The only record that ``node`` may be; None if there is none, or several."""
    records = [branch for branch in _branches(schema, node) if isinstance(branch, RecordNode)]
    return records[0] if len(records) == 1 else None
