"""Spreadsheets evaluate nothing of what somebody else wrote, and numbers stay numbers."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rating.csv_text import text_cell, write_rows


@pytest.mark.parametrize("first_value", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"])
def test_a_text_that_would_be_a_formula_is_text(first_value: str) -> None:
    assert text_cell(f'{first_value}HYPERLINK("http://x")') == f'\'{first_value}HYPERLINK("http://x")'


@pytest.mark.parametrize("text", ["", "acme", "a=b", " =1", "1", "'=1", "Ü-1"])
def test_any_other_text_is_as_it_is(text: str) -> None:
    assert text_cell(text) == text


def test_columns_of_numbers_stay_as_they_are_and_headers_are_text() -> None:
    out = io.StringIO()
    rows = [["=1+1", "-0.10", -3], ["ok", None, 2]]
    assert write_rows(out, ["account", "=amount", "n"], [rows], raw=[1, 2]) == 2
    assert list(csv.reader(io.StringIO(out.getvalue()))) == [
        ["account", "'=amount", "n"],
        ["'=1+1", "-0.10", "-3"],
        ["ok", "", "2"],
    ]


def test_a_line_break_within_a_text_begins_no_row() -> None:
    for ending in ("\n", "\r\n"):
        out = io.StringIO(newline="")
        write_rows(out, ["account", "n"], [[["acme\r=1+1", 1], ["b\nc", 2]]], raw=[1], ending=ending)
        assert out.getvalue() == f'account,n{ending}"acme\r=1+1",1{ending}"b\nc",2{ending}'


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")), min_size=1, max_size=4))
def test_nothing_that_is_read_back_begins_as_a_formula_and_nothing_is_lost(row: list[str]) -> None:
    out = io.StringIO(newline="")
    write_rows(out, ["c"] * len(row), [[row]])
    (_, reader) = csv.reader(io.StringIO(out.getvalue(), newline=""))
    for cell, text in zip(reader, row, strict=True):
        assert not cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
        assert cell == text or (cell[0], cell[1:]) == ("'", text)
