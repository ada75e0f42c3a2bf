"""Event schemas: Avro records read as schemas of plain JSON."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.event_schema import SchemaError, compile_schema, incompatibilities, mismatch, parse_schema
from schemas.values.json_text import exact
from tests.unit.schemas.event_schema.builders import (
    ANYTHING,
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


def fits(kind: Any, text: str) -> bool:
    schema = parse_schema(record(field(kind)))
    properties = exact(f'{{"v": {text}}}')
    good = compile_schema(schema)(properties)
    assert good == (mismatch(schema, properties) is None)
    return good


UUID = '"123e4567-e89b-12d3-a456-426614174000"'
DATE = {"type": "int", "logicalType": "date"}
CLOCK = {"type": "int", "logicalType": "time-millis"}


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("null", ["null"], ["0", '""', "false", "{}"]),
        ("boolean", ["true", "false"], ["0", "1", '"true"', "null"]),
        ("int", ["0", "-2147483648", "2147483647", "2.0", "2e3", "-0", "-0.0"],
            ["2147483648", "-2147483649", "1.5", '"1"', "true", "null", "1e400", "1e-400", "9" * 5000]),
        ("long", ["9223372036854775807", "-9223372036854775808", "1e18", "1.00"],
            ["9223372036854775808", "1e19", "0.1", "false", '"5"']),
        ("double", ["1", "0.1", "1e400", "1e-400", "0.10000000000000000000000001", "9" * 5000],
            ['"1"', "true", "null", "[]"]),
        ("float", ["1.5"], ['"1.5"']),
        ("string", ['""', '"x"', '"\\u0000"'], ["1", "null", "true", "[]", "{}"]),
        ("bytes", ['""', '"QUI="'], ['"QUI"', '"Q UI="', '"é"', "1"]),
        ({"type": "string"}, ['"x"'], ["1"]),
        ({"type": "string", "logicalType": "uuid"}, [UUID], ['"x"', UUID.replace("-", ""), "1"]),
        (DATE, ['"2026-01-31"', "20000", "20000.0"],
            ['"2026-02-30"', '"31.1.2026"', "1.5", '"2026-01-31T00:00:00Z"', "null"]),
        (MILLIS, ['"2026-01-31T12:00:00Z"', '"2026-01-31T12:00:00.123456+01:00"', "1700000000000"],
            ['"2026-01-31T12:00:00"', '"yesterday"', "1.5", "true"]),
        (LOCAL, ['"2026-01-31T12:00:00"', "5"], ['"2026-01-31T12:00:00Z"']),
        (CLOCK, ['"12:00:00"', "86399999"], ['"25:00:00"', "86400000", "-1"]),
        (decimal(5, 2), ["1", "123.45", '"123.45"', "-999.99", "1.10000", "1e2", '"0.1e1"', "0e999999999", "0.000"],
            ["1000", "0.001", '"x"', '"1_0"', '" 1"', "true", "null", '"NaN"', '"Infinity"', "1e400", "1e-400"]),
        ({"type": "fixed", "name": "F", "size": 3}, ['"QUJD"'], ['"QUI="', "3"]),
        ({**decimal(4, 1), "type": "fixed", "name": "F", "size": 4}, ["999.9"], ["1000", "0.01"]),
        ({"type": "enum", "name": "E", "symbols": ["red", "green"], "default": "red"}, ['"red"'],
            ['"blue"', "0", "null", '"Red"']),
        ({"type": "array", "items": "long"}, ["[]", "[1, 2.0]"], ["{}", "[1, null]", "1"]),
        ({"type": "map", "values": "string"}, ["{}", '{"any name": "x"}'], ["[]", '{"a": 1}']),
        (["null", "long"], ["null", "5"], ['"5"', "1.5"]),
        (["null", "long", "string", INNER], ["null", "5", '"x"', '{"n": 1}'],
            ["1.5", "true", "{}", '{"n": "x"}', '{"long": 5}']),
        (INNER, ['{"n": 1}', '{"n": 1, "more": true}'], ["{}", '{"n": null}', "[]", "null"]),
    ],
    ids=str,
)  # fmt: skip
def test_what_each_type_accepts_of_plain_json(kind: Any, good: list[str], bad: list[str]) -> None:
    assert [text for text in good if not fits(kind, text)] == []
    assert [text for text in bad if fits(kind, text)] == []


def test_a_default_means_that_a_field_may_be_missing_and_nullable_alone_does_not() -> None:
    schema = parse_schema(
        record(field(["null", "long"], "a"), field(["null", "long"], "b", default=None), field("long", "c", default=5))
    )
    assert mismatch(schema, {"a": None}) is None
    wrong = mismatch(schema, {"b": 1})
    assert wrong is not None
    assert (wrong.path, "must be sent" in wrong.found) == (".a", True)
    assert str(mismatch(schema, {"a": 1, "c": None})) == "expected a whole number of 64 bits, found null"


def test_fields_without_a_name_in_the_schema_pass_unless_it_says_otherwise() -> None:
    assert mismatch(parse_schema(record(field("long"))), {"v": 1, "w": 2}) is None
    closed = parse_schema(record(field("long"), additional=False))
    wrong = mismatch(closed, {"v": 1, "w": "x"})
    assert wrong is not None
    assert (wrong.path, str(wrong)) == (".w", 'expected no such field (allowed: v), found text "x"')


def test_the_place_is_that_of_the_fault_however_deep_and_inside_a_union() -> None:
    item = record(field(decimal(6, 2), "unit price"), name="Item")
    schema = parse_schema(
        record(
            field({"type": "array", "items": ["null", item]}, "items"),
            field({"type": "map", "values": "long"}, "counts"),
        )
    )
    wrong = mismatch(schema, exact('{"items": [null, {"unit price": "1.999"}], "counts": {}}'))
    assert wrong is not None
    assert wrong.path == '.items[1]["unit price"]'
    assert (
        str(wrong)
        == 'expected a number or numeric string of at most 6 digits, 2 of them after the point, found text "1.999"'
    )
    wrong = mismatch(schema, exact('{"items": [3], "counts": {}}'))
    assert str(wrong) == "expected null or an object (Item), found number 3"
    wrong = mismatch(schema, exact('{"items": [], "counts": {"x": 1.5}}'))
    assert (wrong.path if wrong else "") == ".counts.x"


def test_a_type_may_hold_itself_and_names_are_found_by_namespace() -> None:
    tree = {
        "type": "record",
        "name": "Tree",
        "namespace": "org.x",
        "fields": [
            field("long", "n"),
            field({"type": "array", "items": "Tree"}, "below", default=[]),
            field(["null", "org.x.Tree"], "next", default=None),
        ],
    }
    schema = parse_schema(tree)
    check = compile_schema(schema)
    assert check({"n": 1, "below": [{"n": 2, "below": [{"n": 3}]}], "next": {"n": 4}})
    deep = {"n": 1, "below": [{"n": 2, "below": [{"n": "3"}]}]}
    assert not check(deep)
    wrong = mismatch(schema, deep)
    assert (wrong.path if wrong else "") == ".below[0].below[0].n"
    assert incompatibilities(schema, schema, "full") == ()


@pytest.mark.parametrize(
    ("schema", "path", "says"),
    [
        ("long", "", "record is needed"), ({"type": "array", "items": "long"}, "", "record is needed"),
        (None, "", "record is needed"), ({"type": "record", "name": "R"}, ".fields", "list of fields"),
        ({"type": "record", "fields": []}, ".name", "needs a name"),
        (record(field("lnog")), ".fields[0].type", "unknown type 'lnog'"),
        (record(field([])), ".fields[0].type", "empty union"),
        (record(field(5)), ".fields[0].type", "a type is text"), (record({"name": "a"}), ".fields[0]", "needs a type"),
        (record({"type": "long"}), ".fields[0].name", "needs a name"),
        (record(field("long"), field("int")), ".fields[1].name", "twice"),
        (record(field({"type": "long", "logicalType": "timestamp-milis"})), ".fields[0].type.logicalType",
            "timestamp-millis"),
        (record(field({"type": "int", "logicalType": "timestamp-millis"})), ".fields[0].type.logicalType",
            "belongs to long"),
        (record(field({"type": "bytes", "logicalType": "decimal"})), ".fields[0].type.precision", "precision of 1"),
        (record(field(decimal(3, 4))), ".fields[0].type.scale", "0 to the precision"),
        (record(field({"type": "enum", "name": "E", "symbols": []})), ".fields[0].type.symbols", "list of symbols"),
        (record(field({"type": "enum", "name": "E", "symbols": ["a"], "default": "b"})), ".fields[0].type.default",
            "none of the symbols"),
        (record(field({"type": "array"})), ".fields[0].type", "needs 'items'"),
        (record(field(["null", "null"])), ".fields[0].type[1]", "twice"),
        (record(field(["null", ["long"]])), ".fields[0].type[1]", "may not hold a union"),
        (record(field({"type": "fixed", "name": "F", "size": 0})), ".fields[0].type.size", "size of 1"),
        (record(field("long", default="x")), ".fields[0].default", "no value of the field's type"),
        (record(aditional=False), ".aditional", "did you mean additional"),
        (record(additional="no"), ".additional", "or false"),
        (record(field(record(name="R"))), ".fields[0].type.name", "taken"),
        (record(field("Nowhere")), ".fields[0].type", "unknown type 'Nowhere'"),
    ],
)  # fmt: skip
def test_a_schema_that_cannot_be_taken_says_where_and_what_to_do(schema: Any, path: str, says: str) -> None:
    with pytest.raises(SchemaError) as caught:
        parse_schema(schema)
    assert path in [fault.path for fault in caught.value.faults]
    assert says in str(caught.value)


def test_a_schema_of_unreasonable_size_is_refused_quickly() -> None:
    deep: Any = "long"
    for _ in range(500):
        deep = {"type": "array", "items": deep}
    with pytest.raises(SchemaError, match="too large"):
        parse_schema(record(field(deep)))
    with pytest.raises(SchemaError, match="too large"):
        parse_schema(record(*[field("long", f"f{number}") for number in range(3000)]))


@given(st.data())
def test_fast_and_slow_judge_alike_and_what_fits_is_taken(data: st.DataObject) -> None:
    source = data.draw(NESTED)
    schema = parse_schema(source)
    check = compile_schema(schema)
    good = exact(json_text(data.draw(fitting(source))))
    assert check(good), mismatch(schema, good)
    assert mismatch(schema, good) is None
    second_exact = exact(json_text(data.draw(ANYTHING)))
    wrong = mismatch(schema, second_exact)
    assert check(second_exact) == (wrong is None)
    if wrong is not None:
        assert wrong.expected
        assert wrong.found
