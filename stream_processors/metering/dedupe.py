"""Deduplication of one partition: which events count under "first position wins" (DESIGN invariant 3). Pure;
results of journal lookups are arguments.

A ``PartitionMemory`` is valid at exactly one cursor: it has seen every counted event below it and none above. It
holds recent identities exactly (at least all that may not be durable yet); for older ones its bloom filters answer
"certainly new" or "maybe seen", and only a maybe is looked up in the journal.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Final

import msgspec
import numpy as np

from schemas.events.batch import UsageBatch
from schemas.events.identity import CONTENT_HASH_BYTES, IDENTITY_BYTES
from schemas.events.voids import EventVoid
from schemas.values.instants import DAY, SECOND
from stream_processors.metering.bloom import FOREVER, DailyFilters, keys_of

RECENT_EVENTS: Final = 200_000
WINDOW_MARGIN_US: Final = DAY
_IDENTITY: Final = np.dtype(f"V{IDENTITY_BYTES}")


class Counted(msgspec.Struct, frozen=True, gc=False):
    """A counted copy of an identity, with its position; ``append_us``: microseconds UTC."""

    generation: int
    partition: int
    offset: int
    index: int
    append_us: int
    content_hash: bytes


class Dropped(msgspec.Struct, frozen=True, gc=False):
    """An event that does not count (``index`` in its record), and the counted copy because of which it does not."""

    index: int
    first: Counted


@dataclass(frozen=True, slots=True)
class Record:
    """A decoded record of usage.events. If it is a void, its batch is empty. ``append_us``: microseconds UTC."""

    generation: int
    partition: int
    offset: int
    append_us: int
    batch: UsageBatch
    void: EventVoid | None = None


class Decision(msgspec.Struct, frozen=True, gc=False):
    """Indexes (ascending) of a record's events that count, and its dropped events.

    The caller determines whether a dropped event with a different content hash is a conflict.
    """

    counted: Sequence[int]
    dropped: Sequence[Dropped]


def window_us(max_age_seconds: int | None, max_skew_seconds: int) -> int | None:
    """The deduplication window W in microseconds of append time: maximum age + skew + one day. None: unlimited
    (DESIGN invariant 4)."""
    if max_age_seconds is None:
        return None
    return (max_age_seconds + max_skew_seconds) * SECOND + WINDOW_MARGIN_US


class PartitionMemory:
    """The identities of one partition known to a worker; ``cursor`` is the next offset to decide."""

    def __init__(self, generation: int, partition: int, cursor: int, filters: DailyFilters) -> None:
        self.generation = generation
        self.partition = partition
        self.cursor = cursor
        self.filters = filters
        # identity → offset << 16 | index. The append time and hashes of each record are stored once, in _records.
        self._recent: dict[bytes, int] = {}
        self._records: dict[int, tuple[int, bytes]] = {}
        self._order: deque[tuple[int, list[bytes]]] = deque()
        self._recounted = False  # whether any identity counted twice, so that its older entry was replaced
        self.recent_limit = RECENT_EVENTS

    def suspects(self, records: Sequence[Record]) -> list[bytes]:
        """Identities that must be looked up in the journal before ``decide``: the filters say "maybe" and the
        recent ones do not contain them."""
        suspected: list[bytes] = []
        if not records:
            return suspected
        identities = b"".join([record.batch.identities for record in records])
        for number in self.filters.maybe(keys_of(identities)).nonzero()[0].tolist():
            identity = identities[number * IDENTITY_BYTES : (number + 1) * IDENTITY_BYTES]
            if identity not in self._recent:
                suspected.append(identity)
        return suspected

    def decide(self, record: Record, window: int | None, journal: Mapping[bytes, Sequence[Counted]]) -> Decision:
        """Decide the record at the cursor and advance the cursor. ``window``: W in microseconds; ``journal``:
        counted copies of the suspects.

        Raises ValueError if the record is not at the cursor: the caller skips records below it and seeks back if
        there is a gap.
        """
        if record.offset != self.cursor:
            raise ValueError(f"partition {self.partition}: record {record.offset} is not at the cursor {self.cursor}")
        batch, offset = record.batch, record.offset
        names: list[bytes] = np.frombuffer(batch.identities, _IDENTITY).tolist()
        self._records[offset] = (record.append_us, batch.content_hashes)
        if journal and not journal.keys().isdisjoint(names):
            counted, dropped = self._decide_each(record, names, window, journal)
        else:
            counted, dropped = self._decide_all(record, names, window)
        day = FOREVER if window is None else record.append_us // DAY
        if not dropped:
            self._order.append((offset, names))
            self.filters.add(day, keys_of(batch.identities))
        else:
            counted_names = [names[index] for index in counted]
            self._order.append((offset, counted_names))
            if counted_names:
                self.filters.add(day, keys_of(b"".join(counted_names)))
        self.cursor = offset + 1
        return Decision(counted, dropped)

    def _decide_all(
        self, record: Record, names: list[bytes], window: int | None
    ) -> tuple[Sequence[int], Sequence[Dropped]]:
        """Decide a record of which no identity is in the journal: insert all identities at once, then check those
        already recent."""
        base, size = record.offset << 16, len(names)
        recent = self._recent
        codes = list(map(recent.setdefault, names, range(base, base + size)))
        old = (np.fromiter(codes, np.int64, size) != np.arange(base, base + size)).nonzero()[0].tolist()
        dropped: list[Dropped] = []
        for index in old:
            # Looked up anew: an earlier event of this record may have counted outside the window and replaced it.
            counted_copy = self._counted(recent[names[index]])
            if window is None or counted_copy.append_us > record.append_us - window:
                dropped.append(Dropped(index, counted_copy))
            else:
                recent[names[index]] = base | index
                self._recounted = True
        if not dropped:
            return range(size), ()
        counts = np.ones(size, np.bool_)
        counts[[drop.index for drop in dropped]] = False
        return counts.nonzero()[0].tolist(), dropped

    def _decide_each(
        self, record: Record, names: list[bytes], window: int | None, journal: Mapping[bytes, Sequence[Counted]]
    ) -> tuple[Sequence[int], Sequence[Dropped]]:
        recent, base = self._recent, record.offset << 16
        counted: list[int] = []
        dropped: list[Dropped] = []
        for index, identity in enumerate(names):
            code = recent.get(identity)
            counted_copy: Counted | None = None
            if code is not None:
                counted_copy = self._counted(code)
            elif identity in journal:
                counted_copy = latest_before(journal[identity], (record.generation, record.offset, index))
            if counted_copy is not None and (window is None or counted_copy.append_us > record.append_us - window):
                dropped.append(Dropped(index, counted_copy))
                continue
            self._recounted |= code is not None
            recent[identity] = base | index
            counted.append(index)
        return (counted, dropped) if dropped else (range(len(names)), ())

    def forget_durable(self, below: int) -> None:
        """Evict the oldest recent identities beyond ``recent_limit``, but only those of records below ``below``,
        which are durable."""
        while len(self._recent) > self.recent_limit and self._order and self._order[0][0] < below:
            offset, names = self._order.popleft()
            if not self._recounted:
                deque(map(self._recent.pop, names, repeat(None)), maxlen=0)
            else:
                for identity in names:
                    code = self._recent.get(identity)
                    if code is not None and code >> 16 == offset:
                        del self._recent[identity]
            self._records.pop(offset, None)

    def _counted(self, code: int) -> Counted:
        offset, index = code >> 16, code & 0xFFFF
        append_us, hashes = self._records[offset]
        content_hash = hashes[index * CONTENT_HASH_BYTES : (index + 1) * CONTENT_HASH_BYTES]
        return Counted(self.generation, self.partition, offset, index, append_us, content_hash)


def latest_before(copies: Sequence[Counted], position: tuple[int, int, int]) -> Counted | None:
    """The last copy before ``position`` (generation, offset, index). A copy at the position itself is the same
    event replayed, not an earlier copy."""
    earlier = [copy for copy in copies if (copy.generation, copy.offset, copy.index) < position]
    return max(earlier, key=lambda copy: (copy.generation, copy.offset, copy.index), default=None)
