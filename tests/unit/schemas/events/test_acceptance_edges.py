"""Every oddity of JSON, and what becomes of it: one defined answer, the same on the fast path and the slow one.

``schemas/README.md`` holds this table in words.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.catalog.profiles import profile_versions
from schemas.events import acceptance, refused_body
from schemas.events.acceptance import MAX_PROPERTIES_BYTES, AcceptedEvent, accept
from schemas.events.event_types import NO_TYPES, EventTypes, event_types
from schemas.events.raw_events import Refused, decode_event
from schemas.matching.rules import Matcher
from schemas.values.json_text import canonical, doubled_key, exact, keys_differ
from schemas.values.quantity import unscaled
from tests.unit.schemas.events.builders import FOR_EVER, catalog, event, judged

MATCHER = Matcher(profile_versions(catalog().view("ns")))


DEEP = b'{"n":' + b"[" * 31 + b"]" * 31 + b"}"
# What stands at n, and what a sum over n makes of it: a quantity, or the reason why it has none.
TAKEN = {
    "a decimal is kept digit for digit": (b'{"n":0.100000000001}', "0.100000000001"),
    "a numeric string is a number": (b'{"n":"1.50"}', "1.50"),
    "minus zero is zero": (b'{"n":-0}', "0"),
    "minus zero with a point too": (b'{"n":-0.0}', "0"),
    "an integer beyond 64 bits": (b'{"n":18446744073709551616}', "18446744073709551616"),
    "the greatest quantity": (
        b'{"n":99999999999999999999999999.999999999999}',
        "99999999999999999999999999.999999999999",
    ),
    "beyond Decimal(38, 12)": (b'{"n":1e26}', "out_of_range"),
    "5,000 digits": (b'{"n":' + b"9" * 5000 + b"}", "out_of_range"),
    "1e400": (b'{"n":1e400}', "out_of_range"),
    "1e99999999999999999999": (b'{"n":1e99999999999999999999}', "out_of_range"),
    "1e-400": (b'{"n":1e-400}', "0"),
    "thirteen decimals": (b'{"n":0.0000000000016}', "0.000000000002"),
    "the text of a float": (b'{"n":114.97809459641576}', "114.978094596416"),
    "NaN as text": (b'{"n":"NaN"}', "not_a_number"),
    "text": (b'{"n":"a lot"}', "not_a_number"),
    "true": (b'{"n":true}', "not_a_number"),
    "an object": (b'{"n":{}}', "not_a_number"),
    "null": (b'{"n":null}', "missing"),
    "nothing": (b"{}", "missing"),
    "a control character in an escape": (b'{"n":"\\u0000"}', "not_a_number"),
    "an escaped pair of surrogates": (b'{"n":1,"s":"\\ud83d\\ude00"}', "1"),
    "32 levels": (DEEP, "not_a_number"),
    "64 KiB": (b'{"n":1,"s":"' + b"x" * (MAX_PROPERTIES_BYTES - 14) + b'"}', "1"),
    "the same key in different objects": (b'{"n":1,"o":{"n":2},"l":[{"n":3},{"n":4}]}', "1"),
    "colons and braces in strings": (b'{"n":1,"s":"{\\":\\"a: :","t" : "\\":"}', "1"),
    "an empty key": (b'{"n":1,"":2}', "1"),
    "an empty list of events' worth of space": (b'{ "n" : 1 , "m" :\t2 }', "1"),
}
REFUSED = {
    "NaN": (b'{"n":NaN}', "malformed", "$", "no NaN"),
    "Infinity": (b'{"n":Infinity}', "malformed", "$", "no NaN and no Infinity"),
    "minus Infinity in a list": (b'{"n":[1, -Infinity]}', "malformed", "$", "no Infinity"),
    "a leading zero": (b'{"n":01}', "malformed", "$", "invalid number"),
    "a leading plus": (b'{"n":+1}', "malformed", "$", "invalid character"),
    "a raw control character": (b'{"n":"\x01"}', "malformed", "$", "invalid character"),
    "half a pair of surrogates": (b'{"n":"\\ud800"}', "malformed", "$", "its other half"),
    "half a pair in a key": (b'{"\\udc00":1}', "malformed", "$", "its other half"),
    "bytes that are not UTF-8": (b'{"n":"\xff"}', "invalid", "$.events[0].properties", "not UTF-8 at byte 6"),
    "a surrogate in UTF-8": (b'{"n":"\xed\xa0\x80"}', "invalid", "$.events[0].properties", "not UTF-8"),
    "an overlong zero": (b'{"n":"\xc0\x80"}', "invalid", "$.events[0].properties", "not UTF-8"),
    "a byte order mark inside": (b"\xef\xbb\xbf{}", "malformed", "$", "invalid character"),
    "33 levels": (b'{"n":[' + DEEP + b"]}", "too_deep", "$.events[0].properties", "32 levels"),
    "64 KiB and a byte": (
        b'{"s":"' + b"x" * (MAX_PROPERTIES_BYTES - 7) + b'"}',
        "too_large",
        "$.events[0].properties",
        "65536",
    ),
    "a key twice": (b'{"n":1,"n":2}', "doubled_key", "$.events[0].properties.n", "stands twice"),
    "a key twice with the same value": (b'{"n":1,"n":1}', "doubled_key", "$.events[0].properties.n", "stands twice"),
    "a key twice, once by an escape": (
        b'{"n":1,"\\u006e":1}',
        "doubled_key",
        "$.events[0].properties.n",
        "stands twice",
    ),
    "a key twice, deep": (
        b'{"n":1,"l":[0,{"a b":1,"c":2,"a b":3}]}',
        "doubled_key",
        '$.events[0].properties.l[1]["a b"]',
        "send one",
    ),
    "a key twice, with space before the colon": (
        b'{"n" :1,"n":2}',
        "doubled_key",
        "$.events[0].properties.n",
        "send one",
    ),
    "a key twice, and 5,000 digits": (
        b'{"n":1,"n":' + b"9" * 5000 + b"}",
        "doubled_key",
        "$.events[0].properties.n",
        "send one",
    ),
    "a list": (b"[]", "invalid", "$.events[0].properties", "not a JSON object"),
    "null": (b"null", "invalid", "$.events[0].properties", "not a JSON object"),
}
# A schema that accepts every object: with it, properties are read by another decoder.
OPEN = event_types(catalog({"code": "e", "schema": {"type": "record", "name": "E", "fields": []}}).view("ns"))


@pytest.mark.parametrize("types", [NO_TYPES, OPEN], ids=["no schema", "open schema"])
@pytest.mark.parametrize(("properties", "quantity"), TAKEN.values(), ids=TAKEN)
def test_what_is_taken_and_what_a_sum_makes_of_it(properties: bytes, quantity: str, types: EventTypes) -> None:
    accepted_judged = judged(event(properties), types)
    assert isinstance(accepted_judged, AcceptedEvent), accepted_judged
    assert accepted_judged.properties.encode() == properties  # not a digit is rewritten
    matched = MATCHER.match("e", accepted_judged.timestamp_us, "k", accepted_judged.properties)
    units = {match.profile_id: match.units for match in matched.matches}
    assert unscaled(units["e.n"]) == 1  # what one profile cannot measure never stops another
    if matched.unmeterable:
        assert matched.unmeterable == (("e.sum", quantity),)
    else:
        assert canonical(unscaled(units["e.sum"])) == canonical(exact(quantity))


@pytest.mark.parametrize("types", [NO_TYPES, OPEN], ids=["no schema", "open schema"])
@pytest.mark.parametrize(("properties", "reason", "path", "says"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_and_how(properties: bytes, reason: str, path: str, says: str, types: EventTypes) -> None:
    refused = judged(event(properties), types)
    assert isinstance(refused, Refused), refused
    assert (refused.reason, refused.path) == (reason, path)
    assert says in refused.detail


def test_a_body_with_a_byte_order_mark_is_told_so() -> None:
    refused = judged(b"\xef\xbb\xbf" + event(b"{}"))
    assert isinstance(refused, Refused)
    assert "byte order mark" in refused.detail


def test_of_an_event_s_own_fields_the_last_one_counts() -> None:
    body = b'{"events":[{"event_name":"x","event_name":"e","account_id":"b","account_id":"a"}]}'
    accepted_judged = judged(body)
    assert isinstance(accepted_judged, AcceptedEvent)
    assert (accepted_judged.event_name, accepted_judged.account_id) == ("e", "a")


KEYS = st.sampled_from(["a", "b", "c:", 'd":', " e", "{", ""])
SPACES = st.sampled_from(["", "", "", " ", "\n\t"])
LEAVES = st.sampled_from(["1", "1.5", "null", '":"', '"\\":"', '" :"', '"{["', '"x"', "1e400"])


@st.composite
def written(draw: st.DrawFn, levels: int = 3) -> str:
    """The text of a JSON value whose objects may have a key twice, with spaces anywhere."""
    kind = draw(st.sampled_from(["leaf", "object", "object", "list"])) if levels < 3 else "object"
    if kind == "leaf" or levels == 0:
        return draw(LEAVES)
    if kind == "list":
        return "[" + ",".join(draw(st.lists(written(levels - 1), max_size=2))) + "]"
    names = draw(st.lists(KEYS, max_size=4))
    pairs = [json.dumps(name) + draw(SPACES) + ":" + draw(SPACES) + draw(written(levels - 1)) for name in names]
    return "{" + ("," + draw(SPACES)).join(pairs) + "}"


@given(written())
@example('{"a" :1,"a":2}')
@example('{"a":"\\":","a":1}')
def test_keys_are_counted_as_they_are_seen_one_by_one(text: str) -> None:
    assert keys_differ(text, exact(text)) == (doubled_key(text) is None)
    accepted_judged = judged(event(text.encode()))
    assert isinstance(accepted_judged, AcceptedEvent) == (doubled_key(text) is None)
    with_schema = judged(event(text.encode()), OPEN)
    assert isinstance(with_schema, AcceptedEvent) == isinstance(accepted_judged, AcceptedEvent)


@pytest.mark.parametrize("account", ['"account_id": "x",', ""], ids=["account", "nested account"])
def test_properties_that_are_too_large_are_not_parsed(account: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def bounded(parse: Callable[[str | bytes], Any]) -> Callable[[str | bytes], Any]:
        def parse_small(text: str | bytes) -> Any:
            assert len(text) <= MAX_PROPERTIES_BYTES
            return parse(text)

        return parse_small

    for module, name in ((acceptance, "decode_properties"), (acceptance, "exact"), (refused_body, "exact")):
        monkeypatch.setattr(module, name, bounded(getattr(module, name)))
    names = ",".join(f'"n{number}": {number}' for number in range(20_000))
    body = f'{{"event_name": "e", {account} "idempotency_key": "k", "properties": {{{names}}}}}'.encode()
    with pytest.raises(Refused) as caught:
        accept("ns", FOR_EVER, decode_event(body), now_us=1, mint_key=str, types=NO_TYPES, single=True)
    assert (caught.value.reason, caught.value.path) == ("too_large", "$.properties")
    sketched = refused_body.sketch(body, 0, FOR_EVER, single=True)
    assert sketched == refused_body.Sketch(1, "x" if account else "", "e", "k")
