"""Who gets in to the local ClickHouse, and what it does for nobody: files, addresses, what a page of a browser
sends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import clickhouse_connect
import httpx
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError
from pydantic import SecretStr

from schemas.clickhouse.client import connect
from schemas.settings import Settings
from tests.integration.local.front_process import ANALYST_PASSWORD, PASSWORD, FrontProcess

pytestmark = pytest.mark.integration

_OWN = ("default", PASSWORD)
_ANALYST = ("analyst", ANALYST_PASSWORD)


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FrontProcess]:
    front = FrontProcess(tmp_path_factory.mktemp("clickhouse"))
    for sql in (
        "CREATE DATABASE weir",
        "CREATE TABLE weir.raw (a UInt8, n String) ENGINE = ReplacingMergeTree ORDER BY a",
        "INSERT INTO weir.raw VALUES (1, 'x'), (2, 'y')",
        "CREATE VIEW weir.totals AS SELECT sum(a) AS total FROM weir.raw FINAL",
        "CREATE VIEW weir.totals_of AS SELECT sum(a) AS total FROM weir.raw FINAL WHERE n = {n:String}",
        "ALTER TABLE weir.totals MODIFY SQL SECURITY DEFINER DEFINER = CURRENT_USER",
        "ALTER TABLE weir.totals_of MODIFY SQL SECURITY DEFINER DEFINER = CURRENT_USER",
    ):
        front.client().command(sql)
    yield front
    front.kill()


def ask(front: FrontProcess, sql: str, auth: tuple[str, str] | None = _OWN, **more: Any) -> httpx.Response:
    return httpx.post(f"http://127.0.0.1:{front.port}/", content=sql, auth=auth, timeout=30, **more)


def code(answer: httpx.Response) -> str:
    return "" if answer.status_code == 200 else answer.headers["x-clickhouse-exception-code"]


@pytest.mark.parametrize("auth", [None, ("default", ""), ("default", "x"), ("analyst", PASSWORD), ("root", PASSWORD)])
def test_without_the_password_nothing_is_answered(front: FrontProcess, auth: tuple[str, str] | None) -> None:
    answer = ask(front, "SELECT 1", auth)
    assert (answer.status_code, code(answer)) == (403, "516")


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"host": "127.0.0.1.evil.example"},
        {"host": "127.0.0.1@evil.example"},
        {"origin": "http://evil.example"},
        {"origin": "http://127.0.0.1:1"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
    ],
)
def test_a_page_of_a_browser_gets_no_answer_even_with_the_password(
    front: FrontProcess, headers: dict[str, str]
) -> None:
    assert ask(front, "SELECT 1", headers=headers).status_code == 403


def test_loopback_names_and_the_own_origin_are_answered(front: FrontProcess) -> None:
    for host in (f"localhost:{front.port}", f"127.0.0.1:{front.port}", "[::1]", "LOCALHOST"):
        assert ask(front, "SELECT 1", headers={"host": host}).text == "1\n"
    assert ask(front, "SELECT 1", headers={"origin": f"http://127.0.0.1:{front.port}"}).text == "1\n"


@pytest.mark.parametrize(
    "sql", ["DROP TABLE weir.raw", "INSERT INTO weir.raw VALUES (9, 'z')", "/**/ SET max_threads = 1"]
)
def test_get_changes_nothing(front: FrontProcess, sql: str) -> None:
    answer = httpx.get(f"http://127.0.0.1:{front.port}/", params={"query": sql}, auth=_OWN)
    assert code(answer) == "164"
    assert ask(front, "SELECT count() FROM weir.raw").text == "2\n"


def outside(file: Path) -> list[str]:
    """Statements that read or write a file, or call out."""
    path = str(file)
    return [
        f"SELECT * FROM file('{path}', LineAsString)",
        f"SELECT file('{path}')",
        f"SELECT `file`('{path}')",
        f"SELECT /* x */ file /* y */ ('{path}')",
        f"WITH file('{path}') AS x SELECT x",
        f"SELECT * FROM `{path}`",
        f"DESCRIBE TABLE file('{path}')",
        f"SELECT 1 INTO OUTFILE '{path}.out'",
        f"SELECT 1 INTO/**/OUTFILE '{path}.out' FORMAT CSV",
        f"INSERT INTO weir.raw (n) FROM INFILE '{path}' FORMAT LineAsString",
        f"INSERT INTO weir.raw (n) FROM/**/INFILE '{path}' FORMAT LineAsString",
        f"INSERT INTO FUNCTION file('{path}.out', TSV, 'a UInt8') VALUES (1)",
        f"INSERT INTO FUNCTION file('{path}.out', TSV, 'a UInt8') SELECT 1",
        f"CREATE TABLE weir.f (a String) ENGINE = File(TSV, '{path}')",
        f"CREATE TABLE weir.f ENGINE = Memory AS SELECT * FROM file('{path}', LineAsString)",
        f"CREATE VIEW weir.f AS SELECT file('{path}') AS x",
        f"ALTER TABLE weir.raw ADD COLUMN z String DEFAULT file('{path}')",
        f"CREATE DATABASE f ENGINE = Filesystem('{file.parent}')",
        f"CREATE TABLE weir.f (a UInt8, b UInt8) ENGINE = EmbeddedRocksDB(0, '{path}.out') PRIMARY KEY a",
        "CREATE TABLE weir.f (a UInt8) ENGINE = MergeTree ORDER BY a SETTINGS disk = disk(type "
        f"= local, path = '{path}.out/')",
        f"SELECT 'x' AS a FORMAT Template SETTINGS format_template_row = '{path}'",
        f"BACKUP TABLE weir.raw TO File('{path}.out')",
        "SELECT * FROM url('http://127.0.0.1:1/', TSV, 'a String')",
        "SELECT * FROM s3('http://127.0.0.1:1/bucket/key', TSV, 'a String')",
        "SELECT * FROM remote('127.0.0.1:1', system.one)",
        "SELECT * FROM mysql('127.0.0.1:1', 'a', 'b', 'c', 'd')",
        "SELECT * FROM executable('x.sh', TSV, 'a String')",
        "SELECT * FROM python('secrets')",
        "CREATE TABLE weir.u (a String) ENGINE = URL('http://127.0.0.1:1/', TSV)",
        "CREATE TABLE weir.u (a UInt8) ENGINE = MergeTree ORDER BY a SETTINGS disk = disk(type = web, "
        "endpoint = 'http://127.0.0.1:1/')",
        "CREATE TABLE weir.u (a String) ENGINE = Kafka('127.0.0.1:1', 't', 'g', 'TSV')",
        "CREATE DICTIONARY weir.d (a UInt64) PRIMARY KEY a SOURCE(HTTP(url 'http://127.0.0.1:1/' format "
        "TSV)) LAYOUT(FLAT()) LIFETIME(0)",
        "CREATE FUNCTION f AS x -> x",
        "CREATE USER other",
        "SET ROLE weir_analyst",
        "SET dialect = 'kusto'",
        "EXECUTE AS default SELECT 1",
        "SYSTEM SHUTDOWN",
        "SELECT 1; DROP TABLE weir.raw",
        "INSERT INTO weir.raw (a); DROP TABLE weir.raw FORMAT TSV\n1",
    ]


def test_files_and_addresses_are_nobodys(front: FrontProcess, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("hush\n")
    for sql in outside(file):
        for auth in (_OWN, _ANALYST):
            answer = ask(front, sql, auth)
            assert answer.status_code != 200, (sql, answer.text)
            assert "hush" not in answer.text, sql
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]
    assert ask(front, "SELECT count() FROM weir.raw").text == "2\n"


def test_settings_of_the_address_open_no_file(front: FrontProcess, tmp_path: Path) -> None:
    (tmp_path / "row").write_text("hush ${a:Raw}\n")
    answer = ask(front, "SELECT 1 AS a FORMAT Template", params={"format_template_row": str(tmp_path / "row")})
    assert code(answer) == "452"


def test_words_that_only_look_like_it_are_answered(front: FrontProcess) -> None:
    assert ask(front, "SELECT 'file(x) INTO OUTFILE' AS `INFILE`, 1 AS file, 'disk(' AS y").status_code == 200
    assert ask(front, "CREATE TABLE weir.file (a UInt8, disk String) ENGINE = MergeTree ORDER BY a").status_code == 200
    assert ask(front, "INSERT INTO weir.file (a, disk) VALUES (1, 'from infile')").status_code == 200
    assert ask(front, "INSERT INTO weir.file (a, disk) FORMAT TSV\n2\tinto outfile\n").status_code == 200
    assert ask(front, "SELECT count() FROM weir.file").text == "2\n"


def test_an_analyst_reads_the_views(front: FrontProcess) -> None:
    client = clickhouse_connect.get_client(
        host="127.0.0.1", port=front.port, username="analyst", password=ANALYST_PASSWORD, database="weir",
        autogenerate_session_id=False,
    )  # fmt: skip
    assert client.query("SELECT total FROM totals").result_rows == [(3,)]
    assert client.query("SELECT total FROM totals_of(n = 'y')").result_rows == [(2,)]
    assert client.query("SELECT name FROM system.tables WHERE database = 'weir'").result_rows == [
        ("totals",),
        ("totals_of",),
    ]
    with pytest.raises(ClickHouseError, match="ACCESS_DENIED"):
        client.command("INSERT INTO totals VALUES (1)")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM weir.raw",
        "SELECT * FROM view(SELECT * FROM weir.raw)",
        "SELECT * FROM merge('weir', 'raw')",
        "SELECT query FROM system.processes",
        "SELECT query FROM `system`.`processes`",
        "SHOW PROCESSLIST",
        "SHOW CREATE TABLE weir.raw",
        "SET ROLE weir_service",
        "SET ROLE ALL",
        "SELECT 1; SET ROLE weir_service",
        "DROP TABLE weir.raw",
        "CREATE TEMPORARY TABLE t (a UInt8)",
        "KILL QUERY WHERE 1",
    ],
)
def test_an_analyst_gets_nothing_else(front: FrontProcess, sql: str) -> None:
    assert ask(front, sql, _ANALYST).status_code != 200
    assert ask(front, "SELECT * FROM weir.raw", _ANALYST).status_code != 200
    assert ask(front, "SELECT count() FROM weir.raw").text == "2\n"


def test_an_analyst_may_not_lift_readonly(front: FrontProcess) -> None:
    assert ask(front, "SELECT 1 SETTINGS readonly = 0", _ANALYST).status_code != 200
    assert ask(front, "SELECT 1", _ANALYST, params={"readonly": "0"}).text == "1\n"
    assert ask(front, "SELECT query FROM processes", _ANALYST, params={"database": "system"}).status_code != 200


_DELETED_FROM = "swept"
_DELETIONS: list[tuple[str, dict[str, Any]]] = [
    # Roll-ups again, numbers of invoices, versions and lines of invoices, positions: every DELETE FROM of the
    # processors.
    ("DELETE FROM {t} WHERE a = {{k:UInt32}}", {"k": 1}),
    ("DELETE FROM {t} WHERE a > {{k:UInt32}}", {"k": 0}),
    (
        "DELETE FROM {t} WHERE n = {{n:String}} AND has({{names:Array(String)}}, n)",
        {"n": "x;'", "names": ["x;'", "`y`"]},
    ),
    (
        "DELETE FROM {t} WHERE (n, n, a) IN (SELECT arrayJoin({{keys:Array(Tuple(String, String, UInt32))}}))",
        {"keys": [("x;'", "x;'", 1)]},
    ),
    ("DELETE FROM {t} WHERE n = {{n:String}} AND a IN {{numbers:Array(UInt32)}}", {"n": "x;'", "numbers": [1, 9]}),
    (
        "DELETE FROM {t} WHERE a >= {{a:UInt64}} AND append_time >= fromUnixTimestamp64Milli({{from:Int64}}, 'UTC')"
        " AND (a, a) IN (SELECT arrayJoin({{at:Array(Tuple(UInt64, UInt32))}}))",
        {"a": 1, "from": 0, "at": [(1, 1)]},
    ),
    # Identities that may be forgotten, and what was staged of a backfill.
    ("ALTER TABLE {t} DROP PARTITION 20260101", {}),
    ("ALTER TABLE {t} DELETE IN PARTITION 20260101 WHERE n IN {{names:Array(String)}}", {"names": ["x;'", "z"]}),
    ("ALTER TABLE {t} DROP PARTITION ID '20260101'", {}),
]


def weirs_own(front: FrontProcess) -> Client:
    """The client that Weir's processes have."""
    settings = Settings(
        clickhouse_host="127.0.0.1", clickhouse_port=front.port, clickhouse_password=SecretStr(PASSWORD)
    )
    return connect(settings)


