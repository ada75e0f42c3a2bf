"""A replay is judged by today's rules at the instant of original arrival; what enters keeps the keys of its origin."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from schemas.catalog.models import Namespace
from schemas.catalog.state import Catalog, NamespaceView, record_of
from schemas.clickhouse.stored_rejections import Rejection
from schemas.events.batch import encode_batch
from schemas.events.rejections import GATEWAY_SAMPLE_BYTES, rejection_record
from schemas.kafka.codec import codec
from schemas.values.instants import DAY, rfc3339
from stream_processors.inbox.admit import InboxRecord, admit
from stream_processors.replay.judged import ReplayOutcome
from stream_processors.replay.rejected_replay import judge, replay_record
from tests.unit.stream_processors.metering.builders import event as accepted

ARRIVED = 1_790_000_000_000_000


def view(**settings: Any) -> NamespaceView:
    catalog = Catalog()
    namespace = Namespace(code="shop", **settings)
    catalog.apply(record_of("shop", namespace, kind="namespace", version=1, author="", claim_id="a"), 0, 0)
    return catalog.view("shop")


def rejection(original: bytes, stage: str = "gateway", **extra: Any) -> Rejection:
    item = Rejection(
        b"i" * 16, "shop", stage, "too_old", "why", 1, "acme", "call", "k", original, "usage.inbox.shop", 2, 7, ARRIVED
    )
    return replace(item, **extra)


def body(days_old: int, **extra: Any) -> bytes:
    stamp = rfc3339(ARRIVED - days_old * DAY)
    return json.dumps(
        {"event_name": "call", "account_id": "acme", "idempotency_key": "k", "timestamp": stamp} | extra
    ).encode()


@pytest.mark.parametrize("stage", ["gateway", "admit"])
def test_the_age_is_that_at_original_arrival_whenever_it_is_replayed(stage: str) -> None:
    """No clock is asked: an event of 30 days enters under 35 days of age, though it arrived long ago, and one of 40
    never."""
    rules = view(max_event_age_seconds=35 * 86_400)
    assert len(judge(rejection(body(30), stage), rules).events) == 1
    late = judge(rejection(body(40), stage), rules)
    assert (late.events, late.why.startswith("still refused")) == ((), True)
    assert len(judge(rejection(body(40), stage), view(max_event_age_seconds=41 * 86_400)).events) == 1


def test_an_inbox_record_gives_exactly_what_admit_would_have_given() -> None:
    value = json.dumps([{"event_name": "call", "account_id": "acme"}, json.loads(body(1))]).encode()
    record = InboxRecord("usage.inbox.shop", "shop", 2, 7, ARRIVED, value)
    assert judge(rejection(value, "admit"), view()).events == admit(record, view()).events
    assert judge(rejection(value, "admit"), view()).events[0].idempotency_key == "usage.inbox.shop/2/7/0"


def test_without_a_key_a_gateways_event_enters_only_where_that_is_asked_for_and_always_as_the_same_event() -> None:
    value = json.dumps({"events": [{"event_name": "call", "account_id": "acme"}]}).encode()
    assert "--without-keys" in judge(rejection(value), view()).why
    [event] = judge(rejection(value), view(), keyless=True).events
    assert [event] == judge(rejection(value), view(), keyless=True).events
    assert (event.idempotency_key, event.timestamp_us) == (f"replay/{(b'i' * 16).hex()}/0", ARRIVED)
    [second_event] = judge(rejection(value, rejection_id=b"j" * 16), view(), keyless=True).events
    assert second_event.identity != event.identity


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (rejection(b""), "not kept"),
        (rejection(b'{"event_name": "' + b"x" * GATEWAY_SAMPLE_BYTES), "cut"),
        (rejection(b"{"), "still refused"),
        (rejection(b"junk", "admit"), "still refused"),
        (rejection(b"{}", "meter", reason="conflict"), "key of its own"),
        (rejection(b"junk", "meter", reason="undecodable"), "still refused"),
    ],
)
def test_what_cannot_enter_says_why(given: Rejection, why: str) -> None:
    judged = judge(given, view(), keyless=True)
    assert judged.events == ()
    assert why in judged.why


def test_a_batch_that_a_wrong_version_could_not_read_enters_as_it_was_accepted() -> None:
    events = [accepted(1, 0), accepted(2, 2)]
    judged = judge(rejection(encode_batch("default", 9, events), "meter", namespace="", reason="undecodable"), view())
    assert (list(judged.events), judged.namespace, judged.catalog_offset) == (events, "default", 9)


def test_the_record_of_a_replay_stands_beside_the_rejection() -> None:
    record = replay_record(ReplayOutcome(rejection(b"x"), 3, 1, places=["usage.events.1 partition 0 offset 5"]))
    decoded = codec("rejected_event").decode(rejection_record(record))
    assert (decoded["stage"], decoded["rejection_id"], decoded["received_at"]) == ("replay", b"i" * 16, ARRIVED)
    assert decoded["detail"] == "3 entered, 1 had counted before; usage.events.1 partition 0 offset 5"


def test_json_shows_text_as_text_and_bytes_as_hexadecimal() -> None:
    assert rejection(b"{}").to_json()["original"] == "{}"
    assert rejection(b"\xff").to_json()["original_hex"] == "ff"
