"""Limits the memory a worker uses for fetched records, whatever producers send.

It replaces three classes of aiokafka's fetcher and Faust's stream buffer (behaviour:
tests/unit/stream_processors/fetching/test_bounded.py):

- a compressed batch is decompressed to at most ``EXPANSION`` times the record limit. A batch that would be larger, or
  is corrupt, is not read: in an inbox one ``RefusedBatch`` at its last offset replaces all of its records, and the
  agent rejects it with the reason; on other topics one replaces each record
- a poll returns at most ``POLL_BYTES`` of a partition, so that many small batches are not decompressed at once
- the buffer between consumer and agent counts as full at ``BUFFER_BYTES``, however few records it holds
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
from faust.types.transports import ConsumerT
from mode.utils.queues import ThrowableQueue

from schemas.kafka.limits import EXPANSION
from schemas.kafka.topics import INBOX_PREFIX
from schemas.settings import Settings
from stream_processors.fetching.expansion import NAMES, Unexpanded, expand
from stream_processors.fetching.flush_pause import WaitingRecords

POLL_BYTES: Final = 4 * 1024 * 1024
BUFFER_BYTES: Final = 32 * 1024 * 1024
KEPT_BYTES: Final = 64 * 1024
"""How many leading bytes of a batch that was not read are kept for its rejection."""
_OVERHEAD: Final = 12  # base offset (8 bytes) and length (4), which the length itself does not include
_MAGIC_AT: Final = 16
_ATTRIBUTES: Final = slice(21, 23)
_CODEC_MASK: Final = 0x07
_COUNT_AT: Final = 57
_RECORDS_AT: Final = 61


class RefusedBatch(bytes):
    """Placeholder for records that were not read; its bytes are the beginning of their content, empty if unknown.

    ``why``: reason; ``first``: offset of the batch's first record; ``records``: number of records.
    """

    why: str
    first: int
    records: int

    def __bool__(self) -> bool:
        return True  # also when its content is unknown and it is empty

    @classmethod
    def of(cls, why: str, first_offset: int, records: int, begin: bytes) -> RefusedBatch:
        """A placeholder with at most ``KEPT_BYTES`` of ``begin``."""
        refused = cls(begin[:KEPT_BYTES])
        refused.why, refused.first, refused.records = why, first_offset, records
        return refused


@dataclass(frozen=True, slots=True)
class _Record:
    """Stands in place of a record that was not read, with the attributes of aiokafka's record."""

    offset: int
    timestamp: int
    timestamp_type: int
    value: bytes
    key: bytes | None = None
    checksum: int | None = None
    headers: tuple[Any, ...] = ()


class _Batch:
    """A record batch (format 2) that is decompressed when it is iterated over, not before."""

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
        return next(self._head)  # called for control batches only, which are never compressed

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
            begin = b""  # kept for the first record only
            yield _Record(offset, head.max_timestamp, head.timestamp_type, value)


class _Batches:
    """The batches of one fetch, each cut out of the buffer when it is requested; same interface as aiokafka's
    MemoryRecords."""

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
        if data[_MAGIC_AT] < 2:  # an old format: brokers since 3.0 write format 2 only
            return MemoryRecords(data).next_batch()
        return _Batch(data, self.limit, self.one_for_all)


class _PartitionRecords(fetcher.PartitionRecords):  # type: ignore[misc]  # aiokafka has no types
    def __init__(self, tp: Any, records: _Batches, *arguments: Any) -> None:
        records.one_for_all = tp.topic.startswith(INBOX_PREFIX)
        super().__init__(tp, records, *arguments)


class _FetchResult(fetcher.FetchResult):  # type: ignore[misc]  # aiokafka has no types
    _partition_records: Any

    def getall(self, max_records: int | None = None) -> list[Any]:
        """As aiokafka's, but stops once ``POLL_BYTES`` are reached."""
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
    """Limit all consumers that this process creates from now on. Patches ``aiokafka.consumer.fetcher``."""
    limits = {"limit": EXPANSION * settings.kafka_record_bytes}
    fetcher.MemoryRecords = type("_BoundedBatches", (_Batches,), limits)
    fetcher.PartitionRecords = _PartitionRecords
    fetcher.FetchResult = _FetchResult


class ByteQueue(ThrowableQueue[Any]):
    """A queue that is full at ``BUFFER_BYTES`` of record values, or at its maximum number of records; ``waiting`` is
    told of each record."""

    waiting: WaitingRecords | None = None

    def _init(self, maxsize: int) -> None:
        super()._init(maxsize)
        self._bytes = 0

    @property
    def waiting_bytes(self) -> int:
        """Bytes of the record values in it."""
        return self._bytes

    def _put(self, item: Any) -> None:
        super()._put(item)
        self._bytes += _size_of(item)
        if self.waiting is not None:
            self.waiting.grown()

    def _get(self) -> Any:
        item = super()._get()
        self._bytes -= _size_of(item)
        return item

    def clear(self) -> None:
        """See ``mode.utils.queues.ThrowableQueue``."""
        super().clear()
        self._bytes = 0

    def full(self) -> bool:
        """Whether a producer has to wait."""
        return self._bytes >= BUFFER_BYTES or super().full()


class BoundedApp(faust.App):
    """A Faust app whose stream buffers are limited in bytes. ``waiting``: the records in them."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.waiting = WaitingRecords()
        super().__init__(*arguments, **options)

    @property
    def made_consumer(self) -> ConsumerT | None:
        """The consumer, None until the app has made it as it started. Whoever reads ``consumer`` before makes it
        himself; in another thread than the loop's that is a consumer with which the app cannot start."""
        return self._consumer

    def FlowControlQueue(self, maxsize: int | None = None, *, clear_on_resume: bool = False) -> ByteQueue:
        """Faust's factory of stream buffers."""
        queue = ByteQueue(maxsize=maxsize, flow_control=self.flow_control, clear_on_resume=clear_on_resume)
        queue.waiting = self.waiting
        self.waiting.watch(queue)
        return queue


def _size_of(item: Any) -> int:
    message = getattr(item, "message", None)
    return 0 if message is None else len(message.value or b"")
