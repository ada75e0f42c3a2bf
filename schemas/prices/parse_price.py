"""Parses a JSON value to a price, or to one error message per fault."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from schemas.errors import WeirError
from schemas.prices.models import MODELS, Cell, Price
from schemas.prices.tiers import PercentageTier, Tier
from schemas.values.currency import exponent
from schemas.values.json_text import JsonObject

_ADAPTER: Final[TypeAdapter[Price]] = TypeAdapter(Price)
_PLURALS: Final[dict[str, str]] = {"tuple_type": "list", "model_type": "object", "string_type": "string"}


class PriceError(WeirError, ValueError):
    """A price, or the value it is applied to, is wrong. ``problems``: one message each, with place and remedy."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def parse_price(obj: object, currency: str | None = None, *, field_path: str = "price") -> Price:
    """The price in ``obj`` (JSON object as Python values, numbers as str, int or Decimal; or a price).

    ``currency`` is the plan's: it fills the price's where that has none, and must equal it where it has one.
    Raises PriceError whose lines start with the place of the problem, e.g. ``price.tiers.1.up_to``.
    """
    if not isinstance(obj, Mapping) and not isinstance(obj, tuple(MODELS.values())):
        raise PriceError(f'{field_path}: {_kind(obj)} is not a price; write an object such as {{"model": "flat", …}}')
    if currency is not None:
        try:
            exponent(currency)
        except ValueError as error:
            raise PriceError(f"currency: {error}") from None
    try:
        price: Price = _ADAPTER.validate_python(obj)
    except ValidationError as error:
        raise PriceError(*_lines(error, obj, field_path)) from None
    if currency is None or price.currency == currency:
        return price
    if price.currency is not None:
        raise PriceError(f"{field_path}.currency: {price.currency} is not the plan's {currency}; leave it out")
    return price.model_copy(update={"currency": currency})


def _lines(error: ValidationError, obj: object, field_path: str) -> Iterator[str]:
    model = str(obj.get("model")) if isinstance(obj, Mapping) else ""
    for problem in error.errors(include_url=False):
        loc = problem["loc"]
        path = [str(part) for part in (loc[1:] if loc[:1] == (model,) else loc)]
        where = ".".join([field_path, *path])
        context: JsonObject = problem.get("ctx", {})
        if "problems" in context:
            for below, text in context["problems"]:
                yield f"{where}.{below}: {text}" if below else f"{where}: {text}"
        elif problem["type"].startswith("union_tag"):
            lines = (
                f"{obj['model']!r} is no price model" if isinstance(obj, Mapping) and "model" in obj else "is missing"
            )
            yield f"{where}.model: {lines}; use one of {', '.join(MODELS)}"
        elif problem["type"] == "extra_forbidden":
            yield f"{where}: unknown field; known here: {', '.join(_known(model, path))}"
        elif problem["type"] == "missing":
            yield f"{where}: is missing; a {model} price needs it"
        elif problem["type"] in _PLURALS:
            yield f"{where}: {_kind(problem['input'])} where a JSON {_PLURALS[problem['type']]} belongs"
        else:
            yield f"{where}: {problem['msg']}"


def _known(model: str, path: list[str]) -> list[str]:
    """The fields allowed beside the unknown one at ``path``."""
    shape = re.sub(r"\d+", "n", ".".join(path[:-1]))
    part: type[Any] = MODELS[model]
    if shape == "tiers.n":
        part = PercentageTier if model == "tiered_percentage" else Tier
    elif shape == "cells.n":
        part = Cell
    return list(part.model_fields)


def _kind(value: object) -> str:
    kinds = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return kinds.get(type(value), "a number")
