"""Void invoices: their periods are billed again, whoever counted on one loses to the void record, and payments add up.
No usage."""

from __future__ import annotations

import json
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from rating.invoices.chain import billed_up_to, periods_to_reissue
from rating.invoices.credit_notes import NewCreditNote, with_credit_note
from rating.invoices.ledger import StandingInvoices
from rating.invoices.transitions import ChangeRefused, NewPayment, amount_due, amount_paid, voided, with_payment
from rating.invoicing.run_plan import build_invoices, make_plan
from rating.verify.chains import Head, check_chains
from rating.verify.difference import Findings
from schemas.ledgers.checkpoints import Run
from schemas.ledgers.invoice_record import Invoice, body_of, encode_invoice
from tests.unit.rating.builders import Shelf, invoice_of, us

DAY = 86_400 * 10**6
START = us("2024-01-01T00:00:00Z")
SUBSCRIPTION = {"code": "s", "account": "acme", "plan": "basic", "start": "2024-01-01T00:00:00Z"}


def catalog(**subscription: Any) -> Shelf:
    shelf = Shelf()
    for product in ("seat", "support"):
        shelf.add("product", {"code": product, "kind": "flat"})
    charges = [
        {"product": "seat", "price": {"model": "flat", "amount": "30"}, "in_advance": True},
        {"product": "support", "price": {"model": "flat", "amount": "10"}},
    ]
    shelf.add("plan", {"code": "basic", "currency": "USD", "grace_seconds": 0, "charges": charges})
    shelf.add("account", {"code": "acme"})
    shelf.add("subscription", SUBSCRIPTION | subscription)
    return shelf


def planned(expected: Shelf, standing: StandingInvoices, at_us: int) -> list[Invoice]:
    plan = make_plan(expected.view(), standing, at_us, {})
    invoices, problems = build_invoices(plan, {}, Run("run", 1, 0, 0, {}))
    assert (plan.problems, problems) == ((), ())
    return list(invoices)


def close(expected: Shelf, standing: StandingInvoices, at_us: int) -> list[Invoice]:
    invoices = planned(expected, standing, at_us)
    assert all(standing.apply(invoice) for invoice in invoices)
    return invoices


def make_void(standing: StandingInvoices, name: str) -> Invoice:
    chain = standing.chain("air", "s")
    void = voided(chain, next(item for item in chain if item.invoice_id == name), "wrong", "me", 0)
    assert void is not None
    assert standing.apply(void)
    return void


def billed(standing: StandingInvoices) -> Decimal:
    chain = standing.chain("air", "s")
    return sum((Decimal(item.total) for item in chain if item.state != "void"), Decimal(0))


def differences(standing: StandingInvoices) -> list[str]:
    findings = Findings()
    heads = [
        Head(
            "air", item.invoice_id, item.version, item.predecessor, item.subscription, item.sequence, item.account_id,
            item.period_start, item.period_end, 1, 0, item.state, item.currency, item.body, Decimal(item.total),
        )
        for item in standing.chain("air", "s")
    ]  # fmt: skip
    check_chains(heads, findings)
    return [str(difference) for difference in findings.differences()]


def test_a_void_period_is_billed_again_by_the_next_close_and_the_chain_goes_on() -> None:
    result, standing = catalog(), StandingInvoices()
    opening, january, february = close(result, standing, us("2024-03-01T00:00:00Z"))
    make_void(standing, january.invoice_id)
    repeated_close, march = close(result, standing, us("2024-04-01T00:00:00Z"))
    assert (repeated_close.period_start, repeated_close.period_end) == (january.period_start, january.period_end)
    assert (repeated_close.predecessor, repeated_close.sequence) == (february.invoice_id, january.sequence + 1)
    assert (
        [line.amount for line in repeated_close.lines] == [line.amount for line in january.lines] == ["10.00", "30.00"]
    )
    assert body_of(repeated_close).reissues == january.invoice_id
    assert (march.predecessor, march.sequence) == (repeated_close.invoice_id, 0)
    assert march.period_start == february.period_end
    assert close(result, standing, us("2024-04-01T00:00:00Z")) == []
    assert differences(standing) == []
    assert opening.state == "finalized"


