"""Compiles a schema to predicates over parsed properties: the fast path. ``explain`` states what does not fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from schemas.event_schema.nodes import Array, Enum, Exact, Fixed, Map, Node, RecordNode, Ref, Scalar, Schema, Union
from schemas.event_schema.scalars import SCALARS, ScalarCheck, base64_bytes, exact_check


def compile_schema(schema: Schema) -> ScalarCheck:
    """A predicate over properties as parsed by ``json_text.exact``."""
    return _Compiler(schema.named).check(schema.root)


def compile_schema_node(node: Node, named: Mapping[str, Node]) -> ScalarCheck:
    """A predicate for one type of a schema."""
    return _Compiler(named).check(node)


def node_compiler(named: Mapping[str, Node]) -> Callable[[Node], ScalarCheck]:
    """As ``compile_schema_node`` for many types of one schema; each named type is compiled once."""
    return _Compiler(named).check


class _Compiler:
    """Compiles each named type once; recursive types are resolved at call time."""

    def __init__(self, named: Mapping[str, Node]) -> None:
        self._named = named
        self._done: dict[str, ScalarCheck] = {}
        self._open: set[str] = set()

    def check(self, node: Node) -> ScalarCheck:
        match node:
            case Scalar(kind):
                return SCALARS[kind][0]
            case Exact(precision, scale):
                return exact_check(precision, scale)
            case Fixed(size):
                return lambda value: (decoded := base64_bytes(value)) is not None and len(decoded) == size
            case Enum(symbols=symbols):
                allowed = frozenset(symbols)
                return lambda value: type(value) is str and value in allowed
            case Array(items):
                return _array(self.check(items))
            case Map(values):
                return _map(self.check(values))
            case Union(branches):
                return _union([self.check(branch) for branch in branches], branches)
            case RecordNode():
                return self._record(node)
            case Ref(name):
                return self._ref(name)

    def _ref(self, name: str) -> ScalarCheck:
        if name in self._done:
            return self._done[name]
        if name in self._open:
            done = self._done
            return lambda value: done[name](value)
        self._open.add(name)
        check = self._done[name] = self.check(self._named[name])
        return check

    def _record(self, record: RecordNode) -> ScalarCheck:
        required = tuple((field.name, self.check(field.type)) for field in record.fields if field.required)
        optional = tuple((field.name, self.check(field.type)) for field in record.fields if not field.required)
        names = None if record.additional else frozenset(field.name for field in record.fields)

        def check(value: Any) -> bool:
            if type(value) is not dict:
                return False
            for name, fits in required:
                if name not in value or not fits(value[name]):
                    return False
            for name, fits in optional:
                if name in value and not fits(value[name]):
                    return False
            return names is None or names.issuperset(value)

        return check


def _array(fits: ScalarCheck) -> ScalarCheck:
    return lambda value: type(value) is list and all(map(fits, value))


def _map(fits: ScalarCheck) -> ScalarCheck:
    return lambda value: type(value) is dict and all(map(fits, value.values()))


def _union(checks: list[ScalarCheck], branches: tuple[Node, ...]) -> ScalarCheck:
    if len(checks) == 2 and Scalar("null") in branches:
        value_check = checks[1 - branches.index(Scalar("null"))]
        return lambda value: value is None or value_check(value)
    every = tuple(checks)

    def check(value: Any) -> bool:
        for fits in every:  # noqa: SIM110  any() with a generator costs twice as much
            if fits(value):
                return True
        return False

    return check
