#!/usr/bin/env bash
# mypy takes a msgspec Struct for a dataclass, in strict mode, too, since Struct is declared with `dataclass_transform`. At run time it is none:
# `dataclasses.replace(line, ...)` raises TypeError, and `dataclasses.field(default_factory=list)` is no default factory but the field's value:
# each record holds the same Field object, and nothing says so until the record is encoded.
#
# Who meets it: whoever turns the frozen records of a billing run into Structs because they are made ten times as fast (one line of an invoice
# in a million is changed by replace): the checker says that the change is complete, and the branch that copies a record, a void or a credit
# say, raises when it is first taken.
# The remedy: one helper that copies records of both kinds and that the checker sees as dataclasses.replace, so that names and types of fields
# go on being checked (msgspec.structs.replace takes any); a test that no other replace is imported; msgspec.field for defaults.
#
# Package: msgspec 0.22.0, mypy 2.4.1 (PyPI), CPython 3.11; seen 2026-11-30. Source: seen by running it; msgspec's documentation of structs
# names structs.replace, and PEP 681 leaves open what a checker makes of functions that take dataclasses.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check msgspec==0.22.0 mypy==2.4.1
cat > "$folder/lines.py" <<'PY'
import dataclasses
from decimal import Decimal

import msgspec


class Line(msgspec.Struct, frozen=True):
    charge: str
    amount: Decimal
    notes: list[str] = dataclasses.field(default_factory=list)


def credited(line: Line) -> Line:
    return dataclasses.replace(line, amount=-line.amount)
PY
cd "$folder"
checked=$("$folder/venv/bin/mypy" --strict lines.py)
echo "mypy --strict: $checked"
seen=$("$folder/venv/bin/python" - <<'PY'
from decimal import Decimal

from lines import Line, credited

line = Line("api_calls", Decimal("12.50"))
print("notes of a new line:", type(line.notes).__name__)
try:
    credited(line)
except TypeError as error:
    print("its credited copy:", error)
PY
)
echo "$seen"
[ "$checked" = "Success: no issues found in 1 source file" ]
[ "$seen" = "notes of a new line: Field
its credited copy: replace() should be called on dataclass instances" ]
