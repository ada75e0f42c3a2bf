"""What a form asks for, as values: inputs, lists of rows, groups. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

InputKind = Literal["text", "choice", "flag", "integer", "path", "paths", "texts", "operand", "truth"]
MOST_ROWS: Final = 1500
"""Rows of one list that are read of a form: of rows with two fields or more a form has no more (``MOST_FIELDS``), so
that none of an entry is lost."""


@dataclass(frozen=True, slots=True)
class TypedField:
    """One field. ``name``: its key in the object it belongs to; ``options``: (value, label), of a choice all, of a
    truth ("true", …) and ("false", …), the default first, of a text suggestions; ``each_time``: says something of one
    change alone, and is empty where a form opens; ``lasting``: cannot be changed once the entry is there."""

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
    """A list of objects, one row each; the form shows a further empty one. ``what``: what a row is called; ``none``:
    the label of the box that says the empty list, where that is another thing than to say nothing; "": no box."""

    name: str
    label: str
    what: str
    nodes: tuple[FormNode, ...]
    hint: str = ""
    none: str = ""


@dataclass(frozen=True, slots=True)
class FieldObject:
    """An object within the object; ``optional``: left out as long as nothing is typed in it. ``label``: its heading, ""
    for none."""

    name: str
    nodes: tuple[FormNode, ...]
    optional: bool = False
    label: str = ""


@dataclass(frozen=True, slots=True)
class FieldGroup:
    """Inputs of the same object under one heading; ``closed``: behind it, until somebody opens it."""

    label: str
    nodes: tuple[FormNode, ...]
    closed: bool = False


FormNode: TypeAlias = TypedField | FieldRows | FieldObject | FieldGroup
