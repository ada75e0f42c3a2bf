"""Acceptance: what every door lets in, and how a refusal reads."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from schemas.catalog.models import Namespace
from schemas.events.acceptance import MAX_PROPERTIES_BYTES, AcceptedEvent, accept, same_content
from schemas.events.column_acceptance import accept_columns
from schemas.events.event_types import NO_TYPES
from schemas.events.identity import content_hash, identity
from schemas.events.raw_events import MAX_BATCH, Refused, decode_any, decode_batch, decode_event
from schemas.values.instants import SECOND, rfc3339
from tests.unit.schemas.events.builders import NOW, SETTINGS

FOR_EVER = Namespace(code="ns", max_event_age_seconds=None)
EVENT: dict[str, Any] = {
    "event_name": "a",
    "account_id": "x",
    "idempotency_key": "k",
    "timestamp": rfc3339(NOW),
    "properties": {},
}


def take(
    *events: dict[str, Any], settings: Namespace = SETTINGS, mint: Callable[[int], str] = "made-{}".format
) -> list[AcceptedEvent]:
    return accept(
        "ns", settings, decode_batch(json.dumps({"events": events}).encode()), now_us=NOW, mint_key=mint, types=NO_TYPES
    )


def refusal(*events: dict[str, Any], settings: Namespace = SETTINGS) -> Refused:
    with pytest.raises(Refused) as caught:
        take(*events, settings=settings)
    return caught.value


def test_an_event_is_taken_as_it_is() -> None:
    text = '{"n": 1.10, "s": "é", "deep": {"a": [1, 2]}}'
    body = (
        '{"event_name":"a","account_id":"x","idempotency_key":"k","timestamp":"2023-11-14T23:13:20+01:00","source":"s",'
        f'"properties":{text}}}'
    )
    assert accept("ns", SETTINGS, decode_event(body.encode()), now_us=NOW, mint_key=str, types=NO_TYPES) == [
        AcceptedEvent(identity("ns", "s", "k"), content_hash("a", "x", text.encode()), "a", "x", "k", "s", NOW, text)
    ]


def test_the_nested_account_of_the_design_is_taken() -> None:
    body = b"""{"event_name": "Song played", "properties": {"song": "x", "billingrails_account_id": "acct_67890"},
        "idempotency_key": "i", "timestamp": "2023-10-01T12:00:00Z"}"""
    (event,) = accept("ns", FOR_EVER, decode_event(body), now_us=NOW, mint_key=str, types=NO_TYPES)
    assert (event.account_id, event.timestamp_us) == ("acct_67890", 1_696_161_600 * SECOND)


def test_account_paths_are_tried_in_order_and_account_id_comes_first() -> None:
    settings = Namespace(code="ns", account_paths=(("org", "id"), ("user",)))
    bare = {"event_name": "a", "idempotency_key": "k"}
    both = {"org": {"id": "o"}, "user": "u"}
    assert take(bare | {"properties": both}, settings=settings)[0].account_id == "o"
    assert take(bare | {"properties": {"user": "u", "org": {"id": 5}}}, settings=settings)[0].account_id == "u"
    assert take(EVENT | {"properties": both}, settings=settings)[0].account_id == "x"
    result = refusal(EVENT, bare | {"properties": {"user": 5, "org": "o"}}, settings=settings)
    assert (result.reason, result.index, result.path) == ("no_account", 1, "$.events[1].account_id")
    assert "properties.org.id, properties.user" in result.detail


def test_server_made_key_and_timestamp() -> None:
    first_take, second = take({"event_name": "a", "account_id": "x"}, {"event_name": "a", "account_id": "x"})
    assert (first_take.idempotency_key, second.idempotency_key) == ("made-0", "made-1")
    assert first_take.timestamp_us == second.timestamp_us == NOW
    assert first_take.properties == "{}"
    assert first_take.identity == identity("ns", "", "made-0")


@pytest.mark.parametrize(
    ("settings", "stamp", "reason"),
    [
        (SETTINGS, NOW - 1000 * SECOND, None), (SETTINGS, NOW - 1000 * SECOND - 1, "too_old"),
        (SETTINGS, NOW + 100 * SECOND, None), (SETTINGS, NOW + 100 * SECOND + 1, "in_future"),
        (FOR_EVER, 0, None), (FOR_EVER, -1, "too_old"), (FOR_EVER, NOW + 3600 * SECOND, None),
    ],
)  # fmt: skip
def test_age_and_skew_at_their_boundaries(settings: Namespace, stamp: int, reason: str | None) -> None:
    event = EVENT | {"timestamp": rfc3339(stamp)}
    if reason is None:
        assert take(event, settings=settings)[0].timestamp_us == stamp
    else:
        result = refusal(event, settings=settings)
        assert (result.reason, result.path, result.index) == (reason, "$.events[0].timestamp", 0)


@pytest.mark.parametrize("stamp", ["9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00Z"])
def test_instants_at_the_ends_of_the_calendar_are_refused_in_words(stamp: str) -> None:
    result = refusal(EVENT | {"timestamp": stamp}, settings=FOR_EVER)
    assert result.reason in ("too_old", "in_future")
    assert stamp in result.detail


@pytest.mark.parametrize(
    ("change", "reason", "field"),
    [
        ({"event_name": ""}, "invalid", "event_name"), ({"event_name": "a" * 257}, "invalid", "event_name"),
        ({"event_name": "a\x00"}, "invalid", "event_name"), ({"event_name": "a\x85"}, "invalid", "event_name"),
        ({"account_id": ""}, "invalid", "account_id"), ({"account_id": "x\n"}, "invalid", "account_id"),
        ({"account_id": "x" * 257}, "invalid", "account_id"), ({"idempotency_key": ""}, "invalid", "idempotency_key"),
        ({"idempotency_key": "k\t"}, "invalid", "idempotency_key"),
        ({"idempotency_key": "k" * 257}, "invalid", "idempotency_key"),
        ({"source": "s" * 257}, "invalid", "source"), ({"source": "\x7f"}, "invalid", "source"),
        ({"properties": []}, "invalid", "properties"), ({"properties": None}, "invalid", "properties"),
        ({"properties": "{}"}, "invalid", "properties"), ({"properties": 5}, "invalid", "properties"),
        ({"properties": {"a": "x" * MAX_PROPERTIES_BYTES}}, "too_large", "properties"),
        ({"properties": {"a": json.loads("[" * 32 + "]" * 32)}}, "too_deep", "properties"),
        ({"timestamp": "2023-11-14T22:13:20"}, "invalid", "timestamp"),
        ({"timestamp": "yesterday"}, "invalid", "timestamp"),
        ({"timestamp": 5}, "invalid", "timestamp"), ({"event_name": 5}, "invalid", "event_name"),
        ({"event_name": None}, "invalid", "event_name"), ({"account_id": 5}, "invalid", "account_id"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("index", [0, 2])
def test_each_refusal_names_index_and_path(change: dict[str, Any], reason: str, field: str, index: int) -> None:
    events = [EVENT | {"idempotency_key": str(number)} for number in range(3)]
    events[index] |= change
    result = refusal(*events)
    assert (result.reason, result.index, result.path) == (reason, index, f"$.events[{index}].{field}")
    single = json.dumps(EVENT | change).encode()
    with pytest.raises(Refused) as caught:
        accept("ns", SETTINGS, decode_event(single), now_us=NOW, mint_key=str, types=NO_TYPES, single=True)
    assert (caught.value.reason, caught.value.path) == (reason, f"$.{field}")


def test_unknown_and_missing_fields_are_named() -> None:
    result = refusal(EVENT, EVENT | {"acount_id": "typo"})
    assert (result.index, result.path) == (1, "$.events[1]")
    assert "acount_id" in result.detail
    assert "event_name" in refusal({"account_id": "x"}).detail


@pytest.mark.parametrize("text", ["naïve café", "日本", "\u2028", "\xa0", "👩‍💻", "\u202e", '"', "a" * 256])
def test_any_text_without_control_characters_is_taken(text: str) -> None:
    (event,) = take(EVENT | {"event_name": text, "account_id": text, "idempotency_key": text, "source": text})
    assert (event.event_name, event.account_id, event.idempotency_key, event.source) == (text, text, text, text)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"\xff", b'{"events":[{"properties":' + b"[" * 100_000,
        b'{"events":[{"event_name":"a","properties":{"a":tru}}]}', b'{"events":[{"event_name":"\\ud800"}]}'],
)  # fmt: skip
def test_a_body_that_is_no_json_is_malformed(body: bytes) -> None:
    with pytest.raises(Refused) as caught:
        decode_batch(body)
    assert (caught.value.reason, caught.value.path, caught.value.index) == ("malformed", "$", None)


@pytest.mark.parametrize("size", [0, MAX_BATCH + 1])
def test_the_size_of_a_batch(size: int) -> None:
    for body in (json.dumps({"events": [EVENT] * size}), json.dumps([EVENT] * size)):
        with pytest.raises(Refused, match=f"{size} events") as caught:
            decode_any(body.encode())
        assert (caught.value.reason, caught.value.index) == ("batch_size", None)
    assert len(take(*[EVENT | {"idempotency_key": str(number)} for number in range(MAX_BATCH)])) == MAX_BATCH


def test_an_inbox_record_holds_one_event_a_batch_or_a_list() -> None:
    encode = json.dumps(EVENT).encode()
    for body in (encode, b'{"events":[' + encode + b"]}", b" [" + encode + b"]"):
        assert [raw.event_name for raw in decode_any(body)] == ["a"]
    with pytest.raises(Refused) as caught:
        decode_any(b"[" + encode + b',{"event_name":5}]')
    assert caught.value.index == 1


class TestOneKeyTwiceInABatch:
    def test_same_content_is_a_duplicate_and_passes(self) -> None:
        for item, second_item in (("1", "1.0"), ('{"a":1,"b":2}', '{ "b": 2, "a": 1e0 }'), ('"é"', '"\\u00e9"')):
            bodies = [
                f'{{"event_name":"a","account_id":"x","idempotency_key":"k","properties":{{"p":{value}}}}}'
                for value in (item, second_item)
            ]
            raws = decode_batch(f'{{"events":[{",".join(bodies)}]}}'.encode())
            events = accept("ns", SETTINGS, raws, now_us=NOW, mint_key=str, types=NO_TYPES)
            assert len(events) == 2
            assert events[0].identity == events[1].identity

    @pytest.mark.parametrize("change", [{"event_name": "b"}, {"account_id": "y"}, {"properties": {"a": "1"}}])
    def test_different_content_is_refused(self, change: dict[str, Any]) -> None:
        first_value = EVENT | {"properties": {"a": 1}}
        result = refusal(EVENT | {"idempotency_key": "other"}, first_value, first_value | change)
        assert (result.reason, result.index, result.path) == ("conflict", 2, "$.events[2].idempotency_key")
        assert "events[1]" in result.detail

    def test_another_source_is_another_event(self) -> None:
        assert len({event.identity for event in take(EVENT, EVENT | {"source": "s", "event_name": "b"})}) == 2

    def test_what_the_server_or_the_clock_says_is_no_content(self) -> None:
        assert len(take(EVENT, EVENT | {"timestamp": rfc3339(NOW - SECOND)})) == 2


def test_same_content_compares_json_values() -> None:
    assert same_content(("a", "x", '{"n":1}'), ("a", "x", '{"n":1.0}'))
    assert not same_content(("a", "x", '{"n":1}'), ("a", "x", '{"n":"1"}'))
    assert not same_content(("a", "x", "{}"), ("a", "y", "{}"))


def test_a_refusal_passes_through_a_context_manager() -> None:
    @contextlib.contextmanager
    def around() -> Iterator[None]:
        yield

    with pytest.raises(Refused, match="why"), around():
        raise Refused("invalid", "$", "why")


def test_by_a_sandboxs_clock_events_are_dated_and_are_too_old_or_in_the_future() -> None:
    month = 31 * 86_400
    box = Namespace(code="ns", sandbox=True, clock_ahead_seconds=month, max_event_age_seconds=3600)
    then_us = NOW + month * SECOND
    undated = {name: value for name, value in EVENT.items() if name != "timestamp"}
    (event,) = take(undated, settings=box)
    assert (event.timestamp_us, event.dated) == (then_us, False)
    assert take(EVENT | {"timestamp": rfc3339(then_us)}, settings=box)[0].timestamp_us == then_us
    assert refusal(EVENT, settings=box).reason == "too_old"
    assert refusal(EVENT | {"timestamp": rfc3339(then_us + 3601 * SECOND)}, settings=box).reason == "in_future"
    many = [undated | {"idempotency_key": str(number)} for number in range(20)]
    raws = decode_batch(json.dumps({"events": many}).encode())
    for accepting in (accept, accept_columns):
        events = list(accepting("ns", box, raws, now_us=NOW, mint_key=str, types=NO_TYPES))
        assert {(event.timestamp_us, event.dated) for event in events} == {(then_us, False)}
