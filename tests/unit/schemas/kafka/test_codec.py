"""Avro single-object encoding: every record names its schema; anything else is refused, never guessed."""

from __future__ import annotations

import io
import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from fastavro import parse_schema, schemaless_writer
from fastavro.schema import to_parsing_canonical_form
from hypothesis import given
from hypothesis import strategies as st

import schemas.kafka.codec
from schemas.kafka.codec import HEADER_BYTES, MARKER, Codec, CodecError, codec

FOLDER = Path(schemas.kafka.codec.__file__).parents[1] / "avro"
NAMES = sorted(path.stem for path in FOLDER.glob("*.avsc"))


def crc_64_avro(data: bytes) -> int:
    """CRC-64-AVRO bit by bit, from the text of the specification's "Schema Fingerprints"."""
    empty = 0xC15D213AA4D7A795
    value = empty
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value >> 1) ^ (empty if value & 1 else 0)
    return value


def values_of(schema: Any, names: dict[str, Any] | None = None) -> st.SearchStrategy[Any]:
    """Any value of an Avro schema."""
    if isinstance(schema, list):
        return st.one_of([values_of(branch) for branch in schema])
    kind = schema["type"] if isinstance(schema, dict) else schema
    if kind == "record":
        return st.fixed_dictionaries({field["name"]: values_of(field["type"]) for field in schema["fields"]})
    if kind == "array":
        return st.lists(values_of(schema["items"]), max_size=3)
    return {
        "null": st.none(),
        "boolean": st.booleans(),
        "int": st.integers(-(1 << 31), (1 << 31) - 1),
        "long": st.integers(-(1 << 63), (1 << 63) - 1),
        "string": st.text(max_size=20),
        "bytes": st.binary(max_size=40),
    }[kind]


def schema_of(name: str) -> dict[str, Any]:
    return schema_in(FOLDER / f"{name}.avsc")


def schema_in(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text())
    return document


@cache
def records_of(path: Path) -> st.SearchStrategy[Any]:
    """Any record of the schema in a file; made once, since hypothesis looks at each strategy that is new to it."""
    return values_of(schema_in(path))


def test_the_contract_has_its_twelve_records() -> None:
    assert NAMES == [
        "catalog_entry",
        "checkpoint",
        "event_void",
        "invoice",
        "record_piece",
        "rejected_event",
        "usage_alert",
        "usage_batch",
        "usage_event",
        "usage_events",
        "usage_reservation",
        "usage_topup",
    ]


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_round_trip(name: str, data: st.DataObject) -> None:
    record = data.draw(records_of(FOLDER / f"{name}.avsc"))
    assert codec(name).decode(codec(name).encode(record)) == record


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_cut_and_longer_bytes_are_refused(name: str, data: st.DataObject) -> None:
    encoded = codec(name).encode(data.draw(records_of(FOLDER / f"{name}.avsc")))
    cut = data.draw(st.integers(0, len(encoded) - 1))
    with pytest.raises(CodecError):
        codec(name).decode(encoded[:cut])
    with pytest.raises(CodecError, match="left over"):
        codec(name).decode(encoded + data.draw(st.binary(min_size=1, max_size=4)))


@given(st.binary(max_size=64))
def test_noise_is_refused_with_what_was_found(noise: bytes) -> None:
    with pytest.raises(CodecError, match="unknown header"):
        codec("checkpoint").decode(noise)


@pytest.mark.parametrize("name", NAMES)
@given(body=st.binary(max_size=80))
def test_a_broken_body_is_a_record_or_a_codec_error(name: str, body: bytes) -> None:
    try:
        assert isinstance(codec(name).decode(codec(name).header + body), dict)
    except CodecError:
        pass


def test_one_record_type_does_not_read_as_another() -> None:
    value = codec("usage_event").encode(
        {
            "event_name": "a",
            "account_id": None,
            "properties": "{}",
            "idempotency_key": None,
            "timestamp": None,
            "source": "",
        }
    )
    with pytest.raises(CodecError, match="usage_batch: unknown header"):
        codec("usage_batch").decode(value)


@pytest.mark.parametrize("name", NAMES)
def test_header_is_marker_and_little_endian_fingerprint(name: str) -> None:
    schema = schema_of(name)
    expected = b"\xc3\x01" + crc_64_avro(to_parsing_canonical_form(schema).encode()).to_bytes(8, "little")
    assert codec(name).header == expected
    assert len(expected) == HEADER_BYTES


def test_the_fingerprint_is_the_specifications() -> None:
    # The specification's own anchor: the fingerprint of the schema "int", as published with its test data.
    assert crc_64_avro(b'"int"') == 0x7275D51A3F395C8F


def test_a_field_that_does_not_fit_is_refused() -> None:
    with pytest.raises(CodecError, match="usage_event: cannot encode"):
        codec("usage_event").encode({"event_name": 5})


@pytest.mark.parametrize("path", sorted(FOLDER.glob("old/*.avsc")), ids=lambda path: path.name)
def test_every_older_version_in_the_folder_is_readable(path: Path) -> None:
    name = path.name.split(".")[0]  # old/NAME.N.avsc
    written_by = Codec(name, schema_in(path))
    current = {field["name"] for field in schema_of(name)["fields"]}

    @given(records_of(path))
    def is_readable(record: dict[str, Any]) -> None:
        decoded = codec(name).decode(written_by.encode(record))
        assert set(decoded) == current
        assert all(decoded[field] == value for field, value in record.items() if field in current)

    is_readable()


def test_an_older_version_is_resolved_to_the_current_one() -> None:
    older = {"type": "record", "name": "T", "namespace": "n", "fields": [
        {"name": "kept", "type": "int"}, {"name": "dropped", "type": "string"}]}  # fmt: skip
    newer = {"type": "record", "name": "T", "namespace": "n", "fields": [
        {"name": "added", "type": "string", "default": "none"}, {"name": "kept", "type": "long"}]}  # fmt: skip
    out = io.BytesIO()
    schemaless_writer(out, parse_schema(dict(older)), {"kept": 7, "dropped": "x"})
    value = MARKER + crc_64_avro(to_parsing_canonical_form(older).encode()).to_bytes(8, "little") + out.getvalue()
    assert Codec("t", newer, (older,)).decode(value) == {"added": "none", "kept": 7}
    with pytest.raises(CodecError, match="unknown header"):
        Codec("t", newer).decode(value)
    with pytest.raises(CodecError):
        Codec("t", newer, (older,)).decode(value[:-1])
