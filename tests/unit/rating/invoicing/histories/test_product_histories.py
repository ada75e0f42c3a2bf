"""Grants that pay some products alone, in any history: what they paid in the end is of lines of these products, to the
cent, whatever was corrected, credited or billed again; folded here from the lines of all invoices."""

from __future__ import annotations

import os
from fractions import Fraction
from typing import Any

import pytest

from rating.invoices.amounts.line_balances import credited_by_line
from tests.unit.rating.invoicing.histories.history_builders import History
from tests.unit.rating.invoicing.histories.test_histories import check_account, drawn
from tests.unit.rating.invoicing.histories.test_interim_histories import InterimHistory

SEEDS = range(int(os.environ.get("WEIR_TEST_HISTORIES", "5")))
ENOUGH = [
    [["c"]],
    [["c"], ["seat"]],
    [["seat", "support"]],
    [["c"], []],
    [[], ["c"]],
    [["c"], ["seat", "support"]],
    [["c"], ["seat"], ["support"]],
    [["support", "c"], ["seat"]],
]
"""Products of the grants of an account in the order in which they pay; where all have one, no money is asked for."""


class EnoughGranted(History):
    """Grants of products, each of which has more than is ever billed."""

    def __init__(self, seed: int, **kinds: Any) -> None:
        super().__init__(seed, **kinds)
        self.products = self.draw.choice(ENOUGH)
        for priority, products in enumerate(self.products):
            body = {"code": f"g{priority}", "account": "acme", "currency": self.CURRENCY, "amount": "100000"}
            self.shelf.add("credit_grant", body | {"priority": priority, "products": products})
            self.grants[f"g{priority}"] = Fraction(100000)


class EnoughWithInterims(EnoughGranted, InterimHistory):
    """With interim invoices at any instants."""


def billed_by_product(history: History) -> dict[str, Fraction]:
    """Product → what all lines of it come to, less credit notes; of each subscription 0 or more, since lines without
    product return what notes credited twice."""
    billed: dict[tuple[str, str], Fraction] = {}
    for invoice in history.standing_invoices:
        noted = credited_by_line(invoice)
        for line in invoice.lines:
            if line.kind != "credit":
                amount = Fraction(line.amount) - Fraction(noted.get(line.number, 0))
                key = invoice.subscription, line.product
                billed[key] = billed.get(key, Fraction(0)) + amount
    in_all: dict[str, Fraction] = {}
    for (_, product), amount in billed.items():
        in_all[product] = in_all.get(product, Fraction(0)) + max(amount, Fraction(0))
    return in_all


@pytest.mark.parametrize("kind", [EnoughGranted, EnoughWithInterims])
@pytest.mark.parametrize("seed", SEEDS)
def test_grants_of_products_paid_what_these_come_to_in_the_end(seed: int, kind: type[EnoughGranted]) -> None:
    history = kind(seed, subscriptions=1 + seed % 2, terms=False, notes=bool(seed % 3))
    history.run()
    check_account(history)
    billed, paid = billed_by_product(history), drawn(history)
    pays_all = sum(len(products) for products in history.products) == 3 and all(history.products)
    for number, products in enumerate(history.products):
        most = sum((billed.get(product, Fraction(0)) for product in products), Fraction(0))
        if pays_all:
            assert paid[f"g{number}"] == most
        elif products:  # less where an invoice's other lines were below zero, which paid the rest
            assert 0 <= paid[f"g{number}"] <= most


@pytest.mark.parametrize("terms", [False, True])
@pytest.mark.parametrize("kind", [History, InterimHistory])
@pytest.mark.parametrize("seed", SEEDS)
def test_grants_of_overlapping_products_that_do_not_suffice(seed: int, kind: type[History], terms: bool) -> None:
    history = kind(seed, subscriptions=1 + seed % 2, terms=terms, notes=True, grants=True, restricted=True)
    history.run()
    check_account(history)
    billed, paid = billed_by_product(history), drawn(history)
    view = history.shelf.view()
    of_grant = {versions[-1].code: versions[-1].model.products for versions in view.histories("credit_grant")}
    for products in filter(None, of_grant.values()):
        most = sum((billed.get(product, Fraction(0)) for product in products), Fraction(0))
        assert sum(paid[code] for code, of in of_grant.items() if of and set(of) <= set(products)) <= most
