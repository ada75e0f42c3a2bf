"""Identities and partitions: all copies of an event meet in one place, and nothing else does."""

from __future__ import annotations

from hashlib import blake2b

from hypothesis import assume, given
from hypothesis import strategies as st

from schemas.events.identity import content_hash, hash_range, identity, partition_of

TEXTS = st.text(max_size=6)


@given(st.tuples(TEXTS, TEXTS, TEXTS), st.tuples(TEXTS, TEXTS, TEXTS))
def test_different_parts_differ_even_where_their_text_joined_is_equal(
    one: tuple[str, str, str], other: tuple[str, str, str]
) -> None:
    assert (identity(*one) == identity(*other)) == (one == other)


def test_a_separator_cannot_be_forged() -> None:
    assert identity("n", "a-b", "c") != identity("n", "a", "b-c")
    assert identity("n", "ab", "c") != identity("n", "a", "bc")
    assert identity("n", "", "c") != identity("nc", "", "")
    assert content_hash("ab", "c", b"{}") != content_hash("a", "bc", b"{}")


def test_the_identity_is_blake2b_of_length_prefixed_parts() -> None:
    # Fixed for ever: identities of events in the log must be found again by every later version.
    prefixed = b"\0\0\0\2ns" + b"\0\0\0\0" + b"\0\0\0\3\xc3\xb8k"
    assert identity("ns", "", "øk") == blake2b(prefixed, digest_size=16).digest()


@given(st.binary(min_size=16, max_size=16), st.integers(1, 4096))
def test_partition_and_its_range_agree(one: bytes, partitions: int) -> None:
    partition = partition_of(one, partitions)
    assert 0 <= partition < partitions
    low, high = hash_range(partition, partitions)
    assert low <= one[:4]
    assert high is None or one[:4] < high


@given(st.integers(1, 4096))
def test_ranges_tile_the_hash_space(partitions: int) -> None:
    ranges = [hash_range(number, partitions) for number in range(partitions)]
    assert ranges[0][0] == bytes(4)
    assert ranges[-1][1] is None
    assert all(ranges[number][1] == ranges[number + 1][0] for number in range(partitions - 1))


@given(st.integers(1, 4096), st.data())
def test_bounds_belong_to_the_range_they_open(partitions: int, data: st.DataObject) -> None:
    partition = data.draw(st.integers(0, partitions - 1))
    low, high = hash_range(partition, partitions)
    assert partition_of(low + bytes(12), partitions) == partition
    assume(high is not None)
    assert high is not None
    last_to_bytes = (int.from_bytes(high, "big") - 1).to_bytes(4, "big")
    assert partition_of(last_to_bytes + b"\xff" * 12, partitions) == partition
