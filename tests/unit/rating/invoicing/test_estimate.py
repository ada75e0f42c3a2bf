"""The running period as its invoice will be: fees in advance settled, prepaid credits drawn, the time and the plan of
what it bills."""

from __future__ import annotations

import json
from typing import Any

from msgspec.structs import replace as changed

from rating.invoices.amounts.line_plans import LinePlan, plan_in
from rating.invoices.ledger import StandingInvoices
from rating.invoices.stored_invoice import StoredInvoiceHead, StoredInvoiceLine, WholeInvoice, service_span
from schemas.ledgers.invoice_record import Line, body_of
from tests.unit.rating.builders import Shelf, invoice_of, line_of, stored, us
from tests.unit.rating.invoicing.builders import amounts_of, close, estimates

BASE = {"code": "s", "account": "acme", "plan": "basic", "start": "2024-01-01T00:00:00Z"}


def catalog(*grants: dict[str, Any], **subscription: Any) -> Shelf:
    """payg has a fee in arrears alone, basic 30 and team 60 in advance; months in UTC, without grace."""
    shelf = Shelf()
    for product in ("seat", "support"):
        shelf.add("product", {"code": product, "kind": "flat"})
    for code, fees in {
        "payg": [("support", "10", False)],
        "basic": [("seat", "30", True), ("support", "10", False)],
        "team": [("seat", "60", True)],
    }.items():
        charges = [
            {"product": name, "price": {"model": "flat", "amount": amount}, "in_advance": ahead}
            for name, amount, ahead in fees
        ]
        shelf.add("plan", {"code": code, "currency": "USD", "grace_seconds": 0, "charges": charges})
    shelf.add("account", {"code": "acme"})
    shelf.add("subscription", BASE | subscription)
    for grant in grants:
        shelf.add("credit_grant", {"account": "acme", "currency": "USD"} | grant)
    return shelf


def estimated(expected: Shelf, standing: StandingInvoices, at: str) -> tuple[str, str]:
    """(subtotal, total) of the subscription's period that ``at`` lies in."""
    (values,) = estimates(expected, standing, us(at)).values()
    return amounts_of(values)


def test_the_estimate_settles_what_was_billed_in_advance_as_the_invoice_will() -> None:
    result, standing = catalog(), StandingInvoices()
    close(result, standing, "2024-02-01T00:00:00Z")
    result.add("subscription", BASE | {"plan": "team", "change_at": "2024-02-15T00:00:00Z"})
    expected = estimated(result, standing, "2024-02-20T00:00:00Z")
    (february,) = close(result, standing, "2024-03-01T00:00:00Z")
    assert expected == amounts_of(february)
    assert any(line.kind == "adjustment" for line in february.lines)


def test_the_estimate_has_what_the_terms_of_its_period_leave_beside_the_fee_in_advance() -> None:
    terms: dict[str, Any] = {"discounts": [{"code": "off", "amount": "35"}], "minimum_commitment": "100"}
    result, standing = catalog(**terms), StandingInvoices()
    close(result, standing, "2024-01-01T00:00:00Z")
    expected = estimated(result, standing, "2024-01-20T00:00:00Z")
    (january,) = close(result, standing, "2024-02-01T00:00:00Z")
    assert (
        expected == amounts_of(january) == ("100.00", "100.00")
    )  # 10 − 5, 95 to the commitment, and a seat of 30 − 30


def test_fees_that_an_invoice_to_come_bills_first_are_not_the_running_periods() -> None:
    result = catalog()
    (january,) = estimates(result, StandingInvoices(), us("2024-01-20T00:00:00Z")).values()
    starts = [(line.charge, line.period_start) for line in january.lines]
    assert starts == [("support", us("2024-01-01T00:00:00Z")), ("seat", us("2024-02-01T00:00:00Z"))]


def test_prepaid_credits_pay_the_estimate_as_they_pay_the_invoice() -> None:
    result, standing = (
        catalog({"code": "a", "amount": "12"}, {"code": "b", "amount": "100"}, plan="payg"),
        StandingInvoices(),
    )
    assert estimated(result, standing, "2024-01-20T00:00:00Z") == ("10.00", "0.00")
    (january,) = close(result, standing, "2024-02-01T00:00:00Z")
    assert amounts_of(january) == ("10.00", "0.00")


def test_periods_that_ended_and_are_not_billed_yet_use_up_a_discounts_periods() -> None:
    """Each month begins so, while the one before it is within grace."""
    off = [{"code": "off", "percent": "50", "periods": 1}]
    for plan, fees in (("payg", "10.00"), ("basic", "40.00")):
        result, standing = catalog(plan=plan, discounts=off), StandingInvoices()
        expected = estimated(result, standing, "2024-03-02T00:00:00Z")
        march = close(result, standing, "2024-04-01T00:00:00Z")[-1]
        assert expected == amounts_of(march) == (fees, fees)


