"""A call that another process's insert keeps waiting is repeated, and is no outage."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from schemas.clickhouse import client as client_module
from schemas.clickhouse.client import ON_CLUSTER, connect
from schemas.clickhouse.quorum import LONGEST_SECONDS, PAUSE_SECONDS, in_turn
from schemas.settings import Settings
from stream_processors.metering.journal import Journal

NOT_ITS_TURN = (
    "HTTP driver received HTTP status 500, server response: Code: 286. DB::Exception: Quorum for previous write"
)
NOT_IN_QUORUM = "Code: 289. DB::Exception: Replica doesn't have part 20260101_0_0_0 which was written to quorum"


class Clock:
    """A monotonic clock that goes on by what is slept."""

    def __init__(self) -> None:
        self.now = 100.0
        self.pauses: list[float] = []

    def sleep(self, seconds: float) -> None:
        """Goes on by ``seconds``."""
        self.pauses.append(seconds)
        self.now += seconds

    def monotonic(self) -> float:
        """Its instant."""
        return self.now


def answers(*results: str | int) -> Callable[..., int]:
    """Raises texts as errors of ClickHouse and returns numbers, one after another; the last for ever."""
    rest = list(results)

    def call(*_: Any, **__: Any) -> int:
        result = rest.pop(0) if len(rest) > 1 else rest[0]
        if isinstance(result, str):
            raise DatabaseError(result)
        return result

    return call


def repeated(clock: Clock, *results: str | int) -> int:
    """What a call with these answers comes to."""
    return in_turn(answers(*results), sleep=clock.sleep, monotonic=clock.monotonic)("usage_events", rows=1)


def test_a_refused_call_is_repeated_until_it_is_its_turn() -> None:
    clock = Clock()
    assert repeated(clock, NOT_ITS_TURN, NOT_IN_QUORUM, 7) == 7
    assert clock.pauses == [PAUSE_SECONDS, PAUSE_SECONDS]


def test_it_is_given_up_after_a_while() -> None:
    clock = Clock()
    with pytest.raises(DatabaseError, match="286"):
        repeated(clock, NOT_ITS_TURN)
    assert LONGEST_SECONDS <= clock.now - 100.0 < LONGEST_SECONDS + 2 * PAUSE_SECONDS


@pytest.mark.parametrize("code", [285, 319, 242, 60])
def test_other_errors_are_the_callers_at_once(code: int) -> None:
    clock = Clock()
    with pytest.raises(DatabaseError):
        repeated(clock, f"Code: {code}. DB::Exception: Something else", 7)
    assert clock.pauses == []


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A client whose inserts and queries are refused once each."""
    client = SimpleNamespace(raw_insert=answers(NOT_ITS_TURN, 1), query=answers(NOT_IN_QUORUM, 1))
    for name in ("command", "insert", "query_arrow", "query_row_block_stream", "query_rows_stream"):
        setattr(client, name, answers(1))
    client.raw_query = client.raw_stream = answers(1)
    client.asked = {}
    monkeypatch.setattr(
        client_module.clickhouse_connect, "get_client", lambda **asked: client.asked.update(asked) or client
    )
    return client


def test_a_worker_on_a_cluster_takes_no_turn_of_others_for_an_outage(stand_in: SimpleNamespace) -> None:
    journal = Journal(Settings(clickhouse_cluster="main"), threading.Event())
    journal.insert("usage_flush", pa.table({"offset": pa.array([1], pa.uint64())}))
    assert journal.outages == 0
    assert journal.trouble == ""
    assert stand_in.asked["settings"].items() >= ON_CLUSTER.items()


def test_reads_see_what_was_acknowledged_only_where_inserts_follow_one_another() -> None:
    """ClickHouse ignores select_sequential_consistency otherwise."""
    assert ON_CLUSTER["select_sequential_consistency"] == 1
    assert ON_CLUSTER["insert_quorum_parallel"] == 0
    assert ON_CLUSTER["max_insert_threads"] == 1


def test_a_single_server_is_asked_as_ever(stand_in: SimpleNamespace) -> None:
    plain = stand_in.query
    connect(Settings())
    assert stand_in.query is plain
    assert not stand_in.asked["settings"].keys() & ON_CLUSTER.keys()
