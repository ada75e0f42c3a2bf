"""Groups the counted events of many batches by event name, so that each profile is matched over long columns. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from schemas.events.batch import UsageBatch
from schemas.matching.columns import ColumnMatcher
from schemas.matching.rule_columns import Events, Matches

_Counted = NDArray[np.int64]


@dataclass(slots=True)
class _Run:
    rows: list[NDArray[np.int64]] = field(default_factory=list)
    stamps: list[NDArray[np.int64]] = field(default_factory=list)
    properties: list[bytes] = field(default_factory=list)
    parts: list[tuple[UsageBatch, _Counted]] = field(default_factory=list)

    def keys(self) -> list[str]:
        return [
            text for batch, counted in self.parts for text in map(batch.idempotency_keys.__getitem__, counted.tolist())
        ]


class EventsByName:
    """The counted events of one namespace under one matcher, by event name."""

    def __init__(self, matcher: ColumnMatcher) -> None:
        self._matcher = matcher
        self._by_name: dict[str, _Run] = {}

    def add(self, batch: UsageBatch, counted: range | _Counted, row: int) -> None:
        """Add the ``counted`` events (indexes) of a batch; ``row`` is the row of the batch's first event in the
        flush."""
        indexes = np.asarray(counted, np.int64)
        if len(batch.names) == 1:
            self._add(batch.names[0], batch, indexes, indexes + row)
            return
        numbers = batch.name_indexes[indexes]
        for number, name in enumerate(batch.names):
            of_name = indexes[numbers == number]
            self._add(name, batch, of_name, of_name + row)

    def _add(self, name: str, batch: UsageBatch, indexes: _Counted, rows: NDArray[np.int64]) -> None:
        if not len(indexes) or not self._matcher.knows(name):
            return
        run = self._by_name.setdefault(name, _Run())
        run.rows.append(rows)
        run.stamps.append(batch.timestamps_us[indexes])
        texts = batch.properties.pieces()
        run.properties += texts if len(indexes) == batch.size else [texts[index] for index in indexes.tolist()]
        run.parts.append((batch, indexes))

    def match(self, into: Matches) -> None:
        """Match all added events and append the results to ``into``."""
        for name, run in self._by_name.items():
            events = Events(np.concatenate(run.rows), np.concatenate(run.stamps), run.properties, run.keys)
            self._matcher.match(name, events, into)
