"""The walks of `python -m tests.walk` come from end to end of today's code."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.walk.__main__ import FIGURES, walk

REPOSITORY = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("road", "begin", "end"),
    [
        ("invoice", "rating.close.billing_run", "rating.invoices.stored_invoice"),
        ("key", "ingest.events.events_api", "stream_processors.metering.flush_tables"),
    ],
)
def test_a_road_is_walked_from_end_to_end(road: str, begin: str, end: str) -> None:
    walked = walk(road, REPOSITORY)
    rooms = [room for room, _ in walked["stays"]]
    assert rooms[0] == begin
    assert end in rooms
    figures = walked["figures"]
    assert set(figures) == set(FIGURES)
    assert figures["stays"] == len(rooms) == figures["rooms"] + figures["returns"] <= figures["turns"]
    assert 0 < figures["climbs"] < figures["stays"]
    assert len(walked["names"]) == figures["names"] > 0
