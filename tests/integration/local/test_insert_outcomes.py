"""What the front answers of an insert is what the engine did: each way in which one fails is told, and leaves nothing
behind."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from deploy.local.clickhouse.front import EXIT_WRITE_REFUSED
from tests.integration.local.front_process import FrontProcess

pytestmark = pytest.mark.integration

_ROWS = b"".join(b"%d\n" % number for number in range(1, 501))


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FrontProcess]:
    front = FrontProcess(tmp_path_factory.mktemp("clickhouse"))
    yield front
    front.kill()


@pytest.fixture
def client(front: FrontProcess) -> Client:
    return front.client(settings={"async_insert": 0, "insert_deduplicate": 0})


def insert(client: Client, table: str, rows: bytes = _ROWS) -> int:
    return int(client.raw_insert(table, ["a"], rows, fmt="TabSeparated").written_rows)


def refused(client: Client, table: str, code: int, rows: bytes = _ROWS) -> None:
    with pytest.raises(ClickHouseError) as caught:
        insert(client, table, rows)
    assert caught.value.code == code, caught.value


def count(front: FrontProcess, table: str) -> int:
    return int(front.client().command(f"SELECT count() FROM {table}"))


def set_aside(front: FrontProcess) -> list[str]:
    return [str(row[0]) for row in front.client().query("SELECT name FROM system.detached_parts").result_rows]


_TABLES = {
    "checked": ("(a UInt32, CONSTRAINT small CHECK a < 500) ENGINE = MergeTree ORDER BY a", 469),
    "parted": ("(a UInt32) ENGINE = MergeTree PARTITION BY a ORDER BY a", 252),
    "computed": ("(a UInt32, b UInt32 MATERIALIZED throwIf(a = 500)) ENGINE = MergeTree ORDER BY a", 395),
    "roomless": (
        "(a UInt32) ENGINE = MergeTree ORDER BY a SETTINGS min_free_disk_bytes_to_perform_insert = 9000000000000000",
        243,
    ),
}


@pytest.mark.parametrize("table", list(_TABLES))
def test_what_fails_while_it_is_written_is_refused_and_not_there(
    front: FrontProcess, client: Client, table: str
) -> None:
    ddl, code = _TABLES[table]
    client.command(f"CREATE TABLE {table} {ddl}")
    refused(client, table, code)
    assert count(front, table) == 0


def test_a_row_of_another_type_is_refused(front: FrontProcess, client: Client) -> None:
    client.command("CREATE TABLE typed (a UInt8) ENGINE = MergeTree ORDER BY a")
    refused(client, "typed", 27, b"1\nx\n")
    assert count(front, "typed") == 0


def test_an_unknown_table_is_refused(client: Client) -> None:
    refused(client, "nowhere", 60)


def test_an_exception_in_a_materialised_view_is_told(front: FrontProcess, client: Client) -> None:
    client.command("CREATE TABLE source (a UInt32) ENGINE = MergeTree ORDER BY a")
    client.command("CREATE TABLE target (a UInt32) ENGINE = MergeTree ORDER BY a")
    client.command("CREATE MATERIALIZED VIEW view TO target AS SELECT a + throwIf(a = 500) AS a FROM source")
    refused(client, "source", 395)
    assert count(front, "target") == 0
    assert insert(client, "source", b"1\n2\n") == 4
    assert count(front, "target") == 2


def test_too_little_memory_is_told(front: FrontProcess, client: Client) -> None:
    client.command("CREATE TABLE narrow (a String) ENGINE = MergeTree ORDER BY a")
    with pytest.raises(ClickHouseError) as caught:
        client.raw_insert(
            "narrow", ["a"], b"x" * 2_000_000 + b"\n", fmt="TabSeparated", settings={"max_memory_usage": 100_000}
        )
    assert caught.value.code == 241, caught.value
    assert count(front, "narrow") == 0


def test_settings_of_the_statement_are_taken(client: Client) -> None:
    client.command("CREATE TABLE wide (a UInt32) ENGINE = MergeTree PARTITION BY a ORDER BY a")
    sql = b"INSERT INTO wide (a) SETTINGS max_partitions_per_insert_block = 1000 FORMAT TabSeparated\n"
    client.raw_query(sql.decode() + _ROWS.decode())
    assert client.command("SELECT count() FROM wide") == 500


def test_a_disk_that_takes_no_more_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """A limit on the size of files stands for a full disk: the engine's writes fail in the midst of a part."""
    front = FrontProcess(tmp_path / "clickhouse")
    try:
        client = front.client(settings={"async_insert": 0, "insert_deduplicate": 0})
        columns = "(a UInt32, filling String MATERIALIZED randomString(2000, a))"
        client.command(
            f"CREATE TABLE full {columns} ENGINE = MergeTree ORDER BY a SETTINGS min_bytes_for_wide_part = 0"
        )
        assert insert(client, "full", b"0\n") == 1
        resource.prlimit(front.process.pid, resource.RLIMIT_FSIZE, (500_000, resource.RLIM_INFINITY))
        refused(client, "full", 75)
        # The engine believes in a part that is not whole: it starts anew, and sets it aside.
        assert front.process.wait(30) == EXIT_WRITE_REFUSED
        front.start()
        assert count(front, "full") == 1
        # Nothing lacks that part, so nobody is told of damage.
        assert set_aside(front) == []
        client = front.client(settings={"async_insert": 0, "insert_deduplicate": 0})
        assert insert(client, "full") == 500
        front.kill()
        front.start()
        assert count(front, "full") == 501
        assert front.client().command("SELECT uniqExact(filling) FROM full") == 501
        # One that is damaged later is told of.
        path = Path(
            front.client().command("SELECT path FROM system.parts WHERE table = 'full' AND active AND rows = 500")
        )
        front.kill()
        with (path / "filling.bin").open("r+b") as file:
            file.truncate(20)
        front.start()
        assert len(set_aside(front)) == 1
    finally:
        front.kill()


def test_a_merge_that_cannot_be_written_ends_the_process_while_its_parts_are_there(tmp_path: Path) -> None:
    front = FrontProcess(tmp_path / "clickhouse")
    try:
        client = front.client(settings={"async_insert": 0, "insert_deduplicate": 0})
        columns = "(a UInt32, filling String MATERIALIZED randomString(1000, a))"
        client.command(
            f"CREATE TABLE full {columns} ENGINE = MergeTree ORDER BY a SETTINGS min_bytes_for_wide_part = 0"
        )
        client.command("SYSTEM STOP MERGES full")
        assert [insert(client, "full", part) for part in (_ROWS, _ROWS.replace(b"\n", b"0\n"))] == [500, 500]
        resource.prlimit(front.process.pid, resource.RLIMIT_FSIZE, (700_000, resource.RLIM_INFINITY))
        client.command("SYSTEM START MERGES full")
        with pytest.raises(ClickHouseError):
            client.command("OPTIMIZE TABLE full FINAL")
        assert front.process.wait(30) == EXIT_WRITE_REFUSED
        front.start()
        assert count(front, "full") == 1000
        assert set_aside(front) == []
    finally:
        front.kill()