@given(
    st.lists(st.tuples(st.integers(1, 150), st.integers(0, 9)), max_size=6),
    st.lists(st.integers(1, 150), max_size=6),
    st.integers(1, 130),
)
def test_whatever_is_voided_when_the_chain_comes_to_what_is_owed(
    voids: list[tuple[int, int]], closes: list[int], end: int
) -> None:
    result, standing = catalog(), StandingInvoices()
    for today in sorted({*closes, *(day for day, _ in voids)}):
        if today >= end - 20:
            result.add("subscription", SUBSCRIPTION | {"end": f"{_date(end)}T00:00:00Z"})
        if today in closes:
            close(result, standing, START + today * DAY)
        for day, void in voids:
            chain = standing.chain("air", "s")
            if day == today and chain:
                try:
                    make_void(standing, chain[void % len(chain)].invoice_id)
                except (ChangeRefused, AssertionError):
                    continue  # it is adjusted by another, or void already
    result.add("subscription", SUBSCRIPTION | {"end": f"{_date(end)}T00:00:00Z"})
    while close(result, standing, START + 200 * DAY):
        pass
    anew = StandingInvoices()
    close(result, anew, START + 200 * DAY)
    assert billed(standing) == billed(anew)
    assert list(periods_to_reissue(standing.chain("air", "s"))) == []
    assert differences(standing) == []


def _date(day: int) -> str:
    return (date(2024, 1, 1) + timedelta(days=day)).isoformat()


def test_an_invoice_that_counts_on_one_that_was_voided_meanwhile_is_void_and_the_other_way_round() -> None:
    result, standing = catalog(), StandingInvoices()
    january = close(result, standing, us("2024-02-01T00:00:00Z"))[-1]
    (february,) = planned(result, standing, us("2024-03-01T00:00:00Z"))
    chain = standing.chain("air", "s")
    void = voided(chain, january, "wrong", "me", 0)
    assert void is not None
    assert standing.apply(void)
    assert not standing.apply(february)
    second_invoices = StandingInvoices()
    assert all(second_invoices.apply(item) for item in [*chain, february])
    assert not second_invoices.apply(void)
    assert not second_invoices.apply(replace(void, body="{}"))
    # Whoever was first in between decides which of both records stands; the other one asks again.
    assert [item.period_start for item in close(result, standing, us("2024-03-01T00:00:00Z"))] == [
        january.period_start, february.period_start,
    ]  # fmt: skip


def test_an_invoice_that_another_adjusts_waits_for_that_one() -> None:
    result, standing = catalog(), StandingInvoices()
    january = close(result, standing, us("2024-02-01T00:00:00Z"))[-1]
    result.add("subscription", SUBSCRIPTION | {"end": "2024-02-10T00:00:00Z"})
    (last_close,) = close(result, standing, us("2024-02-10T00:00:00Z"))
    previous_billed = billed(standing)
    with pytest.raises(ChangeRefused, match=rf"is adjusted by {last_close.invoice_id}; void that one first"):
        make_void(standing, january.invoice_id)
    make_void(standing, last_close.invoice_id)
    make_void(standing, january.invoice_id)
    repeated_close = close(result, standing, us("2024-02-11T00:00:00Z"))
    assert [item.lines[0].amount for item in repeated_close] == ["10.00", "3.10"]
    assert billed(standing) == previous_billed


def test_late_usage_counts_from_the_last_invoice_before_which_none_was_voided_since() -> None:
    def one(name: str, number: int, state: str = "finalized", **body: Any) -> Invoice:
        return invoice_of(invoice_id=name, checkpoint=number, state=state, body=json.dumps(body))

    chain = [one("a", 3), one("b", 5), one("c", 8)]
    assert billed_up_to(chain) == 8
    assert billed_up_to([chain[0], one("b", 5, "void"), chain[2]]) == 3
    assert billed_up_to([chain[0], one("b", 5, "void"), chain[2], one("d", 9, voids=["b"])]) == 9
    assert billed_up_to([one("a", 3, "void")]) == 0


