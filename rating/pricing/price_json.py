"""``weir price``: JSON in, priced lines out. Numbers are read exactly, whether written as numbers or strings."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from rating.pricing.exact import exactly
from rating.pricing.price_models import label
from rating.pricing.price_terms import TERMS, apply_terms
from rating.pricing.priced_line import ZERO, MatrixQuantity
from rating.pricing.rating_stages import rate
from schemas.prices import MAX_QUANTITY_DIGITS, FlatPrice, MatrixPrice, PriceError, exact_decimal, parse_price, plain
from schemas.values import json_text
from schemas.values.json_text import JsonObject

DEFAULT_CURRENCY: Final = "USD"

_FIELDS: Final = ("price", "quantity", "events", "quantities", "currency", "name", *TERMS)
_EXAMPLE: Final = '{"price": {"model": "per_unit", "unit_amount": "0.01"}, "quantity": "22"}'


def price_json(text: str) -> list[JsonObject]:
    """Price one object ``{"price": {…}, "quantity": "22"}``, a list of them, or one a line (NDJSON); one result each,
    in order.

    Besides: ``events`` (where a model charges per event), ``quantities`` (``[{"values": […], "quantity": "…"}]`` for a
    matrix; then ``quantity`` may be left out), ``currency`` (as on a plan; without one here or in the price it is USD)
    and ``name`` (ignored). ``quantity`` may also be left out for a flat price. What a bill of this one line would take
    off or add stands in ``discounts``, ``commitment``, ``credits`` and ``at`` (price_terms.py). Returns ``{"amount",
    "unrounded", "steps"}`` ready for json.dumps, the amount with its currency's digits. Raises PriceError, one line a
    problem, each with its place: ``[1].price.tiers.0.up_to: …`` in a list, ``line 2: price…`` in NDJSON,
    ``price.tiers.0.up_to: …`` for a single object. All items are checked before it is raised.
    """
    results, problems = [], []
    for prefix, item in _items(text):
        try:
            results.append(price_item(item))
        except PriceError as error:
            problems += [prefix + problem for problem in error.problems]
    if problems:
        raise PriceError(*problems)
    return results


def _items(text: str) -> list[tuple[str, Any]]:
    """(place, item) each."""
    try:
        data = json_text.exact(text)
    except (ValueError, ArithmeticError) as error:  # Arithmetic: an exponent beyond Decimal's own range
        lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
        try:
            if len(lines) > 1:
                return [(f"line {number}: ", json_text.exact(line)) for number, line in lines]
        except (ValueError, ArithmeticError):
            pass  # no NDJSON either; what is wrong with the text as a whole says more
        raise PriceError(f"this is not JSON ({error}); write e.g. {_EXAMPLE}") from None
    return [(f"[{number}].", item) for number, item in enumerate(data)] if isinstance(data, list) else [("", data)]


def price_item(item: object) -> JsonObject:
    """Price one object, given as Python values with exact numbers (schemas.values.json_text). Raises PriceError."""
    if not isinstance(item, Mapping) or "price" not in item:
        raise PriceError(f"price: is missing; write e.g. {_EXAMPLE}")
    unknown = [f"{key}: unknown field; known here: {', '.join(_FIELDS)}" for key in item if key not in _FIELDS]
    if unknown:
        raise PriceError(*unknown)
    price = parse_price(item["price"], _currency(item))
    assert price.currency is not None, "_currency always gives one"
    quantities = _quantities(item.get("quantities"))
    if item.get("quantity") is not None:
        quantity = _number(item["quantity"], "quantity")
    elif isinstance(price, MatrixPrice) and quantities is not None:
        with exactly():
            quantity = sum((part.quantity for part in quantities), ZERO)
    elif isinstance(price, FlatPrice):
        quantity = ZERO
    else:
        raise PriceError('quantity: is missing; write a decimal string, e.g. "22"')
    events = None if item.get("events") is None else _number(item["events"], "events")
    rated = rate(price, quantity, currency=price.currency, events=events, quantities=quantities)
    if rated.unpriced and isinstance(price, MatrixPrice):
        labels = [label(price, part.values) for part in rated.unpriced]
        raise PriceError(
            *[
                f"quantities: no cell for {unpriced_label}; add it to price.cells or give default_unit_amount"
                for unpriced_label in labels
            ]
        )
    return apply_terms(rated, item)


def _currency(item: Mapping[str, Any]) -> str:
    price = item["price"]
    price_currency = price.get("currency") if isinstance(price, Mapping) else None
    currency = item.get("currency") or price_currency or DEFAULT_CURRENCY
    if not isinstance(currency, str):
        raise PriceError("currency: not a string; write an ISO 4217 code such as USD")
    return currency


def _quantities(value: object) -> list[MatrixQuantity] | None:
    if value is None:
        return None
    if not isinstance(value, list):
        raise PriceError('quantities: not a list; write [{"values": ["eu"], "quantity": "3"}]')
    return [_cell(part, f"quantities.{index}") for index, part in enumerate(value)]


def _cell(part: object, field_path: str) -> MatrixQuantity:
    if not isinstance(part, Mapping) or set(part) != {"values", "quantity"} or not isinstance(part["values"], list):
        raise PriceError(f'{field_path}: write {{"values": ["eu"], "quantity": "3"}}, with these two fields')
    values = []
    for index, value in enumerate(part["values"]):
        if json_text.is_number(value):
            value = plain(Decimal(value))
        elif isinstance(value, bool):
            value = "true" if value else "false"
        if not isinstance(value, str):
            raise PriceError(f"{field_path}.values.{index}: not a string; write the dimension's value as text")
        values.append(value)
    return MatrixQuantity(tuple(values), _number(part["quantity"], f"{field_path}.quantity"))


def _number(value: object, field_path: str) -> Decimal:
    try:
        return exact_decimal(value, MAX_QUANTITY_DIGITS)
    except ValueError as error:
        raise PriceError(f"{field_path}: {error}") from None
