"""Packed batches: what goes in as events comes out as columns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import schemas.kafka.codec
from schemas.events.acceptance import AcceptedEvent
from schemas.events.batch import UsageBatch, decode_batch, encode_batch
from schemas.kafka.codec import Codec, CodecError, codec

OLD = Path(schemas.kafka.codec.__file__).parents[1] / "avro" / "old"

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
        st.sampled_from([False, False, True]),
    ),
    min_size=1,
    max_size=12,
)


def lengths(*sizes: int) -> bytes:
    return b"".join(size.to_bytes(4, "little") for size in sizes)


@given(EVENTS, st.integers(0, 1 << 40))
def test_round_trip(events: list[AcceptedEvent], catalog_offset: int) -> None:
    batch = decode_batch(encode_batch("ns", catalog_offset, events))
    assert (batch.namespace, batch.catalog_offset, batch.size) == ("ns", catalog_offset, len(events))
    assert batch.events() == events
    written = encode_batch("ns", catalog_offset, events)
    assert codec("usage_batch").encode(codec("usage_batch").decode(written)) == written


RECORD: dict[str, Any] = {
    "namespace": "ns",
    "catalog_offset": 3,
    "identities": bytes(32),
    "content_hashes": bytes(16),
    "event_names": ["a", "b"],
    "event_name_indexes": b"\0\0\1\0",
    "timestamps": bytes(16),
    "account_ids": [],
    "idempotency_keys": [],
    "sources": [],
    "properties": [],
    "account_id_text": "xø".encode(),
    "account_id_lengths": lengths(1, 2),
    "idempotency_key_text": b"12",
    "idempotency_key_lengths": lengths(1, 1),
    "source_text": b"s",
    "source_lengths": lengths(0, 1),
    "properties_text": b"{}{}",
    "properties_lengths": lengths(2, 2),
    "dated": b"\1\0",
}
VERSION_1: dict[str, Any] = {
    "namespace": "ns",
    "catalog_offset": 3,
    "identities": bytes(32),
    "content_hashes": bytes(16),
    "event_names": ["a", "b"],
    "event_name_indexes": b"\0\0\1\0",
    "timestamps": bytes(16),
    "account_ids": ["x", "ø"],
    "idempotency_keys": ["1", "2"],
    "sources": ["", "s"],
    "properties": ["{}", "{}"],
}


def test_the_hand_made_record_is_a_batch() -> None:
    batch = decode_batch(codec("usage_batch").encode(RECORD))
    assert columns(batch) == (["a", "b"], ["x", "ø"], ["1", "2"], ["", "s"], [0, 0], ["{}", "{}"])


@pytest.mark.parametrize("sources", [["", "s"], []])
def test_a_batch_of_version_1_says_the_same(sources: list[str]) -> None:
    written = Codec("usage_batch", json.loads((OLD / "usage_batch.1.avsc").read_text())).encode(
        VERSION_1 | {"sources": sources}
    )
    batch = decode_batch(written)
    assert columns(batch) == (["a", "b"], ["x", "ø"], ["1", "2"], sources or ["", ""], [0, 0], ["{}", "{}"])


def columns(batch: UsageBatch) -> tuple[list[Any], ...]:
    names = [batch.event_name(index) for index in range(batch.size)]
    texts = (batch.account_ids, batch.idempotency_keys, batch.sources)
    return names, *map(list, texts), batch.timestamps_us.tolist(), list(batch.properties)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("identities", bytes(31)), ("identities", bytes(48)), ("content_hashes", bytes(15)),
        ("content_hashes", bytes(24)),
        ("event_name_indexes", b"\0\0"), ("event_name_indexes", b"\0\0\0"), ("timestamps", bytes(8)),
        ("timestamps", bytes(17)), ("account_id_lengths", lengths(3)), ("idempotency_key_lengths", lengths(0, 1, 1)),
        ("source_lengths", lengths(1)), ("source_lengths", b""), ("properties_lengths", lengths(4)),
        ("properties_lengths", b""), ("properties_lengths", b"\2\0\0"), ("properties_lengths", lengths(2, 3)),
        ("account_id_lengths", lengths(2, 1)), ("event_names", ["a"]), ("event_names", []),
        ("dated", b"\1"), ("dated", b"\2\0"), ("dated", b"\1\0\0\0"), ("dated", b"\0\0\0\0"),
    ],
)  # fmt: skip
def test_columns_that_do_not_fit_together_are_refused(column: str, value: Any) -> None:
    with pytest.raises(CodecError, match="usage_batch"):
        decode_batch(codec("usage_batch").encode(RECORD | {column: value}))


def test_an_empty_batch_is_refused() -> None:
    empty = {name: type(value)() for name, value in RECORD.items()} | {"namespace": "ns"}
    with pytest.raises(CodecError, match="0 items"):
        decode_batch(codec("usage_batch").encode(empty))


@given(EVENTS, st.data())
def test_cut_bytes_are_refused(events: list[AcceptedEvent], data: st.DataObject) -> None:
    value = encode_batch("ns", 0, events)
    with pytest.raises(CodecError):
        decode_batch(value[: data.draw(st.integers(0, len(value) - 1))])


def test_sources_cost_nothing_where_there_are_none() -> None:
    event = AcceptedEvent(bytes(16), bytes(8), "a", "x", "k", "", 0, "{}")
    assert codec("usage_batch").decode(encode_batch("ns", 0, [event, event]))["source_lengths"] == b""
