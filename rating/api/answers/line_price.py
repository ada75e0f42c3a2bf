"""What an invoice line has as its price: the price that it was billed at, or the term that it follows from."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from schemas.catalog.terms import Discount
from schemas.http.openapi import Answer, DecimalText, absent
from schemas.prices.json_schema import PriceJson


class CreditGrantTerm(Answer):
    """Of a line that a prepaid credit pays, or gets back."""

    credit_grant: str
    """its code"""
    recurrence: str = absent(examples=["2026-02-01"])
    """the local date of its recurrence, where it has some"""
    products: list[str] = absent()
    """those whose lines alone it pays"""


class CommitmentTerm(Answer):
    """Of a line that raises a period to the minimum commitment."""

    minimum_commitment: DecimalText


class CreditNotesTerm(Answer):
    """Of a line that keeps an adjustment from crediting what credit notes have credited."""

    credit_notes: str
    """the invoice that they credit"""


class NoTerm(BaseModel):
    """Of a line of before terms were pinned."""

    model_config = ConfigDict(extra="forbid")


LinePrice: TypeAlias = Annotated[
    PriceJson | CreditGrantTerm | CommitmentTerm | CreditNotesTerm | Discount | NoTerm,
    Field(
        description="as pinned: a price, or of a line that follows from terms the discount, grant, commitment or credit"
        " notes"
    ),
]
