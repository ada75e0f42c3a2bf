"""CSV that a spreadsheet opens as the text and numbers that it is.

Spreadsheets take a cell that begins with = + - @ (also in full width), a tab or a line break for a formula, and
evaluate it, whoever wrote it: an account or a dimension's value comes from outside. Such a text gets an apostrophe in
front, as OWASP says ("CSV injection"); they show it without. Columns of numbers and instants are left as they are. JSON
and Parquet have every text raw.
"""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterable, Sequence
from typing import Final, Protocol

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


class SupportsWrite(Protocol):
    """A text stream, as far as rows need one."""

    def write(self, text: str, /) -> object:
        """Write the text."""


def text_cell(text: str) -> str:
    """A text as a cell that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def write_rows(
    out: SupportsWrite,
    columns: Sequence[str],
    pages: Iterable[Iterable[Sequence[object]]],
    raw: Collection[int] = (),
    ending: str = "\n",
) -> int:
    """Write a header and all rows to a text stream, and give the number of rows; None is empty. ``raw``: indexes of
    columns that hold numbers and instants, no text of somebody's."""
    writer = csv.writer(_Lines(out, ending))
    writer.writerow([text_cell(name) for name in columns])
    raw_indexes, count = frozenset(raw), 0
    for page in pages:
        for row in page:
            writer.writerow([_cell(value, index in raw_indexes) for index, value in enumerate(row)])
            count += 1
    return count


class _Lines:
    """Rows as csv writes them, each with another ending. csv itself keeps its "\\r\\n": with another, Python before
    3.11.9 leaves a carriage return within a text unquoted, and what follows it would be a row of its own."""

    def __init__(self, out: SupportsWrite, ending: str) -> None:
        self._out, self._ending = out, ending

    def write(self, row: str) -> None:
        self._out.write(row.removesuffix("\r\n") + self._ending)


def _cell(value: object, raw: bool) -> object:
    if value is None:
        return ""
    return text_cell(value) if isinstance(value, str) and not raw else value
