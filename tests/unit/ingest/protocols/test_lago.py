"""Lago's events, answers and errors; and which format a request is told to speak."""

from __future__ import annotations

import json
from decimal import Decimal
from fractions import Fraction
from math import floor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lago_python_client.models.event import BatchEventResponse, EventResponse

from ingest.http.gateway_problems import Problem, of_refusal, unavailable
from ingest.protocols import detection, lago
from schemas.catalog.models import Account, Namespace, Plan, Subscription
from schemas.catalog.state import Catalog, NamespaceView, record_of
from schemas.events.acceptance import accept
from schemas.events.event_types import NO_TYPES
from schemas.events.raw_events import RawEvent, Refused
from schemas.values.instants import micros, parse_rfc3339

NAMESPACE = Namespace(code="n", max_event_age_seconds=None)
NOW = micros(parse_rfc3339("2026-06-01T00:00:00Z"))
EVENT = {"transaction_id": "t1", "external_subscription_id": "acme-basic", "code": "call", "timestamp": 1777896000,
         "properties": {"seconds": "2.5"}}  # fmt: skip


def catalog(*, retired: bool = False) -> NamespaceView:
    item = Catalog()
    entries: list[tuple[str, Any]] = [
        ("account", Account(code="acme corp")),
        ("plan", Plan(code="basic", currency="USD")),
        (
            "subscription",
            Subscription(code="acme-basic", account="acme corp", plan="basic", start="2026-01-01T00:00:00Z"),
        ),
    ]
    for offset, (kind, model) in enumerate(entries):
        item.apply(record_of("n", model, kind=kind, version=1, author="", claim_id=str(offset)), offset, 0)
    if retired:
        last_record_of = record_of(
            "n", entries[-1][1], kind="subscription", version=2, author="", claim_id="r", retired=True
        )
        item.apply(last_record_of, len(entries), 0)
    return item.view("n")


def read(event: dict[str, Any] | str, view: NamespaceView | None = None) -> RawEvent:
    text = event if isinstance(event, str) else json.dumps(event)
    [raw] = lago.translate(
        lago.decode(b'{"event": ' + text.encode() + b"}", batch=False), view or catalog(), batch=False
    )
    return raw


def refusal(body: dict[str, Any], *, batch: bool) -> dict[str, Any]:
    try:
        raws = lago.translate(lago.decode(json.dumps(body).encode(), batch=batch), catalog(), batch=batch)
        accept("n", NAMESPACE, raws, now_us=NOW, mint_key=lambda _: "never", types=NO_TYPES)
    except Refused as refused:
        response = lago.answer_refused(of_refusal(refused), batch=batch)
    else:
        raise AssertionError("it was accepted")
    document = dict(json.loads(bytes(response.body)))
    assert response.status_code == document["status"]
    return document


def test_an_event_of_a_subscription_is_its_accounts() -> None:
    for view in (catalog(), catalog(retired=True)):
        raw = read(EVENT, view)
        assert (raw.account_id, raw.idempotency_key, raw.event_name, raw.source) == (
            "acme corp", "t1", "call", "acme-basic",
        )  # fmt: skip
        assert raw.timestamp == parse_rfc3339("2026-05-04T12:00:00Z")
    assert read(EVENT | {"external_subscription_id": "nobody"}).account_id == "nobody"
    assert read(EVENT | {"external_subscription_id": "", "external_customer_id": "c"}).account_id == "c"


def test_one_transaction_id_of_two_subscriptions_is_two_events() -> None:
    events = [EVENT, EVENT | {"external_subscription_id": "beta", "properties": {"seconds": 9}}]
    raws = lago.translate(lago.decode(json.dumps({"events": events}).encode(), batch=True), catalog(), batch=True)
    accepted = accept("n", NAMESPACE, raws, now_us=NOW, mint_key=lambda _: "never", types=NO_TYPES)
    assert [event.source for event in accepted] == ["acme-basic", "beta"]
    assert len({event.identity for event in accepted}) == 2
    assert read({"transaction_id": "t", "code": "c", "external_customer_id": "c1"}).source == "c1"


