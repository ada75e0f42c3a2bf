"""What a form asks for, as values: inputs, lists of rows, groups. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

InputKind = Literal["text", "choice", "flag", "integer", "path", "paths", "texts", "operand"]
MOST_ROWS: Final = 200
"""Rows of one list that are read of a form."""


@dataclass(frozen=True, slots=True)
class TypedField:
    """One field. ``name``: its key in the object it belongs to; ``options``: (value, label), of a choice all, of a text
    suggestions; ``each_time``: says something of one change alone, and is empty where a form opens; ``lasting``: cannot
    be changed once the entry is there."""

    name: str
    label: str
    kind: InputKind = "text"
    hint: str = ""
    options: tuple[tuple[str, str], ...] = ()
    required: bool = False
    size: int = 22
    each_time: bool = False
    lasting: bool = False


@dataclass(frozen=True, slots=True)
class FieldRows:
    """A list of objects, one row each; the form shows a further empty one. ``what``: what a row is called."""

    name: str
    label: str
    what: str
    nodes: tuple[FormNode, ...]
    hint: str = ""


@dataclass(frozen=True, slots=True)
class FieldObject:
    """An object within the object."""

    name: str
    nodes: tuple[FormNode, ...]


@dataclass(frozen=True, slots=True)
class FieldGroup:
    """Inputs of the same object under one heading; ``closed``: behind it, until somebody opens it."""

    label: str
    nodes: tuple[FormNode, ...]
    closed: bool = False


FormNode: TypeAlias = TypedField | FieldRows | FieldObject | FieldGroup
