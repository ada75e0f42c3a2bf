"""What an inbox record gives: the gateway's judgement, derived from the record alone."""

from __future__ import annotations

import json

import pytest

from schemas.catalog.meters import EventType
from schemas.catalog.models import Namespace
from schemas.catalog.state import Catalog, record_of
from schemas.events.batch import decode_batch
from schemas.events.identity import partition_of
from schemas.events.rejections import rejection_record
from schemas.kafka.codec import codec
from schemas.values.instants import SECOND, rfc3339
from stream_processors.inbox.admit import InboxRecord, admit, entries_of, pack_entries

NOW_US = 1_790_000_000_000_000


def view(**settings):
    catalog, shop = Catalog(), Namespace(code="shop", **settings)
    catalog.apply(record_of("shop", shop, kind="namespace", version=1, author="", claim_id="a"), 0, 0)
    return catalog.view("shop")


def record(value: bytes, offset: int = 7) -> InboxRecord:
    return InboxRecord("usage.inbox.shop", "shop", 2, offset, NOW_US, value)


def event(**extra):
    return {"event_name": "call", "account_id": "acme", "properties": {"n": "1.50"}} | extra


def test_a_sandboxs_clock_dates_what_has_no_timestamp_and_bounds_the_others_once():
    day = 86_400
    box = view(sandbox=True, clock_ahead_seconds=40 * day)
    [admitted] = admit(record(json.dumps(event()).encode()), box).events
    assert (admitted.timestamp_us, admitted.dated) == (NOW_US + 40 * day * SECOND, False)
    for days, reason in ((40, None), (6, None), (4, "too_old"), (42, "in_future")):
        stamped = event(timestamp=rfc3339(NOW_US + days * day * SECOND))
        rejection = admit(record(json.dumps(stamped).encode()), box).rejection
        assert (rejection and rejection.reason) == reason, days


def test_what_is_missing_comes_from_the_record_alone():
    body = json.dumps([event(), event(idempotency_key="k", timestamp="2026-09-21T12:00:00Z")]).encode()
    first_event, second = admit(record(body), view()).events
    assert (first_event.idempotency_key, first_event.timestamp_us) == ("usage.inbox.shop/2/7/0", NOW_US)
    assert second.idempotency_key == "k"
    assert admit(record(body), view()) == admit(record(body), view())
    assert admit(record(body, 8), view()).events[0].identity != first_event.identity


def test_avro_and_json_of_one_event_are_the_same_event():
    properties = '{"n": "1.50"}'
    avro = codec("usage_event").encode(
        {
            "event_name": "call",
            "account_id": "acme",
            "properties": properties,
            "idempotency_key": "k",
            "timestamp": NOW_US,
        }
    )
    text = json.dumps(event(idempotency_key="k")).encode()
    assert admit(record(avro), view()).events == admit(record(text), view()).events


def avro_batch(*events):
    document = {"account_id": "acme", "event_name": "call", "properties": '{"n": "1.50"}', "idempotency_key": "k"}
    return codec("usage_events").encode(
        {"events": [document | {"timestamp": NOW_US, "source": ""} | item for item in events]}
    )


def test_an_avro_batch_is_the_same_events_as_a_json_batch():
    keys = [{"idempotency_key": "a"}, {"idempotency_key": None}]
    text = json.dumps({"events": [event(**key) for key in keys]}).encode()
    assert admit(record(avro_batch(*keys)), view()).events == admit(record(text), view()).events


@pytest.mark.parametrize(
    ("events", "reason", "count", "account"),
    [
        ([{}, {"account_id": "b", "idempotency_key": "2", "properties": "{"}], "invalid", 2, "b"),
        ([{}, {"account_id": "b", "idempotency_key": "2", "timestamp": 2**62}], "invalid", 2, "b"),
        ([{}, {"account_id": "b", "idempotency_key": "2", "event_name": ""}], "invalid", 2, "b"),
        ([{}, {"event_name": "other"}], "conflict", 2, "acme"),
        ([], "batch_size", 1, ""),
    ],
)
def test_an_avro_batch_is_refused_whole_and_names_the_event_at_fault(events, reason, count, account):
    rejection = admit(record(avro_batch(*events)), view()).rejection
    assert (rejection.reason, rejection.events, rejection.account_id) == (reason, count, account)
    assert rejection.origin.index == (1 if events else 0)
    assert reason == "batch_size" or "$.events[1]" in rejection.detail


