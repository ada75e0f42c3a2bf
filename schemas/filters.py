"""Compiles filters over an event's properties to predicates (DESIGN section 2)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Final

from schemas.values.json_text import canonical
from schemas.values.quantity import number

Predicate = Callable[[Any], bool]
Path = tuple[str, ...]


class _Missing:
    __slots__ = ()

    def __repr__(self) -> str:
        return "missing"


MISSING: Final = _Missing()
OPERATORS: Final = (
    "in", "not_in", "eq", "ne", "gt", "gte", "lt", "lte", "exists", "contains", "starts_with",
)  # fmt: skip


def lookup(properties: Any, path: Path) -> Any:
    """The value at a nested path, or MISSING. A JSON null is a value."""
    value = properties
    for name in path:
        if not isinstance(value, dict) or name not in value:
            return MISSING
        value = value[name]
    return value


def compile_filter(path: Path, operator: str, value: Any) -> Predicate:
    """A predicate over parsed properties. Raises ValueError for an unknown operator or an unsuitable value."""
    test = compile_test(operator, value)
    if len(path) == 1:
        only = path[0]
        return lambda properties: test(properties.get(only, MISSING))
    return lambda properties: test(lookup(properties, path))


def compile_test(operator: str, value: Any) -> Predicate:
    """A predicate over the value at a path, which may be MISSING. Raises ValueError like ``compile_filter``."""
    return _compile_test(operator, exact_value(value))


def exact_value(value: Any) -> Any:
    """Convert the floats in a catalog body to Decimals: JSON parsers create floats, and a float's shortest text is
    the number as written."""
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{value} is not a JSON number")
        return Decimal(repr(value))
    if isinstance(value, list):
        return [exact_value(item) for item in value]
    if isinstance(value, dict):
        return {name: exact_value(item) for name, item in value.items()}
    return value


def _compile_test(operator: str, value: Any) -> Predicate:
    if operator in ("in", "eq"):
        return _one_of(_wanted(operator, value))
    if operator in ("not_in", "ne"):
        inside = _one_of(_wanted(operator, value))
        return lambda present: not inside(present)
    if operator in ("gt", "gte", "lt", "lte"):
        return _comparison(operator, value)
    if operator == "exists":
        if not isinstance(value, bool):
            raise ValueError("operator exists needs the value true or false")
        return lambda present: (present is not MISSING) is value
    if operator == "contains":
        element = _one_of([value])
        return lambda present: (
            (isinstance(present, str) and isinstance(value, str) and value in present)
            or (isinstance(present, list) and any(map(element, present)))
        )
    if operator == "starts_with":
        if not isinstance(value, str):
            raise ValueError("operator starts_with needs a string")
        return lambda present: isinstance(present, str) and present.startswith(value)
    raise ValueError(f"unknown operator {operator!r}; known are {', '.join(OPERATORS)}")


def equals_one_of(operator: str, value: Any) -> Sequence[Any] | None:
    """The values that a filter accepts if its operator compares for equality (``in``, ``eq``), else None."""
    return _wanted(operator, exact_value(value)) if operator in ("in", "eq") else None


def _wanted(operator: str, value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) and operator in ("in", "not_in") else [value]


def _one_of(values: Sequence[Any]) -> Predicate:
    """Equality of JSON values: numbers compare by value (1 = 1.0), and differ from "1" and true."""
    texts = frozenset(value for value in values if isinstance(value, str))
    if len(texts) == len(set(map(canonical, values))):
        return lambda present: isinstance(present, str) and present in texts
    forms = frozenset(map(canonical, values))
    return lambda present: present is not MISSING and canonical(present) in forms


def _comparison(operator: str, value: Any) -> Predicate:
    bound = number(value)
    if bound is None:
        raise ValueError(f"operator {operator} needs a number, not {value!r}")

    def compare(present: Any) -> bool:
        measured = None if present is MISSING else number(present)
        if measured is None:
            return False
        if operator == "gt":
            return measured > bound
        if operator == "gte":
            return measured >= bound
        if operator == "lt":
            return measured < bound
        return measured <= bound

    return compare
