"""Acceptance by columns gives what acceptance event by event gives, for whatever is sent."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.catalog.models import Namespace
from schemas.events import column_acceptance
from schemas.events.acceptance import AcceptedEvent, accept
from schemas.events.accepted_columns import AcceptedColumns
from schemas.events.batch import encode_batch, encode_part, join_parts, size_of
from schemas.events.column_acceptance import accept_columns
from schemas.events.event_types import NO_TYPES, EventTypes, event_types
from schemas.events.measurable import measurable
from schemas.events.raw_events import RawEvent, Refused, decode_batch
from schemas.kafka.codec import codec
from tests.unit.schemas.events.builders import NOW, SETTINGS, catalog
from tests.unit.schemas.events.test_acceptance_paths import RAWS

TYPED = catalog(
    {
        "code": "typed",
        "schema": {
            "type": "record",
            "name": "typed",
            "fields": [{"name": "n", "type": "double"}, {"name": "t", "type": ["null", "string"], "default": None}],
        },
    },
    settings=Namespace(code="ns", max_event_age_seconds=1000, max_event_skew_seconds=100, unknown_events="reject"),
)
TYPES = event_types(TYPED.view("ns"))

# Texts of properties: written by hand, since json.dumps writes neither doubled keys nor numbers of any length.
PROPERTIES = st.sampled_from(
    [
        "{}", '{"n": 1}', '{"n":1.50}', '{"n":1e400}', '{"n":' + "9" * 30 + "}", '{"n":' + "9" * 5000 + "}",
        '{"n":1,"n":2}', '{"n":{"a":1,"a":2}}', '{"n":[{"a":1},{"a":1,"a":1}]}', '{"t":"a:b","n":1}',
        '{"n":1,"n":"\\u003a"}', '{"n":{"a":1,"a":"\\u003a"}}', '{"t":"\\u003a","n":1}', '{"a\\u003ab":1,"n":2}',
        '{"t":"\\\\","n":1}', '{"n":"\\ud800"}', '{"n" :1 , "m": [ ] }', '{"t":"é","n":1}', '{"é":1,"é":1}', "[]",
        "1", '"x"', "null", '{"n":' + "[" * 31 + "]" * 31 + "}", '{"n":' + "[" * 32 + "]" * 32 + "}",
        '{"":' * 31 + "{}" + "}" * 31, '{"":' * 32 + "{}" + "}" * 32,
        '{"t":"' + "{" * 40 + '"}', '{"t":"' + "x" * 65_000 + '"}', '{"t":"' + "x" * 66_000 + '"}',
        '{"account_id":"nested","n":1}', '{"account_id":1.5}', '{"n":true}', '{"n":NaN}', '{"n":1}}',
    ]
)  # fmt: skip
TEXTS = st.sampled_from(["a", "k", "é", "a\\u00e9", "x" * 256, "x" * 257, "", "\\u001f", "\\u2028", "k2", "k3"])
FIELDS = st.fixed_dictionaries(
    {"event_name": st.sampled_from(["e", "e", "typed", "unknown", ""]), "properties": PROPERTIES},
    optional={
        "account_id": TEXTS,
        "idempotency_key": TEXTS,
        "source": TEXTS,
        "timestamp": st.sampled_from(
            [
                "2023-11-14T22:13:20Z", "2023-11-14T22:13:20.123456789Z", "2023-11-14T23:13:20.5+01:00",
                "2023-11-14T21:13:20Z", "2023-11-14T23:13:20Z", "9999-12-31T23:59:59-14:00",
                "0001-01-01T00:00:00+14:00",
            ]
        ),
    },
)  # fmt: skip


def written(event: dict[str, str]) -> str:
    """The event's JSON, its properties as they are."""
    fields = (f'"{name}":' + (text if name == "properties" else f'"{text}"') for name, text in event.items())
    return "{" + ",".join(fields) + "}"


def outcome(judge: Any, raws: Sequence[RawEvent], types: EventTypes) -> list[AcceptedEvent] | tuple[Any, ...]:
    try:
        accepted = judge("ns", SETTINGS, raws, now_us=NOW, mint_key="made-{}".format, types=types)
    except Refused as refused:
        return refused.reason, refused.path, refused.detail, refused.index
    return list(accepted)


def same_both_ways(body: bytes) -> None:
    try:
        raws = decode_batch(body)
    except Refused:
        return
    for types in (NO_TYPES, TYPES):
        assert outcome(accept_columns, raws, types) == outcome(accept, raws, types)


@pytest.fixture(autouse=True)
def columns_for_any_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(column_acceptance, "_FEW", 1)


@given(st.lists(FIELDS, min_size=1, max_size=4))
@example([{"event_name": "typed", "account_id": "a", "properties": '{"n":"x"}'}])
@example([{"event_name": "unknown", "account_id": "a", "properties": "{}"}])
@example([{"event_name": "e", "account_id": "a", "properties": '{"":' * 32 + "{}" + "}" * 32}])
@example([{"event_name": "e", "account_id": "a", "properties": '{"n":{"a":1,"a":"\\u003a"}}'}])
@example([{"event_name": "e", "account_id": "a", "idempotency_key": "k", "properties": text} for text in ("{}", "{ }")])
def test_texts_written_by_hand(events: list[dict[str, str]]) -> None:
    same_both_ways(f'{{"events":[{",".join(map(written, events))}]}}'.encode())


