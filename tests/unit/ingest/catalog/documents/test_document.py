"""Documents as text: scalars are what was written."""

from __future__ import annotations

from decimal import Decimal

import pytest

from ingest.catalog.document import DocumentError, load_document


def test_scalars_are_exact() -> None:
    text = b"""
price: 0.10
count: 12
big: 123456789012345678901234567890
country: NO
switch: on
octal: 010
date: 2013-01-01
instant: 2013-01-01T00:00:00Z
time: 12:30:00
flag: true
none: null
tilde: ~
empty:
minus: -3
text: "0.10"
carrier: 9E
"""
    assert load_document(text) == {
        "price": Decimal("0.10"), "count": 12, "big": 123456789012345678901234567890, "country": "NO", "switch": "on",
        "octal": "010", "date": "2013-01-01", "instant": "2013-01-01T00:00:00Z", "time": "12:30:00", "flag": True,
        "none": None, "tilde": None, "empty": None, "minus": -3, "text": "0.10", "carrier": "9E",
    }  # fmt: skip
    assert str(load_document(text)["price"]) == "0.10"


@pytest.mark.parametrize("json_only", [True, False])
def test_json_keeps_its_decimals(json_only: bool) -> None:
    result = load_document(b' {"price": 0.10, "text": "0.10"}', json_only=json_only)
    assert result == {"price": Decimal("0.10"), "text": "0.10"}
    assert str(result["price"]) == "0.10"


def test_anchors_and_merges_work() -> None:
    result = load_document(b"base: &b {a: 1, b: 2}\nother: {<<: *b, b: 3}")
    assert result["other"] == {"a": 1, "b": 3}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"a: 1\na: 2", "stands twice"),
        (b"a: [1", "line"),
        (b"- 1", "not an object"),
        (b"a: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
        (b"a: {1: 2}", "not text"),
        (b'{"a": 1', "not YAML or JSON"),
        (b"\xff\xfe\xff", "not YAML or JSON"),
        (b"[" * 5000, "not YAML or JSON"),
    ],
)
def test_refusals_say_why(text: bytes, says: str) -> None:
    with pytest.raises(DocumentError, match=says):
        load_document(text)


def test_aliases_cannot_make_a_vast_document() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    with pytest.raises(DocumentError, match="nodes"):
        load_document("\n".join(lines).encode())


@pytest.mark.parametrize("opening", [b"[", b"{a: ", b"- ", b"? "])
def test_a_document_that_is_nested_too_deep_is_refused_and_ends_no_process(opening: bytes) -> None:
    for text in (opening * 100_000, b"accounts: " + b"[" * 65 + b"]" * 65):
        with pytest.raises(DocumentError) as caught:
            load_document(text)
        assert caught.value.malformed


def doubled(levels: int) -> bytes:
    """A text whose last mapping stands for 2 ** levels of the first one's."""
    lines = ["a0: &a0 {x: 1}"]
    lines += [f"a{level}: &a{level}\n  <<: [*a{level - 1}, *a{level - 1}]" for level in range(1, levels + 1)]
    return "\n".join(lines).encode()


@pytest.mark.parametrize("text", [
    doubled(40),
    b"a0: &a0 [1, 2]\n" + b"".join(b"a%d: &a%d [%s]\n" % (n, n, b",".join([b"*a%d" % (n - 1)] * 9))
        for n in range(1, 30)),
])  # fmt: skip
def test_what_aliases_and_merge_keys_stand_for_is_counted_before_it_is_built(text: bytes) -> None:
    with pytest.raises(DocumentError, match="more than 1000000 nodes"):
        load_document(text)


def test_aliases_and_merge_keys_within_the_bound_are_taken() -> None:
    result = load_document(b"base: &b {currency: USD}\nplans: [{<<: *b, code: p}, {<<: [*b], code: q}]\nagain: *b")
    assert result["plans"] == [{"currency": "USD", "code": "p"}, {"currency": "USD", "code": "q"}]
    assert result["again"] == {"currency": "USD"}


def test_a_smaller_bound_and_depth_hold_for_what_aliases_stand_for() -> None:
    with pytest.raises(DocumentError, match="more than 5 nodes"):
        load_document(b"a: &a [1, 2]\nb: *a", most_nodes=5)
    assert load_document(b"a: &a [1, 2]\nb: *a", most_nodes=9)["b"] == [1, 2]
    deep = b"a: &a " + b"[" * 40 + b"]" * 40 + b"\nb: " + b"[" * 40 + b"*a" + b"]" * 40
    with pytest.raises(DocumentError, match="nested deeper than 64"):
        load_document(deep)


def test_an_alias_inside_of_what_it_stands_for_is_refused() -> None:
    with pytest.raises(DocumentError, match="inside of what it stands for"):
        load_document(b"a: &a [*a]")


def test_work_on_a_document_asks_whether_it_may_go_on() -> None:
    collected: list[int] = []
    load_document(
        b"accounts:\n" + b"".join(b"- {code: a%d}\n" % n for n in range(5000)), tick=lambda: collected.append(1)
    )
    assert len(collected) > 5
