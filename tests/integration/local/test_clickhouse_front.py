"""An unmodified clickhouse-connect against the front: data, parameters, settings, errors, crowds, crashes."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal

import httpx
import pyarrow as pa
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError
from clickhouse_connect.driver.external import ExternalData

from tests.integration.local.front_process import COLUMNS, PASSWORD, FrontProcess, events

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FrontProcess]:
    front = FrontProcess(tmp_path_factory.mktemp("clickhouse"))
    front.client().command("CREATE DATABASE weir")
    yield front
    front.kill()


@pytest.fixture
def client(front: FrontProcess) -> Client:
    return front.client(database="weir", settings={"async_insert": 0, "insert_deduplicate": 0})


@pytest.fixture
def table(client: Client, request: pytest.FixtureRequest) -> str:
    name = "t_" + "".join(c if c.isalnum() else "_" for c in request.node.name)
    client.command(f"CREATE TABLE {name} {COLUMNS} ENGINE = ReplacingMergeTree ORDER BY (ns, account, position)")
    return name


@pytest.mark.parametrize("compress", [False, True, "lz4", "zstd", "gzip"])
def test_arrow_comes_back_as_it_went_in(front: FrontProcess, table: str, compress: bool | str) -> None:
    client = front.client(database="weir", compress=compress)
    sent = events(20_000)
    assert client.insert_arrow(table, sent).written_rows == 20_000
    got = client.query_arrow(f"SELECT {', '.join(sent.column_names)} FROM {table} FINAL ORDER BY position")
    for name in sent.column_names:
        assert got[name].cast(sent[name].type).to_pylist() == sent[name].to_pylist(), name


def test_native_rows_come_back_as_they_went_in(client: Client, table: str) -> None:
    row = [
        *("live", "a;'\n", datetime(2026, 3, 29, 1, 0, 0, 123456, UTC), Decimal("-1.000000000001")),
        *(["", "b'"], {"k": "v", "": "\\"}, bytes(range(16)), 2**64 - 1),
    ]
    names = ["ns", "account", "ts", "quantity", "tags", "labels", "id", "position"]
    assert client.insert(table, [row], column_names=names).written_rows == 1
    got = client.query(f"SELECT * FROM {table}", column_tzs={"ts": "UTC"}, tz_mode="aware")
    assert list(got.result_rows[0]) == row


def test_raw_inserts_in_other_formats(client: Client, table: str) -> None:
    client.raw_insert(table, ["account", "position"], b'{"account": "a", "position": 1}\n', fmt="JSONEachRow")
    client.raw_insert(table, ["account", "position"], iter([b"b\t2\n", b"c;\t3\n"]), fmt="TabSeparated")
    client.command(f"INSERT INTO {table} (account, position) VALUES ('d;', 4)")
    client.command(f"INSERT INTO {table} (account, position) SELECT 'e', 5")
    rows = client.query(f"SELECT account, position FROM {table} ORDER BY position").result_rows
    assert rows == [("a", 1), ("b", 2), ("c;", 3), ("d;", 4), ("e", 5)]


@pytest.mark.parametrize("form", [False, True])
def test_parameters_are_bound_by_the_server(front: FrontProcess, form: bool) -> None:
    client = front.client(form_encode_query_params=form)
    given = {
        "s": "it's; a \\ tab\t newline\n 'é",
        "d": Decimal("12345678901234567890.000000000001"),
        "t": datetime(2026, 10, 25, 1, 30, 0, 1, UTC),
        "l": ["a'b", "c\\", ""],
        "n": None,
        "i": [1, 2**64 - 1],
    }
    got = client.query(
        "SELECT {s:String}, {d:Decimal(38,12)}, {t:DateTime64(6,'UTC')}, {l:Array(String)}, {n:Nullable(String)}, "
        "{i:Array(UInt64)}",
        parameters=given,
        tz_mode="aware",
    )
    assert list(got.result_rows[0]) == list(given.values())


def test_thousands_of_parameters_fit(client: Client) -> None:
    keys = [os.urandom(16).hex() for _ in range(3000)]
    query = "SELECT length(arrayDistinct({keys:Array(String)}))"
    assert client.query(query, parameters={"keys": keys}).result_rows == [(3000,)]


def test_an_external_table_travels_with_its_query_and_is_gone_after_it(client: Client) -> None:
    ids = ExternalData(file_name="ids.csv", data=b"1\n2\n2\n", fmt="CSV", structure="id UInt64")
    assert client.query("SELECT sum(id) FROM ids", external_data=ids).result_rows == [(5,)]
    with pytest.raises(ClickHouseError, match="UNKNOWN_TABLE"):
        client.query("SELECT sum(id) FROM ids")


def test_settings_hold_for_their_request_alone(front: FrontProcess, client: Client) -> None:
    ask = "SELECT getSetting('max_threads'), getSetting('insert_deduplicate'), currentDatabase()"
    assert client.query(ask, settings={"max_threads": 7}).result_rows == [(7, False, "weir")]
    client.command("SET max_threads = 9")
    own = client.query(ask).result_rows[0][0]
    assert own not in (7, 9)
    plain = front.client().query(ask).result_rows
    assert plain == [(own, True, "scratch")]


def test_an_empty_result_has_its_columns_in_arrow(client: Client) -> None:
    got = client.query_arrow("SELECT number AS n, 'x' AS s FROM numbers(9) WHERE number > 10")
    assert got.num_rows == 0
    assert got.column_names == ["n", "s"]


@pytest.mark.parametrize(
    ("sql", "code", "text"),
    [
        ("SELECT * FROM no_such_table", 60, "no_such_table"),
        ("SELEC 1", 62, "Syntax error"),
        ("SELECT 1; SELECT 2", 62, "Multi-statements are not allowed"),
        ("SELECT throwIf(number = 3, 'three') FROM numbers(9)", 395, "three"),
        ("SELECT {missing:String}", 456, "missing"),
        ("INSERT INTO no_such_table (a) VALUES (1)", 60, "no_such_table"),
    ],
)
def test_an_error_has_clickhouses_code_and_text(client: Client, sql: str, code: int, text: str) -> None:
    with pytest.raises(ClickHouseError, match=text) as caught:
        client.command(sql)
    assert caught.value.code == code
    assert client.command("SELECT 1") == 1


def test_a_wrong_setting_or_block_is_an_error_and_writes_nothing(client: Client, table: str) -> None:
    with pytest.raises(ClickHouseError, match="UNKNOWN_SETTING"):
        client.command("SELECT 1", settings={"no_such_setting": 1})
    with pytest.raises(ClickHouseError, match="NO_SUCH_COLUMN_IN_TABLE"):
        client.insert_arrow(table, pa.table({"other": [1]}))
    with pytest.raises(ClickHouseError, match=r"CANNOT_READ_ALL_DATA|READ_AFTER_EOF"):
        client.raw_insert(table, ["position"], b"\x01\x02", fmt="Native")
    assert client.command(f"SELECT count() FROM {table}") == 0


def test_a_table_name_with_a_format_in_it_does_not_end_the_statement(client: Client) -> None:
    client.command("CREATE TABLE `format Native` (`values` UInt8, `a ( b` UInt8) ENGINE = Memory")
    client.raw_insert("`format Native`", ["values", "a ( b"], b"1,2\n", fmt="CSV")
    assert client.query("SELECT * FROM `format Native`").result_rows == [(1, 2)]


def test_views_states_and_final(client: Client) -> None:
    client.command("CREATE TABLE e (k String, q Decimal(38, 12), p UInt64) ENGINE = ReplacingMergeTree ORDER BY (k, p)")
    client.command("CREATE TABLE r (k String, q Decimal(38, 12), p UInt64) ENGINE = ReplacingMergeTree ORDER BY (k, p)")
    client.command("CREATE TABLE w (k String, u AggregateFunction(uniqExact, String)) ENGINE = MergeTree ORDER BY k")
    client.command("CREATE MATERIALIZED VIEW e_r TO r AS SELECT k, q * 2 AS q, p FROM e")
    block = pa.table({"k": ["a", "a", "b"], "q": pa.array([Decimal("0.5")] * 3, pa.decimal128(38, 12)), "p": [1, 2, 3]})
    for _ in range(3):
        client.insert_arrow("e", block)
    assert client.query("SELECT k, sum(q) FROM r FINAL GROUP BY k ORDER BY k").result_rows == [
        ("a", Decimal(2)),
        ("b", Decimal(1)),
    ]
    client.command("INSERT INTO w SELECT k, uniqExactState(toString(p)) FROM r GROUP BY k")
    assert client.query("SELECT k, uniqExactMerge(u) FROM w GROUP BY k ORDER BY k").result_rows == [("a", 2), ("b", 1)]


def test_what_is_asked_a_few_times_is_not_made_into_machine_code(client: Client) -> None:
    def compilations() -> int:
        counted = client.query("SELECT sum(value) FROM system.events WHERE event = 'CompileFunction'").result_rows
        return int(counted[0][0])

    before = compilations()
    grouped = "SELECT number % 7 AS n, max(number * 3 + 1), min(if(number > 5, number, number + 2)) FROM numbers(99)"
    for _ in range(8):
        client.query(f"{grouped} WHERE number >= 3 AND number * 2 != 8 GROUP BY n ORDER BY n")
    assert compilations() == before


def test_many_clients_at_once(front: FrontProcess, table: str) -> None:
    def work(index: int) -> int:
        client = front.client(database="weir")
        for batch in range(5):
            client.insert_arrow(table, events(200, first=(index * 5 + batch) * 200))
        return int(client.command(f"SELECT count() >= 1000 FROM {table}"))

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(work, range(8))) == [1] * 8
    count = front.client(database="weir").query(f"SELECT count(), uniqExact(position) FROM {table}").result_rows
    assert count == [(8000, 8000)]


def test_a_long_select_does_not_hold_inserts_back(front: FrontProcess, table: str) -> None:
    ended = threading.Event()

    def select() -> None:
        front.client().command("SELECT sleepEachRow(0.5) FROM numbers(4) SETTINGS max_block_size = 1 FORMAT Null")
        ended.set()

    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(select)
        client = front.client(database="weir")
        while not client.command("SELECT count() FROM system.processes WHERE query LIKE 'SELECT sleepEachRow%'"):
            assert not running.done()
        client.insert_arrow(table, events(1000))
        assert not ended.is_set()
        running.result(60)


def test_small_queries_do_not_wait_for_nagle(client: Client) -> None:
    # Nagle's algorithm against a delayed acknowledgement costs 40 ms a query; a query itself about one.
    durations = []
    for _ in range(30):
        started = time.perf_counter()
        client.query("SELECT 1")
        durations.append(time.perf_counter() - started)
    assert sorted(durations)[15] < 0.03


def test_plain_http_as_curl_speaks_it(front: FrontProcess) -> None:
    base = f"http://127.0.0.1:{front.port}"
    own = ("default", PASSWORD)
    assert httpx.get(f"{base}/ping").text == "Ok.\n"
    assert httpx.get(base).text == "Ok.\n"
    answer = httpx.post(f"{base}/?default_format=JSONEachRow", content="SELECT 1 AS x", auth=own)
    assert (answer.status_code, answer.json()) == (200, {"x": 1})
    assert answer.headers["x-clickhouse-format"] == "JSONEachRow"
    assert httpx.get(base, params={"query": "SELECT 2"}, auth=own).text == "2\n"
    assert httpx.get(base, params={"query": "SELECT 3", "user": own[0], "password": own[1]}).text == "3\n"
    failed = httpx.post(base, content="SELECT * FROM nowhere", auth=own)
    assert (failed.status_code, failed.headers["x-clickhouse-exception-code"]) == (404, "60")
    assert httpx.post(base, content=b"x", headers={"content-encoding": "snappy"}, auth=own).status_code == 501
    assert httpx.post(base, content=b"x", headers={"content-encoding": "zstd"}, auth=own).status_code == 400
    assert httpx.post(base, content=b"", auth=own).status_code == 400
