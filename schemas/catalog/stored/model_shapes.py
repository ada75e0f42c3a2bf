"""Reads stored bodies as models. Accounts and subscriptions are many and most of them alike, so what a body has beside
the fields of its own is validated once for all that have the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from pydantic import TypeAdapter, ValidationError

from schemas.catalog.base import STORED, Code, Identifier, Model
from schemas.catalog.models import KINDS
from schemas.values.fine_instants import InstantOrDate

_MOST_SHAPES: Final = 1000
_MOST_BYTES: Final = 4096
"""Of a shape that is remembered, so that the memory of all of them is bounded."""

_CODE: Final = TypeAdapter(Code)
_IDENTIFIER: Final = TypeAdapter(Identifier)
_START: Final = TypeAdapter(InstantOrDate)
_OWN: Final[Mapping[str, Mapping[str, TypeAdapter[Any]]]] = {
    "account": {"code": _IDENTIFIER},
    "subscription": {"code": _CODE, "account": _IDENTIFIER, "start": _START},
}
"""By kind: the fields that tell one entry from another, each judged by itself alone. A subscription's end is compared
with its start, so one that ends is validated whole."""


def shape(body: Mapping[str, Any], *without: str) -> bytes | None:
    """What a stored body says beside the fields ``without``, equal for bodies that are validated alike; None for one
    that is too large to be remembered, or lacks one of these fields."""
    rest = dict(body)
    try:
        for name in without:
            del rest[name]
        text = msgspec.msgpack.encode(rest)
    except (KeyError, OverflowError, RecursionError, UnicodeEncodeError, msgspec.MsgspecError):
        return None
    return text if len(text) <= _MOST_BYTES else None


def has_valid_codes(body: Mapping[str, Any]) -> bool:
    """Whether a subscription's body has a code and an account as its model takes them."""
    try:
        return bool(_CODE.validate_python(body.get("code")) and _IDENTIFIER.validate_python(body.get("account")))
    except ValidationError:
        return False


class ModelShapes:
    """Validates stored bodies; at most ``most`` shapes are remembered, then all are forgotten."""

    def __init__(self, most: int = _MOST_SHAPES) -> None:
        self._most = most
        self._models: dict[tuple[str, bytes], Model] = {}

    def model(self, kind: str, body: Mapping[str, Any]) -> Model:
        """The body as its kind's model. Raises pydantic.ValidationError."""
        judges = _OWN.get(kind)
        text = None if judges is None or body.get("end") is not None else shape(body, *judges)
        if judges is None or text is None:
            return KINDS[kind].model_validate(body, context=STORED)
        alike = self._models.get((kind, text))
        if alike is not None:
            try:
                values = {name: judge.validate_python(body[name], context=STORED) for name, judge in judges.items()}
            except ValidationError:  # said of the body as a whole, below
                pass
            else:
                return alike.model_copy(update=values)
        model = KINDS[kind].model_validate(body, context=STORED)
        if len(self._models) >= self._most:
            self._models.clear()
        self._models[kind, text] = model
        return model


_SHAPES: Final = ModelShapes()


def stored_model(kind: str, body: Mapping[str, Any]) -> Model:
    """A stored body as its kind's model. Raises pydantic.ValidationError for a body that only an older release
    accepted."""
    return _SHAPES.model(kind, body)
