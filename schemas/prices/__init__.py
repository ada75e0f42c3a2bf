"""Prices as JSON (DESIGN section 7): models, exact decimals, and the errors a person can act on."""

from schemas.prices.decimals import MAX_AMOUNT_DIGITS, MAX_QUANTITY_DIGITS, exact_decimal, plain
from schemas.prices.models import (
    OF_LINES,
    Cell,
    FlatPrice,
    IncludedOrder,
    MatrixPrice,
    PackagePrice,
    PercentagePrice,
    PercentageTier,
    PerUnitPrice,
    Price,
    Proration,
    Split,
    Tier,
    TieredPercentagePrice,
    TieredPrice,
    VolumePrice,
    set_by_close,
)
from schemas.prices.parse import PriceError, parse_price

__all__ = [
    "MAX_AMOUNT_DIGITS",
    "MAX_QUANTITY_DIGITS",
    "OF_LINES",
    "Cell",
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
    "plain",
    "set_by_close",
]
