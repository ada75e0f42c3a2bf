"""Who is let in to the local ClickHouse and what is refused, on the engine's own reading of a statement."""

from __future__ import annotations

import pytest

from deploy.local.clickhouse.engine_access import AccessError, Accounts, check_origin, judge

ACCOUNTS = Accounts("default", "own", "reading")


def test_each_password_opens_one_role() -> None:
    assert ACCOUNTS.role("default", "own") == "service"
    assert ACCOUNTS.role("analyst", "reading") == "analyst"


@pytest.mark.parametrize(
    ("user", "password"), [("default", ""), ("default", "reading"), ("analyst", "own"), ("", "own"), ("analyst", "")]
)
def test_nothing_else_opens(user: str, password: str) -> None:
    with pytest.raises(AccessError, match="Authentication failed"):
        ACCOUNTS.role(user, password)


def test_an_empty_password_of_the_stack_opens_nothing() -> None:
    with pytest.raises(AccessError):
        Accounts("default", "", "").role("analyst", "")


@pytest.mark.parametrize("host", [b"127.0.0.1:8123", b"localhost", b"[::1]:9", b"LocalHost:1"])
def test_names_of_this_machine_are_answered(host: bytes) -> None:
    check_origin({b"host": host})
    check_origin({b"host": host, b"origin": b"http://" + host, b"sec-fetch-site": b"same-origin"})


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {b"host": b""},
        {b"host": b"a.example"},
        {b"host": b"localhost.a.example"},
        {b"host": b"localhost@a.example"},
        {b"host": b"127.0.0.1:x"},
        {b"host": b"localhost/a"},
        {b"host": b"localhost", b"origin": b"http://a.example"},
        {b"host": b"localhost:1", b"origin": b"http://localhost:2"},
        {b"host": b"localhost", b"origin": b"null"},
        {b"host": b"localhost", b"sec-fetch-site": b"same-site"},
    ],
)
def test_pages_and_other_names_are_not(headers: dict[bytes, bytes]) -> None:
    with pytest.raises(AccessError):
        check_origin(headers)


@pytest.mark.parametrize(
    ("kind", "canonical"),
    [
        ("READ_ONLY", None),
        ("READ_ONLY", "SELECT 'file(x)' AS a, 'INTO OUTFILE' AS `FROM`, file FROM disk"),
        ("MUTATING", "INSERT INTO file (a, b) FORMAT Values"),
        ("MUTATING", "CREATE TABLE disk (`a` UInt8) ENGINE = ReplacingMergeTree ORDER BY a"),
        ("MUTATING", "CREATE TABLE t\n(\n    `a` UInt8\n)\nENGINE = `Null`"),
        ("CONTROL", "SET max_threads = 1"),
        ("CONTROL", "KILL QUERY WHERE query_id = 'x' SYNC"),
        ("CONTROL", "USE weir"),
        ("CONTROL", "ALTER TABLE t\n    (DELETE WHERE a = 1)\nSETTINGS mutations_sync = 2"),
        ("UNKNOWN", None),
    ],
)
def test_what_the_stack_itself_asks_is_answered(kind: str, canonical: str | None) -> None:
    judge(kind, 1 if kind != "UNKNOWN" else 0, canonical, "service", changes=True)


@pytest.mark.parametrize(
    ("kind", "canonical", "code"),
    [
        ("CONTROL", "SELECT 1 INTO OUTFILE '/x'", 497),
        ("MUTATING", "INSERT INTO t FROM INFILE '/x' FORMAT CSV", 497),
        ("READ_ONLY", "SELECT `file`('/x')", 497),
        ("READ_ONLY", "SELECT FILE('/x')", 497),
        ("MUTATING", "CREATE TABLE t (`a` UInt8) ENGINE = MergeTree SETTINGS disk = disk(type = web)", 497),
        ("MUTATING", "CREATE TABLE t (`a` UInt8) ENGINE = EmbeddedRocksDB(0, '/x') PRIMARY KEY a", 497),
        ("MUTATING", "CREATE TABLE t (`a` UInt8) ENGINE = `URL`('x')", 497),
        ("MUTATING", "CREATE DATABASE t ENGINE = Overlay('x')", 497),
        ("CONTROL", "SET ROLE weir_analyst", 497),
        ("CONTROL", "SET DEFAULT ROLE ALL TO default", 497),
        ("CONTROL", "SYSTEM SHUTDOWN", 497),
        ("CONTROL", "EXECUTE AS default SELECT 1", 497),
    ],
)
def test_what_reads_files_or_calls_out_is_refused(kind: str, canonical: str, code: int) -> None:
    with pytest.raises(AccessError) as caught:
        judge(kind, 1, canonical, "service", changes=True)
    assert caught.value.code == code


def test_several_statements_are_refused() -> None:
    with pytest.raises(AccessError, match="Multi-statements"):
        judge("READ_ONLY", 2, None, "service", changes=True)


@pytest.mark.parametrize("kind", ["MUTATING", "MUTATING_GLOBAL", "CONTROL"])
def test_get_and_analysts_only_read(kind: str) -> None:
    with pytest.raises(AccessError, match="READONLY"):
        judge(kind, 1, "USE weir", "service", changes=False)
    with pytest.raises(AccessError, match="An analyst reads"):
        judge(kind, 1, "USE weir", "analyst", changes=True)


@pytest.mark.parametrize(
    "canonical", ["SELECT * FROM system.processes", "SELECT * FROM `system`.`processes`", "SHOW PROCESSLIST"]
)
def test_an_analyst_does_not_see_others_queries(canonical: str) -> None:
    judge("READ_ONLY", 1, canonical, "service", changes=True)
    judge("READ_ONLY", 1, "SELECT * FROM system.tables", "analyst", changes=True)
    with pytest.raises(AccessError):
        judge("READ_ONLY", 1, canonical, "analyst", changes=True)
