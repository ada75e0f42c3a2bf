"""Long bodies as numbered lines: cut anywhere, compressed in members, bounded."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.history.body_lines import Lines, NumberedLine
from ingest.history.line_judgement import judge_line, judge_lines
from ingest.http.decompression import PIECE, BrokenBody, Inflater, zstd
from schemas.catalog.models import Namespace
from schemas.catalog.state import Catalog, NamespaceView, record_of
from schemas.events.raw_events import Refused


def history() -> NamespaceView:
    catalog = Catalog()
    record = record_of(
        "n", Namespace(code="n", max_event_age_seconds=None), kind="namespace", version=1, author="", claim_id="c"
    )
    catalog.apply(record, 0, 0)
    return catalog.view("n")


HISTORY = history()
NOW = 1_780_000_000_000_000


def chunks(data: bytes, cuts: Sequence[int]) -> list[bytes]:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[a:b] for a, b in pairwise(places)]


def lines_of(parts: Sequence[bytes], encoding: str = "", limit: int = 1000) -> list[tuple[int, bytes, bool]]:
    inflater, lines = Inflater(encoding), Lines(limit)
    item = [line for part in parts for piece in inflater.feed(part) for line in lines.feed(piece)]
    inflater.finish()
    item += lines.finish()
    return [(line.number, line.text, line.too_long) for line in item]


texts = st.lists(st.binary(max_size=30).filter(lambda text: b"\n" not in text), max_size=12)


@given(texts, st.lists(st.integers(0, 500), max_size=6), st.sampled_from(["", "gzip", "zstd"]), st.booleans())
def test_lines_do_not_depend_on_where_the_body_is_cut(
    texts: list[bytes], cuts: list[int], encoding: str, ended: bool
) -> None:
    body = b"\n".join(texts) + (b"\n" if ended else b"")
    expected = [(number, text.strip(), False) for number, text in enumerate(texts, 1) if text.strip()]
    if encoding:
        pack = gzip.compress if encoding == "gzip" else zstd.compress
        body = b"".join(pack(part) for part in chunks(body, [len(body) // 2]))
    assert lines_of(chunks(body, cuts), encoding) == expected


def test_a_line_that_is_too_long_is_kept_to_its_limit_and_the_next_is_whole() -> None:
    body = b"a" * 25 + b"\nb\n" + b"c" * 11
    assert lines_of([body[:7], body[7:]], limit=10) == [(1, b"a" * 10, True), (2, b"b", False), (3, b"c" * 10, True)]


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_a_bomb_comes_in_small_pieces(encoding: str) -> None:
    bomb = (gzip.compress if encoding == "gzip" else zstd.compress)(b"0" * 50_000_000)
    pieces = Inflater(encoding).feed(bomb)
    assert all(len(next(pieces)) <= PIECE for _ in range(100))


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_a_broken_or_cut_body_is_said(encoding: str) -> None:
    full_result = (gzip.compress if encoding == "gzip" else zstd.compress)(b"line\n" * 1000)
    with pytest.raises(BrokenBody, match="is cut"):
        lines_of([full_result[:-3]], encoding)
    with pytest.raises(BrokenBody, match="cannot be decompressed"):
        lines_of([b"no such thing"], encoding)


GOOD = b'{"event_name": "e", "account_id": "a", "idempotency_key": "k%d", "timestamp": "1999-01-01T00:00:00Z"}'


@pytest.mark.parametrize(
    ("line", "reason", "path"),
    [
        (NumberedLine(1, GOOD % 1, too_long=True), "too_large", "$"),
        (NumberedLine(1, b"{"), "malformed", "$"),
        (NumberedLine(1, b'{"event_name": "e", "account_id": "a", "timestamp": "1999-01-01T00:00:00Z"}'), "missing",
            "$.idempotency_key"),
        (NumberedLine(1, b'{"event_name": "e", "account_id": "a", "idempotency_key": "k"}'), "missing", "$.timestamp"),
        (NumberedLine(1, GOOD.replace(b'"a"', b'""') % 1), "invalid", "$.account_id"),
    ],
)  # fmt: skip
def test_a_line_needs_what_makes_it_safe_to_send_again(line: NumberedLine, reason: str, path: str) -> None:
    with pytest.raises(Refused) as caught:
        judge_line(line, HISTORY, NOW)
    assert (caught.value.reason, caught.value.path) == (reason, path)


def test_a_bad_line_stops_no_other() -> None:
    lines = [NumberedLine(1, GOOD % 1), NumberedLine(2, b"nonsense"), NumberedLine(4, GOOD % 4)]
    accepted, refused = judge_lines(lines, HISTORY, NOW)
    assert [event.idempotency_key for event in accepted] == ["k1", "k4"]
    assert [line.number for line, _ in refused] == [2]
