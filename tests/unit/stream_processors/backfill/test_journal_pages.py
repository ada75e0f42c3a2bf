"""How many events a backfill reads at once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stream_processors.backfill.journal_pages import next_size

MIB = 1024 * 1024


def test_pages_grow_to_the_setting_where_events_are_small_and_shrink_where_they_are_large() -> None:
    assert next_size(2_000, 2_000, 400_000, 50_000) == 20_000
    assert next_size(20_000, 20_000, 4_000_000, 50_000) == 50_000
    assert next_size(50_000, 50_000, 50_000 * 65_536, 50_000) == 1024
    assert next_size(1024, 1024, 64 * MIB, 50_000) == 1024
    assert next_size(7, 0, 0, 50_000) == 7


@given(st.integers(1, 10**6), st.integers(0, 10**6), st.integers(0, 1 << 40), st.integers(1, 10**6))
def test_a_page_has_at_least_one_event_and_never_more_than_the_setting(
    size: int, events: int, taken: int, most: int
) -> None:
    size, events = min(size, most), min(events, size, most)
    assert 1 <= next_size(size, events, taken, most) <= most
