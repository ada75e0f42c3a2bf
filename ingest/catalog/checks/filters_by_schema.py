"""Finds filters that no event can pass because the schema of its event type contradicts them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ingest.catalog.document import Fault
from ingest.catalog.planned import Planned
from schemas.catalog.meters import EventType, Filter, Meter
from schemas.event_schema import Schema, parse_schema
from schemas.event_schema.check import compile_schema_node
from schemas.event_schema.mismatches import describe
from schemas.event_schema.nodes import Map, Node, RecordNode, Union
from schemas.filters import compile_filter, exact_value


def unfit_faults(planned: Planned, meters: Iterable[str]) -> Iterator[Fault]:
    """Faults of those of these meters that the document contains, directly or through their event type."""
    for code in meters:
        meter = planned.get("meter", code)
        if not isinstance(meter, Meter):
            continue
        declared = planned.get("event_type", meter.event_name or code)
        if not isinstance(declared, EventType) or declared.avro is None:
            continue
        is_declared = planned.declares("meter", code)
        if not is_declared and not planned.declares("event_type", declared.code):
            continue  # existed before and is not part of this document
        where = [(f"filters[{number}]", item) for number, item in enumerate(meter.filters)]
        for index, profile in enumerate(meter.profiles):
            where += [(f"profiles[{index}].filters[{number}]", item) for number, item in enumerate(profile.filters)]
        schema = parse_schema(declared.avro)
        for below, item in where:
            if (why := _unfit(schema, item)) is not None:
                detail = f"no event passes: {why} (schema of event type {declared.code})"
                if is_declared:
                    yield Fault(f"{planned.path_of('meter', code)}.{below}", detail)
                else:
                    yield Fault("$", f"meter {code} at {below}: {detail}")


def _unfit(schema: Schema, item: Filter) -> str | None:
    """Why no event that fits the schema passes the filter; None if some event may pass."""
    path = ".".join(item.property)
    if compile_filter(("p",), item.operator, item.value)({}):
        return None  # a missing property passes
    nodes = _types(schema, schema.root, item.property)
    if nodes is None:
        return None
    if not nodes:
        return f"the schema has no property {path}"
    if item.operator not in ("eq", "in"):
        return None
    value = exact_value(item.value)
    values: list[Any] = value if item.operator == "in" and isinstance(value, list) else [value]
    checks = [compile_schema_node(node, schema.named) for node in nodes]
    if any(check(listed) for check in checks for listed in values):
        return None
    return f"{path} is {' or '.join(dict.fromkeys(describe(schema, node) for node in nodes))}"


def _types(schema: Schema, node: Node, path: tuple[str, ...]) -> list[Node] | None:
    """The schema types possible at a property path: empty if the property cannot exist, None if anything is
    possible."""
    node = schema.resolve(node)
    if isinstance(node, Union):
        nodes: list[Node] = []
        for branch in node.branches:
            branch_nodes = _types(schema, branch, path)
            if branch_nodes is None:
                return None
            nodes += branch_nodes
        return nodes
    if not path:
        return [node]
    if isinstance(node, Map):
        return _types(schema, node.values, path[1:])
    if isinstance(node, RecordNode):
        for field in node.fields:
            if field.name == path[0]:
                return _types(schema, field.type, path[1:])
        return None if node.additional else []
    return []
