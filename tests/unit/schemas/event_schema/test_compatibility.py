"""Which changes of an event type's schema each kind of compatibility allows."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.event_schema import compile_schema, incompatibilities, mismatch, parse_schema
from schemas.values.json_text import exact
from tests.unit.schemas.event_schema.builders import (
    INNER,
    LOCAL,
    MILLIS,
    NESTED,
    decimal,
    field,
    fitting,
    json_text,
    record,
)


class TestCompatibility:
    @pytest.mark.parametrize(
        ("old", "new", "backward", "forward"),
        [
            ("int", "long", True, False), ("int", "double", True, False), ("double", "float", True, True),
            ("long", "int", False, True),
            ("string", "bytes", False, True), ("int", decimal(10, 0), True, False),
            ("long", decimal(18, 0), False, False),
            (decimal(5, 2), decimal(7, 3), True, False), (decimal(5, 2), decimal(5, 3), False, False),
            (decimal(5, 2), "double", False, False),
            ("long", MILLIS, True, False), (MILLIS, LOCAL, False, False), ("long", ["null", "long"], True, False),
            ("string", "long", False, False),
            (["null", "long"], ["null", "double", "string"], True, False),
            (["null", "long", "string"], ["null", "long"], False, True),
            ({"type": "array", "items": "int"}, {"type": "array", "items": "long"}, True, False),
            ({"type": "map", "values": "int"}, {"type": "map", "values": "string"}, False, False),
            ({"type": "enum", "name": "E", "symbols": ["a"]}, {"type": "enum", "name": "F", "symbols": ["a", "b"]},
                True, False),
            ({"type": "enum", "name": "E", "symbols": ["a", "b"]},
                {"type": "enum", "name": "E", "symbols": ["a"], "default": "a"}, True, True),
            ({"type": "enum", "name": "E", "symbols": ["a"]}, "string", True, False),
            ({"type": "fixed", "name": "F", "size": 3}, "bytes", True, False), (INNER, ["null", INNER], True, False),
            ({"type": "array", "items": "int"}, {"type": "map", "values": "int"}, False, False),
        ],
    )  # fmt: skip
    def test_a_changed_type(self, old: Any, new: Any, backward: bool, forward: bool) -> None:
        previous_parse_schema, later_parse_schema = parse_schema(record(field(old))), parse_schema(record(field(new)))
        assert (not incompatibilities(later_parse_schema, previous_parse_schema, "backward")) == backward
        assert (not incompatibilities(later_parse_schema, previous_parse_schema, "forward")) == forward
        assert (not incompatibilities(later_parse_schema, previous_parse_schema, "full")) == (backward and forward)
        assert incompatibilities(later_parse_schema, previous_parse_schema, "none") == ()
        for text in incompatibilities(later_parse_schema, previous_parse_schema, "full"):
            assert text.startswith("properties.v")

    @pytest.mark.parametrize(
        ("old", "new", "backward", "forward"),
        [
            (record(), record(field("long")), False, True), (record(), record(field("long", default=0)), True, True),
            (record(field("long")), record(), True, False), (record(field("long", default=0)), record(), True, True),
            (record(field("long", default=0)), record(field("long")), False, True),
            (record(field("long")), record(field("long", default=0)), True, False),
            (record(), record(additional=False), False, True), (record(additional=False), record(), True, False),
            (record(field("long"), additional=False), record(additional=False), False, False),
            (record(additional=False), record(field("long", default=1), additional=False), True, False),
        ],
    )  # fmt: skip
    def test_a_field_that_comes_or_goes(self, old: Any, new: Any, backward: bool, forward: bool) -> None:
        previous_parse_schema, later_parse_schema = parse_schema(old), parse_schema(new)
        assert (not incompatibilities(later_parse_schema, previous_parse_schema, "backward")) == backward
        assert (not incompatibilities(later_parse_schema, previous_parse_schema, "forward")) == forward

    def test_the_fault_names_the_path_and_the_remedy(self) -> None:
        previous_parse_schema = parse_schema(
            record(field({"type": "array", "items": record(field("double", "price"), name="Item")}, "items"))
        )
        later_parse_schema = parse_schema(
            record(
                field(
                    {"type": "array", "items": record(field("long", "price"), field("string", "sku"), name="Item")},
                    "items",
                )
            )
        )
        assert incompatibilities(later_parse_schema, previous_parse_schema, "backward") == (
            "properties.items[].price: was a number, is now a whole number of 64 bits (backward: the new schema "
            "must read what the old one accepted)",
            "properties.items[].sku: the new schema needs it and the old one does not have it; "
            "give the field a default "
            "(backward: the new schema must read what the old one accepted)",
        )

    @given(st.data())
    def test_what_is_called_compatible_reads_every_value_that_the_old_schema_accepted(
        self, data: st.DataObject
    ) -> None:
        old, new = data.draw(NESTED), data.draw(NESTED)
        previous_parse_schema, later_parse_schema = parse_schema(old), parse_schema(new)
        assert incompatibilities(previous_parse_schema, previous_parse_schema, "full") == ()
        if incompatibilities(later_parse_schema, previous_parse_schema, "backward"):
            return
        value = exact(json_text(data.draw(fitting(without_additional(old)))))
        assert compile_schema(previous_parse_schema)(value)
        assert compile_schema(later_parse_schema)(value), (mismatch(later_parse_schema, value), json.dumps(new))


def without_additional(schema: Any) -> Any:
    """A field that the old schema does not name counts as not sent."""
    if isinstance(schema, list):
        return [without_additional(item) for item in schema]
    if isinstance(schema, dict):
        by_key = {name: without_additional(value) if name != "default" else value for name, value in schema.items()}
        return {**by_key, "additional": False} if schema.get("type") == "record" else by_key
    return schema
