"""What the form of a price asks for, by its model. Pure."""

from __future__ import annotations

from typing import Final

from rating.console.catalog.form_nodes import FieldGroup, FieldObject, FieldRows, FormNode, TypedField

PRICE_MODELS: Final = (
    ("flat", "Flat: an amount a period"),
    ("per_unit", "Per unit: quantity × amount"),
    ("tiered", "Tiered: each part of the quantity at its own tier"),
    ("volume", "Volume: the whole quantity at the tier it falls into"),
    ("package", "Package: a started package is charged in full"),
    ("percentage", "Percentage of the quantity, which is money"),
    ("tiered_percentage", "Tiered percentage"),
    ("matrix", "Matrix: an amount by values of dimensions"),
)
_OPEN: Final = "empty in the last one: no end"


def _amount(name: str, label: str, hint: str = "", *, required: bool = False) -> TypedField:
    return TypedField(name, label, hint=hint, required=required, size=12)


_TIERS: Final = FieldRows(
    "tiers",
    "Tiers, in ascending order",
    "Tier",
    (
        _amount("up_to", "Up to (included)", _OPEN),
        _amount("unit_amount", "Amount a unit"),
        _amount("flat_amount", "Amount once"),
    ),
)
_PERCENTAGE_TIERS: Final = FieldRows(
    "tiers",
    "Tiers, in ascending order",
    "Tier",
    (_amount("up_to", "Up to (included)", _OPEN), _amount("rate", "Percent"), _amount("flat_amount", "Amount once")),
)
_OF_MODEL: Final[dict[str, tuple[FormNode, ...]]] = {
    "flat": (_amount("amount", "Amount a period", required=True),),
    "per_unit": (_amount("unit_amount", "Amount a unit", required=True),),
    "tiered": (_TIERS,),
    "volume": (_TIERS,),
    "package": (
        _amount("package_size", "Units of a package", required=True),
        _amount("package_amount", "Amount a package", required=True),
        _amount("free_units", "Free units before packages are counted"),
    ),
    "percentage": (
        _amount("rate", "Percent", required=True),
        _amount("fixed_amount", "Amount an event"),
        _amount("free_units", "Quantity free of charge"),
    ),
    "tiered_percentage": (_PERCENTAGE_TIERS,),
    "matrix": (
        TypedField("dimensions", "Dimensions", "texts", "of the metric, with commas, e.g. model, region", size=30),
        FieldRows(
            "cells",
            "Cells",
            "Cell",
            (
                TypedField("values", "Values", "texts", "one for each dimension, in their order"),
                _amount("unit_amount", "Amount a unit"),
            ),
        ),
        _amount("default_unit_amount", "Amount a unit of all others", "empty: others have no price"),
        TypedField(
            "included_order",
            "Included units come off",
            "choice",
            options=(
                ("", "in the order of the cells"),
                ("cheapest_first", "from the cheapest first"),
                ("dearest_first", "from the dearest first"),
                ("pro_rata", "from all in proportion"),
            ),
        ),
    ),
}  # fmt: skip
_OF_ALL: Final = FieldGroup(
    "Included units, least and most",
    (
        _amount("included_units", "Included units"),
        _amount("minimum_amount", "Costs at least", "also without usage"),
        _amount("maximum_amount", "Costs at most"),
    ),
    closed=True,
)
TRIED: Final[tuple[TypedField | FieldRows, ...]] = (
    _amount("quantity", "Quantity"),
    _amount("events", "Events", "where the price has an amount an event"),
    FieldRows(
        "quantities",
        "Quantities of a matrix",
        "Combination",
        (TypedField("values", "Values", "texts"), _amount("quantity", "Quantity")),
    ),
)
"""What a price is worked out for before it is saved."""


def price_nodes(model: str) -> FieldObject:
    """The price of a charge; a model that is none asks for a model alone."""
    choice = TypedField("model", "Price model", "choice", options=PRICE_MODELS, required=True)
    return FieldObject("price", (choice, *_OF_MODEL.get(model, ()), *((_OF_ALL,) if model in _OF_MODEL else ())))


def tried_nodes(model: str) -> tuple[FormNode, ...]:
    """TRIED, as far as a model needs it."""
    names = {"quantity"}
    if model == "percentage":
        names.add("events")
    if model == "matrix":
        names = {"quantities"}
    return tuple(node for node in TRIED if node.name in names)
