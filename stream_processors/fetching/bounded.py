"""What a worker holds of its topics in memory is bounded in bytes, whatever their producers send.

Three hooks into aiokafka's fetcher and one into Faust's buffer (``contract``:
tests/unit/stream_processors/fetching/test_bounded.py):

- a compressed batch is expanded to at most so many bytes. One that would be larger, or is broken, is never read: one
  ``RefusedBatch`` stands in an inbox for all of its records, at its last offset, and the agent rejects it with its
  reason. On other topics one stands for each record
- a poll takes at most ``POLL_BYTES`` of a partition, so that a fetch of many small batches is not expanded at once
- the buffer between the consumer and an agent is full at ``BUFFER_BYTES``, however few its records are
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import aiokafka.consumer.fetcher as fetcher
import faust
from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.record.memory_records import MemoryRecords
from mode.utils.queues import ThrowableQueue

from schemas.kafka.limits import EXPANSION
from schemas.kafka.topics import INBOX_PREFIX
from schemas.settings import Settings
from stream_processors.fetching.expansion import NAMES, Unexpanded, expand

POLL_BYTES: Final = 4 * 1024 * 1024
BUFFER_BYTES: Final = 32 * 1024 * 1024
KEPT_BYTES: Final = 64 * 1024
"""Of a batch that was not read, so much is kept of what its records begin with."""
_OVERHEAD: Final = 12  # base offset and length, before what the length counts
_MAGIC_AT: Final = 16
_ATTRIBUTES: Final = slice(21, 23)
_CODEC_MASK: Final = 0x07
_COUNT_AT: Final = 57
_RECORDS_AT: Final = 61


class RefusedBatch(bytes):
    """Stands for records that were not read. As bytes: what they begin with, as far as that is known."""

    why: str
    first: int  # offset of the batch's first record
    records: int

    def __bool__(self) -> bool:
        return True  # also where nothing is known of its bytes

    @classmethod
    def of(cls, why: str, first_offset: int, records: int, begin: bytes) -> RefusedBatch:
        """See the class."""
        refused = cls(begin[:KEPT_BYTES])
        refused.why, refused.first, refused.records = why, first_offset, records
        return refused


@dataclass(frozen=True, slots=True)
class _Record:
    """In the place of a record that was not read."""

    offset: int
    timestamp: int
    timestamp_type: int
    value: bytes
    key: bytes | None = None
    checksum: int | None = None
    headers: tuple[Any, ...] = ()


class _Batch:
    """A batch of records (format 2), which is expanded when it is iterated over, and not before."""

    def __init__(self, data: bytes, limit: int, one_for_all: bool) -> None:
        self._data = data
        self._head = DefaultRecordBatch(data)
        self._limit = limit
        self._one_for_all = one_for_all
        for name in ("base_offset", "next_offset", "is_control_batch", "is_transactional", "producer_id"):
            setattr(self, name, getattr(self._head, name))

    def validate_crc(self) -> bool:
        return bool(self._head.validate_crc())

    def __next__(self) -> Any:
        return next(self._head)  # of a control batch, which is never compressed

    def __iter__(self) -> Iterator[Any]:
        (attributes,) = struct.unpack(">H", self._data[_ATTRIBUTES])
        kind = attributes & _CODEC_MASK
        if not kind:
            return iter(self._head)
        try:
            records = expand(kind, self._data[_RECORDS_AT:], self._limit)
        except Unexpanded as error:
            return self._refused(f"a batch of {len(self._data)} bytes, {NAMES.get(kind, kind)}: {error}", error.begin)
        plain = bytearray(self._data[:_RECORDS_AT])
        plain[_ATTRIBUTES] = struct.pack(">H", attributes & ~_CODEC_MASK)
        return iter(DefaultRecordBatch(bytes(plain) + records))

    def _refused(self, why: str, begin: bytes) -> Iterator[_Record]:
        head: Any = self._head
        (count,) = struct.unpack_from(">i", self._data, _COUNT_AT)
        last_offset = head.next_offset - 1
        for offset in (last_offset,) if self._one_for_all else range(head.base_offset, last_offset + 1):
            value = RefusedBatch.of(why, head.base_offset, max(1, count), begin)
            begin = b""  # once is enough
            yield _Record(offset, head.max_timestamp, head.timestamp_type, value)


class _Batches:
    """The batches of a fetch, each cut out when it comes. As aiokafka's MemoryRecords."""

    limit = 0
    one_for_all = False

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self._end = self._next_end()

    def _next_end(self) -> int | None:
        if len(self._data) - self._at < _RECORDS_AT:
            return None
        (length,) = struct.unpack_from(">i", self._data, self._at + 8)
        end = self._at + _OVERHEAD + int(length)
        return end if end <= len(self._data) else None

    def size_in_bytes(self) -> int:
        return len(self._data)

    def has_next(self) -> bool:
        return self._end is not None

    def next_batch(self) -> Any:
        assert self._end is not None, "has_next was asked"
        data = self._data[self._at : self._end]
        self._at = self._end
        self._end = self._next_end()
        if data[_MAGIC_AT] < 2:  # brokers since 3.0 write no other any more
            return MemoryRecords(data).next_batch()
        return _Batch(data, self.limit, self.one_for_all)


