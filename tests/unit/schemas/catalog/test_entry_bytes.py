"""Records of the catalog are decoded by hand to what fastavro makes of them by the schema, damaged ones too."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.catalog.stored import entry_bytes
from schemas.catalog.stored.entry_bytes import decode_entry
from schemas.kafka.codec import CodecError, codec

TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    st.sampled_from([63, 64, 8191, 8192]).map("p".__mul__),
    st.sampled_from([32, 4096]).map("é".__mul__),
)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(("namespace", "kind", "code", "body", "author", "claim_id"), TEXTS),
    "version": st.one_of(st.integers(1, 70), st.integers(-2, 2**31 - 1)),
    "retired": st.booleans(),
    "valid_from": st.none() | st.integers(-(2**63), 2**63 - 1),
}


def result(decode: Any, value: bytes) -> Any:
    try:
        return decode(value)
    except CodecError as error:
        return str(error)


@settings(max_examples=60)
@given(st.fixed_dictionaries(FIELDS), st.data())
def test_it_is_what_the_schema_says(record: dict[str, Any], data: st.DataObject) -> None:
    value = codec("catalog_entry").encode(record)
    assert decode_entry(value) == record
    damaged = bytearray(value)
    at = data.draw(st.integers(0, min(40, len(value) - 1)))
    damaged[at] = data.draw(st.integers(0, 255))
    for wrong in (bytes(damaged), value[: data.draw(st.integers(0, len(value)))], value + b"x"):
        assert result(decode_entry, wrong) == result(codec("catalog_entry").decode, wrong)


def test_most_records_are_decoded_by_hand() -> None:
    record = dict.fromkeys(("namespace", "kind", "code", "author", "claim_id"), "acme")
    fields = record | {"version": 1, "retired": True, "valid_from": None, "body": '{"a": "é"}' * 40}
    assert entry_bytes._plain(codec("catalog_entry").encode(fields)) == fields
