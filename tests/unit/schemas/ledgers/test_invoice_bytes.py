"""An invoice is encoded by hand to the very bytes that fastavro makes of its fields by the schema."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.kafka.codec import CodecError, codec
from schemas.ledgers.invoice_record import Invoice, Line, decode_invoice, encode_invoice, to_fields

TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    st.sampled_from([63, 64, 1022, 1023, 1024, 1025, 8192, 20_000]).map("é".__mul__),
    st.sampled_from([63, 64, 127, 128, 1023, 1024, 8191, 8192]).map("p".__mul__),
)
INTS = st.one_of(st.integers(-200, 200), st.integers(-(2**31), 2**31 - 1))
LONGS = st.one_of(INTS, st.integers(-(2**63), 2**63 - 1))


def fields_of(kind: type[Invoice] | type[Line]) -> dict[str, st.SearchStrategy[object]]:
    longs = {"period_start", "period_end", "catalog_offset", "as_of"}
    numbers = {"number", "version", "sequence", "plan_version", "checkpoint"}
    return {
        name: LONGS if name in longs else INTS if name in numbers else TEXTS
        for name in kind.__struct_fields__
        if name not in ("lines", "profile_versions", "of_plan")
    }


LINES = st.builds(Line, profile_versions=st.lists(INTS, max_size=70).map(tuple), **fields_of(Line))
INVOICES = st.builds(Invoice, lines=st.lists(LINES, max_size=3).map(tuple), **fields_of(Invoice))


@settings(max_examples=25)  # each has some sixty fields
@given(INVOICES)
def test_the_bytes_are_those_of_the_schema(invoice: Invoice) -> None:
    value = encode_invoice(invoice)
    assert value == codec("invoice").encode(to_fields(invoice))
    assert decode_invoice(value) == invoice


@pytest.mark.parametrize("change", [{"body": "\ud800"}, {"as_of": 2**63}, {"total": None}])
def test_what_the_schema_does_not_take_is_refused(change: dict[str, Any]) -> None:
    line = Line(
        kind="flat", charge="", product="", description="", period_start=0, period_end=1, price="{}", amount="0",
        unrounded="0", steps="[]",
    )  # fmt: skip
    texts = dict.fromkeys(Invoice.__struct_fields__, "")
    numbers = dict.fromkeys(("version", "sequence", "plan_version", "period_start", "period_end", "checkpoint"), 1)
    fields: dict[str, Any] = texts | numbers | {"catalog_offset": 1, "as_of": 1, "lines": (line,)}
    encode_invoice(Invoice(**fields))
    with pytest.raises(CodecError):
        encode_invoice(Invoice(**fields | change))
