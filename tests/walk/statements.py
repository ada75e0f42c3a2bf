"""Statements and imports of Python files, from their syntax trees."""

from __future__ import annotations

import ast
import os
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path


@cache
def _tree(file: str) -> ast.Module:
    return ast.parse(Path(file).read_text())


@cache
def _first_lines(file: str) -> dict[int, int]:
    """Line → first line of the innermost statement that it belongs to."""
    lines: dict[int, int] = {}

    def note(node: ast.AST) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                continue
            if isinstance(child, ast.stmt):
                body = getattr(child, "body", None)
                end = body[0].lineno - 1 if isinstance(body, list) and body else child.end_lineno
                for line in range(child.lineno, max(end or 0, child.lineno) + 1):
                    lines[line] = child.lineno
            note(child)

    note(_tree(file))
    return lines


def statement_at(file: str, line: int) -> int:
    """The first line of the statement that a line belongs to."""
    return _first_lines(file).get(line, line)


@cache
def is_single(function: tuple[str, str], first_line: int) -> bool:
    """Whether a function, by (file, qualified name), has one statement beside its docstring, and that no block."""
    file, name = function
    for node in ast.walk(_tree(file)):
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) or node.name != name.split(".")[-1]:
            continue
        if first_line not in (node.lineno, *(item.lineno for item in node.decorator_list)):
            continue
        body = [item for item in node.body if not _is_docstring(item)]
        return len(body) == 1 and not isinstance(body[0], (ast.For, ast.While, ast.With, ast.Try))
    return False


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def imported_by(checkout: str, packages: Iterable[str]) -> Callable[[str], frozenset[str]]:
    """A function that tells of a module all modules of the packages that it imports, by whatever it imports."""
    files: dict[str, str] = {}
    for package in packages:
        for folder, _, names in os.walk(os.path.join(checkout, package)):
            for name in names:
                if name.endswith(".py"):
                    path = os.path.join(folder, name)
                    module = os.path.relpath(path, checkout)[:-3].replace("/", ".").removesuffix(".__init__")
                    files[module] = path

    @cache
    def direct(module: str) -> frozenset[str]:
        imports: set[str] = set()
        for node in ast.walk(_tree(files[module])) if module in files else ():
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                imports |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
            elif isinstance(node, ast.Import):
                imports |= {alias.name for alias in node.names}
        return frozenset(imports & files.keys()) - {module}

    @cache
    def reached(module: str) -> frozenset[str]:
        seen: set[str] = set()
        ahead = [module]
        while ahead:
            beyond = direct(ahead.pop()) - seen
            seen |= beyond
            ahead += beyond
        return frozenset(seen)

    return reached
