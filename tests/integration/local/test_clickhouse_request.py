"""Where the rows of an INSERT begin, and what the arguments of a request mean."""

from __future__ import annotations

import pytest

from deploy.local.clickhouse.request import RequestError, read_form, read_statement, split_insert

pytestmark = pytest.mark.integration


@pytest.mark.parametrize(
    ("query", "sql", "fmt", "data"),
    [
        (b"INSERT INTO t FORMAT Native\n\x01\x02", b"INSERT INTO t ", "Native", b"\x01\x02"),
        (b'insert into `a``b` (`FORMAT CSV`, "c;") format CSV \r\n\n1', None, "CSV", b"\n1"),
        (b"/* FORMAT x */ INSERT INTO t -- FORMAT y\n (a) FORMAT\n JSONEachRow{}", None, "JSONEachRow", b"{}"),
        (b"INSERT INTO t SETTINGS x = 'FORMAT z' FORMAT TSV", None, "TSV", b""),
        (b"INSERT INTO `format` FORMAT RowBinary \n\n", None, "RowBinary", b"\n"),
        (b"INSERT INTO t (a, format) FORMAT CSV;\n1", None, "CSV", b"1"),
        (b"INSERT INTO settings FORMAT CSV\n1", b"INSERT INTO settings ", "CSV", b"1"),
        (b"INSERT INTO t (a) SETTINGS x = 1, y = 2 FORMAT CSV\n1", b"INSERT INTO t (a) ", "CSV", b"1"),
    ],
)
def test_rows_begin_after_the_formats_name_and_one_newline(
    query: bytes, sql: bytes | None, fmt: str, data: bytes
) -> None:
    found = split_insert(query)
    assert found is not None
    assert (found[1], query[found[2] :]) == (fmt, data)
    assert sql is None or found[0] == sql


@pytest.mark.parametrize(
    "query",
    [
        b"SELECT 1 FORMAT Native",
        b"INSERT INTO t VALUES ('FORMAT Native')",
        b"INSERT INTO t SELECT * FROM x FORMAT Null",
        b"INSERT INTO t (a) WITH 1 AS y SELECT y",
        b"INSERT INTO t FROM INFILE 'x' FORMAT CSV",
        b"INSERT INTO t",
        b"-- INSERT INTO t FORMAT CSV\nSELECT 1",
        b"",
    ],
)
def test_rows_that_are_sql_stay_sql(query: bytes) -> None:
    assert split_insert(query) is None


def test_arguments_become_settings_parameters_and_a_database() -> None:
    url = b"database=weir&param_x=a%27b&max_threads=2&session_id=s&wait_end_of_query=1&async_insert=0&query_id=q"
    statement = read_statement(url, {}, b"SELECT {x:String}\n FORMAT Native")
    assert statement.database == "weir"
    assert statement.params == {"x": "a'b"}
    assert statement.settings == (("async_insert", "0"), ("max_threads", "2"))
    assert (statement.output_format, statement.answers, statement.query_id) == ("Native", True, "q")
    assert not statement.private


def test_a_query_in_the_url_takes_its_rows_from_the_body() -> None:
    statement = read_statement(b"query=INSERT+INTO+t+FORMAT+CSV", {}, b"1,2\n")
    assert (statement.sql, statement.insert_format, bytes(statement.data)) == (b"INSERT INTO t ", "CSV", b"1,2\n")


@pytest.mark.parametrize("sql", [b"SET x = 1", b"use weir", b"CREATE TEMPORARY TABLE t (a UInt8)"])
def test_what_changes_a_session_gets_one_of_its_own(sql: bytes) -> None:
    assert read_statement(b"", {}, sql).private


def test_a_form_keeps_bytes_as_they_are() -> None:
    body = b'--B\r\nContent-Disposition: form-data; name="query"\r\n\r\nSELECT 1\r\n--B\r\n'
    body += b'Content-Disposition: form-data; name="x"; filename="f"\r\n\r\n\x00\r\n--A\r\n\r\n--B--\r\n'
    texts, files = read_form("multipart/form-data; boundary=B", body)
    assert texts == [("query", b"SELECT 1")]
    assert files == [("x", b"\x00\r\n--A\r\n")]


@pytest.mark.parametrize(
    ("url", "body", "code"),
    [
        (b"", b"  ", 62),
        (b"a-b=1", b"SELECT 1", 115),
        (b"x%3D1%3B+DROP=1", b"SELECT 1", 115),
    ],
)
def test_what_cannot_be_read_has_clickhouses_code(url: bytes, body: bytes, code: int) -> None:
    with pytest.raises(RequestError) as caught:
        read_statement(url, {}, body)
    assert caught.value.code == code