@given(st.decimals(0, 4_000_000_000, allow_nan=False, allow_infinity=False, places=9), st.sampled_from(["", '"']))
def test_timestamps_are_exact_to_the_microsecond_as_number_and_as_text(seconds: Decimal, quote: str) -> None:
    raw = read(f'{{"transaction_id": "t", "code": "c", "timestamp": {quote}{seconds:f}{quote}}}')
    assert raw.timestamp is not None
    assert micros(raw.timestamp) == floor(Fraction(seconds) * 1_000_000)


@pytest.mark.parametrize("text", ["1.7778960001e9", '"1777896000.1"', '" 1777896000.1000009"', '"+1777896000.1"'])
def test_spellings_of_one_instant(text: str) -> None:
    assert read(f'{{"transaction_id": "t", "code": "c", "timestamp": {text}}}').timestamp == parse_rfc3339(
        "2026-05-04T12:00:00.1Z"
    )


def test_no_timestamp_is_the_arrivals() -> None:
    assert read(EVENT | {"timestamp": None}).timestamp is None
    assert read({name: value for name, value in EVENT.items() if name != "timestamp"}).timestamp is None


@pytest.mark.parametrize(
    "stamp", ["2026-05-04T12:00:00Z", "", "NaN", "1_000", "١٢", True, [], 1777896000000, -1, "1e99", 10**400]
)
def test_what_is_no_unix_time_is_of_invalid_format(stamp: Any) -> None:
    result = refusal({"event": EVENT | {"timestamp": stamp}}, batch=False)
    assert (result["status"], result["error"], result["code"]) == (422, "Unprocessable Entity", "validation_errors")
    assert result["error_details"] == {"timestamp": ["invalid_format"]}
    assert result["path"] == "$.event.timestamp"
    refusal_result = refusal({"events": [EVENT, EVENT | {"transaction_id": "t2", "timestamp": stamp}]}, batch=True)
    assert refusal_result["error_details"] == {"1": {"timestamp": ["invalid_format"]}}
    assert (refusal_result["index"], refusal_result["path"]) == (1, "$.events[1].timestamp")


@pytest.mark.parametrize(
    ("body", "details"),
    [
        ({"event": EVENT | {"transaction_id": ""}}, {"transaction_id": ["value_is_mandatory"]}),
        ({"event": EVENT | {"code": None}}, {"code": ["value_is_mandatory"]}),
        ({"event": EVENT | {"external_subscription_id": None}}, {"external_subscription_id": ["value_is_mandatory"]}),
        ({"event": EVENT | {"timestamp": 4102444800}}, {"timestamp": ["in_future"]}),
        ({"event": EVENT | {"properties": []}}, {"properties": ["invalid"]}),
        ({"event": EVENT | {"code": 5}}, {"code": ["invalid"]}),
        ({"event": 5}, {"event": ["invalid"]}),
        ({"events": []}, {"events": ["no_events"]}),
        ({"events": [EVENT] * 101}, {"events": ["too_many_events"]}),
        ({"events": [EVENT, EVENT | {"code": "other"}]}, {"1": {"transaction_id": ["value_already_exist"]}}),
        ({"events": [EVENT, {}]}, {"1": {"transaction_id": ["value_is_mandatory"]}}),
        ({"events": [{"code": "c", "transaction_id": "t"}]},
            {"0": {"external_subscription_id": ["value_is_mandatory"]}}),
    ],
)  # fmt: skip
def test_errors_are_said_by_field_in_lagos_words(body: dict[str, Any], details: dict[str, Any]) -> None:
    assert refusal(body, batch="events" in body)["error_details"] == details


@pytest.mark.parametrize(
    ("properties", "amount", "expected"),
    [
        (None, '"12.3456"', {"precise_total_amount_cents": "12.3456"}),
        ("{}", "12.30", {"precise_total_amount_cents": Decimal("12.30")}),
        ('{"a": 1 }', '"5"', {"a": 1, "precise_total_amount_cents": "5"}),
        ('{"precise_total_amount_cents": "7"}', '"5"', {"precise_total_amount_cents": "7"}),
        ('{"a": 1}', "null", {"a": 1}),
    ],
)
def test_a_precise_amount_becomes_a_property(properties: str | None, amount: str, expected: dict[str, Any]) -> None:
    raw = read(
        '{"transaction_id": "t", "code": "c", "precise_total_amount_cents": %s, "properties": %s}'  # noqa: UP031
        % (amount, properties or "null")
    )
    assert json.loads(bytes(raw.properties), parse_float=Decimal) == expected


