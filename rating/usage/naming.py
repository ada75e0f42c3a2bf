"""Names of dimensions where other names stand beside them: in what a query is grouped by, and as columns. Pure.

A dimension may have the name of a time step, of a column, or a comma in it. ``dimension:NAME`` means it alone, whatever
its name.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

PREFIX: Final = "dimension:"


def groups(group_by: Iterable[str], known: Collection[str], reserved: Collection[str]) -> tuple[str, ...]:
    """The names in ``group_by``: each item is comma-separated names, or one dimension whose own name has a comma.
    ``reserved``: time steps and the like, which win over a dimension of their name; ``known``: dimensions."""
    names: list[str] = []
    for item in group_by:
        if item in known and item not in reserved:
            names.append(PREFIX + item if item.startswith(PREFIX) else item)
        elif item.startswith(PREFIX):
            names.append(item)
        else:
            names += [name for name in item.split(",") if name]
    return tuple(names)


def dimension_of(group: str) -> str:
    """The dimension that a group names."""
    return group.removeprefix(PREFIX)


def columns(dimensions: Iterable[str], column_names: Collection[str]) -> tuple[str, ...]:
    """Column names: the dimension's own, with the prefix where a column beside it has that name."""
    return tuple(PREFIX + name if name in column_names else name for name in dimensions)
