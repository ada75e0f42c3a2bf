"""An instant that is written finer than a microsecond is cut at every door: it never moves later, out of its period."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from deploy.cli.billing.close import parse_as_of
from ingest.client.wire import body_of, item_of
from ingest.history.body_lines import NumberedLine
from ingest.history.line_judgement import judge_line
from ingest.protocols import cloudevents, lago
from rating.periods.ranges import parse_range
from schemas.catalog.models import Namespace, Subscription
from schemas.catalog.state import Catalog, NamespaceView, record_of
from schemas.events.raw_events import RawEvent, decode_any, decode_batch, decode_event
from schemas.values.fine_instants import Instant, InstantOrDate, may_be_fine
from schemas.values.instants import EPOCH, micros
from schemas.values.local_time import parse_zone
from stream_processors.inbox.admit import InboxRecord, admit

NOW_US = 1_800_000_000_000_000


def view() -> NamespaceView:
    catalog = Catalog()
    settings = Namespace(code="ns", max_event_age_seconds=None)
    assert catalog.apply(record_of("ns", settings, kind="namespace", version=1, author="", claim_id="c"), 0, 0)
    return catalog.view("ns")


VIEW = view()


def native(text: str, **extra: object) -> str:
    return json.dumps({"event_name": "e", "account_id": "a", "idempotency_key": "k", "timestamp": text, **extra})


def cloud(text: str) -> str:
    return json.dumps({"specversion": "1.0", "id": "k", "source": "s", "type": "e", "subject": "a", "time": text})


def inbox(value: str) -> int:
    accepted_admit = admit(InboxRecord("usage.inbox.ns", "ns", 0, 0, NOW_US, value.encode()), VIEW)
    assert accepted_admit.rejection is None, accepted_admit.rejection
    return accepted_admit.events[-1].timestamp_us


def of(raws: Sequence[RawEvent]) -> int:
    instant = raws[-1].timestamp
    assert instant is not None
    return micros(instant)


def started(subscription: Subscription) -> int:
    assert subscription.start is not None
    return micros(subscription.start)


HEADERS = {"ce-specversion": "1.0", "ce-id": "k", "ce-source": "s", "ce-type": "e", "ce-subject": "a"}
DOORS: dict[str, Callable[[str], int]] = {
    "one event": lambda text: of(decode_event(native(text).encode())),
    "with its point escaped": lambda text: of(decode_event(native(text).replace(".", "\\u002e").encode())),
    "with a digit escaped": lambda text: of(decode_event(native(text).replace("9", "\\u0039").encode())),
    "beside a fine property": lambda text: of(decode_event(native(text, properties={"gb": 0.12345678901}).encode())),
    "a batch": lambda text: of(
        decode_batch(f'{{"events": [{native("2026-01-01T00:00:00Z")}, {native(text)}]}}'.encode())
    ),
    "a bare list": lambda text: of(decode_any(f"[{native(text)}]".encode())),
    "a line of history": lambda text: (
        judge_line(NumberedLine(1, native(text).encode(), False), VIEW, NOW_US).timestamp_us
    ),
    "a CloudEvent": lambda text: of(cloudevents.decode_structured(cloud(text).encode())),
    "CloudEvents": lambda text: of(cloudevents.decode_structured(f"[{cloud(text)}]".encode())),
    "a CloudEvent in headers": lambda text: of(cloudevents.decode_binary(HEADERS | {"ce-time": text}, b"{}")),
    "the inbox, one": lambda text: inbox(native(text)),
    "the inbox, a batch": lambda text: inbox(f'{{"events": [{native(text)}]}}'),
    "the client library": lambda text: of(decode_batch(body_of([item_of(json.loads(native(text)), lambda: "k")]))),
    "the catalog": lambda text: started(
        Subscription.model_validate({"code": "s", "account": "a", "plan": "p", "start": text})
    ),
    "--as-of": lambda text: micros(parse_as_of(text)),
    "a range": lambda text: micros(parse_range(f"{text}..2199-01-01T00:00:00Z", parse_zone("UTC")).start),
    "an instant in a request": lambda text: micros(TypeAdapter(Instant).validate_python(text)),
}

SECONDS = st.integers(31_536_000, 1_798_761_599)  # 1971 to 2026
FRACTIONS = st.text("0123456789", max_size=24) | st.sampled_from(["9999999", "999999999", "9999995", "0000000"])
OFFSETS = st.sampled_from(["Z", "+00:00", "-00:00", "+05:45", "-08:00"])


def local(seconds: int, offset: str) -> str:
    """RFC 3339 text of Unix seconds at an offset, without it and without a fraction."""
    minutes = 0 if offset == "Z" else (int(offset[1:3]) * 60 + int(offset[4:])) * (-1 if offset[0] == "-" else 1)
    return (EPOCH + timedelta(seconds=seconds, minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%S")


@pytest.mark.parametrize("door", DOORS)
@settings(max_examples=40)
@given(SECONDS, FRACTIONS, OFFSETS)
@example(1_738_367_999, "9999999", "Z")
@example(1_738_367_999, "999999999", "Z")
@example(1_738_367_999, "9999999999999999", "+00:00")
def test_an_instant_is_cut_to_microseconds_at_every_door(door: str, seconds: int, fraction: str, offset: str) -> None:
    text = local(seconds, offset) + ("." + fraction if fraction else "") + offset
    assert DOORS[door](text) == seconds * 1_000_000 + int(fraction[:6].ljust(6, "0") or 0)


@given(st.integers(0, 4_000_000_000), FRACTIONS)
@example(1_738_367_999, "9" * 40)
def test_unix_seconds_are_cut_whatever_their_digits(seconds: int, fraction: str) -> None:
    text = f"{seconds}.{fraction}" if fraction else str(seconds)
    expected = seconds * 1_000_000 + int(fraction[:6].ljust(6, "0") or 0)
    for written in (text, f'"{text}"'):
        body = f'{{"event": {{"transaction_id": "t", "code": "c", "timestamp": {written}}}}}'.encode()
        assert of(list(lago.translate(lago.decode(body, batch=False), VIEW, batch=False))) == expected
    if fraction and seconds:
        assert micros(TypeAdapter(InstantOrDate).validate_python(text)) == expected
        assert micros(TypeAdapter(Instant).validate_python(Decimal(text))) == expected


def test_an_ordinary_body_is_decoded_once() -> None:
    assert not may_be_fine(native("2026-01-31T23:59:59.123456Z", properties={"gb": 114.97809459641576}).encode())
    assert not may_be_fine(json.dumps({"name": "Zürich"}).encode())
