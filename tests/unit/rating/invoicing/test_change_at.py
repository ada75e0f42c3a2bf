"""All that a version of a subscription says follows its ``change_at``: commitment, discounts, trial, anchor, beside
plan and prices."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from rating.invoices.ledger import StandingInvoices
from rating.invoices.transitions import voided
from rating.invoicing.run_plan import build_invoices, make_plan
from rating.subscriptions.period_terms import pinned_terms
from rating.verify.difference import Findings
from rating.verify.invoices.pinned_terms import check_terms
from schemas.ledgers.checkpoints import Run
from schemas.ledgers.invoice_record import Invoice
from schemas.values.instants import rfc3339
from tests.unit.rating.builders import Shelf, us

BODY = {"code": "s", "account": "acme", "plan": "basic", "start": "2026-01-01"}
OVERRIDE = {"charge": "fee", "price": {"model": "flat", "amount": "200"}}


def shelf(**first_value: Any) -> Shelf:
    """A fee of 120 a month, in UTC."""
    item = Shelf()
    item.add("product", {"code": "fee", "kind": "flat"})
    charges = [{"product": "fee", "price": {"model": "flat", "amount": "120"}}]
    item.add("plan", {"code": "basic", "currency": "USD", "grace_seconds": 0, "charges": charges})
    item.add("account", {"code": "acme"})
    item.add("subscription", BODY | first_value, published="2026-01-01T00:00:00Z")
    return item


def close(expected: Shelf, as_of: str, standing: StandingInvoices | None = None) -> list[Invoice]:
    standing = StandingInvoices() if standing is None else standing
    plan = make_plan(expected.view(), standing, us(as_of), {})
    assert plan.problems == ()
    invoices, _ = build_invoices(plan, {}, Run("run", 1, 0, 0, {}))
    assert all(standing.apply(invoice) for invoice in invoices)
    return list(invoices)


def second(expected: Shelf, published: str = "2026-02-10T00:00:00Z", **body: Any) -> Shelf:
    expected.add("subscription", BODY | body, published=published)
    return expected


@pytest.mark.parametrize("override", [{}, {"overrides": [OVERRIDE]}])
@pytest.mark.parametrize(
    ("before", "after", "totals"),
    [
        ({"minimum_commitment": "1000"}, {"minimum_commitment": "2000"}, ["1000.00", "1000.00"]),
        ({}, {"discounts": [{"code": "half", "percent": "50"}]}, ["120.00", "120.00"]),
        ({"discounts": [{"code": "half", "percent": "50"}]}, {}, ["60.00", "60.00"]),
        ({}, {"trial_end": "2027-06-01"}, ["120.00", "120.00"]),
    ],
)
def test_what_is_to_change_next_year_changes_nothing_before(
    before: Any, after: Any, totals: list[str], override: Any
) -> None:
    result = second(shelf(**before), change_at="2027-01-01", **after, **override)
    invoices = close(result, "2026-03-02T00:00:00Z")
    assert [invoice.total for invoice in invoices] == totals
    if "minimum_commitment" in before:
        assert [invoice.lines[1].amount for invoice in invoices] == ["880.00", "880.00"]
        assert [pinned_terms(invoice).minimum_commitment for invoice in invoices] == [Decimal(1000)] * 2


def test_from_its_change_at_on_it_holds() -> None:
    result = second(shelf(minimum_commitment="1000"), change_at="2026-04-01", minimum_commitment="2000")
    assert [item.total for item in close(result, "2026-05-01T00:00:00Z")] == ["1000.00"] * 3 + ["2000.00"]


def test_within_a_period_the_terms_of_its_last_moment_hold_for_all_of_it_and_usage_is_not_split() -> None:
    result = second(shelf(minimum_commitment="1000"), change_at="2026-03-20", minimum_commitment="2000")
    invoices = close(result, "2026-04-01T00:00:00Z")
    assert [invoice.total for invoice in invoices] == ["1000.00", "1000.00", "2000.00"]
    assert [line.charge for line in invoices[2].lines] == ["fee", "commitment:"]


def test_beside_another_price_a_commitment_is_prorated_with_the_parts() -> None:
    result = second(
        shelf(minimum_commitment="310"), change_at="2026-01-11", minimum_commitment="620", overrides=[OVERRIDE]
    )
    (january,) = close(result, "2026-02-01T00:00:00Z")
    assert january.total == "520.00"  # 10 days of 310 and 21 of 620


def test_without_a_change_at_it_holds_from_its_publication_however_late_the_close() -> None:
    result = second(shelf(), discounts=[{"code": "half", "percent": "50"}])
    assert [item.total for item in close(result, "2026-03-02T00:00:00Z")] == ["120.00", "60.00"]


def test_one_before_it_that_lies_ahead_is_ended_by_a_later_version() -> None:
    result = second(shelf(minimum_commitment="1000"), change_at="2026-04-01", minimum_commitment="2000")
    second(result, published="2026-02-12T00:00:00Z", minimum_commitment="1000")
    assert {item.total for item in close(result, "2026-07-01T00:00:00Z")} == {"1000.00"}
    second(result, published="2026-02-13T00:00:00Z", change_at="2026-05-01", minimum_commitment="3000")
    second(result, published="2026-02-14T00:00:00Z", change_at="2026-03-01", minimum_commitment="3000")  # moved
    assert [item.total for item in close(result, "2026-04-01T00:00:00Z")] == ["1000.00", "1000.00", "3000.00"]


def test_what_is_billed_stays_as_billed() -> None:
    result, standing = shelf(), StandingInvoices()
    close(result, "2026-02-01T00:00:00Z", standing)
    second(result, change_at="2026-01-01", minimum_commitment="500")
    assert [item.total for item in close(result, "2026-03-01T00:00:00Z", standing)] == ["500.00"]
    assert [item.total for item in standing.chain("air", "s")] == ["120.00", "500.00"]


def test_a_discount_of_a_number_of_periods_counts_from_the_version_that_agreed_it() -> None:
    result, standing = shelf(), StandingInvoices()
    close(result, "2026-04-01T00:00:00Z", standing)
    second(
        result,
        change_at="2026-04-01",
        published="2026-04-02T00:00:00Z",
        discounts=[{"code": "two", "percent": "50", "periods": 2}],
    )
    assert [item.total for item in close(result, "2026-07-01T00:00:00Z", standing)] == ["60.00", "60.00", "120.00"]


def test_a_trial_that_a_later_version_gives_or_ends_is_its_own() -> None:
    result = second(shelf(trial_end="2026-01-16"), published="2026-01-10T00:00:00Z", trial_end="2026-01-23")
    (january,) = close(result, "2026-02-01T00:00:00Z")
    assert january.total == "34.84"  # 9 of 31 days
    result = second(shelf(trial_end="2026-01-16"), published="2026-01-11T00:00:00Z", trial_end="2026-01-01")
    assert close(result, "2026-02-01T00:00:00Z")[0].total == "81.29"  # 21 of 31 days


def test_an_anchor_begins_the_periods_after_its_change_at() -> None:
    result = second(shelf(), change_at="2026-03-10", billing_anchor="2026-03-15")
    periods = [rfc3339(item.period_end)[:10] for item in close(result, "2026-06-01T00:00:00Z")]
    assert periods == ["2026-02-01", "2026-03-01", "2026-04-01", "2026-04-15", "2026-05-15"]


def test_the_newest_version_alone_tells_start_and_end() -> None:
    result = second(shelf(), change_at="2027-01-01", end="2026-02-15")
    assert [item.total for item in close(result, "2026-06-01T00:00:00Z")] == ["120.00", "60.00"]


def test_a_document_that_keeps_an_old_change_at_may_agree_further_terms() -> None:
    item = Shelf()
    item.add("product", {"code": "fee", "kind": "flat"})
    for code, amount in (("basic", "120"), ("pro", "200")):
        charges = [{"product": "fee", "price": {"model": "flat", "amount": amount}}]
        item.add("plan", {"code": code, "currency": "USD", "grace_seconds": 0, "charges": charges})
    item.add("account", {"code": "acme"})
    item.add("subscription", BODY)
    pro = {"plan": "pro", "change_at": "2026-03-01"}
    second(item, **pro)
    standing = StandingInvoices()
    close(item, "2026-04-01T00:00:00Z", standing)
    second(item, published="2026-04-10T00:00:00Z", **pro, discounts=[{"code": "half", "percent": "50"}])
    assert [result.total for result in close(item, "2026-05-01T00:00:00Z", standing)] == ["100.00"]


def found_in(expected: Shelf, invoices: list[Invoice]) -> list[str]:
    findings = Findings()
    for invoice in invoices:
        check_terms(expected.view(), invoices, invoice, invoice.invoice_id, findings)
    return [str(difference) for difference in findings.differences()]


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (
            {"minimum_commitment": "1000"}, {"minimum_commitment": "2000"},
            ["commitment: expected 1000, found 2000", "commitment: expected 1000, found 2000"],
        ),
        (
            {}, {"discounts": [{"code": "half", "percent": "50"}]},
            ["discounts: expected none, found half 50 %", "discounts: expected none, found half 50 %"],
        ),
    ],
)  # fmt: skip
def test_verification_tells_invoices_that_were_billed_by_terms_of_another_time(
    before: Any, after: Any, told: list[str]
) -> None:
    """As they were while ``change_at`` did not count for terms: the newest version's for all time."""
    faulty = close(shelf(**before | after), "2026-03-02T00:00:00Z")
    result = second(shelf(**before), change_at="2027-01-01", **after)
    assert found_in(result, close(result, "2026-03-02T00:00:00Z")) == []
    (january, february) = found_in(result, faulty)
    assert [told[0] in january, told[1] in february] == [True, True]
    assert "billed by an older rule" in january
    assert "`weir invoice void`" in january
    standing = StandingInvoices()  # the remedy
    for item in faulty:
        assert standing.apply(item)
    for item in faulty[::-1]:
        void = voided(standing.chain("air", "s"), item, "terms of another time", "me", 0)
        assert void is not None
        assert standing.apply(void)
    repeated_close = close(result, "2026-03-02T00:00:00Z", standing)
    assert [item.total for item in repeated_close] == [item.total for item in close(result, "2026-03-02T00:00:00Z")]
    assert found_in(result, standing.chain("air", "s")) == []
