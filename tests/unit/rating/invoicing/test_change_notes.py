"""Credit notes beside a change of plan within a year that was billed in advance."""

from __future__ import annotations

from decimal import Decimal

import pytest
from msgspec.structs import replace

from rating.invoices.credit_notes import LineCredit, NewCreditNote, with_credit_note
from rating.invoices.ledger import StandingInvoices
from rating.invoices.transitions import ChangeRefused
from schemas.ledgers.invoice_record import Invoice
from tests.unit.rating.builders import us
from tests.unit.rating.invoicing.change_builders import BASE, catalog, close, last, move
from tests.unit.rating.verify.builders import verified


def test_a_settlement_of_two_invoices_takes_back_of_each_what_its_credit_notes_had_credited() -> None:
    """A discount of half falls with what is credited: of both fees together, and not once for each."""
    result, standing = catalog(discounts=[{"code": "half", "percent": "50"}]), StandingInvoices()
    close(result, standing, "2026-01-01")
    credit(standing, "2026-02-01", "182.5")
    move(result, "pro", "2026-05-01")
    close(result, standing, "2026-05-01")
    credit(standing, "2026-05-02", "60")
    result.add(
        "subscription", BASE | {"plan": "pro", "change_at": "2026-05-01T00:00:00Z", "end": "2026-03-02T00:00:00Z"}
    )
    assert close(result, standing, "2026-05-03") == [
        [
            "adjustment discount:half 26-01-01..26-03-02 275.00",
            "adjustment seat 26-01-01..27-01-01 -60.00",
            "adjustment seat 26-05-01..27-01-01 -490.00",
            "adjustment credit_note:seat 26-01-01..27-01-01 30.00",
            "adjustment credit_note:seat 26-05-01..27-01-01 60.00",
        ]
    ]
    assert verified(standing.chain("air", "s"), result.catalog) == []


def credit(standing: StandingInvoices, at: str, amount: str) -> None:
    """Line 1 of the last invoice."""
    note = NewCreditNote("n", None, "sorry", "me", us(f"{at}T00:00:00Z"), (LineCredit(1, Decimal(amount)),))
    following = with_credit_note(last(standing), note, standing.chain("air", "s"))
    assert following is not None
    assert standing.apply(replace(following, claim_id=at))


@pytest.mark.parametrize(
    ("discount", "left"), [({"percent": "50"}, "126.00"), ({"amount": "500"}, "0.00"), (None, "252.00")]
)
def test_after_a_downgrade_at_a_discount_no_more_of_the_opening_invoice_is_credited_than_the_discount_left(
    discount: dict[str, str] | None, left: str
) -> None:
    """Of 766.50 four months stay: 252, of which a discount agreed with the change is off, too."""
    found, standing = catalog(), StandingInvoices()
    found.add("subscription", BASE | {"plan": "plus"})
    close(found, standing, "2026-01-01")
    opening = last(standing)
    move(found, "basic", "2026-05-01", discounts=[{"code": "d"} | discount] if discount else [])
    close(found, standing, "2026-05-01")
    note = NewCreditNote("n", Decimal("253"), "sorry", "me", us("2026-05-02T00:00:00Z"))
    with pytest.raises(ChangeRefused, match=f"of which {left} are not credited"):
        with_credit_note(opening, note, standing.chain("air", "s"))


def test_after_an_upgrade_what_is_left_of_the_opening_invoice_can_be_credited() -> None:
    """Of 365 at half price four months stay: 120, of which 60 were asked for. That the discount of the other 245 came
    back stands on the invoice of the change alone, within its own discount."""
    found, standing = catalog(discounts=[{"code": "half", "percent": "50"}]), StandingInvoices()
    close(found, standing, "2026-01-01")
    opening = last(standing)
    move(found, "pro", "2026-05-01")
    close(found, standing, "2026-05-01")
    chain = standing.chain("air", "s")

    def note(amount: str) -> Invoice | None:
        lines = (LineCredit(1, Decimal(amount)),)
        return with_credit_note(
            opening, NewCreditNote("n", None, "sorry", "me", us("2026-05-02T00:00:00Z"), lines), chain
        )

    with pytest.raises(ChangeRefused, match=r"of which 60\.00 are not credited"):
        note("60.01")
    credited = note("60")
    assert credited is not None
    assert standing.apply(replace(credited, claim_id="n"))
    close(found, standing, "2027-01-01")
    assert verified(standing.chain("air", "s"), found.catalog) == []
    net = sum(Decimal(one.total) for one in standing.chain("air", "s") if one.period_start < us("2026-12-31T00:00:00Z"))
    assert net - 60 == Decimal("245.00") + Decimal("365.00")  # May to December, and the next year of 730 at half price
