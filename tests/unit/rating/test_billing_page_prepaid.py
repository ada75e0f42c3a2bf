"""The examples of rating/BILLING.md about prepaid credit, with the numbers that stand there, computed by what bills."""

from __future__ import annotations

from msgspec.structs import replace

from rating.invoices.amounts.prepaid.grant_entries import balance_entries, credited_invoice
from rating.invoices.amounts.prepaid.live_balances import by_currency, live_balances
from rating.invoices.amounts.prepaid_credits import drawn, grant_balances
from schemas.values.instants import DAY
from tests.unit.rating.billing_page import CALLS, example, granted, number
from tests.unit.rating.builders import us
from tests.unit.rating.invoicing.builders import (
    FEBRUARY,
    MARCH,
    SUBSCRIPTION,
    Books,
    amounts,
    catalog,
    estimates_and_draws,
    plan,
    used,
)
from tests.unit.rating.verify.builders import verified


def test_prepaid_credit_comes_back() -> None:
    grant, billed, voided_amount, back, left = example(
        "Prepaid credit",
        r"a grant of ([\d.]+) paid an invoice of ([\d.]+), and a voided event takes ([\d.]+) off it: the next"
        r" invoice gives ([\d.]+) back to the grant, which has ([\d.]+)\.",
    )
    events = [used(3, number(billed) - number(voided_amount)), used(4, number(voided_amount), voided=2)]
    books = Books(granted(grant), events)
    (january,) = books.close(FEBRUARY)
    assert (january.total, f"{drawn(books.standing.invoices('air'))['g']:.2f}") == ("0.00", billed)
    (february,) = books.close(MARCH)
    assert f"credit credit:g {back}" in amounts([february])
    assert number(grant) - drawn(books.standing.invoices("air"))["g"] == number(left)


def test_a_grant_that_recurs() -> None:
    grant, rollover, billed, rolled, left, there = example(
        "Prepaid credit",
        r"([\d.]+) a month from 1 January, `rollover: \"(\d+)\"`: January's invoice draws ([\d.]+), so ([\d.]+) of"
        r" ([\d.]+) roll over, and ([\d.]+) are there for February\.",
    )
    result = catalog(CALLS)
    recurring = {"effective": "2026-01-01", "recurrence": {"every": "month", "rollover": rollover}}
    body = {"code": "g", "account": "acme", "currency": "USD", "amount": grant}
    result.add("credit_grant", body | recurring)
    books = Books(result, [used(3, number(billed))])
    assert amounts(books.close(FEBRUARY)) == [f"usage c {billed}", f"credit credit:g@2026-01-01 -{billed}"]
    draws_by_grant = drawn(books.standing.invoices("air"))
    in_january, in_february = (
        grant_balances(result.view(), "acme", draws_by_grant, at_us)[0] for at_us in (FEBRUARY - 1, FEBRUARY)
    )
    assert (in_january.left, in_february.left) == (number(left), number(there))
    assert in_february.expired == number(left) - number(rolled)


def test_a_retired_grant_is_void_and_has_what_was_left_when_it_comes_back() -> None:
    """It is told as entries: nothing disappears in silence."""
    result = granted("50")
    books = Books(result, [used(3, 20)])
    (january,) = books.close(FEBRUARY)
    body = {"code": "g", "account": "acme", "currency": "USD", "amount": "50"}
    result.add("credit_grant", body, retired=True, published="2026-02-02T00:00:00Z")
    result.add("credit_grant", body, published="2026-02-03T00:00:00Z")
    entries = balance_entries(result.view(), "acme", [credited_invoice(january)], MARCH)
    assert [(entry.kind, str(entry.amount), str(entry.balance)) for entry in entries] == [
        ("grant", "50", "50"),
        ("draw", "-20.00", "30.00"),
        ("retirement", "-30.00", "0"),
        ("retirement", "30.00", "30.00"),
    ]


