"""Records of a ledger in pieces: seen whole, once, at the place of the last piece; never in part."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from schemas.kafka.codec import codec
from schemas.ledgers.pieces import ABANDONED_US, MAX_WHOLE_BYTES, Joiner, cut

LIMIT = 200


def read(records: list[bytes]) -> list[bytes]:
    joiner = Joiner()
    return [take for number, value in enumerate(records) if (take := joiner.take(value, number)) is not None]


@given(value=st.binary(max_size=3000), limit=st.integers(100, 500))
def test_what_is_cut_comes_whole_from_pieces_that_fit(value: bytes, limit: int) -> None:
    pieces = list(cut(value, limit, b"w" * 16))
    assert all(len(piece) <= limit for piece in pieces)
    assert read(pieces) == [value]
    assert (pieces == [value]) == (len(value) <= limit)


@given(order=st.permutations([0] * 4 + [1] * 3 + [2]))
def test_writers_that_write_at_once_do_not_mix_and_each_record_stands_at_its_last_piece(order: list[int]) -> None:
    wholes = [b"a" * 500, b"b" * 300, b"plain"]
    waiting = [list(cut(value, LIMIT, bytes([number]) * 16)) for number, value in enumerate(wholes)]
    records = [waiting[number].pop(0) for number in order if waiting[number]]
    records += [piece for remaining in waiting for piece in remaining]
    result = read(records)
    assert sorted(result) == sorted(wholes)


def test_a_writer_that_died_between_pieces_leaves_nothing_and_is_forgotten() -> None:
    pieces = list(cut(b"x" * 500, LIMIT, b"w" * 16))
    joiner = Joiner()
    assert [joiner.take(piece, 0) for piece in pieces[:-1]] == [None] * (len(pieces) - 1)
    assert joiner.take(b"plain", ABANDONED_US + 1) == b"plain"
    assert joiner.take(pieces[-1], ABANDONED_US + 2) is None
    assert joiner.take(b"plain", ABANDONED_US + 3) == b"plain"


def test_pieces_that_lack_one_or_claim_too_much_are_void() -> None:
    pieces = list(cut(b"x" * 500, LIMIT, b"w" * 16))
    assert read([pieces[0], pieces[2], *pieces[3:]]) == []
    assert read(pieces[1:]) == []
    huge = codec("record_piece").encode(
        {"whole": b"w" * 16, "number": 1, "of": 1, "size": MAX_WHOLE_BYTES + 1, "piece": b"x"}
    )
    wrong = codec("record_piece").encode({"whole": b"v" * 16, "number": 1, "of": 1, "size": 3, "piece": b"x"})
    assert read([huge, wrong]) == []


def test_a_repeated_piece_changes_nothing() -> None:
    pieces = list(cut(b"x" * 500, LIMIT, b"w" * 16))
    assert read([pieces[0], pieces[0], *pieces[1:], pieces[-1]]) == [b"x" * 500]
