"""Refuses a profile with two dimensions of one name, whose usage could not be told apart. Checked when a meter is
published; stored meters still load."""

from __future__ import annotations

from collections.abc import Iterator

from ingest.catalog.document import Fault
from schemas.catalog.meters import Meter


def name_faults(meter: Meter, path: str) -> Iterator[Fault]:
    """Faults of a meter at ``path`` in the document. A dimension's name is its property path joined by dots."""
    for number, profile in enumerate(meter.profiles):
        dimension_by_name: dict[str, tuple[str, ...]] = {}
        for index, dimension in enumerate(profile.dimensions):
            earlier = dimension_by_name.setdefault(".".join(dimension), dimension)
            if earlier != dimension:
                detail = (
                    f"{list(dimension)} and {list(earlier)} are both called {'.'.join(dimension)}, so their values "
                    "could not be told apart;"
                    " keep one of them, or have the producer write one under another name"
                )
                yield Fault(f"{path}.profiles[{number}].dimensions[{index}]", detail)