def test_a_grant_that_recurs_is_not_given_while_it_is_retired() -> None:
    result = granted("50")
    recurring = {"effective": "2026-01-01", "recurrence": {"every": "month", "rollover": "500"}}
    body = {"code": "r", "account": "acme", "currency": "USD", "amount": "50"} | recurring
    result.add("credit_grant", body, published="2026-01-01T00:00:00Z")
    result.add("credit_grant", body, retired=True, published="2026-02-10T00:00:00Z")
    june = us("2026-06-05T00:00:00Z")

    def shown() -> list[str]:
        balances = grant_balances(result.view(), "acme", {}, june)
        (balance,) = (balance for balance in balances if balance.owned.grant.code == "r")
        return [balance.state, *map(str, (balance.granted, balance.left, balance.expired))]

    assert shown() == ["retired", "100", "0", "100"]
    result.add("credit_grant", body, published="2026-06-02T00:00:00Z")
    assert shown() == ["active", "100", "100", "0"]
    entries = balance_entries(result.view(), "acme", [], us("2026-07-02T00:00:00Z"))
    assert [(entry.kind, str(entry.amount)) for entry in entries if entry.grant == "r"] == [
        ("grant", "50"), ("grant", "50"), ("retirement", "-100"), ("retirement", "100"), ("grant", "50"),
    ]  # fmt: skip


def test_the_live_balance() -> None:
    grant, january, february, *texts = example(
        "The live balance",
        r"a grant of ([\d.]+); January, which is within grace, has ([\d.]+) of usage, and February ([\d.]+) so far:"
        r" ([\d.]+) settled, ([\d.]+) pending, ([\d.]+) running, ([\d.]+) live\.$",
    )
    result = granted(grant)
    result.add("plan", plan(CALLS) | {"grace_seconds": 30 * 86_400})
    result.add("subscription", {"code": "s", "account": "acme", "plan": "basic", "start": "2026-01-01T00:00:00Z"})
    books = Books(result, [used(3, number(january)), used(35, number(february))])
    assert books.close(FEBRUARY + DAY) == []
    now_us = us("2026-02-10T00:00:00Z")
    _, draws_in_all = estimates_and_draws(result, books.standing, now_us, books.measure)
    (total,) = by_currency(live_balances(result.view(), "acme", draws_in_all, now_us))
    assert list(total.values()) == ["USD", *texts]


def test_a_grant_of_products_pays_these_alone() -> None:
    calls, fee, first, paid, second, rest, left = example(
        "Prepaid credit",
        r"([\d.]+) of calls and a fee of ([\d.]+): a grant of ([\d.]+) for calls pays ([\d.]+), and one of ([\d.]+)"
        r" without products after it pays ([\d.]+); ([\d.]+) are left to pay\.",
    )
    result = catalog(CALLS, [{"product": "fee", "price": {"model": "flat", "amount": fee}}])
    for code, amount, products in (("for-calls", first, ["c"]), ("open", second, [])):
        grant = {"code": code, "account": "acme", "currency": "USD", "amount": amount, "products": products}
        result.add("credit_grant", grant)
    books = Books(result, [used(3, number(calls))])
    (january,) = books.close(FEBRUARY)
    assert amounts([january])[-2:] == [f"credit credit:for-calls -{paid}", f"credit credit:open -{rest}"]
    assert january.total == left
    assert verified([january], result.catalog) == []
    # Of a discount on the whole calls have their share.
    result.add("subscription", SUBSCRIPTION | {"discounts": [{"code": "half", "percent": "50"}]})
    (halved,) = Books(result, [used(3, number(calls))]).close(FEBRUARY)
    half = number(calls) / 2
    assert amounts([halved])[-2] == f"credit credit:for-calls -{half:.2f}"
    assert verified([halved], result.catalog) == []
    too_high = [
        replace(line, amount=f"-{calls}") if line.charge == "credit:for-calls" else line for line in halved.lines
    ]
    assert any("credits for c" in item for item in verified([replace(halved, lines=tuple(too_high))], result.catalog))
    of_fee = [replace(line, price=line.price.replace('"c"', '"fee"')) for line in january.lines]
    too_much, unlike = verified([replace(january, lines=tuple(of_fee))], result.catalog)
    assert "credits for fee" in too_much
    assert f"at most {number(fee):.0f}, what it bills of them" in too_much
    assert "what grant for-calls pays" in unlike