@pytest.mark.parametrize("batch", [False, True])
def test_answers_are_what_lagos_client_reads(batch: bool) -> None:
    wire = [EVENT | {"precise_total_amount_cents": 12.5}, EVENT | {"transaction_id": "t2", "properties": None}]
    body = {"events": wire} if batch else {"event": wire[0]}
    events = lago.decode(json.dumps(body).encode(), batch=batch)
    raws = lago.translate(events, catalog(), batch=batch)
    accepted = accept("n", NAMESPACE, raws, now_us=NOW, mint_key=lambda _: "never", types=NO_TYPES)
    response = lago.answer_accepted(events, accepted, NOW, batch=batch)
    document = json.loads(bytes(response.body))
    assert response.status_code == 200
    read_back = BatchEventResponse(**document).events if batch else [EventResponse(**document["event"])]
    first_item = read_back[0]
    assert (first_item.transaction_id, first_item.external_subscription_id, first_item.code) == (
        "t1",
        "acme-basic",
        "call",
    )
    assert (first_item.timestamp, first_item.precise_total_amount_cents) == ("2026-05-04T12:00:00Z", "12.5")
    assert first_item.properties == {"seconds": "2.5"}
    repeated_document = json.loads(bytes(lago.answer_accepted(events, accepted, NOW + 10**9, batch=batch).body))
    stored = (
        repeated_document["events"][0] if batch else repeated_document["event"],
        document["events"][0] if batch else document["event"],
    )
    assert stored[0]["lago_id"] == stored[1]["lago_id"]


def test_other_errors_keep_their_status_and_tell_when_to_come_again() -> None:
    busy = lago.answer_refused(unavailable("Kafka is away", ["k"]), batch=True)
    assert (busy.status_code, busy.headers["retry-after"]) == (503, "1")
    assert json.loads(bytes(busy.body))["error"] == "Service Unavailable"
    slower = lago.answer_refused(Problem(429, "rate", "too much", headers={"Retry-After": "3"}), batch=False)
    assert slower.headers["x-ratelimit-reset"] == "3"


@pytest.mark.parametrize(
    ("path", "headers", "expected"),
    [
        (detection.EVENTS, {"content-type": "application/cloudevents+json; charset=UTF-8"}, "structured"),
        (detection.EVENTS, {"content-type": "application/cloudevents-batch+json"}, "structured"),
        (detection.EVENTS, {"content-type": "application/json", "ce-specversion": "1.0"}, "binary"),
        (detection.EVENTS, {"content-type": "text/xml", "ce-id": "1"}, "binary"),
        (detection.EVENTS, {"content-type": "application/cloudevents+json", "ce-id": "1"}, "structured"),
        (detection.EVENTS, {"content-type": "application/json"}, None),
        (detection.EVENTS, {}, None),
        (detection.EVENTS, {"content-type": "application/x-www-form-urlencoded"}, None),
        (detection.BATCH, {}, "lago_batch"),
    ],
)
def test_headers_tell_the_format(path: str, headers: dict[str, str], expected: str | None) -> None:
    assert detection.format_by_headers(path, headers) == expected


@pytest.mark.parametrize(
    "kind", ["application/cloudevents+avro", "text/xml", "application/cloudevents+json; charset=latin-1"]
)
def test_a_content_type_that_nobody_reads_is_said(kind: str) -> None:
    with pytest.raises(ValueError, match="is not understood; send"):
        detection.format_by_headers(detection.EVENTS, {"content-type": kind})


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b' [{"specversion": "1.0"}]', "structured"), (b'{"specversion": "1.0"}', "structured"),
        (b'{"event": {}}', "lago"), (b'{"events": []}', "lago_batch"),
    ],
)  # fmt: skip
def test_shape_tells_the_format(body: bytes, expected: str) -> None:
    assert detection.format_by_shape(body) == expected


@pytest.mark.parametrize(("body", "reason"), [(b"", "malformed"), (b"5", "invalid"), (b'{"event_name": "e"}', "shape")])
def test_other_shapes_are_refused(body: bytes, reason: str) -> None:
    with pytest.raises(Refused) as caught:
        detection.format_by_shape(body)
    assert caught.value.reason == reason
