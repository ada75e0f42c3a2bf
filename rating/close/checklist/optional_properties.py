"""Properties that an event may go without, so that an event which does is nothing to warn of. Pure.

What has a default is filled in (``schemas.event_schema.filled``), but for null, and for events that were accepted under
an event type of before. Where the schema lets a property be missing or null, and what Avro would put in its place (its
default, or null) adds nothing to the profile's quantity, the event says that there was nothing to measure. Where the
default would add something, usage is missing, and the checklist says so.
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
    """Whether events of [start_us, end_us) that a profile could not measure for this reason went without a property
    that is optional."""
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
