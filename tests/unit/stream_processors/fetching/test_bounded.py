"""The hooks into aiokafka's fetcher and Faust's buffer: bounded, and otherwise as they are. Fails where either changes
underneath."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import aiokafka.consumer.fetcher as fetcher
import pytest
from aiokafka import TopicPartition
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from mode.utils.queues import FlowControlEvent

from schemas.settings import Settings
from stream_processors.fetching import bounded as bounded_fetch
from stream_processors.fetching.bounded import ByteQueue, RefusedBatch, bound_fetches

LIMIT = 4 * 128 * 1024
CODECS = [0, 1, 2, 3, 4]


@pytest.fixture(autouse=True)
def bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MemoryRecords", "PartitionRecords", "FetchResult"):
        monkeypatch.setattr(fetcher, name, getattr(fetcher, name))
    bound_fetches(Settings(kafka_record_bytes=128 * 1024))


def batch(first_value: int, values: list[bytes], kind: int) -> bytes:
    builder = DefaultRecordBatchBuilder(2, kind, False, -1, -1, -1, 1 << 24)
    for number, value in enumerate(values):
        assert builder.append(number, 1_000 + number, b"key", value, [("name", b"header")]) is not None
    result = bytearray(builder.build())
    result[:8] = first_value.to_bytes(8, "big")
    return bytes(result)


def records(topic: str, *batches: bytes) -> Any:
    item = fetcher.MemoryRecords(b"".join(batches) + b"\x00\x01a part of the next batch")
    assert item.has_next()
    return fetcher.PartitionRecords(TopicPartition(topic, 0), item, [], 0, None, None, True, 0)


@pytest.mark.parametrize("kind", CODECS)
def test_an_ordinary_batch_is_read_as_ever(kind: int) -> None:
    values = [b"one", b"", b"x" * 1000]
    read = list(records("usage.events.1", batch(0, values, kind), batch(3, [b"last"], kind)))
    assert [(item.offset, item.value) for item in read] == list(enumerate([*values, b"last"]))
    assert (read[0].key, read[0].headers, read[0].timestamp) == (b"key", (("name", b"header"),), 1_000)


@pytest.mark.parametrize("kind", CODECS[1:])
def test_a_batch_that_would_expand_too_far_is_one_record_of_an_inbox_and_all_that_follow_are_read(kind: int) -> None:
    large = batch(1, [b" " * (LIMIT // 2)] * 3, kind)
    read = records("usage.inbox.shop", batch(0, [b"before"], kind), large, batch(4, [b"after"], kind))
    items = list(read)
    assert [(item.offset, type(item.value)) for item in items] == [(0, bytes), (3, RefusedBatch), (4, bytes)]
    refused = items[1].value
    assert (refused.first, refused.records) == (1, 3)
    assert f"more than {LIMIT} bytes" in refused.why
    assert refused
    assert len(refused) <= bounded_fetch.KEPT_BYTES
    assert read.next_fetch_offset == 5


def test_of_usage_events_no_offset_is_left_out() -> None:
    """The meter's cursor counts every one."""
    result = list(records("usage.events.1", batch(0, [b" " * LIMIT] * 3, 4)))
    assert [item.offset for item in result] == [0, 1, 2]
    assert all(isinstance(item.value, RefusedBatch) for item in result)


def test_a_batch_that_is_broken_inside_is_refused_too() -> None:
    broken = bytearray(batch(0, [b"value" * 100], 4))
    broken[70:75] = b"\xff" * 5
    [result] = records_unchecked("usage.inbox.shop", bytes(broken))
    assert "no zstd" in result.value.why


def records_unchecked(topic: str, data: bytes) -> Any:
    return fetcher.PartitionRecords(TopicPartition(topic, 0), fetcher.MemoryRecords(data), [], 0, None, None, False, 0)


def test_a_poll_takes_so_many_bytes_of_a_partition_and_the_next_one_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_fetch, "POLL_BYTES", 250)
    read = records("usage.events.1", *(batch(number, [b"v" * 100], 4) for number in range(5)))
    state = SimpleNamespace(paused=False, position=0)
    state.consumed_to = lambda offset: setattr(state, "position", offset)
    assignment: Any = SimpleNamespace(active=True, state_value=lambda tp: state)
    result = fetcher.FetchResult(
        TopicPartition("usage.events.1", 0), assignment=assignment, partition_records=read, backoff=0
    )
    polls = []
    while result.has_more():
        polls.append([item.offset for item in result.getall()])
    assert polls == [[0, 1, 2], [3, 4]]
    assert state.position == 5


def test_the_buffer_before_an_agent_is_full_by_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_fetch, "BUFFER_BYTES", 100)

    async def run() -> None:
        flow = FlowControlEvent(initially_suspended=False)
        queue = ByteQueue(maxsize=10, flow_control=flow, clear_on_resume=True)
        event = SimpleNamespace(message=SimpleNamespace(value=b"x" * 60))
        queue.put_nowait_enhanced(event, on_pressure_high=list, on_pressure_drop=list)
        assert not queue.full()
        queue.put_nowait_enhanced(event, on_pressure_high=list, on_pressure_drop=list)
        assert queue.full()
        waiting = asyncio.ensure_future(queue.put(event))
        await asyncio.sleep(0)
        assert not waiting.done()
        assert await queue.get() is event
        await waiting
        queue.clear()
        assert not queue.full()

    asyncio.run(run())
