"""The examples of rating/BILLING.md as their tests read them, and catalogs of fees for them."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.unit.rating.builders import Shelf
from tests.unit.rating.invoicing.builders import SUBSCRIPTION, catalog

PAGE = (Path(__file__).parents[3] / "rating/BILLING.md").read_text("utf8")

CALLS = {"model": "per_unit", "unit_amount": "1"}


def example(heading: str, pattern: str) -> tuple[str, ...]:
    """What stands in a rule's text at the places of the pattern; the test fails where the text is another by now."""
    (_, _, after) = PAGE.partition(f"\n## {heading}\n")
    text = " ".join(after.partition("\n## ")[0].split())
    match = re.search(pattern, text)
    assert match is not None, f"rating/BILLING.md, {heading}: no longer says {pattern!r}; bring this test up to date"
    return match.groups()


def number(text: str) -> Decimal:
    return Decimal(text.replace(",", ""))


def fees(amount: str, **subscription: Any) -> Shelf:
    """A fee a month, and nothing else."""
    shelf = Shelf()
    shelf.add("product", {"code": "fee", "kind": "flat"})
    charge = {"product": "fee", "price": {"model": "flat", "amount": amount}}
    shelf.add("plan", {"code": "basic", "currency": "USD", "grace_seconds": 0, "charges": [charge]})
    shelf.add("account", {"code": "acme"})
    shelf.add("subscription", SUBSCRIPTION | subscription)
    return shelf


def seats_in_advance(amount: str, **subscription: Any) -> Shelf:
    charge = {"product": "fee", "price": {"model": "flat", "amount": amount}, "in_advance": True}
    shelf = fees(amount, **subscription)
    shelf.add("plan", {"code": "basic", "currency": "USD", "grace_seconds": 0, "charges": [charge]})
    shelf.add("subscription", SUBSCRIPTION | subscription)
    return shelf


def granted(amount: str) -> Shelf:
    """Calls at 1.00, of which a grant pays."""
    result = catalog(CALLS)
    result.add("credit_grant", {"code": "g", "account": "acme", "currency": "USD", "amount": amount})
    return result
