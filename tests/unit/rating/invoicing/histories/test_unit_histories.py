"""What happens to an account that is billed in an own unit is what happens to one that is billed in money: tiers,
changes, discounts, credits, credit notes, late and voided events, in the unit's own digits."""

from __future__ import annotations

import json
from fractions import Fraction

import pytest
from msgspec.structs import replace

from schemas.ledgers.invoice_record import Invoice
from tests.unit.rating.invoicing.histories.history_builders import History
from tests.unit.rating.invoicing.histories.test_balance_entries import GrantHistory
from tests.unit.rating.invoicing.histories.test_histories import check_money
from tests.unit.rating.verify.builders import verified


class OfHundredths(History):
    """In a unit with as many digits as the dollar."""

    CURRENCY = "credit.2"


class OfTokens(GrantHistory):
    """In whole ones; grants change, end and come back."""

    CURRENCY = "token"


def in_dollars(invoice: Invoice) -> Invoice:
    def text(value: str) -> str:
        return value.replace(OfHundredths.CURRENCY, "USD")

    lines = tuple(
        replace(line, price=text(line.price), steps=text(line.steps), note=text(line.note)) for line in invoice.lines
    )
    return replace(invoice, currency=text(invoice.currency), body=text(invoice.body), lines=lines)


@pytest.mark.parametrize("seed", [1, 3, 87, 910])
def test_a_unit_of_two_digits_is_billed_as_the_dollar_is(seed: int) -> None:
    both = [kind(seed, subscriptions=2, notes=True, grants=True) for kind in (History, OfHundredths)]
    for history in both:
        history.run()
    money, units = ([*history.standing.invoices("air")] for history in both)
    assert {invoice.currency for invoice in units} == {"credit.2"}
    assert [in_dollars(invoice) for invoice in units] == money


@pytest.mark.parametrize("seed", [10, 87])
def test_whole_tokens_are_billed_drawn_and_told_in_whole_ones(seed: int) -> None:
    history = OfTokens(seed)
    history.run()
    invoices = [*history.standing.invoices("air")]
    assert all(Fraction(line.amount).denominator == 1 for invoice in invoices for line in invoice.lines)
    assert all("." not in json.loads(invoice.body)["subtotal"] for invoice in invoices)
    check_money(history)
    assert verified(invoices, history.shelf.catalog) == []
    entries = history.entries(history.balances[-1][0])
    for at_us, left in history.balances:
        by_then = [entry for entry in entries if entry.at_us <= at_us]
        assert {code: sum(entry.amount for entry in by_then if entry.grant == code) for code in left} == left
