"""The front is killed and ended: no acknowledged row is lost, and an open connection holds nothing up."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest
from clickhouse_connect.driver.exceptions import ClickHouseError

from tests.integration.local.front_process import FrontProcess

pytestmark = pytest.mark.integration


@pytest.fixture
def own_front(tmp_path: Path) -> Iterator[FrontProcess]:
    front = FrontProcess(tmp_path / "clickhouse")
    yield front
    front.kill()


def test_no_acknowledged_row_is_lost_by_kill_9(own_front: FrontProcess) -> None:
    own_front.client().command("CREATE TABLE t (writer UInt32, n UInt32) ENGINE = MergeTree ORDER BY (writer, n)")
    acknowledged = [0] * 4
    stop = threading.Event()

    def write(writer: int) -> None:
        client = own_front.client()
        while not stop.is_set():
            n = acknowledged[writer]
            try:
                client.insert_arrow("t", pa.table({"writer": pa.array([writer] * 50), "n": pa.array(range(n, n + 50))}))
            except ClickHouseError:
                return  # the process was killed under this insert: it may or may not be there
            acknowledged[writer] = n + 50

    with ThreadPoolExecutor(4) as threads:
        running = [threads.submit(write, writer) for writer in range(4)]
        deadline = time.monotonic() + 60
        while min(acknowledged) < 500 and time.monotonic() < deadline:
            time.sleep(0.01)
        own_front.kill()
        stop.set()
        for one in running:
            one.result(60)
    own_front.start()
    rows = (
        own_front.client()
        .query("SELECT writer, count(), max(n) + 1 FROM t GROUP BY writer ORDER BY writer")
        .result_rows
    )
    assert len(rows) == 4
    for writer, count, beyond in rows:
        assert count == beyond, "a hole"
        assert acknowledged[writer] <= count <= acknowledged[writer] + 50
        assert acknowledged[writer] >= 500


def test_sigterm_ends_it_cleanly_with_an_open_connection(own_front: FrontProcess, tmp_path: Path) -> None:
    client = own_front.client()
    client.command("CREATE TABLE t (a UInt8) ENGINE = MergeTree ORDER BY a")
    client.command("INSERT INTO t VALUES (1)")
    own_front.process.terminate()
    assert own_front.process.wait(20) == 0
    own_front.start()
    assert own_front.client().command("SELECT sum(a) FROM t") == 1
