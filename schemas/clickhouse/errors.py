"""Classifies ClickHouse errors for retry loops.

    may pass           the server is away, or lacks memory, disk or parts: retry later
    not this record    the block cannot be written as it is: retries do not help
    cannot go on       nothing helps until somebody changes something: access rights, tables, a version

Rows are a function of the log, so none may be skipped: after ``GIVE_UP_SECONDS`` of either of the latter two a
worker stops and reports why. Until then it waits, since tables may be missing for a moment during a restore.
"""

from __future__ import annotations

import re
from typing import Final

from schemas.errors import Meaning

GIVE_UP_SECONDS: Final = 60.0

_CODE: Final = re.compile(r"(?:\bCode:|\berror code) (\d{1,5})\b")
_SCHEMA: Final = (
    "the tables are not as this version of Weir needs them: run `weir up` of this version, or restore "
    "what was changed by hand"
)
_RIGHTS: Final = "look at WEIR_CLICKHOUSE_USER and _PASSWORD, and at that user's rights"
_VERSION: Final = "this ClickHouse does not know what Weir asks for: it needs 25.8 or later"
_REMEDIES: Final[dict[int, str]] = {
    **dict.fromkeys((10, 16, 47, 53, 60, 81), _SCHEMA),  # columns, types, tables, database
    **dict.fromkeys((164, 192, 193, 194, 195, 291, 492, 497, 516), _RIGHTS),  # read-only, users, passwords, access
    **dict.fromkeys((46, 62, 73, 115, 344, 452), _VERSION),  # functions, syntax, formats, settings
}
_BLOCK: Final = (
    "the block cannot be written as it is: a constraint, a view or a column that is not ours may be in "
    "its way; the log has the rows"
)
_NOT_THIS_RECORD: Final = frozenset((6, 27, 38, 41, 69, 70, 117, 128, 131, 349, 407, 469))
"""Error codes of parsing, conversion, overflow, sizes and constraints."""


def code_of(error: BaseException) -> int:
    """ClickHouse's error code from the client's exception message; 0 if there is none."""
    match = _CODE.search(str(error)[:4096])
    return int(match.group(1)) if match else 0


def meaning(error: BaseException) -> Meaning:
    """Classify ``error``; unknown errors may pass."""
    code = code_of(error)
    if code in _NOT_THIS_RECORD:
        return "not this record"
    return "cannot go on" if code in _REMEDIES else "may pass"


def explained(error: BaseException) -> str:
    """The first informative line of the error's text, with the remedy if it needs somebody."""
    lines = [line.strip() for line in str(error).split("\n") if line.strip()]
    text = next((line for line in lines if line.startswith("Code:")), lines[0] if lines else type(error).__name__)[:500]
    code = code_of(error)
    remedy = _BLOCK if code in _NOT_THIS_RECORD else _REMEDIES.get(code)
    return f"{text}; {remedy}" if remedy else text
