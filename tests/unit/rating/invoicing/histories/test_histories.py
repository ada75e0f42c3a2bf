"""Whatever happens to an account's subscriptions, in whatever order: it is billed what its periods owe, credited once,
and no grant is overdrawn.

Changes of plans and prices, told ahead or late; trials, ends, discounts, commitments; late and voided events; voids;
credit notes and payments; prepaid credits of the account and of a subscription, which expire.
``WEIR_TEST_HISTORIES=200`` tries more of them than every run does.
"""

from __future__ import annotations

import json
import os
from fractions import Fraction

import pytest

from rating.invoices.amounts.line_balances import credited_by_line, key_of_line
from rating.verify.difference import Findings
from rating.verify.independent.discounts_and_credits import Drawn, check_granted
from rating.verify.invoices.pinned_terms import check_terms
from tests.unit.rating.invoicing.histories.history_builders import History, amounts
from tests.unit.rating.verify.builders import verified

SEEDS = sorted({*range(int(os.environ.get("WEIR_TEST_HISTORIES", "8"))), 79, 95, 125, 195})
"""Some few, and those that found something once."""
FOUND = {
    # Effects without a term line; voids beneath notes; draws by what was netted; a discounted line credited, then less.
    # Usage taken back beside a discount on a fee in advance; a discount of several invoices' fees.
    1: [87, 250, 309, 627, 635, 668, 683, 1006, 1107, 1121, 1529],
    # A note beyond what discounts left; a discount on a fee that a grant paid; a true-up that made a settlement good.
    # An opening invoice billed again over a noted period; discounts that two invoices' fees share.
    2: [257, 298, 355, 376, 738, 910, 1107, 1638, 2057],
}
"""By number of subscriptions: seeds that found something with credit notes and grants."""


def subtotals(history: History) -> Fraction:
    return sum(
        (Fraction(json.loads(standing_invoice.body)["subtotal"]) for standing_invoice in history.standing_invoices),
        Fraction(0),
    )


def drawn(history: History) -> dict[str, Fraction]:
    """Grant → what it paid, less what came back."""
    fromkeys = dict.fromkeys(history.grants, Fraction(0))
    for invoice in history.standing_invoices:
        for line in invoice.lines:
            if line.kind == "credit":
                fromkeys[line.charge.removeprefix("credit:")] -= Fraction(line.amount)
    for _, note, _ in amounts(history.standing_invoices, "credit_notes"):
        for part in note.get("prepaid", ()):
            fromkeys[part["grant"]] -= Fraction(part["amount"])
    return fromkeys


def check_recurrences(history: History) -> None:
    """No recurrence pays more than its amount and what rolled over, and gets back more than it paid."""
    draws: Drawn = {}
    for invoice in history.standing_invoices:
        for line in invoice.lines:
            if line.kind == "credit":
                key = "air", line.charge.removeprefix("credit:")
                draws[key] = draws.get(key, Fraction(0)) - Fraction(line.amount)
                assert "@" in line.charge
    for _, note, _ in amounts(history.standing_invoices, "credit_notes"):
        for part in note.get("prepaid", ()):
            draws["air", part["grant"]] -= Fraction(part["amount"])
    assert min(draws.values(), default=0) >= 0
    findings = Findings()
    check_granted(draws, history.shelf.catalog, findings)
    assert list(findings.differences()) == []


def check_lines(history: History) -> None:
    """No line is credited beyond what it came to."""
    value: dict[object, Fraction] = {}
    net: dict[object, Fraction] = {}
    for invoice in history.standing_invoices:
        noted = credited_by_line(invoice)
        for line in invoice.lines:
            if line.kind != "credit":
                key, amount = key_of_line(line.adjusts or invoice.invoice_id, line), Fraction(line.amount)
                if not line.charge.startswith("credit_note:"):
                    value[key] = value.get(key, Fraction(0)) + amount
                net[key] = net.get(key, Fraction(0)) + amount - Fraction(noted.get(line.number, 0))
    for key, amount in value.items():
        assert min(amount, Fraction(0)) <= net[key] <= max(amount, Fraction(0)), key


