"""Packed batches: what goes in as events comes out as columns."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.acceptance import AcceptedEvent
from schemas.batch import decode_batch, encode_batch
from schemas.codec import CodecError, codec

EVENTS = st.lists(
    st.builds(
        AcceptedEvent,
        st.binary(min_size=16, max_size=16),
        st.binary(min_size=8, max_size=8),
        st.sampled_from(["a", "b", "Song played", "ø"]),
        st.text(min_size=1, max_size=9),
        st.text(min_size=1, max_size=9),
        st.sampled_from(["", "", "pos-1"]),
        st.integers(-(1 << 63), (1 << 63) - 1),
        st.text(max_size=20),
    ),
    min_size=1,
    max_size=12,
)


@given(EVENTS, st.integers(0, 1 << 40))
def test_round_trip(events: list[AcceptedEvent], catalog_offset: int) -> None:
    batch = decode_batch(encode_batch("ns", catalog_offset, events))
    assert (batch.namespace, batch.catalog_offset, batch.size) == ("ns", catalog_offset, len(events))
    again = [
        AcceptedEvent(
            batch.identity(i), batch.content_hash(i), batch.event_names[i], batch.account_ids[i],
            batch.idempotency_keys[i], batch.sources[i], batch.timestamps_us[i], batch.properties[i],
        )
        for i in range(batch.size)
    ]  # fmt: skip
    assert again == events


RECORD: dict[str, Any] = {
    "namespace": "ns", "catalog_offset": 3, "identities": bytes(32), "content_hashes": bytes(16), "event_names": ["a", "b"],
    "event_name_indexes": b"\0\0\1\0", "timestamps": bytes(16), "account_ids": ["x", "y"], "idempotency_keys": ["1", "2"],
    "sources": ["", "s"], "properties": ["{}", "{}"],
}  # fmt: skip


def test_the_hand_made_record_is_a_batch() -> None:
    batch = decode_batch(codec("usage_batch").encode(RECORD))
    assert (batch.event_names, batch.sources, list(batch.timestamps_us)) == (["a", "b"], ["", "s"], [0, 0])


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("identities", bytes(31)), ("identities", bytes(48)), ("content_hashes", bytes(15)), ("content_hashes", bytes(24)),
        ("event_name_indexes", b"\0\0"), ("event_name_indexes", b"\0\0\0"), ("timestamps", bytes(8)),
        ("timestamps", bytes(17)), ("account_ids", ["x"]), ("idempotency_keys", ["1", "2", "3"]), ("sources", [""]),
        ("properties", ["{}"]), ("properties", []), ("event_names", ["a"]), ("event_names", []),
    ],
)  # fmt: skip
def test_columns_of_different_length_are_refused(column: str, value: Any) -> None:
    with pytest.raises(CodecError, match="usage_batch"):
        decode_batch(codec("usage_batch").encode(RECORD | {column: value}))


def test_an_empty_batch_is_refused() -> None:
    empty = {name: type(value)() for name, value in RECORD.items()}
    with pytest.raises(CodecError, match="0 items"):
        decode_batch(codec("usage_batch").encode(empty))


@given(EVENTS, st.data())
def test_cut_bytes_are_refused(events: list[AcceptedEvent], data: st.DataObject) -> None:
    value = encode_batch("ns", 0, events)
    with pytest.raises(CodecError):
        decode_batch(value[: data.draw(st.integers(0, len(value) - 1))])


def test_sources_cost_nothing_where_there_are_none() -> None:
    event = AcceptedEvent(bytes(16), bytes(8), "a", "x", "k", "", 0, "{}")
    assert codec("usage_batch").decode(encode_batch("ns", 0, [event, event]))["sources"] == []
