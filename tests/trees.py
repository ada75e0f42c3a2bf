"""The parsed source of the five packages, read once a test process: several rules of the unit suite walk all of it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("schemas", "ingest", "stream_processors", "rating", "deploy")


@cache
def sources() -> dict[str, str]:
    """Text of each Python file of the packages, by its path from the repository's root."""
    paths = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    return {str(path.relative_to(ROOT)): path.read_text("utf8") for path in paths}


@cache
def paths_of_tests() -> tuple[str, ...]:
    """Paths of the tests' Python files, from the repository's root."""
    return tuple(str(path.relative_to(ROOT)) for path in sorted((ROOT / "tests").rglob("*.py")))


@cache
def tree_of(path: str) -> ast.Module:
    """The module at ``path``, from the repository's root. Nobody changes it: all tests of the process share it."""
    return ast.parse(sources()[path])


@cache
def nodes_of(path: str) -> tuple[ast.AST, ...]:
    """All nodes of the module at ``path``, as ``ast.walk`` gives them."""
    return tuple(ast.walk(tree_of(path)))


def all_nodes() -> Iterator[tuple[str, ast.AST]]:
    """(path, node) of every module."""
    for path in sources():
        for node in nodes_of(path):
            yield path, node
