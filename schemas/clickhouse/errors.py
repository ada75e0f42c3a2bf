"""What an error of ClickHouse means for whoever tries again: every loop of ours that asks or writes again asks here.

    may pass           a server that is away, or short of memory, disk or parts: the same again, later
    not this record    the block as it is cannot be written: no repetition helps
    cannot go on       nothing helps until a person has changed something: rights, tables, a version

Rows are a function of the log, so none is left out: after ``GIVE_UP_SECONDS`` of the latter two a worker stops and says
why. Until then it waits: tables are away for a moment while somebody restores them.
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
"""Parsing, conversion, overflow, sizes, constraints."""


def code_of(error: BaseException) -> int:
    """ClickHouse's number in the message of its client's exception; 0 where there is none."""
    match = _CODE.search(str(error)[:4096])
    return int(match.group(1)) if match else 0


def meaning(error: BaseException) -> Meaning:
    """What ``error`` means. What is not known may pass."""
    code = code_of(error)
    if code in _NOT_THIS_RECORD:
        return "not this record"
    return "cannot go on" if code in _REMEDIES else "may pass"


def explained(error: BaseException) -> str:
    """The first line of its text that tells something, with the remedy where it needs somebody."""
    lines = [line.strip() for line in str(error).split("\n") if line.strip()]
    text = next((line for line in lines if line.startswith("Code:")), lines[0] if lines else type(error).__name__)[:500]
    code = code_of(error)
    remedy = _BLOCK if code in _NOT_THIS_RECORD else _REMEDIES.get(code)
    return f"{text}; {remedy}" if remedy else text