class _PartitionRecords(fetcher.PartitionRecords):  # type: ignore[misc]  # aiokafka has no types
    def __init__(self, tp: Any, records: _Batches, *arguments: Any) -> None:
        records.one_for_all = tp.topic.startswith(INBOX_PREFIX)
        super().__init__(tp, records, *arguments)


class _FetchResult(fetcher.FetchResult):  # type: ignore[misc]  # aiokafka has no types
    _partition_records: Any

    def getall(self, max_records: int | None = None) -> list[Any]:
        """As aiokafka's, and no more than POLL_BYTES and a record."""
        if not self.check_assignment(self._topic_partition) or not self.has_more():
            return []
        records: list[Any] = []
        size = 0
        for message in self._partition_records:
            records.append(message)
            size += len(message.value or b"") + len(message.key or b"")
            if size >= POLL_BYTES or (max_records is not None and len(records) >= max_records):
                self._update_position()
                break
        else:
            self._update_position()
            self._partition_records = None
        return records


def bound_fetches(settings: Settings) -> None:
    """From now on every consumer of this process is bounded."""
    limits = {"limit": EXPANSION * settings.kafka_record_bytes}
    fetcher.MemoryRecords = type("_BoundedBatches", (_Batches,), limits)
    fetcher.PartitionRecords = _PartitionRecords
    fetcher.FetchResult = _FetchResult


class ByteQueue(ThrowableQueue[Any]):
    """Full at ``BUFFER_BYTES`` of records, or at its number of them."""

    def _init(self, maxsize: int) -> None:
        super()._init(maxsize)
        self._bytes = 0

    def _put(self, item: Any) -> None:
        super()._put(item)
        self._bytes += _size_of(item)

    def _get(self) -> Any:
        item = super()._get()
        self._bytes -= _size_of(item)
        return item

    def clear(self) -> None:
        """See mode."""
        super().clear()
        self._bytes = 0

    def full(self) -> bool:
        """Whether whoever puts has to wait."""
        return self._bytes >= BUFFER_BYTES or super().full()


class BoundedApp(faust.App):
    """An app whose buffers are bounded in bytes."""

    def FlowControlQueue(self, maxsize: int | None = None, *, clear_on_resume: bool = False) -> ByteQueue:
        """See Faust."""
        return ByteQueue(maxsize=maxsize, flow_control=self.flow_control, clear_on_resume=clear_on_resume)


def _size_of(item: Any) -> int:
    message = getattr(item, "message", None)
    return 0 if message is None else len(message.value or b"")
