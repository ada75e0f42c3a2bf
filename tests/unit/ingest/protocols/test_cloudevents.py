"""CloudEvents in all three modes say the same event, and what is wrong with them is said in their words."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest
from cloudevents.conversion import to_binary, to_structured
from cloudevents.http import CloudEvent
from hypothesis import given
from hypothesis import strategies as st

from ingest.http.gateway_problems import of_refusal
from ingest.protocols import cloudevents
from schemas.catalog.models import Namespace
from schemas.events.acceptance import accept
from schemas.events.event_types import NO_TYPES
from schemas.events.raw_events import Refused
from schemas.values.instants import micros, parse_rfc3339

NAMESPACE = Namespace(code="n", max_event_age_seconds=None)
NOW = micros(parse_rfc3339("2026-06-01T00:00:00Z"))
ATTRIBUTES = {
    "id": "i-1",
    "source": "/player",
    "type": "Song played",
    "subject": "acme",
    "time": "2026-05-04T12:00:00Z",
    "specversion": "1.0",
}
EVENT = ATTRIBUTES | {"data": {"seconds": 212}}


def structured(**extra: Any) -> bytes:
    return json.dumps({name: value for name, value in (EVENT | extra).items() if value != "absent"}).encode()


def raised(body: bytes | dict[str, str], data: bytes = b"{}") -> Refused:
    """What is refused, by the translation or by acceptance."""
    try:
        raws = cloudevents.decode_structured(body) if isinstance(body, bytes) else cloudevents.decode_binary(body, data)
        accept("n", NAMESPACE, raws, now_us=NOW, mint_key=lambda _: "never", types=NO_TYPES)
    except Refused as refused:
        return refused
    raise AssertionError("it was accepted")


def told(refused: Refused, *, batch: bool = False, binary: bool = False) -> dict[str, Any]:
    response = cloudevents.answer_refused(of_refusal(refused), "/api/v1/events", batch=batch, binary=binary)
    return dict(json.loads(bytes(response.body)))


words = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters='%"'), min_size=1, max_size=40)


@given(words, words, words, words, st.dictionaries(words, st.integers() | words | st.none(), max_size=4))
def test_the_official_sdk_says_one_event_in_every_mode(
    i: str, s: str, t: str, subject: str, data: dict[str, Any]
) -> None:
    event = CloudEvent(ATTRIBUTES | {"id": i, "source": s, "type": t, "subject": subject, "color": "blue"}, data)
    _, body = to_structured(event)
    headers, binary = to_binary(event)
    decode_structured = cloudevents.decode_structured(body)
    for raws in (
        decode_structured,
        cloudevents.decode_structured(b" [" + body + b"]"),
        cloudevents.decode_binary(headers, binary),
    ):
        [raw] = raws
        assert (raw.idempotency_key, raw.source, raw.event_name, raw.account_id) == (i, s, t, subject)
        assert raw.timestamp == parse_rfc3339("2026-05-04T12:00:00Z")
        assert json.loads(bytes(raw.properties)) == data


def test_numbers_keep_every_digit() -> None:
    body = structured().replace(b"212", b"0.10000000000000000000000001")
    [raw] = cloudevents.decode_structured(body)
    assert bytes(raw.properties) == b'{"seconds": 0.10000000000000000000000001}'


@pytest.mark.parametrize(
    "extra",
    [{"data": "absent"}, {"data": None}, {"data": {}}, {"data": "absent", "data_base64": b64encode(b" {} ").decode()}],
)
def test_no_data_are_no_properties(extra: dict[str, Any]) -> None:
    [raw] = cloudevents.decode_structured(structured(**extra))
    assert bytes(raw.properties) == b"{}"


def test_optional_attributes_may_be_null() -> None:
    [raw] = cloudevents.decode_structured(structured(subject=None, time=None, datacontenttype=None))
    assert (raw.account_id, raw.timestamp) == (None, None)


@pytest.mark.parametrize(
    "kind", ["application/json", "application/json; charset=utf-8", "application/vnd.x+json", "text/json"]
)
def test_any_json_media_type_is_read(kind: str) -> None:
    [raw] = cloudevents.decode_structured(structured(datacontenttype=kind))
    assert bytes(raw.properties) == b'{"seconds": 212}'


@pytest.mark.parametrize(
    ("more", "path", "says"),
    [
        ({"specversion": "0.3"}, "$.specversion", "send CloudEvents 1.0"),
        ({"specversion": "absent"}, "$", "specversion"),
        ({"id": "absent"}, "$", "`id`"),
        ({"id": ""}, "$.id", "0 characters"),
        ({"id": 5}, "$.id", "Expected `str`"),
        ({"source": ""}, "$.source", "empty"),
        ({"type": ""}, "$.type", "0 characters"),
        ({"time": "2026-05-04"}, "$.time", "RFC 3339"),
        ({"time": "2026-05-04T12:00:00"}, "$.time", "timezone"),
        ({"time": "2199-01-01T00:00:00Z"}, "$.time", "ahead of now"),
        ({"subject": "absent"}, "$.subject", "set subject, or one of data.account_id, data.billingrails_account_id"),
        ({"subject": "a\x00"}, "$.subject", "control character"),
        ({"data": [1]}, "$.data", "not a JSON object"),
        ({"data": "text"}, "$.data", "not a JSON object"),
        ({"data": "<a/>", "datacontenttype": "application/xml"}, "$.datacontenttype", "cannot be metered"),
        ({"data_base64": "e30="}, "$.data_base64", "beside data"),
        ({"data": "absent", "data_base64": "e30"}, "$.data_base64", "not base64"),
        ({"data": "absent", "data_base64": b64encode(b"\x00\x01").decode()}, "$.data_base64", "not JSON"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_by_its_attribute(more: dict[str, Any], path: str, says: str) -> None:
    document = told(raised(structured(**more)))
    assert document["path"] == path
    assert says in document["detail"]
    assert (document["status"], document["title"], document["instance"]) == (400, "Bad Request", "/api/v1/events")
    assert document["extensions"]["path"] == path


def test_a_batch_names_the_event_at_fault() -> None:
    body = b"[" + structured() + b"," + structured(id="i-2", subject="absent") + b"]"
    document = told(raised(body), batch=True)
    assert (document["index"], document["path"]) == (1, "$[1].subject")
    value = b"[" + b",".join(structured(id=str(number)) for number in range(101)) + b"]"
    assert "1 to 100" in told(raised(value), batch=True)["detail"]
    assert told(raised(b"[]"), batch=True)["path"] == "$"
    twice = b"[" + structured() + b"," + structured(data={"seconds": 1}) + b"]"
    assert told(raised(twice), batch=True)["path"] == "$[1].id"


HEADERS = {f"ce-{name}": value for name, value in ATTRIBUTES.items()}


@pytest.mark.parametrize(
    ("more", "data", "path"),
    [
        ({"ce-specversion": "0.3"}, b"{}", "ce-specversion"),
        ({"ce-time": "yesterday"}, b"{}", "ce-time"),
        ({"ce-subject": ""}, b"{}", "ce-subject"),
        ({"ce-id": "%ff"}, b"{}", "ce-id"),
        ({"content-type": "application/xml"}, b"<a/>", "content-type"),
        ({}, b"{", "$"),
        ({}, b"[]", "$"),
        ({}, b'{"a":' * 40 + b"1" + b"}" * 40, "$"),
    ],
)
def test_binary_mode_names_the_header(more: dict[str, str], data: bytes, path: str) -> None:
    assert told(raised(HEADERS | more, data), binary=True)["path"] == path


def test_a_missing_header_is_named() -> None:
    refused = raised({name: value for name, value in HEADERS.items() if name != "ce-type"})
    assert "`ce-type`" in refused.detail


@pytest.mark.parametrize(
    ("header", "meant"), [("Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro € 😀"), ('"a \\"b\\""', 'a "b"'), ("50%", "50%")]
)
def test_headers_are_read_as_the_binding_says(header: str, meant: str) -> None:
    [raw] = cloudevents.decode_binary(HEADERS | {"ce-subject": header}, b"")
    assert raw.account_id == meant
    assert bytes(raw.properties) == b"{}"
