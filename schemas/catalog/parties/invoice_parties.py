"""Catalog models of who sells and who buys, with what a printed invoice says of each: name, address, tax id."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from schemas.catalog.base import Model
from schemas.catalog.parties.logo import checked_logo

_PRINTABLE = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*$"
AddressLine = Annotated[str, StringConstraints(min_length=1, max_length=120, pattern=_PRINTABLE)]
Note = Annotated[str, StringConstraints(max_length=2_000, pattern=r"^[^\x00-\x09\x0b-\x1f\x7f-\x9f]*$")]
Logo = Annotated[str, AfterValidator(checked_logo)]


class InvoiceParty(Model):
    """What an invoice says of either side."""

    name: Annotated[str, StringConstraints(max_length=200, pattern=_PRINTABLE)] = ""
    """full name; empty: the display name"""
    address: Annotated[tuple[AddressLine, ...], Field(max_length=8)] = ()
    """lines of the postal address, the country last"""
    tax_id: Annotated[str, StringConstraints(max_length=64, pattern=_PRINTABLE)] = ""
    """number under which the tax office knows it, e.g. a VAT id, with its kind in front if you like"""
    email: Annotated[str, StringConstraints(max_length=254, pattern=_PRINTABLE)] = ""
    """address for questions about invoices"""


class Buyer(InvoiceParty):
    """Whom the invoices of an account are made out to."""


class Seller(InvoiceParty):
    """Who makes out the invoices of a namespace."""

    notes: Note = ""
    """text below each invoice, e.g. how to pay; lines stay lines"""
    logo: Logo = ""
    """PNG or JPEG in base64, 48 KiB and 2,000 pixels a side at most; empty: none"""
