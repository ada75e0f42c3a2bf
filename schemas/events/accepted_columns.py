"""Accepted events as columns: what a whole request's events have in common is done once for all of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, overload

from schemas.events.acceptance import AcceptedEvent
from schemas.values.json_text import JsonObject


@dataclass(slots=True, eq=False, repr=False)
class AcceptedColumns(Sequence[AcceptedEvent]):
    """Accepted events in order; item ``i`` of each column belongs to event ``i``. ``properties`` are UTF-8.

    As a sequence it has the events themselves, each made when it is asked for.
    """

    identities: list[bytes]
    content_hashes: list[bytes]
    names: list[str]
    accounts: list[str]
    keys: list[str]
    sources: list[str]
    timestamps_us: list[int]
    properties: list[bytes]
    dated: list[bool]
    parsed: Sequence[JsonObject] | None = None
    """The properties of each as a dictionary (numbers exact or as text), where judging them decoded all."""

    @classmethod
    def of(cls, events: Iterable[AcceptedEvent]) -> AcceptedColumns:
        """The columns of ``events``; themselves where they are columns already."""
        if isinstance(events, AcceptedColumns):
            return events
        columns = cls([], [], [], [], [], [], [], [], [])
        for event in events:
            columns.identities.append(event.identity)
            columns.content_hashes.append(event.content_hash)
            columns.names.append(event.event_name)
            columns.accounts.append(event.account_id)
            columns.keys.append(event.idempotency_key)
            columns.sources.append(event.source)
            columns.timestamps_us.append(event.timestamp_us)
            columns.properties.append(event.properties.encode())
            columns.dated.append(event.dated)
        return columns

    def part(self, indexes: Sequence[int]) -> AcceptedColumns:
        """The events at these ascending indexes; themselves where that is all of them."""
        if len(indexes) == len(self):
            return self
        if len(indexes) == 1:
            (index,) = indexes
            return AcceptedColumns(*[[column[index]] for column in self._columns()])
        take = itemgetter(*indexes)
        return AcceptedColumns(*[list(take(column)) for column in self._columns()])

    def _columns(self) -> tuple[list[Any], ...]:
        return (
            self.identities, self.content_hashes, self.names, self.accounts, self.keys, self.sources,
            self.timestamps_us, self.properties, self.dated,
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.keys)

    @overload
    def __getitem__(self, index: int) -> AcceptedEvent: ...

    @overload
    def __getitem__(self, index: slice) -> AcceptedColumns: ...

    def __getitem__(self, index: int | slice) -> AcceptedEvent | AcceptedColumns:
        if isinstance(index, slice):
            return self.part(range(*index.indices(len(self))))
        return AcceptedEvent(
            self.identities[index], self.content_hashes[index], self.names[index], self.accounts[index],
            self.keys[index], self.sources[index], self.timestamps_us[index], self.properties[index].decode(),
            self.dated[index],
        )  # fmt: skip

    def __iter__(self) -> Iterator[AcceptedEvent]:
        return map(self.__getitem__, range(len(self)))
