"""What the demo sends, in order: every event once, some batches twice as a producer's retries would, a few broken.
Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

DemoEvent = Mapping[str, Any]
BATCH: Final = 100
TWICE_EVERY: Final = 50
"""One batch in so many is sent a second time, 2 %."""
BROKEN_AT: Final = (100, 1000, 2000, 3000)
"""Before these batches comes a request that must be refused as a whole."""


def requests(batches: Iterable[list[DemoEvent]]) -> Iterator[list[DemoEvent]]:
    """The batches of all requests. The second copy comes a while after the first, when that is long answered."""
    copy: list[DemoEvent] | None = None
    for number, batch in enumerate(batches):
        if number in BROKEN_AT:
            yield broken(batch[:3], BROKEN_AT.index(number))
        yield batch
        if number % TWICE_EVERY == 0:
            copy = batch
        elif number % TWICE_EVERY == TWICE_EVERY // 2 and copy is not None:
            yield copy
            copy = None
    if copy is not None:
        yield copy


def events_sent(rows: int) -> int:
    """How many events the requests hold for ``rows`` events in batches of ``BATCH``, copies and broken ones
    included."""
    full, remainder = divmod(rows, BATCH)
    sizes = [BATCH] * full + ([remainder] if remainder else [])
    return (
        rows
        + sum(sizes[::TWICE_EVERY])
        + sum(min(3, size) for size in (sizes[number] for number in BROKEN_AT if number < len(sizes)))
    )


def broken(events: list[DemoEvent], kind: int) -> list[DemoEvent]:
    """Good events and, as the last, one with a mistake of its ``kind``; all of them are refused together."""
    wrong = dict(events[-1])
    mistakes: list[dict[str, Any]] = [
        {"timestamp": "2013-02-30T12:00:00Z"},
        {"account_id": ""},
        {"properties": "not an object"},
        {"timestamp": "2099-01-01T00:00:00Z"},
    ]
    return [*events[:-1], wrong | mistakes[kind % len(mistakes)]]
