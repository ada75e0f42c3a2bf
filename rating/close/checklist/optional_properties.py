"""Recognises optional properties, so that the checklist does not report events without them. Pure.

Omitted fields with a default are filled in (``schemas.event_schema.filled``), except for null and for events
accepted under an older event type. If the schema allows a property to be missing or null, and Avro's value for it
(its default, or null) adds nothing to the profile's quantity, there was nothing to measure. If the default would
add something, usage is missing and is reported.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from schemas.catalog.meters import Aggregation
from schemas.catalog.profiles import profile_versions
from schemas.catalog.state import NamespaceView
from schemas.event_schema.absent import stands_for
from schemas.events.event_types import event_types
from schemas.values.quantity import MISSING

_ZERO_ADDS_NOTHING: Final[frozenset[Aggregation]] = frozenset({"sum", "max"})


def left_out(view: NamespaceView, profile_id: str, reason: str, start_us: int, end_us: int) -> bool:
    """Whether the events of [start_us, end_us) that a profile could not measure for this reason merely omitted an
    optional property."""
    if reason != MISSING:
        return False
    types = event_types(view)
    versions = [
        version
        for version in profile_versions(view)
        if version.profile_id == profile_id and version.valid_from_us < end_us and start_us < version.valid_to_us
    ]
    for version in versions:
        check = types.check(version.event_name)
        values = stands_for(check.schema, version.property or ()) if check is not None else ()
        if not values or not all(_adds_nothing(value, version.aggregation) for value in values):
            return False
    return bool(versions)


def _adds_nothing(value: Any, aggregation: Aggregation) -> bool:
    if value is None:
        return True
    number = isinstance(value, int | float | Decimal) and not isinstance(value, bool)
    return number and value == 0 and aggregation in _ZERO_ADDS_NOTHING
