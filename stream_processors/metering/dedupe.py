"""Deduplication of one partition: which events count under "first position wins" (DESIGN invariant 3). Pure;
results of journal lookups are arguments.

A ``PartitionMemory`` is valid at exactly one cursor: it has seen every counted event below it and none above. It
holds recent identities exactly (at least all that may not be durable yet); for older ones its bloom filters answer
"certainly new" or "maybe seen", and only a maybe is looked up in the journal.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress, repeat
from typing import Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from schemas.events.batch import UsageBatch
from schemas.events.identity import IDENTITY_BYTES
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

    @property
    def place(self) -> Place:
        """Its position."""
        return Place(self.generation, self.partition, self.offset, self.index)


class Place(msgspec.Struct, frozen=True, gc=False):
    """The position of an event in the log."""

    generation: int
    partition: int
    offset: int
    index: int


class Dropped(msgspec.Struct, frozen=True, gc=False):
    """An event that does not count (``index`` in its record), and the counted copy because of which it does not."""

    index: int
    first: Place


@dataclass(frozen=True, slots=True)
class Drops:
    """The dropped events of a record, ascending, as columns. ``firsts``: a row for each with the position (generation,
    partition, offset, index) of the counted copy; ``same``: whether both have one content hash."""

    indexes: NDArray[np.int64]
    firsts: NDArray[np.int64]
    same: NDArray[np.bool_]

    @classmethod
    def of(cls, rows: Sequence[Dropped], same: Sequence[bool]) -> Drops:
        """The columns of these rows."""
        indexes = np.array([row.index for row in rows], np.int64)
        firsts = np.array([msgspec.structs.astuple(row.first) for row in rows], np.int64).reshape(-1, 4)
        return cls(indexes, firsts, np.array(same, np.bool_))

    def where(self, chosen: NDArray[np.bool_]) -> Drops:
        """Those that are chosen."""
        return Drops(self.indexes[chosen], self.firsts[chosen], self.same[chosen])

    def __len__(self) -> int:
        return len(self.indexes)

    def __iter__(self) -> Iterator[Dropped]:
        return map(_dropped, self.indexes.tolist(), self.firsts.tolist())


def _dropped(index: int, first: list[int]) -> Dropped:
    return Dropped(index, Place(*first))


NONE_DROPPED: Final = Drops.of((), ())


@dataclass(frozen=True, slots=True)
class Record:
    """A decoded record of usage.events. If it is a void, its batch is empty. ``append_us``: microseconds UTC."""

    generation: int
    partition: int
    offset: int
    append_us: int
    batch: UsageBatch
    void: EventVoid | None = None


class Decision(NamedTuple):
    """Indexes (ascending) of a record's events that count, and its dropped events.

    The caller determines whether a dropped event with a different content hash is a conflict.
    """

    counted: range | NDArray[np.int64]
    dropped: Drops


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
        self._records: dict[int, tuple[int, memoryview]] = {}
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
        self._records[offset] = (record.append_us, _hashes(batch))
        if journal and not journal.keys().isdisjoint(names):
            dropped = self._decide_each(record, names, window, journal)
        else:
            dropped = self._decide_all(record, names, window)
        day = FOREVER if window is None else record.append_us // DAY
        self.cursor = offset + 1
        if not len(dropped):
            self._order.append((offset, names))
            self.filters.add(day, keys_of(batch.identities))
            return Decision(range(batch.size), dropped)
        counts = np.ones(batch.size, np.bool_)
        counts[dropped.indexes] = False
        self._order.append((offset, list(compress(names, counts.tolist()))))
        self.filters.add(day, keys_of(batch.identities)[counts])
        return Decision(counts.nonzero()[0], dropped)

    def _decide_all(self, record: Record, names: list[bytes], window: int | None) -> Drops:
        """Decide a record of which no identity is in the journal: insert all identities at once, then check those
        already recent."""
        base, size = record.offset << 16, len(names)
        codes = np.fromiter(map(self._recent.setdefault, names, range(base, base + size)), np.int64, size)
        old = (codes != np.arange(base, base + size)).nonzero()[0]
        if not len(old):
            return NONE_DROPPED
        firsts = codes[old]
        if window is not None:
            since = record.append_us - window
            if any(self._records[offset][0] <= since for offset in set((firsts >> 16).tolist())):
                firsts = self._recounted_beyond(since, names, old, base)
                old, firsts = old[firsts >= 0], firsts[firsts >= 0]
        return self._drops(record, old, firsts)

    def _recounted_beyond(self, since: int, names: list[bytes], old: NDArray[np.int64], base: int) -> NDArray[np.int64]:
        """For each of the events ``old``: the code of its counted copy, -1 where that was appended at ``since`` or
        before, so that the event counts and replaces it."""
        recent = self._recent
        firsts = []
        for index in old.tolist():
            # Looked up anew: an earlier event of this record may have counted outside the window and replaced it.
            code = recent[names[index]]
            if self._records[code >> 16][0] <= since:
                recent[names[index]], code = base | index, -1
                self._recounted = True
            firsts.append(code)
        return np.array(firsts, np.int64)

    def _drops(self, record: Record, indexes: NDArray[np.int64], codes: NDArray[np.int64]) -> Drops:
        """Columns of the events that are copies of recent ones with these codes."""
        firsts = np.empty((len(codes), 4), np.int64)
        firsts[:, 0], firsts[:, 1] = self.generation, self.partition
        firsts[:, 2], firsts[:, 3] = codes >> 16, codes & 0xFFFF
        records = self._records
        places = zip(firsts[:, 2].tolist(), firsts[:, 3].tolist(), strict=True)
        hashes = np.array([records[offset][1][index] for offset, index in places], np.uint64)
        content_hashes = np.frombuffer(record.batch.content_hashes, np.uint64)
        return Drops(indexes, firsts, hashes == content_hashes[indexes])

    def _decide_each(
        self, record: Record, names: list[bytes], window: int | None, journal: Mapping[bytes, Sequence[Counted]]
    ) -> Drops:
        recent, base = self._recent, record.offset << 16
        dropped: list[Dropped] = []
        same: list[bool] = []
        for index, identity in enumerate(names):
            code = recent.get(identity)
            counted_copy: Counted | None = None
            if code is not None:
                counted_copy = self._counted(code)
            elif identity in journal:
                counted_copy = latest_before(journal[identity], (record.generation, record.offset, index))
            if counted_copy is not None and (window is None or counted_copy.append_us > record.append_us - window):
                dropped.append(Dropped(index, counted_copy.place))
                same.append(counted_copy.content_hash == record.batch.content_hash(index))
                continue
            self._recounted |= code is not None
            recent[identity] = base | index
        return Drops.of(dropped, same)

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
        content_hash = bytes(hashes[index : index + 1])
        return Counted(self.generation, self.partition, offset, index, append_us, content_hash)


def _hashes(batch: UsageBatch) -> memoryview:
    """The batch's content hashes as integers."""
    view = memoryview(batch.content_hashes)
    return view.cast("Q") if batch.size else view


def latest_before(copies: Sequence[Counted], position: tuple[int, int, int]) -> Counted | None:
    """The last copy before ``position`` (generation, offset, index). A copy at the position itself is the same
    event replayed, not an earlier copy."""
    earlier = [copy for copy in copies if (copy.generation, copy.offset, copy.index) < position]
    return max(earlier, key=lambda copy: (copy.generation, copy.offset, copy.index), default=None)
