"""The fast path of acceptance and the explanation of refusals agree, whatever comes."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from schemas.events.acceptance import AcceptedEvent, accept
from schemas.events.event_types import NO_TYPES
from schemas.events.raw_events import RawEvent, Refused, decode_any, decode_batch
from schemas.values.instants import SECOND, micros, parse_rfc3339, rfc3339
from schemas.values.json_text import exact
from tests.unit.schemas.events.builders import NOW, SETTINGS

TEXTS = st.one_of(st.sampled_from(["", "a", "k", "x" * 256, "x" * 257, "\x1f", "\xa0", "\u2028"]), st.text(max_size=5))


JSON = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.text(max_size=4), st.floats(allow_nan=False, allow_infinity=False)
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
    max_leaves=6,
)


RAWS = st.fixed_dictionaries(
    {"event_name": TEXTS},
    optional={
        "account_id": st.one_of(st.none(), TEXTS),
        "idempotency_key": st.one_of(st.none(), TEXTS),
        "source": TEXTS,
        "timestamp": st.one_of(
            st.none(),
            st.integers(NOW - 1001 * SECOND, NOW + 101 * SECOND).map(rfc3339),
            st.sampled_from(["x", "2023-11-14T00:00:00"]),
        ),
        "properties": st.one_of(JSON, st.fixed_dictionaries({"account_id": TEXTS}), st.just({"{": "[" * 40})),
    },
)


def obviously_accepted(event: dict[str, Any]) -> bool:
    """The rules of DESIGN sections 2 and 4 for one event, without a thought for speed."""
    properties = event.get("properties", {})
    account = event.get("account_id")
    if not isinstance(properties, dict):
        return False
    if account is None:
        account = next(
            (
                response
                for name in ("account_id", "billingrails_account_id")
                if isinstance(response := properties.get(name), str)
            ),
            None,
        )
    key = event.get("idempotency_key")
    texts = [(event["event_name"], 1), (account, 1), ("made" if key is None else key, 1), (event.get("source", ""), 0)]
    for text, least in texts:
        if text is None or not least <= len(text) <= 256:
            return False
        if any(ord(letter) < 32 or 127 <= ord(letter) < 160 for letter in text):
            return False
    stamp = event.get("timestamp")
    if stamp in ("x", "2023-11-14T00:00:00"):
        return False
    return stamp is None or NOW - 1000 * SECOND <= micros(parse_rfc3339(stamp)) <= NOW + 100 * SECOND


def judged(body: bytes, decode: Callable[[bytes], list[RawEvent]] = decode_batch) -> list[AcceptedEvent] | Refused:
    try:
        return accept("ns", SETTINGS, decode(body), now_us=NOW, mint_key="made-{}".format, types=NO_TYPES)
    except Refused as refused:
        return refused


@given(RAWS)
def test_fast_path_and_explanation_agree_with_the_rules(event: dict[str, Any]) -> None:
    result = judged(json.dumps({"events": [event]}).encode())
    if isinstance(result, Refused):
        assert not obviously_accepted(event)
        assert result.index == 0
        assert result.path.startswith("$.events[0]")
        assert result.detail
    else:
        assert obviously_accepted(event)
        assert isinstance(exact(result[0].properties), dict)


@given(st.lists(RAWS, min_size=1, max_size=4))
def test_all_or_nothing(events: list[dict[str, Any]]) -> None:
    for index, event in enumerate(events):
        if event.get("idempotency_key"):
            event["idempotency_key"] = f"{index}{event['idempotency_key']}"
    good = [isinstance(judged(json.dumps({"events": [event]}).encode()), list) for event in events]
    result = judged(json.dumps({"events": events}).encode())
    if isinstance(result, Refused):
        assert result.index is not None
        assert not good[result.index]
    else:
        assert all(good)
        assert len(result) == len(events)


@given(st.binary(max_size=60))
def test_any_bytes_are_events_or_refused(body: bytes) -> None:
    result = judged(body, decode_any)
    assert isinstance(result, list) or result.path.startswith("$")
