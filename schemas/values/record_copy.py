"""A copy of a frozen record with some fields changed, whichever of the two kinds the record is of.

Records that are made by the million are msgspec Structs, the others dataclasses. ``dataclasses.replace`` raises
TypeError for a Struct, and no type checker sees that: so this one is used everywhere (test_record_copies.py holds to
it).
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import Struct, structs

if TYPE_CHECKING:
    from dataclasses import replace as replace  # its names and types of fields are checked, a Struct's too
else:
    _Record = TypeVar("_Record")

    def replace(record: _Record, /, **changes: Any) -> _Record:
        """``record`` with ``changes`` by field name; TypeError for a field that it does not have."""
        if isinstance(record, Struct):
            return structs.replace(record, **changes)
        return dataclasses.replace(record, **changes)