def check_grants(history: History) -> None:
    for code, amount in drawn(history).items():
        assert 0 <= amount <= history.grants[code], code


def check_money(history: History) -> None:
    """All that was billed and not credited is asked for in money or paid by grants, and never less than nothing in
    money."""
    standing_invoices = history.standing_invoices
    totals = sum((Fraction(item.total) for item in standing_invoices), Fraction(0))
    money = totals - sum((amount for *_, amount in amounts(standing_invoices, "credit_notes")), Fraction(0))
    credited = sum((amount for *_, amount in amounts(standing_invoices, "credit_notes", "subtotal")), Fraction(0))
    assert money + sum(drawn(history).values()) == subtotals(history) - credited
    assert money >= 0
    taken_back = (
        Fraction(line.amount)
        for item in standing_invoices
        for line in item.lines
        if line.charge.startswith("credit_note:")
    )
    assert 0 <= sum(taken_back) <= credited
    both = sum(
        (amount for _, item, amount in amounts(standing_invoices, "payments") if item.get("invoice")), Fraction(0)
    )
    assert both == 0  # what invoices below zero pay moves nothing


def check_account(history: History) -> None:
    """No grant is overdrawn, all of the account's money is accounted for, and verification has nothing to tell."""
    check_grants(history)
    check_money(history)
    assert verified(history.standing.invoices("air"), history.shelf.catalog) == []


@pytest.mark.parametrize("seed", SEEDS)
def test_an_account_is_billed_what_its_periods_owe(seed: int) -> None:
    history = History(seed)
    history.run()
    (agreed,) = history.agreements
    # A fee that something else has split stays as billed, and its parts may round away from it.
    assert abs(subtotals(history) - agreed.owes()) <= Fraction(len(agreed.changes), 100)
    chain, findings = history.standing.chain("air", "s"), Findings()
    assert verified(chain, history.shelf.catalog) == []
    for item in chain:
        check_terms(history.shelf.view(history.offsets[item.run_id]), chain, item, item.invoice_id, findings)
    assert list(findings.differences()) == []


@pytest.mark.parametrize("terms", [False, True])
@pytest.mark.parametrize("seed", [*SEEDS, *FOUND[1]])
def test_credit_notes_and_prepaid_credits_are_given_once(seed: int, terms: bool) -> None:
    history = History(seed, terms=terms, notes=True, grants=bool(seed % 2))
    history.run()
    if not terms:
        check_lines(history)
    check_grants(history)
    check_money(history)
    assert verified(history.standing.chain("air", "s"), history.shelf.catalog) == []


@pytest.mark.parametrize("seed", [*SEEDS, *FOUND[2]])
def test_two_subscriptions_share_an_accounts_grants_and_balances(seed: int) -> None:
    history = History(seed, subscriptions=2, notes=True, grants=True)
    history.run()
    check_account(history)


@pytest.mark.parametrize("seed", SEEDS)
def test_grants_of_products_pay_no_more_than_these_come_to(seed: int) -> None:
    history = History(seed, subscriptions=2, notes=True, grants=True, restricted=True)
    history.run()
    check_account(history)


@pytest.mark.parametrize("seed", SEEDS)
def test_grants_that_recur_pay_no_more_than_each_recurrence_has(seed: int) -> None:
    history = History(seed, subscriptions=2, notes=True, grants=True, recurring=True)
    history.run()
    check_recurrences(history)
    assert verified(history.standing.invoices("air"), history.shelf.catalog) == []


@pytest.mark.parametrize(
    ("subscriptions", "seed"),
    [(1, 22), (2, 36), (2, 85), (2, 261), (1, 279), (1, 2054), (1, 2079), (1, 2293), (2, 2138), (2, 2156)],
)
def test_no_more_can_be_credited_than_was_billed(subscriptions: int, seed: int) -> None:
    history = History(seed, subscriptions=subscriptions, notes=True, grants=True)
    history.run()
    history.credit_all()
    check_account(history)