INVOICE = invoice_of(total="30.00", body=json.dumps({"subtotal": "30.00"}))


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.decimals(-40, 40, places=2)), max_size=12))
def test_payments_are_recorded_once_never_over_the_total_nor_below_zero(asked: list[tuple[str, Decimal]]) -> None:
    invoice: Invoice = INVOICE
    standing = StandingInvoices()
    assert standing.apply(invoice)
    recorded: dict[str, Decimal] = {}
    for reference, amount in asked:
        try:
            following = with_payment(invoice, NewPayment(reference, amount, 0, "me"))
        except ChangeRefused:
            continue
        if following is None:
            assert recorded[reference] == amount
            continue
        assert reference not in recorded
        assert standing.apply(following)
        recorded[reference] = amount
        invoice = following
    payments = body_of(invoice).payments
    paid = sum(recorded.values(), Decimal(0))
    assert 0 <= paid <= 30
    assert amount_paid(payments) == paid
    assert amount_due(invoice.state, Decimal(invoice.total), body_of(invoice)) == 30 - paid
    assert (invoice.state == "paid") == (paid == 30)
    assert body_of(invoice).subtotal == "30.00"
    if paid:
        with pytest.raises(ChangeRefused, match="record what is paid back"):
            voided([invoice], invoice, "wrong", "me", 0)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 99), st.decimals(-5, 40, places=2)), max_size=12))
def test_credit_notes_never_exceed_the_total_and_an_invoice_is_paid_once_nothing_is_left(
    asked: list[tuple[bool, int, Decimal]],
) -> None:
    invoice: Invoice = INVOICE
    for is_note, reference, amount in asked:
        try:
            if is_note:
                following = with_credit_note(invoice, NewCreditNote(str(reference), amount, "too much", "me", 0))
            else:
                following = with_payment(invoice, NewPayment(str(reference), amount, 0, "me"))
        except ChangeRefused:
            continue
        invoice = following or invoice
    body = body_of(invoice)
    credited, paid = amount_paid(body.credit_notes), amount_paid(body.payments)
    assert 0 <= credited <= 30
    assert 0 <= paid <= 30
    assert amount_due(invoice.state, Decimal(30), body) == max(30 - credited - paid, Decimal(0))
    assert (invoice.state == "paid") == (credited + paid >= 30)
    assert [credit_note["number"] for credit_note in body.credit_notes] == list(range(1, len(body.credit_notes) + 1))
    if credited:
        with pytest.raises(ChangeRefused, match="credit the rest"):
            voided([invoice], invoice, "wrong", "me", 0)


def test_a_credit_note_is_made_once_and_says_what_fits() -> None:
    note = NewCreditNote("c1", Decimal("10.50"), "too much", "me", 0)
    credited = with_credit_note(INVOICE, note)
    assert credited is not None
    assert with_credit_note(credited, note) is None
    for wrong, text in (
        (NewCreditNote("c1", Decimal(1), "", "me", 0), "needs another reference"),
        (NewCreditNote("c2", Decimal("19.51"), "", "me", 0), "of which 19.50 are not credited"),
        (NewCreditNote("c2", Decimal(0), "", "me", 0), "more than 0"),
    ):
        with pytest.raises(ChangeRefused, match=text):
            with_credit_note(credited, wrong)


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("30.01", "more than the 30.00 due"),
        ("1.005", "more than the 2 decimal places"),
        ("0", "never 0"),
        ("-1", "at most what was paid"),
    ],
)
def test_a_payment_that_cannot_be_says_why(amount: str, text: str) -> None:
    with pytest.raises(ChangeRefused, match=text):
        with_payment(INVOICE, NewPayment("r", Decimal(amount), 0, "me"))


def test_a_fold_of_one_namespace_has_what_the_whole_log_says_of_it() -> None:
    """Also where names of namespaces are parts of each other, or stand in others' records."""
    month = 31 * DAY
    log = [
        replace(item, namespace=owner)
        for item in close(catalog(), StandingInvoices(), START + month)
        for owner in ("air", "ai", "r")
    ]
    log[-1] = replace(log[-1], plan="air")
    encoded = [encode_invoice(item) for item in log]
    full_invoices = StandingInvoices()
    accepted_apply_byteses = [full_invoices.apply_bytes(item) for item in encoded]
    assert all(accepted_apply_byteses)
    assert full_invoices.namespaces() == ["ai", "air", "r"]
    for owner in full_invoices.namespaces():
        alone = StandingInvoices(owner)
        accepted_apply_byteses = [alone.apply_bytes(item) for item in encoded]
        assert any(accepted_apply_byteses)
        assert alone.invoices(owner) == full_invoices.invoices(owner) != []
        assert alone.chain(owner, "s") == full_invoices.chain(owner, "s")
    assert not any(StandingInvoices("other").apply_bytes(item) for item in encoded)
