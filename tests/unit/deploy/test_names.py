"""No two modules and no two classes have one name, so that a name leads to one place; no folder is too full."""

from __future__ import annotations

import ast
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from tests.trees import nodes_of, paths_of_tests, sources, tree_of

CONVENTIONAL = {"__init__", "__main__", "app", "errors", "models"}
"""What frameworks and habit expect in more than one package."""
BY_RESOURCE = ("deploy/cli/", "rating/api/")
"""Where a file is called after the command or resource that it answers: a command, its route, its answer."""
SHOWN = {"AcceptedEvent", "Invoice", "ProfileVersion", "VoidTaken"}
"""Answers are called after what they show, since their names stand in the OpenAPI documents."""
ANSWERS = ("rating/api/answers/", "ingest/answers.py")
MOST_FILES = 16


def test_no_two_modules_have_one_name() -> None:
    paths: dict[str, list[str]] = defaultdict(list)
    for path in map(Path, sources()):
        if path.stem not in CONVENTIONAL and not str(path).startswith(BY_RESOURCE):
            paths[path.stem].append(str(path))
    assert {name: where for name, where in paths.items() if len(where) > 1} == {}


def test_no_two_classes_or_type_aliases_have_one_name() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for path in sources():
        classes = {node.name for node in nodes_of(path) if isinstance(node, ast.ClassDef)}
        for name in classes | set(aliases(tree_of(path))):
            if not (name in SHOWN and path.startswith(ANSWERS)):
                places[name].append(path)
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


def test_no_folder_holds_more_files_than_a_reader_takes_in() -> None:
    folders = Counter(str(Path(path).parent) for path in (*sources(), *paths_of_tests()))
    assert {folder: count for folder, count in folders.items() if count > MOST_FILES} == {}


def aliases(tree: ast.Module) -> Iterator[str]:
    """Names in capital letters and small ones that a module gives to a type; a TypeVar is none's own."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name, value = node.targets[0].id, node.value
            typevar = isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "TypeVar"
            if name[0].isupper() and name[1:2].islower() and not typevar:
                yield name