@given(st.lists(RAWS, min_size=1, max_size=4))
def test_any_json(events: list[dict[str, Any]]) -> None:
    same_both_ways(json.dumps({"events": events}, ensure_ascii=False).encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize("text", [b'{"n":"\xff"}', b'{"\xff":1}', b'{"n":"\xc3"}', b'{"n":"\xed\xa0\x80"}'])
def test_bytes_that_are_no_utf8(text: bytes) -> None:
    event = b'{"event_name":"e","account_id":"a","idempotency_key":"%d","properties":%s}'
    same_both_ways(b'{"events":[' + event % (1, b"{}") + b"," + event % (2, text) + b"]}")


def test_ordinary_events_go_by_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also nested ones, with timestamps, generated keys, copies, a type's schema and an account in the properties."""
    monkeypatch.setattr(column_acceptance, "accept", None)
    events = [
        {"event_name": "e", "account_id": "a", "properties": {"n": 1, "to": {"country": "US", "list": [1, 2]}}},
        {"event_name": "e", "account_id": "é", "properties": {"n": "1:2", "t": 'a"b\\'}, "source": "s"},
        {"event_name": "typed", "idempotency_key": "k", "properties": {"n": 1.5, "account_id": "nested"}},
        {"event_name": "typed", "idempotency_key": "k", "properties": {"n": 1.5, "account_id": "nested"}},
        {"event_name": "e", "account_id": "a", "timestamp": "2023-11-14T22:13:20Z"},
    ]
    judged = accept_columns(
        "ns", SETTINGS, decode_batch(json.dumps({"events": events}).encode()), now_us=NOW, mint_key=str, types=TYPES
    )
    assert len(judged) == 5
    assert judged[3].account_id == "nested"


def test_of_many_bytes_no_more_than_one_event_is_decoded_at_once() -> None:
    for size, whole in ((5_000, True), (6_000, False)):
        numbers = ",".join(["1.5"] * (size // 4))
        events = [
            f'{{"event_name":"e","account_id":"a","idempotency_key":"{number}","properties":{{"n":[{numbers}]}}}}'
            for number in range(100)
        ]
        raws = decode_batch(f'{{"events":[{",".join(events)}]}}'.encode())
        judged = accept_columns("ns", SETTINGS, raws, now_us=NOW, mint_key=str, types=NO_TYPES)
        assert (judged.parsed is not None) == whole
        assert list(judged) == accept("ns", SETTINGS, raws, now_us=NOW, mint_key=str, types=NO_TYPES)


@given(st.lists(FIELDS, min_size=1, max_size=4), st.data())
def test_columns_are_the_events(events: list[dict[str, str]], data: st.DataObject) -> None:
    body = f'{{"events":[{",".join(map(written, events))}]}}'.encode()
    try:
        accepted = accept("ns", SETTINGS, decode_batch(body), now_us=NOW, mint_key=str, types=NO_TYPES)
    except Refused:
        return
    columns = AcceptedColumns.of(accepted)
    assert list(columns) == accepted
    assert encode_part(columns).size() == sum(map(size_of, accepted))
    indexes = data.draw(st.lists(st.integers(0, len(accepted) - 1), min_size=1, unique=True).map(sorted))
    part = columns.part(indexes)
    assert list(part) == [accepted[index] for index in indexes]
    value = join_parts("ns", 1, [encode_part(part), encode_part(columns)])
    assert value == encode_batch("ns", 1, [*part, *columns])
    assert value == codec("usage_batch").encode(codec("usage_batch").decode(value))


@given(st.lists(st.sampled_from(
    ["{}", '{"n":1}', '{"n":"1.5"}', '{"n":1.5}', '{"n":1e5}', '{"n":1e400}', '{"n":"x"}', '{"n":true}', '{"n":null}',
     '{"n":' + "9" * 26 + "}", '{"n":' + "9" * 27 + "}", '{"n":-0.0}', '{"n":{"a":1}}', '{"n":"1e5"}']
), min_size=1, max_size=5), st.sampled_from(["e", "typed", "other"]))  # fmt: skip
def test_warnings_by_columns(texts: list[str], name: str) -> None:
    events = [
        f'{{"event_name":"{name}","account_id":"a","idempotency_key":"{number}","properties":{text}}}'
        for number, text in enumerate(texts)
    ]
    for types in (NO_TYPES, event_types(catalog().view("ns"))):
        raws = decode_batch(f'{{"events":[{",".join(events)}]}}'.encode())
        judged = accept_columns("ns", SETTINGS, raws, now_us=NOW, mint_key=str, types=types)
        assert judged.parsed is not None
        view = TYPED.view("ns")
        assert measurable(view).warnings(judged) == measurable(view).warnings(list(judged))
