"""Values of the catalog as a person types them, and back: property paths, lists, what a filter compares with. Pure.

What cannot be read stays the text that was typed, so that the gateway names the fault and the form shows it again.
"""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from rating.console.catalog.form_nodes import TypedField

_LISTED: Final = frozenset({"in", "not_in"})
_MOST_DIGITS: Final = 15


def typed(node: TypedField, value: Any, operator: str = "in") -> str:
    """The text of a JSON value in its input; ``operator``: the filter's, of an operand."""
    if value is None:
        return ""
    if node.kind == "path" and _is_texts(value):
        return _path_text(value)
    if node.kind == "paths" and isinstance(value, list) and all(_is_texts(path) for path in value):
        paths = [_path_text(path) for path in value]
        return _json(value) if any("," in path or path.startswith("[") for path in paths) else ", ".join(paths)
    if node.kind == "texts" and _is_texts(value):
        return _json(value) if any(_needs_json(text) for text in value) else ", ".join(value)
    if node.kind == "operand":
        return _json(value) if isinstance(value, list) and operator not in _LISTED else _operand_text(value)
    return value if isinstance(value, str) else _json(value)


def read_text(node: TypedField, text: str, operator: str = "") -> Any:
    """The JSON value of what was typed, None for a truth's default; ``operator``: the filter's, of an operand."""
    if node.kind == "integer":
        return int(text) if text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS else text
    if node.kind == "path":
        return _read_list(text) if text.startswith("[") else text.split(".")
    if node.kind == "paths":
        return _read_list(text) if text.startswith("[") else [part.strip().split(".") for part in text.split(",")]
    if node.kind == "texts":
        return _read_list(text) if text.startswith("[") else [part.strip() for part in text.split(",")]
    if node.kind == "operand":
        return _read_operand(text, operator)
    if node.kind == "truth" and text in dict(node.options):
        return None if text == node.options[0][0] else text == "true"
    return text


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(part, str) for part in value)


def _path_text(path: list[str]) -> str:
    plain = all(part and "." not in part and part == part.strip() for part in path)
    text = ".".join(path)
    return text if path and plain and not text.startswith("[") else _json(path)


def _needs_json(text: str) -> bool:
    return not text or "," in text or text != text.strip() or text.startswith("[")


def _operand_text(value: Any) -> str:
    if isinstance(value, str):
        return _json(value) if value != _read_scalar(value) or value.startswith(("[", '"')) or not value else value
    if isinstance(value, list):
        parts = [_operand_text(part) for part in value]
        simple = bool(parts) and all(
            not isinstance(part, list) and not _needs_json(text) for part, text in zip(value, parts, strict=True)
        )
        return ", ".join(parts) if simple else _json(value)
    return _json(value)


def _read_operand(text: str, operator: str) -> Any:
    if text.startswith("["):
        return _read_list(text)
    if operator in _LISTED:
        return [_read_scalar(part.strip()) for part in text.split(",")]
    return _read_scalar(text)


def _read_scalar(text: str) -> Any:
    """A number, true, false, or a text, in quotes where it would be one of these."""
    if text in ("true", "false"):
        return text == "true"
    if text.startswith('"'):
        try:
            quoted = json.loads(text)
        except ValueError:
            return text
        return quoted if isinstance(quoted, str) else text
    return _number(text)


def _number(text: str) -> Any:
    digits = text.removeprefix("-").replace(".", "", 1)
    if not (digits.isascii() and digits.isdigit()) or len(digits) > _MOST_DIGITS:
        return text
    try:
        number: Any = json.loads(text)
        exact = isinstance(number, int | float) and Decimal(repr(number)) == Decimal(text)
    except (ValueError, InvalidOperation):
        return text
    return number if exact else text


def _read_list(text: str) -> Any:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value if isinstance(value, list) else text


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
