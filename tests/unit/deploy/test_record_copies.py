"""Records are copied by the helper that knows both kinds: ``dataclasses.replace`` raises for a Struct, and no type
checker sees it."""

from __future__ import annotations

import ast
from dataclasses import dataclass

import pytest
from msgspec import Struct

from schemas.values import record_copy
from tests.trees import all_nodes

HELPER = "schemas/values/record_copy.py"
WITHOUT_SCHEMAS = "ingest/client/"
"""The client imports nothing of ours, and has no Structs."""


class Point(Struct, frozen=True):
    """A record of the one kind."""

    x: int
    y: int = 0


@dataclass(frozen=True)
class Place:
    """A record of the other kind."""

    x: int
    y: int = 0


@pytest.mark.parametrize("kind", [Point, Place])
def test_a_copy_has_the_changed_fields_and_no_others(kind: type[Point] | type[Place]) -> None:
    record = kind(1, 2)
    assert record_copy.replace(record, y=3) == kind(1, 3)
    assert record == kind(1, 2)
    with pytest.raises(TypeError, match="z"):
        record_copy.replace(record, z=3)  # type: ignore[call-arg]  # the checker sees it for both kinds


def test_nothing_is_copied_by_the_replace_of_dataclasses() -> None:
    places = [
        f"{path}:{node.lineno}"
        for path, node in all_nodes()
        if path != HELPER and not path.startswith(WITHOUT_SCHEMAS)
        if (
            isinstance(node, ast.ImportFrom)
            and node.module == "dataclasses"
            and "replace" in {alias.name for alias in node.names}
        )
        or (isinstance(node, ast.Attribute) and ast.unparse(node) == "dataclasses.replace")
    ]
    assert places == [], f"import replace from {HELPER} instead"
