"""What is said of a field that cannot be so, of a catalog entry or a request: pydantic's message, or one that says what
to write. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final, get_args

from pydantic import BaseModel, StringConstraints
from pydantic_core import ErrorDetails

from schemas.catalog.base import Code, Identifier, ProfileAddress
from schemas.catalog.prepaid.units import CurrencyOrUnit, MoneyCode, UnitCode
from schemas.values.suggestions import similar

_Location = tuple[int | str, ...]
_CHOICE: Final = re.compile(r"'([^']*)'")
_MOST_SHOWN: Final = 40
_INSTANT: Final = "write a date such as 2026-01-31, or an instant such as 2026-01-31T12:00:00Z"


_WRITE: Final = (
    (Code, "at most 64 letters, digits, _ and -, a letter or digit first"),
    (ProfileAddress, "a meter's code, or a meter's and a profile's with a dot between them"),
    (Identifier, "text without control characters"),
    (CurrencyOrUnit, "a currency such as USD, or a unit of your own such as token or credit.2"),
    (MoneyCode, "a currency such as USD"),
    (
        UnitCode,
        "3 to 24 small letters, digits and _, a letter first, and behind a dot its decimals, 1 to 12, where it has some"
        ": token, credit.2",
    ),
)
_WRITE_BY_PATTERN: Final = {
    str(constraint.pattern): text
    for annotation, text in _WRITE
    for constraint in get_args(annotation)
    if isinstance(constraint, StringConstraints)
}


def fault_text(problem: ErrorDetails, model: type[BaseModel] | None = None) -> str:
    """The message; ``model``: of the entry that has the problem, None where it is not known."""
    context: dict[str, Any] = problem.get("ctx", {})
    match problem["type"]:
        case "too_short":
            return f"has {context['actual_length']} items; write at least {context['min_length']}"
        case "too_long":
            return f"has {context['actual_length']} items; write at most {context['max_length']}"
        case "extra_forbidden":
            return _unknown_field(problem["loc"], model)
        case "string_pattern_mismatch" if context["pattern"] in _WRITE_BY_PATTERN:
            return f"{str(problem['input'])[:40]!r} cannot stand here; write {_WRITE_BY_PATTERN[context['pattern']]}"
        case "json_invalid":
            return f"is no JSON: {context.get('error', problem['msg'])}"
        case "model_attributes_type" | "model_type" | "dict_type" if problem["loc"] == ("body",):
            return "is no JSON object; send one, with Content-Type: application/json"
        case "model_attributes_type" | "model_type" | "dict_type":
            names = [] if model is None else _fields_at(model, problem["loc"])
            fields = f"its fields, of {', '.join(names)}" if names else "its fields"
            return f"{_shown(problem['input'])} is no object; write {fields}"
        case "list_type" | "tuple_type":
            return f"{_shown(problem['input'])} is no list; write one, in brackets, also of a single item"
        case "string_type":
            return f"{_shown(problem['input'])} is no text; write one, in quotes where it reads as something else"
        case "missing":
            return "is missing; write it"
        case "literal_error":
            return _no_choice(problem["input"], context["expected"])
        case "bool_type" | "bool_parsing":
            return f"{_shown(problem['input'])} is neither true nor false; write one of them"
        case "int_type" | "int_parsing" | "int_from_float" | "int_parsing_size":
            return f"{_shown(problem['input'])} is no whole number; write one such as 60"
        case "greater_than_equal" | "greater_than" | "less_than_equal" | "less_than" as kind:
            return f"is {_shown(problem['input'])}; write {_bound(kind, context)}"
        case "string_too_short":
            return f"has {len(problem['input'])} characters; write at least {context['min_length']}"
        case "string_too_long":
            return f"has {len(problem['input'])} characters; write at most {context['max_length']}"
    if problem["type"].startswith("datetime") or (
        problem["type"].startswith("date") and problem["loc"][-1:] == ("datetime",)
    ):
        return f"{str(problem['input'])[:40]!r} is no date and no instant; {_INSTANT}"
    return problem["msg"].removeprefix("Value error, ")


def told_once(problems: Sequence[ErrorDetails]) -> list[ErrorDetails]:
    """The problems without those that others tell as well: too few items where some are faulty themselves, and that a
    text is no date either where it is no instant."""
    places = {problem["loc"] for problem in problems}
    return [
        problem
        for problem in problems
        if not (problem["type"] == "too_short" and any(_below(place, problem["loc"]) for place in places))
        and not (problem["loc"][-1:] == ("date",) and (*problem["loc"][:-1], "datetime") in places)
    ]


def _no_choice(value: Any, expected: str) -> str:
    """``expected``: pydantic's list of what can stand there, each in quotes."""
    choices = _CHOICE.findall(expected)
    near = similar(choices, (value,)) if isinstance(value, str) and len(value) <= _MOST_SHOWN else ()
    remedy = f"did you mean {' or '.join(near)}? There are" if near else "write one of"
    return f"{_shown(value)} cannot stand here; {remedy} {', '.join(choices) or expected}"


def _bound(kind: str, context: dict[str, Any]) -> str:
    match kind:
        case "greater_than_equal":
            return f"{context['ge']} or more"
        case "greater_than":
            return f"more than {context['gt']}"
        case "less_than_equal":
            return f"at most {context['le']}"
        case _:
            return f"less than {context['lt']}"


def _shown(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    text = str(value) if isinstance(value, Decimal) else repr(value)
    return text if len(text) <= _MOST_SHOWN else f"{text[: _MOST_SHOWN - 1]}…"


def _below(location: _Location, above: _Location) -> bool:
    return len(location) > len(above) and location[: len(above)] == above


def _unknown_field(location: _Location, model: type[BaseModel] | None) -> str:
    names = [] if model is None else _fields_at(model, location[:-1])
    near = similar(names, (str(location[-1]),))
    if near:
        return f"no such field; did you mean {' or '.join(near)}?"
    return f"no such field; there are {', '.join(names)}" if names else "no such field; leave it out"


def _fields_at(model: type[BaseModel], location: Sequence[int | str]) -> list[str]:
    """The names of the fields of the object at ``location``."""
    models = [model]
    for part in location:
        below = [
            nested
            for holder in models
            for name, field in holder.model_fields.items()
            if part in (name, field.alias)
            for nested in _models_of(field.annotation)
        ]
        models = below or models  # an index, or the name of a union's part
    return sorted({field.alias or name for holder in models for name, field in holder.model_fields.items()})


def _models_of(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_of(part)]
