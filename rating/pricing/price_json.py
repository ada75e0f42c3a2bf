"""``weir price``: JSON in, priced lines out. Numbers are read exactly, whether written as numbers or strings."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from rating.pricing.exact import exactly
from rating.pricing.line import ZERO
from rating.pricing.stages import MatrixQuantity, rate
from schemas import json_text
from schemas.prices import MAX_QUANTITY_DIGITS, FlatPrice, MatrixPrice, PriceError, exact_decimal, parse_price, plain

DEFAULT_CURRENCY: Final = "USD"

_FIELDS: Final = ("price", "quantity", "events", "quantities", "currency", "name")
_EXAMPLE: Final = '{"price": {"model": "per_unit", "unit_amount": "0.01"}, "quantity": "22"}'


def price_json(text: str) -> list[dict[str, Any]]:
    """Price one object ``{"price": {…}, "quantity": "22"}`` or a list of them; one result each, in order.

    Besides: ``events`` (where a model charges per event), ``quantities`` (``[{"values": […], "quantity": "…"}]``
    for a matrix; then ``quantity`` may be left out), ``currency`` (as on a plan; without one here or in the price
    it is USD) and ``name`` (ignored). ``quantity`` may also be left out for a flat price.
    Returns ``{"amount", "unrounded", "steps"}`` ready for json.dumps, the amount with its currency's digits.
    Raises PriceError, one line a problem, each with its place: ``[1].price.tiers.0.up_to: …`` in a list,
    ``price.tiers.0.up_to: …`` for a single object. All items are checked before it is raised.
    """
    try:
        data = json_text.exact(text)
    except (ValueError, ArithmeticError) as error:  # Arithmetic: an exponent beyond Decimal's own range
        raise PriceError(f"this is not JSON ({error}); write e.g. {_EXAMPLE}") from None
    items, places = (data, [f"[{i}]." for i in range(len(data))]) if isinstance(data, list) else ([data], [""])
    results, problems = [], []
    for item, place in zip(items, places, strict=True):
        try:
            results.append(_price_item(item))
        except PriceError as error:
            problems += [place + problem for problem in error.problems]
    if problems:
        raise PriceError(*problems)
    return results


def _price_item(item: object) -> dict[str, Any]:
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
    return rate(price, quantity, currency=price.currency, events=events, quantities=quantities).as_json()


def _currency(item: Mapping[str, Any]) -> str:
    price = item["price"]
    own = price.get("currency") if isinstance(price, Mapping) else None
    currency = item.get("currency") or own or DEFAULT_CURRENCY
    if not isinstance(currency, str):
        raise PriceError("currency: not a string; write an ISO 4217 code such as USD")
    return currency


def _quantities(value: object) -> list[MatrixQuantity] | None:
    if value is None:
        return None
    if not isinstance(value, list):
        raise PriceError('quantities: not a list; write [{"values": ["eu"], "quantity": "3"}]')
    return [_cell(part, f"quantities.{index}") for index, part in enumerate(value)]


def _cell(part: object, place: str) -> MatrixQuantity:
    if not isinstance(part, Mapping) or set(part) != {"values", "quantity"} or not isinstance(part["values"], list):
        raise PriceError(f'{place}: write {{"values": ["eu"], "quantity": "3"}}, with these two fields')
    values = []
    for index, value in enumerate(part["values"]):
        if json_text.is_number(value):
            value = plain(Decimal(value))
        if not isinstance(value, str):
            raise PriceError(f"{place}.values.{index}: not a string; write the dimension's value as text")
        values.append(value)
    return MatrixQuantity(tuple(values), _number(part["quantity"], f"{place}.quantity"))


def _number(value: object, place: str) -> Decimal:
    try:
        return exact_decimal(value, MAX_QUANTITY_DIGITS)
    except ValueError as error:
        raise PriceError(f"{place}: {error}") from None
