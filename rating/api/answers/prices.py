"""What is asked and answered about the price of a quantity."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from schemas.http.openapi import Answer, DecimalText, absent
from schemas.prices.decimals import Amount
from schemas.prices.json_schema import PriceJson


class CombinationQuantity(Answer):
    """The quantity of one combination of dimension values, in the order of the matrix's dimensions."""

    values: list[str | int | bool]
    quantity: Amount


class PriceRequest(Answer):
    """A quantity to be priced, and what else a bill of this one line would have."""

    price: PriceJson
    quantity: Amount = absent()
    """may be left out for a flat price, and where a matrix has quantities"""
    events: Amount = absent()
    """where a model charges an amount an event"""
    quantities: list[CombinationQuantity] = absent()
    """for a matrix"""
    currency: str = absent(examples=["USD"])
    """as on a plan; without one here or in the price it is USD"""
    name: str = absent()
    """is ignored"""
    discounts: list[dict[str, Any] | str] = absent()
    """amounts, or discounts as in the catalog: {"percent": "10"}"""
    commitment: Amount = absent()
    """the least that it comes to, after discounts"""
    credits: list[dict[str, Any] | str] = absent()
    """amounts, or credit grants as in the catalog"""
    at: str = absent()
    """an instant or a date (UTC) at which discounts and credits must be in force"""


class PriceStep(Answer):
    """One thing that happened to a line. The amounts of all steps sum to its unrounded amount."""

    kind: str = Field(examples=["tier"])
    amount: DecimalText
    text: str
    """the step in a sentence"""
    tier: int = absent()
    """which tier, from 1"""
    start: DecimalText = absent(alias="from")
    """lower bound of the tier, not included"""
    end: DecimalText | None = absent(alias="to")
    """upper bound of the tier, included; null: open"""
    values: list[str] = absent()
    """dimension values of a matrix's cell"""
    quantity: DecimalText = absent()
    unit_amount: DecimalText | None = absent()
    rate: DecimalText = absent()
    """in percent"""
    flat_amount: DecimalText = absent()
    count: int = absent()
    """how many cells are summed up in it"""


class CreditUse(Answer):
    """What a priced line would take of a credit."""

    code: str
    used: DecimalText
    left: DecimalText


class PricedLine(Answer):
    """A priced quantity."""

    amount: DecimalText
    """with the digits of its currency"""
    unrounded: DecimalText
    steps: list[PriceStep]
    credits: list[CreditUse] = absent()