def test_a_number_of_thousands_of_digits_is_judged_alike_in_avro_and_json():
    properties = '{"n": ' + "9" * 5000 + "}"
    avro = admit(record(avro_batch({"properties": properties})), view())
    text = json.dumps(event(idempotency_key="k", properties=0, timestamp="2026-09-21T12:53:20Z"))
    plain = admit(record(text.replace('"properties": 0', f'"properties": {properties}').encode()), view())
    assert avro.rejection is None
    assert [item.content_hash for item in avro.events] == [item.content_hash for item in plain.events]


@pytest.mark.parametrize(
    ("body", "reason", "events", "account"),
    [
        (b"junk", "malformed", 1, ""),
        (b"", "malformed", 1, ""),
        (json.dumps([event(), event(timestamp="soon")]).encode(), "invalid", 2, "acme"),
        (json.dumps({"events": [event(), event(), event(event_name=3)]}).encode(), "invalid", 3, "acme"),
        (json.dumps([event(), event(timestamp="2199-01-01T00:00:00Z")]).encode(), "in_future", 2, "acme"),
        (json.dumps(event(timestamp="2020-01-01T00:00:00Z")).encode(), "too_old", 1, "acme"),
        (b"\xc3\x01 not ours", "malformed", 1, ""),
    ],
)
def test_a_refusal_is_whole_keeps_the_bytes_and_counts_every_event(body, reason, events, account):
    admitted = admit(record(body), view())
    assert admitted.events == ()
    rejection = admitted.rejection
    assert (rejection.reason, rejection.events, rejection.account_id) == (reason, events, account)
    assert rejection.original == body
    assert rejection.detail
    rejection_record(rejection)
    assert admit(record(body), view()).rejection == rejection


def test_an_undeclared_namespace_is_refused_with_the_remedy():
    catalog = Catalog()
    admitted = admit(record(json.dumps(event()).encode()), catalog.view("shop"))
    assert admitted.rejection.reason == "unknown_namespace"
    assert "apply" in admitted.rejection.detail


def test_every_event_is_packed_once_in_its_partition():
    admitted = [admit(record(json.dumps([event() for _ in range(90)]).encode(), offset), view()) for offset in range(9)]
    observed = []
    for packed in pack_entries(entries_of(admitted), 3, 5):
        batch = decode_batch(packed.value)
        assert (batch.namespace, batch.catalog_offset) == ("shop", 5)
        observed += [batch.identity(index) for index in range(batch.size)]
        assert {partition_of(batch.identity(index), 3) for index in range(batch.size)} == {packed.partition}
    assert sorted(observed) == sorted(item.identity for part in admitted for item in part.events)


CALL = {
    "code": "call",
    "schema": {"type": "record", "name": "Call", "fields": [{"name": "n", "type": ["double", "string"]}]},
}


def typed_view():
    catalog = Catalog()
    settings = Namespace(code="shop", unknown_events="reject")
    for offset, (kind, model) in enumerate((("namespace", settings), ("event_type", EventType.model_validate(CALL)))):
        catalog.apply(record_of("shop", model, kind=kind, version=1, author="", claim_id="a"), offset, 0)
    return catalog.view("shop")


@pytest.mark.parametrize(
    ("name", "properties", "reason"),
    [
        ("call", '{"n": 1e400}', None), ("call", '{"n": "1.50"}', None), ("call", '{"n": true}', "schema"),
        ("call", "{}", "schema"),
        ("call", '{"n": 1, "n": 2}', "doubled_key"), ("cal", '{"n": 1}', "unknown_event"), ("call", "[]", "invalid"),
    ],
)  # fmt: skip
def test_event_types_and_oddities_are_judged_as_at_the_gateway_in_avro_and_json(name, properties, reason):
    avro = codec("usage_event").encode(
        {"event_name": name, "account_id": "acme", "properties": properties, "idempotency_key": "k", "timestamp": None}
    )
    text = f'{{"event_name": "{name}", "account_id": "acme", "idempotency_key": "k", "properties": {properties}}}'
    for body in (avro, text.encode()):
        admitted = admit(record(body), typed_view())
        if reason is None:
            assert [event.properties for event in admitted.events] == [properties]
        else:
            assert admitted.rejection.reason == reason
            assert "properties" in admitted.rejection.detail or "event_name" in admitted.rejection.detail
