"""The running period as its invoice will be: fees in advance settled, prepaid credits drawn, the time and the plan of what it bills."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from shelfkit import Shelf, us

from rating.close.charges import ChargeBook
from rating.close.credits import Wallet, owned_grants
from rating.close.due import current_span
from rating.close.expected import drawn_by, expected_billing, expected_lines
from rating.close.line_plans import LinePlan, plan_in
from rating.close.lines import line_of, rate_items
from rating.close.plan import build_invoices, make_plan
from rating.close.standing import Invoice, Standing
from rating.close.timeline import timeline
from rating.invoices import InvoiceHead, InvoiceLine, WholeInvoice, service_span
from schemas.checkpoints import Run
from schemas.codec import codec

BASE = {"code": "s", "account": "acme", "plan": "basic", "start": "2024-01-01T00:00:00Z"}


def catalog(*grants: dict[str, Any], **subscription: Any) -> Shelf:
    """payg has a fee in arrears alone, basic 30 and team 60 in advance; months in UTC, without grace."""
    found = Shelf()
    for product in ("seat", "support"):
        found.add("product", {"code": product, "kind": "flat"})
    for code, fees in {
        "payg": [("support", "10", False)],
        "basic": [("seat", "30", True), ("support", "10", False)],
        "team": [("seat", "60", True)],
    }.items():
        charges = [
            {"product": name, "price": {"model": "flat", "amount": amount}, "in_advance": ahead}
            for name, amount, ahead in fees
        ]
        found.add("plan", {"code": code, "currency": "USD", "grace_seconds": 0, "charges": charges})
    found.add("account", {"code": "acme"})
    found.add("subscription", BASE | subscription)
    for grant in grants:
        found.add("credit_grant", {"account": "acme", "currency": "USD"} | grant)
    return found


def close(found: Shelf, standing: Standing, as_of: str) -> list[Invoice]:
    plan = make_plan(found.view(), standing, us(as_of), {})
    assert plan.problems == ()
    invoices, problems = build_invoices(plan, {}, Run("run", 1, 0, 0, {}))
    assert problems == ()
    assert all(standing.apply(invoice) for invoice in invoices)
    return list(invoices)


def estimated(found: Shelf, standing: Standing, at: str) -> tuple[str, str]:
    """(subtotal, total) of the period that ``at`` lies in, as the API sums them."""
    view = found.view()
    line = timeline(view, "s")
    assert line is not None
    chain = standing.chain("air", "s")
    until = max((one["period_end"] for one in chain), default=None)
    here = current_span(line, until, us(at))
    assert here is not None
    span, after = here
    billing = expected_billing(ChargeBook(view), line, span, after, chain)
    charges = [line_of(rated) for rated in rate_items(billing.items, {}.get, "USD")]
    _, subtotal = expected_lines(billing, charges)
    grants = owned_grants(view)
    credits = drawn_by(Wallet(grants, {}), line, span, subtotal) if grants else []
    return str(subtotal), str(subtotal + total(credits))


def total(lines: Sequence[Any]) -> Decimal:
    return sum((Decimal(line["amount"]) for line in lines), Decimal(0))


def amounts_of(invoice: Invoice) -> tuple[str, str]:
    return json.loads(invoice["body"])["subtotal"], invoice["total"]


def test_the_estimate_settles_what_was_billed_in_advance_as_the_invoice_will() -> None:
    found, standing = catalog(), Standing()
    close(found, standing, "2024-02-01T00:00:00Z")
    found.add("subscription", BASE | {"plan": "team", "change_at": "2024-02-15T00:00:00Z"})
    expected = estimated(found, standing, "2024-02-20T00:00:00Z")
    (february,) = close(found, standing, "2024-03-01T00:00:00Z")
    assert expected == amounts_of(february)
    assert any(line["kind"] == "adjustment" for line in february["lines"])


def test_the_estimate_has_what_the_terms_of_its_period_leave_beside_the_fee_in_advance() -> None:
    terms: dict[str, Any] = {"discounts": [{"code": "off", "amount": "35"}], "minimum_commitment": "100"}
    found, standing = catalog(**terms), Standing()
    close(found, standing, "2024-01-01T00:00:00Z")
    expected = estimated(found, standing, "2024-01-20T00:00:00Z")
    (january,) = close(found, standing, "2024-02-01T00:00:00Z")
    assert (
        expected == amounts_of(january) == ("100.00", "100.00")
    )  # 10 − 5, 95 to the commitment, and a seat of 30 − 30


def test_fees_that_an_invoice_to_come_bills_first_are_not_the_running_periods() -> None:
    found = catalog()
    line = timeline(found.view(), "s")
    assert line is not None
    here = current_span(line, None, us("2024-01-20T00:00:00Z"))
    assert here is not None
    billing = expected_billing(ChargeBook(found.view()), line, *here, [])
    assert [(item.charge.key, item.start_us) for item in billing.items] == [
        ("support", here[0].start_us), ("seat", here[0].end_us),
    ]  # fmt: skip


def test_prepaid_credits_pay_the_estimate_as_they_pay_the_invoice() -> None:
    found, standing = catalog({"code": "a", "amount": "12"}, {"code": "b", "amount": "100"}, plan="payg"), Standing()
    assert estimated(found, standing, "2024-01-20T00:00:00Z") == ("10.00", "0.00")
    (january,) = close(found, standing, "2024-02-01T00:00:00Z")
    assert amounts_of(january) == ("10.00", "0.00")


def test_periods_that_ended_and_are_not_billed_yet_use_up_a_discounts_periods() -> None:
    """Each month begins so, while the one before it is within grace."""
    off = [{"code": "off", "percent": "50", "periods": 1}]
    for plan, fees in (("payg", "10.00"), ("basic", "40.00")):
        found, standing = catalog(plan=plan, discounts=off), Standing()
        expected = estimated(found, standing, "2024-03-02T00:00:00Z")
        march = close(found, standing, "2024-04-01T00:00:00Z")[-1]
        assert expected == amounts_of(march) == (fees, fees)


def test_two_running_periods_draw_on_the_same_credits_once() -> None:
    found = catalog({"code": "a", "amount": "15"}, plan="payg")
    wallet = Wallet(owned_grants(found.view()), {})
    line = timeline(found.view(), "s")
    assert line is not None
    here = current_span(line, None, us("2024-01-20T00:00:00Z"))
    assert here is not None
    drawn = [total(drawn_by(wallet, line, here[0], Decimal("10.00"))) for _ in range(3)]
    assert drawn == [Decimal("-10.00"), Decimal("-5.00"), Decimal(0)]


def test_a_line_names_the_plan_that_it_was_priced_by() -> None:
    found, standing = catalog(plan="payg"), Standing()
    close(found, standing, "2024-01-01T00:00:00Z")
    found.add("subscription", BASE | {"plan": "team", "change_at": "2024-01-16T00:00:00Z"})
    opening, january = close(found, standing, "2024-02-01T00:00:00Z")
    (fee,) = opening["lines"]  # of the second half of January, by an invoice of its own at the start
    assert (opening["plan"], plan_in(opening, fee)) == ("payg", LinePlan("team", 1))
    assert (january["plan"], january["plan_version"]) == ("team", 1)
    assert [(line["charge"], plan_in(january, line)) for line in january["lines"]] == [
        ("support", LinePlan("payg", 1)),
        ("seat", LinePlan("team", 1)),
    ]
    # What is as its invoice says is written nowhere else, and the record is the contract's.
    assert json.loads(january["body"])["line_plans"] == {"1": {"plan": "payg", "plan_version": 1}}
    assert codec("invoice").decode(codec("invoice").encode(january)) == january
    # What adjusts a line is of that line's plan.
    found.add("subscription", BASE | {"plan": "payg", "change_at": "2024-02-10T00:00:00Z"})
    (february,) = close(found, standing, "2024-03-01T00:00:00Z")
    adjusting = [line for line in february["lines"] if line["kind"] == "adjustment"]
    assert [plan_in(february, line) for line in adjusting] == [LinePlan("team", 1)]
    assert february["plan"] == "payg"


def test_an_invoice_of_before_tells_the_plan_in_its_note() -> None:
    invoice: Any = {"plan": "team", "plan_version": 2, "body": "{}"}

    def line(note: str, kind: str = "usage") -> dict[str, Any]:
        return {"number": 1, "kind": kind, "note": note}

    assert plan_in(invoice, line("plan payg version 12; no usage in the period")) == LinePlan("payg", 12)
    assert plan_in(invoice, line("plan payg version 12")) == LinePlan("payg", 12)
    for other in (line(""), line("plan payg version 12 or so"), line("plan payg version 12", "adjustment")):
        assert plan_in(invoice, other) == LinePlan("team", 2)


def test_an_invoice_over_no_time_is_shown_with_the_dates_of_its_fees() -> None:
    found, standing = catalog(plan="payg"), Standing()
    found.add("subscription", BASE | {"plan": "team", "change_at": "2024-01-16T00:00:00Z"})
    invoices = close(found, standing, "2024-02-01T00:00:00Z")
    empty = [one for one in invoices if one["period_start"] == one["period_end"]]
    assert len(empty) == 1
    for one in empty:
        span = service_span(one["period_start"], one["period_end"], one["lines"])
        assert span == (
            min(line["period_start"] for line in one["lines"]),
            max(line["period_end"] for line in one["lines"]),
        )
        assert span[0] < span[1]
    whole = next(one for one in invoices if one not in empty)
    bounds = whole["period_start"], whole["period_end"]
    assert service_span(*bounds, whole["lines"]) == bounds
    fee = {"kind": "flat", "period_start": 5, "period_end": 9}
    discount = {"kind": "discount", "period_start": 1, "period_end": 1}
    assert service_span(1, 1, [fee, discount]) == (5, 9)
    assert service_span(1, 1, [discount]) == (1, 1)


def test_an_invoice_as_it_was_read_is_a_record_again() -> None:
    found, standing = catalog(), Standing()
    (opening,) = close(found, standing, "2024-01-01T00:00:00Z")
    head = InvoiceHead(
        opening["namespace"], opening["invoice_id"], 1, opening["predecessor"], "s", opening["sequence"], "acme", "basic", 1,
        opening["period_start"], opening["period_end"], opening["time_zone"], "run", 1, 0, 0, "finalized", "USD", opening["total"],
        "30.00", None, json.loads(opening["body"]),
    )  # fmt: skip
    (line,) = opening["lines"]
    read = InvoiceLine(
        1, "flat", "seat", "seat", line["description"], "", (), line["period_start"], line["period_end"], None, None, "",
        json.loads(line["price"]), line["amount"], line["unrounded"], json.loads(line["steps"]), "", "",
    )  # fmt: skip
    record = WholeInvoice(head, (read,)).record()
    assert {name: value for name, value in opening.items() if name not in ("claim_id", "lines", "body")} == {
        name: value for name, value in record.items() if name not in ("lines", "body")
    }
    assert json.loads(record["body"]) == json.loads(opening["body"])
    assert {name: value for name, value in record["lines"][0].items() if name != "steps"} == {
        name: value for name, value in line.items() if name != "steps"
    }
