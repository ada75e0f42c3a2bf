"""When the consumer of usage.events counts as behind, and when ClickHouse is asked for that."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from stream_processors.upkeep import consumers
from stream_processors.upkeep.consumers import EventsConsumer


@pytest.mark.parametrize(
    ("durable", "cursor", "end", "behind", "asked"),
    [
        (0, 0, 0, False, 0),  # nothing was ever put there
        (7, 7, 7, False, 0),  # this worker has written all of it
        (5, 7, 7, False, 1),  # another worker has written the rest
        (0, 7, 7, False, 1),
        (5, 5, 7, True, 1),
        (0, 0, 7, True, 1),
    ],
)
def test_clickhouse_is_asked_where_there_is_more_than_this_worker_has_written(
    monkeypatch: pytest.MonkeyPatch, durable: int, cursor: int, end: int, behind: bool, asked: int
) -> None:
    questions = []
    place = ("usage.events.1", 0)
    monkeypatch.setattr(consumers, "owned", lambda *_: [place])

    def cursors(what: str, _: Any) -> dict[tuple[int, int], int]:
        questions.append(what)
        return {(1, 0): cursor}

    stub: Any = SimpleNamespace
    consumer = EventsConsumer(
        place[0], 1, 1, stub(durable={(1, 0): durable}), stub(), stub(run=cursors),
        stub(ends=lambda _: {place: end}, bounds=lambda *_: (0, end)), lambda *_: None,
    )  # fmt: skip
    assert consumer._behind(stub()) == behind
    assert len(questions) == asked
