"""Credit notes by line: never more of a line than it billed, nor of the invoice than its total; numbers in a series of
their own."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from rating.invoices.credit_notes import LineCredit, NewCreditNote, credited, with_credit_note
from rating.invoices.numbering import notes_in_series, unnumbered_notes
from rating.invoices.transitions import ChangeRefused, amount_paid
from schemas.kafka.codec import codec
from schemas.ledgers.checkpoints import Checkpoints, numbers_record
from schemas.ledgers.invoice_record import Invoice, Line, body_of
from tests.unit.rating.builders import invoice_of, line_of


def line(number: int, amount: str, quantity: str = "") -> Line:
    return line_of(number=number, amount=amount, quantity=quantity, unit="u")


LINES = (line(1, "10.00", "3"), line(2, "5.00"), line(3, "-1.00"))
INVOICE = invoice_of(total="14.00", lines=LINES, body=json.dumps({"subtotal": "14.00"}))


def note(reference: str, *lines: LineCredit, amount: Decimal | None = None) -> NewCreditNote:
    return NewCreditNote(reference, amount, "too much", "me", 0, lines)


def made(invoice: Invoice, *notes: NewCreditNote) -> Invoice:
    for item in notes:
        following = with_credit_note(invoice, item)
        assert following is not None
        invoice = following
    return invoice


def test_a_quantity_is_credited_at_the_average_price_and_the_last_of_it_with_what_is_left() -> None:
    credit = LineCredit(1, quantity=Decimal(1))
    invoice = made(INVOICE, note("a", credit), note("b", credit), note("c", credit))
    notes = body_of(invoice).credit_notes
    assert [item["amount"] for item in notes] == ["3.33", "3.33", "3.34"]
    assert credited(notes, 1) == (Decimal("10.00"), Decimal(3))
    assert [item["tax_amount"] for item in notes] == [None] * 3
    with pytest.raises(ChangeRefused, match=r"0 of 3 are not credited"):
        with_credit_note(invoice, note("d", credit))
    assert with_credit_note(invoice, note("b", credit)) is None


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        (note("n", LineCredit(4, Decimal(1))), "has lines 1 to 3, no line 4"),
        (note("n", LineCredit(3, Decimal(1))), "bills -1.00 USD, of which nothing can be credited"),
        (note("n", LineCredit(2, Decimal("5.01"))), "5.00 of it are not credited"),
        (
            note("n", LineCredit(2, quantity=Decimal(1))),
            "0 of 0 are not credited; give more than 0 and at most that, or an amount",
        ),
        (note("n", LineCredit(1, quantity=Decimal("3.1"))), "3 of 3 are not credited"),
        (note("n", LineCredit(1, Decimal("0.005"))), "more than the 2 decimal places"),
        (note("n", LineCredit(1, Decimal(1)), LineCredit(1, Decimal(2))), "names a line twice"),
        (note("n", LineCredit(1, Decimal(10)), LineCredit(2, Decimal(5))), "of which 14.00 are not credited"),
        (note("old", amount=Decimal(2)), "needs another reference"),
    ],
)
def test_what_does_not_fit_says_why(asked: NewCreditNote, text: str) -> None:
    invoice = INVOICE
    if asked.reference == "old":
        invoice = made(INVOICE, note("old", LineCredit(1, Decimal(2))))
    with pytest.raises(ChangeRefused, match=text):
        with_credit_note(invoice, asked)


AMOUNTS = st.decimals("0.01", 12, places=2)


@given(
    st.lists(
        st.one_of(
            st.builds(lambda amount: (None, amount, None), AMOUNTS),
            st.builds(lambda number, amount: (number, amount, None), st.integers(1, 3), AMOUNTS),
            st.builds(lambda number, units: (number, None, units), st.integers(1, 3), st.decimals("0.1", 3, places=1)),
        ),
        max_size=12,
    )
)
def test_never_more_than_a_line_billed_nor_than_the_total(
    asked: list[tuple[int | None, Decimal | None, Decimal | None]],
) -> None:
    invoice = INVOICE
    for reference, (number, amount, units) in enumerate(asked):
        lines = () if number is None else (LineCredit(number, amount, units),)
        try:
            result = note(str(reference), *lines, amount=amount if number is None else None)
            invoice = with_credit_note(invoice, result) or invoice
        except ChangeRefused:
            continue
    notes = body_of(invoice).credit_notes
    assert amount_paid(notes) <= 14
    for result in LINES:
        of_line, quantity = credited(notes, result.number)
        assert 0 <= of_line <= max(Decimal(result.amount), Decimal(0))
        assert quantity <= Decimal(result.quantity or 0)
    for result in notes:
        if "lines" in result:
            assert sum(Decimal(part["amount"]) for part in result["lines"]) == Decimal(result["amount"])


@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from(["air", "sea"])), max_size=8))
def test_numbers_are_gapless_in_a_series_apart_from_invoices(writers: list[tuple[int, str]]) -> None:
    invoice = made(INVOICE, *(note(str(number), amount=Decimal(1)) for number in range(4)))
    names = [name for _, name in notes_in_series([invoice])]
    assert names == ["i-C1", "i-C2", "i-C3", "i-C4"]
    checkpoints = Checkpoints()
    for observed_writer, namespace in writers:
        given_to = unnumbered_notes(
            checkpoints.note_numbers,
            namespace,
            [made(INVOICE, *(note(str(number), amount=Decimal(1)) for number in range(observed_writer)))],
        )
        for _ in range(2):  # a copy of the record gives nothing twice
            checkpoints.apply_bytes(
                codec("checkpoint").encode(numbers_record(namespace, "CN-", given_to, "", "credit_notes"))
            )
    for namespace in ("air", "sea"):
        most = max((observed_writer for observed_writer, where in writers if where == namespace), default=0)
        assert [item.text for item in checkpoints.note_numbers.given(namespace)] == [
            f"CN-{rank:06d}" for rank in range(1, most + 1)
        ]
        assert checkpoints.numbers.given(namespace) == []


def test_notes_of_before_there_was_a_series_get_no_number_of_it() -> None:
    old = {"number": 1, "reference": "r", "amount": "1.00", "reason": "", "author": "me", "at": "2026-01-01T00:00:00Z"}
    invoice = replace(INVOICE, body=json.dumps({"credit_notes": [old]}))
    assert list(notes_in_series([invoice])) == []
    newer = made(invoice, note("n", amount=Decimal(1)))
    assert [name for _, name in notes_in_series([newer])] == ["i-C2"]
