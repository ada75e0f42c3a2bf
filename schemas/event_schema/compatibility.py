"""Decides whether one schema reads every JSON value that another accepts.

A field that the writer's schema does not name counts as not sent. Apart from that the decision is strict: every
JSON text that the old schema accepts is accepted by the new one (an enum's default stands for symbols that were
removed).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal

from schemas.event_schema.mismatches import describe
from schemas.event_schema.nodes import Array, Enum, Exact, Fixed, Map, Node, RecordNode, Scalar, Schema, Union
from schemas.values.json_text import path_text

Compatibility = Literal["none", "backward", "forward", "full"]

_WHOLE: Final = ("int", "long")
_NUMBERS: Final = (*_WHOLE, "float", "double")
_READS: Final[dict[str, tuple[str, ...]]] = {
    "long": ("int",),
    "float": _NUMBERS,
    "double": _NUMBERS,
    "string": ("bytes", "uuid"),
    "big-decimal": _NUMBERS,
    "date": ("int",),
} | {f"{local}timestamp-{unit}s": _WHOLE for local in ("", "local-") for unit in ("milli", "micro", "nano")}
# Comparing a schema of 2,000 types with itself takes 2,000 steps; nested unions may double the steps with each level.
_MOST_STEPS: Final = 200_000
_WHOLE_DIGITS: Final = {"int": 10, "long": 19}


def incompatibilities(new: Schema, old: Schema, mode: Compatibility) -> tuple[str, ...]:
    """Why ``new`` may not follow ``old``, each with its path in the properties; empty if it may."""
    faults: list[str] = []
    if mode in ("backward", "full"):
        faults += [
            f"{text} (backward: the new schema must read what the old one accepted)"
            for text in _Reading(new, old, "new")
        ]
    if mode in ("forward", "full"):
        faults += [
            f"{text} (forward: the old schema must read what the new one accepts)" for text in _Reading(old, new, "old")
        ]
    return tuple(faults)


class _Beyond(Exception):
    """More pairs of types than may be compared."""


class _Reading:
    """Checks whether ``reader`` reads what ``writer`` accepts; ``side`` ("new" or "old") names the reader in
    messages."""

    def __init__(self, reader: Schema, writer: Schema, side: str) -> None:
        self._reader, self._writer, self._side = reader, writer, side
        self._other = "old" if side == "new" else "new"
        self._assumed: set[tuple[str, str]] = set()
        self._steps = 0

    def __iter__(self) -> Iterator[str]:
        try:
            yield from self._records(self._reader.root, self._writer.root, "properties")
        except _Beyond:
            yield "properties: unions within unions that differ, too many ways to compare; change fewer of them at once"

    def _faults(self, reader: Node, writer: Node, path: str) -> Iterator[str]:
        self._steps += 1
        if self._steps > _MOST_STEPS:
            raise _Beyond
        reader, writer = self._reader.resolve(reader), self._writer.resolve(writer)
        if isinstance(writer, Union):
            for branch in writer.branches:
                yield from self._faults(reader, branch, path)
        elif isinstance(reader, Union):
            yield from self._branches(reader, writer, path)
        elif isinstance(reader, RecordNode) and isinstance(writer, RecordNode):
            yield from self._records(reader, writer, path)
        elif isinstance(reader, Array) and isinstance(writer, Array):
            yield from self._faults(reader.items, writer.items, f"{path}[]")
        elif isinstance(reader, Map) and isinstance(writer, Map):
            yield from self._faults(reader.values, writer.values, f"{path}.*")
        elif isinstance(reader, Enum) and isinstance(writer, Enum):
            known = frozenset(reader.symbols)
            lost = [symbol for symbol in writer.symbols if symbol not in known]
            if lost and reader.default is None:
                yield (
                    f"{path}: the {self._side} schema does not know {', '.join(lost)}; "
                    "keep the symbols, or give the enum a default"
                )
        elif not _reads(reader, writer):
            yield (
                f"{path}: {self._kind(self._other, self._writer, writer)}, "
                f"{self._kind(self._side, self._reader, reader)}"
            )

    def _kind(self, side: str, schema: Schema, node: Node) -> str:
        return f"{'was' if side == 'old' else 'is now'} {describe(schema, node)}"

    def _branches(self, reader: Union, writer: Node, path: str) -> Iterator[str]:
        tried: list[list[str]] = []
        for branch in reader.branches:
            assumed = set(self._assumed)
            wrong = list(self._faults(branch, writer, path))
            if not wrong:
                return
            self._assumed = assumed
            tried.append(wrong)
        inside = [wrong for wrong in tried if not wrong[0].startswith(f"{path}:")]
        if len(inside) == 1:
            yield from inside[0]
        else:
            yield (
                f"{path}: {self._kind(self._other, self._writer, writer)}, "
                f"{self._kind(self._side, self._reader, reader)}"
            )

    def _records(self, reader: RecordNode, writer: RecordNode, path: str) -> Iterator[str]:
        # A recursive type: a pair that is being compared already is assumed to be compatible.
        if (reader.name, writer.name) in self._assumed:
            return
        self._assumed.add((reader.name, writer.name))
        written = {field.name: field for field in writer.fields}
        for field in reader.fields:
            field_path = path + path_text((field.name,))
            written_field = written.pop(field.name, None)
            if written_field is None:
                if field.required:
                    yield (
                        f"{field_path}: the {self._side} schema needs it and the {self._other} one does not have it; "
                        "give the field a default"
                    )
                continue
            if field.required and not written_field.required:
                yield (
                    f"{field_path}: may be missing under the {self._other} schema, not under the {self._side} one; "
                    "give it a default"
                )
            yield from self._faults(field.type, written_field.type, field_path)
        if not reader.additional:
            if writer.additional:
                yield (
                    f"{path}: the {self._side} schema takes no additional fields, the {self._other} one did; leave "
                    "them allowed"
                )
            for name in written:
                yield (
                    f"{path}{path_text((name,))}: not in the {self._side} schema, which takes no additional "
                    "fields; keep the field"
                )


def _reads(reader: Node, writer: Node) -> bool:
    """Whether the simple type ``reader`` accepts every JSON value that ``writer`` does."""
    if reader == writer:
        return True
    match reader, writer:
        case Scalar(kind), Scalar(other):
            return other in _READS.get(kind, ())
        case Scalar("string"), Fixed() | Enum():
            return True
        case Scalar("bytes"), Fixed():
            return True
        case Scalar("big-decimal"), Exact():
            return True
        case Exact(), Exact():
            return writer.scale <= reader.scale and writer.precision - writer.scale <= reader.precision - reader.scale
        case Exact(precision, scale), Scalar(kind):
            return kind in _WHOLE_DIGITS and precision - scale >= _WHOLE_DIGITS[kind]
    return False