@pytest.mark.parametrize("statement", _DELETIONS, ids=lambda statement: statement[0][:45])
def test_what_weir_deletes_is_deleted(front: FrontProcess, statement: tuple[str, dict[str, Any]]) -> None:
    client = weirs_own(front)
    client.command(f"DROP TABLE IF EXISTS {_DELETED_FROM}")
    client.command(
        f"CREATE TABLE {_DELETED_FROM} (a UInt32, n LowCardinality(String), append_time DateTime64(3, 'UTC'))"
        " ENGINE = ReplacingMergeTree PARTITION BY toYYYYMMDD(append_time) ORDER BY a"
    )
    client.command(f"INSERT INTO {_DELETED_FROM} VALUES (0, 'kept', '2026-01-02'), (1, 'x;\\'', '2026-01-01')")
    sql, parameters = statement
    client.command(sql.format(t=_DELETED_FROM), parameters=parameters)
    assert client.query(f"SELECT n FROM {_DELETED_FROM}").result_rows == [("kept",)]


def test_what_was_set_aside_is_given_up(front: FrontProcess) -> None:
    client = weirs_own(front)
    client.command("CREATE TABLE weir.aside (a UInt8) ENGINE = MergeTree ORDER BY a")
    client.command("INSERT INTO weir.aside VALUES (1)")
    client.command("ALTER TABLE weir.aside DETACH PART 'all_1_1_0'")
    client.command("ALTER TABLE `aside` DROP DETACHED PART 'all_1_1_0' SETTINGS allow_drop_detached = 1")
    assert client.query("SELECT count() FROM system.detached_parts WHERE table = 'aside'").result_rows == [(0,)]
