"""Projections to a period's end, and trends."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rating.api.usage.projection import at_end, invoice_before, percent, shown, trend
from rating.invoices.stored_invoice import StoredInvoiceHead, StoredInvoiceLine, WholeInvoice
from rating.invoicing.charges import Need
from rating.usage import Measured, Usage, UsageGroup


def need(aggregation: Any, end: int = 100) -> Need:
    return Need(Measured("m.p", aggregation, ((1, 60),)), 0, end)


def row(quantity: str | None, events: int = 3) -> UsageGroup:
    return UsageGroup(Usage(None if quantity is None else Decimal(quantity), events))


@pytest.mark.parametrize(
    ("aggregation", "now", "quantity", "expected"),
    [
        ("sum", 25, "10", ("40", 12)),
        ("sum", 30, "1", ("3.333333333333", 10)),
        ("sum", 50, "-2.5", ("-5.0", 6)),
        ("count", 30, "1", ("3", 10)),
        ("count", 40, "1", ("3", 8)),  # 2.5 rounds away from zero
        ("count_unique", 25, "10", ("10", 3)),
        ("max", 25, "10", ("10", 3)),
        ("latest", 25, None, (None, 3)),
        ("sum", 0, "10", ("10", 3)),  # not begun, or over: as it is
        ("sum", 100, "10", ("10", 3)),
    ],
)
def test_sums_and_counts_go_on_as_they_did_and_others_stay(
    aggregation: str, now: int, quantity: str | None, expected: tuple[str | None, int]
) -> None:
    (value,) = at_end(need(aggregation), [row(quantity)], now) or []
    assert value.usage == Usage(None if expected[0] is None else Decimal(expected[0]), expected[1])


def test_a_flat_charge_has_no_usage_to_project_and_none_stays_none() -> None:
    assert at_end(None, None, 5) is None
    assert at_end(need("sum"), None, 5) == []


@given(st.decimals(0, 10**20, places=6), st.integers(1, 99))
def test_a_projected_sum_is_never_less_than_what_is_there(quantity: Decimal, now: int) -> None:
    (value,) = at_end(need("sum"), [UsageGroup(Usage(quantity, 1))], now) or []
    assert value.usage.quantity is not None
    assert value.usage.quantity >= quantity
    assert abs(value.usage.quantity * now - quantity * 100) <= Decimal("0.0000000001")


def test_a_trend_compares_with_the_same_charge_of_the_last_invoice() -> None:
    head = StoredInvoiceHead(
        "s", "inv_1", 1, "", "sub", 0, "a", "p", 1, 0, 100, "UTC", "run", 1, 1, 1, "finalized", "USD", "5.00", "5.00"
    )

    def line(charge: str, kind: str, amount: str) -> StoredInvoiceLine:
        return StoredInvoiceLine(
            1, kind, charge, "", "", "m.p", (1,), 0, 100, Decimal(4), 2, "", {}, amount, amount, (), "", ""
        )

    full_invoice = WholeInvoice(
        head,
        (
            line("calls", "usage", "4.00"),
            line("calls", "adjustment", "1.00"),
            line("two", "flat", "1"),
            line("two", "flat", "1"),
        ),
    )
    result = trend(full_invoice, "calls", Decimal("5"))
    assert result == {"invoice_id": "inv_1", "quantity": "4", "amount": "4.00", "change_percent": "25.0"}
    assert shown({"trend": result}) == "4.00 (+25.0 %)"
    assert trend(full_invoice, "two", Decimal(1)) is None  # two parts of a period are no one number
    assert trend(None, "calls", Decimal(1)) is None
    assert shown({"trend": None}) == ""
    assert (percent(Decimal(0), Decimal(1)), percent(Decimal(-2), Decimal(-3))) == (None, "-50.0")


def test_the_period_before_is_the_one_directly_before_and_no_older_one() -> None:
    def invoice(
        name: str, end: int, kind: str = "usage", length: int = 9, of: str = "sub", state: str = "paid"
    ) -> WholeInvoice:
        head = StoredInvoiceHead(
            "s", name, 1, "", of, 0, "a", "p", 1, end - length, end, "UTC", "run", 1, 1, 1, state, "USD", "1", "1"
        )
        line = StoredInvoiceLine(1, kind, "c", "", "", "", (), 0, 1, None, None, "", {}, "1", "1", (), "", "")
        return WholeInvoice(head, (line,))

    recent = [
        invoice("void", 100, length=2, state="void"),
        invoice("another's", 100, length=2, of="another"),
        invoice("late", 200),
        invoice("opening", 100, length=0),
        invoice("adjusting", 100, "adjustment"),
        invoice("good", 100),
        invoice("old", 90),
    ]
    result = invoice_before(recent, "sub", 100)
    assert result is not None
    assert result.head.invoice_id == "good"
    assert invoice_before(recent, "sub", 150) is None  # years may lie between: it is no last period
    assert invoice_before(recent, "sub", 50) is None
