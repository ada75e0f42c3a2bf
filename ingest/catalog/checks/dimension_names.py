"""Dimensions of one name: two properties whose usage nobody could tell apart. Checked where a meter is published anew;
stored ones load."""

from __future__ import annotations

from collections.abc import Iterator

from ingest.catalog.document import Fault
from schemas.catalog.meters import Meter


def name_faults(meter: Meter, path: str) -> Iterator[Fault]:
    """``path``: the meter's place in the document. The name of a dimension is its path joined by dots."""
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
