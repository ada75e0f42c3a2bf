"""The price models of DESIGN section 7. A model's JSON is canonical: equal prices have one text.

Amounts are in major units of the currency; unit amounts, flat amounts and rates may be negative (a credit per
unit, a rebate). Quantities, bounds, minimum and maximum may not.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal, Self, TypeAlias

from pydantic import (
    BaseModel,
    BeforeValidator,
    Field,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from schemas.prices.decimals import Amount, NotNegative, Positive, plain
from schemas.prices.line_parts import ZERO, PricePart, PriceProblem, Proration, Split, refuse
from schemas.prices.tiers import PercentageTier, Tier, check_bounds
from schemas.values.currency import exponent
from schemas.values.json_text import JsonObject

_BY_CLOSE: JsonObject = {"readOnly": True}  # occurs on invoice lines only


class EarlierPrice(PricePart):
    """A price that the charge of a line had before the line's own, and for how many seconds of the line's time."""

    price: Price
    seconds: Positive


class ByTime(PricePart):
    """A line that was measured once over time in which its price changed: each price counts by how long it held.

    ``seconds``: how long the price held that this is a field of, to the line's end. ``earlier``: those before it, in
    the order of time; they have no ``by_time`` of their own.
    """

    seconds: Positive
    earlier: Annotated[tuple[EarlierPrice, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _not_nested(self) -> Self:
        if any(part.price.by_time is not None for part in self.earlier):
            refuse([("earlier", "a price in it has a by_time of its own; list all prices in one")])
        return self


class _Price(PricePart):
    """Fields common to all prices. ``currency`` None: the plan's currency.

    The fields in ``OF_LINES`` occur on invoice lines only; the close sets them to make the line's price complete.
    """

    optional: ClassVar[frozenset[str]] = frozenset(
        {"currency", "included_units", "free_units", "fixed_amount", "minimum_amount", "maximum_amount"}
        | {"default_unit_amount", "included_order", "proration", "trial", "split", "included_proration", "by_time"}
    )

    model: str
    currency: str | None = Field(None, description="ISO 4217 code; on a plan the plan's currency counts")
    included_units: NotNegative = Field(ZERO, description="units taken off the quantity before anything else")
    minimum_amount: NotNegative | None = Field(None, description="the line costs at least this, also without usage")
    maximum_amount: NotNegative | None = Field(None, description="the line costs at most this")
    proration: Proration | None = Field(
        None, description="a flat amount and the minimum count for a part of a period", json_schema_extra=_BY_CLOSE
    )
    trial: bool = Field(False, description="rated, and not billed", json_schema_extra=_BY_CLOSE)
    split: Split | None = Field(
        None,
        description="what the other parts of a period that a change of price has split used",
        json_schema_extra=_BY_CLOSE,
    )
    included_proration: Proration | None = Field(
        None, description="included and free units count for a part of a period", json_schema_extra=_BY_CLOSE
    )
    by_time: ByTime | None = Field(
        None,
        description="prices that the charge had before within the line's time; each counts by how long it held",
        json_schema_extra=_BY_CLOSE,
    )

    @field_validator("currency")
    @classmethod
    def _iso_4217(cls, code: str | None) -> str | None:
        if code is not None:
            try:
                exponent(code)
            except ValueError as error:
                raise PydanticCustomError("currency", "{text}", {"text": str(error)}) from None
        return code

    @model_validator(mode="after")
    def _minimum_below_maximum(self) -> Self:
        low, high = self.minimum_amount, self.maximum_amount
        if low is not None and high is not None and low > high:
            text = f"{plain(low)} is above maximum_amount {plain(high)}; lower it or raise the maximum"
            refuse([("minimum_amount", text)])
        return self


OF_LINES: JsonObject = {"proration": None, "trial": False, "split": None, "included_proration": None, "by_time": None}
"""Fields that the close sets on a line's price → their value in a catalog price."""


def set_by_close(price: _Price) -> str:
    """The error message for a catalog price with fields that only a line's price may have; "" if it has none."""
    for names in (("proration", "trial"), ("split", "included_proration"), ("by_time",)):
        if any(getattr(price, name) != OF_LINES[name] for name in names):
            verb, pronoun = ("are", "them") if len(names) > 1 else ("is", "it")
            return f"{' and '.join(names)} {verb} set by the close; remove {pronoun} from the price"
    return ""


class FlatPrice(_Price):
    """A fixed amount per period, whatever the quantity."""

    model: Literal["flat"]
    amount: Amount
    """amount per period"""


class PerUnitPrice(_Price):
    """Quantity × unit_amount."""

    model: Literal["per_unit"]
    unit_amount: Amount
    """what a unit costs"""


class _Tiered(_Price):
    tiers: tuple[Tier, ...]
    """in ascending order, the last one open"""

    @field_validator("tiers")
    @classmethod
    def _bounds(cls, tiers: tuple[Tier, ...]) -> tuple[Tier, ...]:
        check_bounds([tier.up_to for tier in tiers])
        return tiers


