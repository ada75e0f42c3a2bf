"""A part of history is so many lines, or fewer where they are long: it is held in memory, and sent again where it
breaks."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ingest.client.history import _parts


@given(
    st.lists(st.binary(max_size=30).filter(lambda line: b"\n" not in line and b"\r" not in line)),
    st.integers(1, 5),
    st.integers(1, 80),
)
def test_parts_are_all_lines_in_order_bounded_in_number_and_bytes(lines: list[bytes], size: int, most: int) -> None:
    parts = list(_parts(iter(lines), size, most))
    assert [line for part in parts for line in part] == [line + b"\n" for line in lines]
    assert all(len(part) <= size for part in parts)
    assert all(sum(map(len, part[:-1])) < most for part in parts)