def test_running_periods_draw_on_the_same_credits_once_in_the_order_in_which_they_are_billed() -> None:
    result = catalog({"code": "a", "amount": "15"}, plan="payg")
    later = BASE | {"code": "later", "plan": "payg", "billing_anchor": "2024-01-15T00:00:00Z"}
    for item in (later, BASE | {"code": "r", "plan": "payg"}, BASE | {"code": "t", "plan": "payg"}):
        result.add("subscription", item)
    bills = estimates(result, StandingInvoices(), us("2024-01-10T00:00:00Z"))
    assert {name: bill.total for name, bill in bills.items()} == {
        "later": "0.00",
        "s": "0.00",
        "r": "9.52",
        "t": "10.00",
    }


def test_a_line_names_the_plan_that_it_was_priced_by() -> None:
    result, standing = catalog(plan="payg"), StandingInvoices()
    close(result, standing, "2024-01-01T00:00:00Z")
    result.add("subscription", BASE | {"plan": "team", "change_at": "2024-01-16T00:00:00Z"})
    opening, january = close(result, standing, "2024-02-01T00:00:00Z")
    (fee,) = opening.lines  # of the second half of January, by an invoice of its own at the start
    assert (opening.plan, plan_in(opening, fee)) == ("payg", LinePlan("team", 1))
    assert (january.plan, january.plan_version) == ("team", 1)
    assert [(line.charge, plan_in(january, line)) for line in january.lines] == [
        ("support", LinePlan("payg", 1)),
        ("seat", LinePlan("team", 1)),
    ]
    # What is as its invoice says is written nowhere else, and the record is the contract's.
    assert json.loads(january.body)["line_plans"] == {"1": {"plan": "payg", "plan_version": 1}}
    assert stored(january) == january
    # What adjusts a line is of that line's plan.
    result.add("subscription", BASE | {"plan": "payg", "change_at": "2024-02-10T00:00:00Z"})
    (february,) = close(result, standing, "2024-03-01T00:00:00Z")
    adjusting = [line for line in february.lines if line.kind == "adjustment"]
    assert [plan_in(february, line) for line in adjusting] == [LinePlan("team", 1)]
    assert february.plan == "payg"


def test_an_invoice_of_before_tells_the_plan_in_its_note() -> None:
    invoice = invoice_of(plan="team", plan_version=2)

    def line(note: str, kind: str = "usage") -> Line:
        return line_of(number=1, kind=kind, note=note)

    assert plan_in(invoice, line("plan payg version 12; no usage in the period")) == LinePlan("payg", 12)
    assert plan_in(invoice, line("plan payg version 12")) == LinePlan("payg", 12)
    for second_item in (line(""), line("plan payg version 12 or so"), line("plan payg version 12", "adjustment")):
        assert plan_in(invoice, second_item) == LinePlan("team", 2)


def test_an_invoice_over_no_time_is_shown_with_the_dates_of_its_fees() -> None:
    result, standing = catalog(plan="payg"), StandingInvoices()
    result.add("subscription", BASE | {"plan": "team", "change_at": "2024-01-16T00:00:00Z"})
    invoices = close(result, standing, "2024-02-01T00:00:00Z")
    empty = [invoice for invoice in invoices if invoice.period_start == invoice.period_end]
    assert len(empty) == 1
    for item in empty:
        span = service_span(item.period_start, item.period_end, item.lines)
        assert span == (
            min(line.period_start for line in item.lines),
            max(line.period_end for line in item.lines),
        )
        assert span[0] < span[1]
    full_invoice = next(invoice for invoice in invoices if invoice not in empty)
    bounds = full_invoice.period_start, full_invoice.period_end
    assert service_span(*bounds, full_invoice.lines) == bounds
    fee = line_of(kind="flat", period_start=5, period_end=9)
    discount = line_of(kind="discount", period_start=1, period_end=1)
    assert service_span(1, 1, [fee, discount]) == (5, 9)
    assert service_span(1, 1, [discount]) == (1, 1)


def test_an_invoice_as_it_was_read_is_a_record_again() -> None:
    result, standing = catalog(), StandingInvoices()
    (opening,) = close(result, standing, "2024-01-01T00:00:00Z")
    head = StoredInvoiceHead(
        opening.namespace, opening.invoice_id, 1, opening.predecessor, "s", opening.sequence, "acme", "basic", 1,
        opening.period_start, opening.period_end, opening.time_zone, "run", 1, 0, 0, "finalized", "USD", opening.total,
        "30.00", None, body_of(opening),
    )  # fmt: skip
    (line,) = opening.lines
    read = StoredInvoiceLine(
        1, "flat", "seat", "seat", line.description, "", (), line.period_start, line.period_end, None, None, "",
        json.loads(line.price), line.amount, line.unrounded, json.loads(line.steps), "", "",
    )  # fmt: skip
    record = WholeInvoice(head, (read,)).record()
    assert changed(opening, claim_id="", lines=(), body="") == changed(record, lines=(), body="")
    assert json.loads(record.body) == json.loads(opening.body)
    assert changed(record.lines[0], steps="") == changed(line, steps="")