class TieredPrice(_Tiered):
    """Graduated: each part of the quantity is priced at its own tier."""

    model: Literal["tiered"]


class VolumePrice(_Tiered):
    """The whole quantity is priced at the tier it falls into."""

    model: Literal["volume"]


class PackagePrice(_Price):
    """Packages of ``package_size`` units; a started package is charged in full."""

    model: Literal["package"]
    package_size: Positive
    """units per package"""
    package_amount: Amount
    """amount per package"""
    free_units: NotNegative = ZERO
    """units deducted before packages are counted"""


class PercentagePrice(_Price):
    """``rate`` percent of the quantity (itself an amount of money), plus a fixed amount per event."""

    model: Literal["percentage"]
    rate: Amount
    """percent of the quantity"""
    fixed_amount: Amount = ZERO
    """amount per event"""
    free_units: NotNegative = ZERO
    """quantity free of charge"""


class TieredPercentagePrice(_Price):
    """Graduated percentages: each part of the quantity at its own tier's rate."""

    model: Literal["tiered_percentage"]
    tiers: tuple[PercentageTier, ...]
    """in ascending order, the last one open"""

    @field_validator("tiers")
    @classmethod
    def _bounds(cls, tiers: tuple[PercentageTier, ...]) -> tuple[PercentageTier, ...]:
        check_bounds([tier.up_to for tier in tiers])
        return tiers


def _dimension_value(value: Any) -> Any:
    """Convert numbers and booleans to text, since dimension values of usage are text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | Decimal):
        return plain(Decimal(value))
    return value


class Cell(PricePart):
    """The unit amount for one combination of dimension values."""

    values: tuple[Annotated[str, BeforeValidator(_dimension_value)], ...]
    """dimension values, in the order of the dimensions"""
    unit_amount: Amount
    """what a unit costs"""


IncludedOrder = Literal["in_order", "cheapest_first", "dearest_first", "pro_rata"]


def _order_name(value: Any) -> Any:
    """``cheapest first`` is the same as ``cheapest_first``."""
    return "_".join(value.replace("-", " ").split()).lower() if isinstance(value, str) else value


class MatrixPrice(_Price):
    """A unit amount for each combination of dimension values."""

    model: Literal["matrix"]
    dimensions: tuple[str, ...]
    """names of the profile's dimensions"""
    cells: tuple[Cell, ...] = ()
    """one for each combination with its own price"""
    default_unit_amount: Amount | None = None
    """unit amount of all other combinations; null: they have no price"""
    included_order: Annotated[IncludedOrder, BeforeValidator(_order_name)] = "in_order"
    """the order in which included units are deducted: in the order of the cells and then by values, from the lowest or
    the highest unit amount first, or from all in proportion to their quantities"""

    @model_validator(mode="after")
    def _shape(self) -> Self:
        refuse(list(self._problems()))
        return self

    def _problems(self) -> Iterable[PriceProblem]:
        if not self.dimensions:
            yield "dimensions", "there are none; name at least one dimension of the profile"
        if len(set(self.dimensions)) < len(self.dimensions):
            yield "dimensions", "a dimension stands twice; name each once"
        if not self.cells and self.default_unit_amount is None:
            yield "cells", "there are none; give at least one cell or a default_unit_amount"
        index_of: dict[tuple[str, ...], int] = {}
        for index, cell in enumerate(self.cells):
            if len(cell.values) != len(self.dimensions):
                need, have = len(self.dimensions), len(cell.values)
                yield f"cells.{index}.values", f"{have} given for {need} dimensions; give one for each"
            elif cell.values in index_of:
                earlier = index_of[cell.values]
                yield (
                    f"cells.{index}.values",
                    f"the same values as in cells.{earlier}; give each combination once",
                )
            index_of.setdefault(cell.values, index)


Price: TypeAlias = Annotated[
    FlatPrice
    | PerUnitPrice
    | TieredPrice
    | VolumePrice
    | PackagePrice
    | PercentagePrice
    | TieredPercentagePrice
    | MatrixPrice,
    Field(discriminator="model", description="What something costs: one of eight models, by `model`."),
]

MODELS: dict[str, type[_Price]] = {
    "flat": FlatPrice,
    "per_unit": PerUnitPrice,
    "tiered": TieredPrice,
    "volume": VolumePrice,
    "package": PackagePrice,
    "percentage": PercentagePrice,
    "tiered_percentage": TieredPercentagePrice,
    "matrix": MatrixPrice,
}

_RECURSIVE: tuple[type[BaseModel], ...] = (EarlierPrice, ByTime, *MODELS.values())
for _model in _RECURSIVE:
    _model.model_rebuild()  # a line's price may hold others


def prices_in_time(price: Price) -> tuple[tuple[Price, Decimal], ...]:
    """(price, seconds that it held) of each price that a line counts, in the order of time; of a line with one price
    that price, for 1."""
    if price.by_time is None:
        return ((price, Decimal(1)),)
    last_price = price.model_copy(update={"by_time": None})
    return (*((part.price, part.seconds) for part in price.by_time.earlier), (last_price, price.by_time.seconds))
