"""Prices parsed once: those of catalog entries by the object that holds them, those of invoice lines by their text."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final

from schemas.prices.models import MatrixPrice, Price, TieredPercentagePrice, TieredPrice, VolumePrice
from schemas.prices.parse_price import parse_price
from schemas.values.caches.weighted_cache import WeightedCache
from schemas.values.json_text import JsonObject

MOST_PARTS: Final = 50_000
"""Tiers and cells of the prices that are held, some 50 MB with the JSON they came from; the least recently used are
parsed again."""
_WHOLE: Final = 4  # of what a price takes beside its tiers and cells, in as many of them

_PARSED: Final[WeightedCache[tuple[JsonObject | str, Price]]] = WeightedCache(MOST_PARTS)


def price_in(written: JsonObject, currency: str | None = None) -> Price:
    """The price that a charge or an override has as JSON, in its plan's currency. The same object at every call for the
    same ``written``, which nobody changes. Raises PriceError."""
    # The entry holds ``written``, so that its id stays its own.
    return _parsed((id(written), currency), written, lambda: parse_price(written, currency))


def pinned_price(text: str, currency: str) -> Price:
    """The price that a line of an invoice in ``currency`` pins as JSON text. Raises PriceError, and ValueError where it
    is no JSON."""
    return _parsed((text, currency), text, lambda: parse_price(json.loads(text), currency))


def _parsed(key: tuple[int | str, str | None], source: JsonObject | str, parse: Callable[[], Price]) -> Price:
    def weighed() -> tuple[tuple[JsonObject | str, Price], int]:
        price = parse()
        return (source, price), _WHOLE + _parts(price)

    return _PARSED.get(key, weighed)[1]


def _parts(price: Price) -> int:
    if isinstance(price, TieredPrice | VolumePrice | TieredPercentagePrice):
        return len(price.tiers)
    return len(price.cells) if isinstance(price, MatrixPrice) else 0
