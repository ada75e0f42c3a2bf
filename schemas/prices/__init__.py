"""Prices as JSON (DESIGN section 7): models, exact decimals, and error messages with remedies."""

from schemas.prices.decimals import MAX_AMOUNT_DIGITS, MAX_QUANTITY_DIGITS, exact_decimal, plain
from schemas.prices.line_parts import Proration, Split
from schemas.prices.models import (
    OF_LINES,
    ByTime,
    Cell,
    EarlierPrice,
    FlatPrice,
    IncludedOrder,
    MatrixPrice,
    PackagePrice,
    PercentagePrice,
    PerUnitPrice,
    Price,
    TieredPercentagePrice,
    TieredPrice,
    VolumePrice,
    prices_in_time,
    set_by_close,
)
from schemas.prices.parse_price import PriceError, parse_price
from schemas.prices.parsed import pinned_price, price_in
from schemas.prices.tiers import PercentageTier, Tier

__all__ = [
    "MAX_AMOUNT_DIGITS",
    "MAX_QUANTITY_DIGITS",
    "OF_LINES",
    "ByTime",
    "Cell",
    "EarlierPrice",
    "FlatPrice",
    "IncludedOrder",
    "MatrixPrice",
    "PackagePrice",
    "PerUnitPrice",
    "PercentagePrice",
    "PercentageTier",
    "Price",
    "PriceError",
    "Proration",
    "Split",
    "Tier",
    "TieredPercentagePrice",
    "TieredPrice",
    "VolumePrice",
    "exact_decimal",
    "parse_price",
    "pinned_price",
    "plain",
    "price_in",
    "prices_in_time",
    "set_by_close",
]
