"""Currencies: those in force, those that were, and what a catalog once took."""

from __future__ import annotations

from datetime import date

import iso4217
import pytest

from schemas.catalog.models import Plan
from schemas.catalog.state import Entry
from schemas.currency import exponent, is_known, withdrawn
from schemas.currency_table import CURRENT, WITHDRAWN


def test_the_librarys_table_and_ours_agree() -> None:
    """Fails where an upgrade of the library adds or drops a code: move it in ``schemas/currency_table.py``, and never remove one."""
    theirs = {
        code: int(entry["CcyMnrUnts"])
        for code, entry in iso4217.raw_table.items()
        if code and str(entry["CcyMnrUnts"]).isdigit()
    }
    assert theirs == CURRENT
    assert not CURRENT.keys() & WITHDRAWN.keys()


@pytest.mark.parametrize(
    ("code", "digits", "first_day_without"),
    [
        ("BGN", 2, date(2026, 2, 1)), ("ANG", 2, date(2025, 4, 1)), ("ZWL", 2, date(2024, 10, 1)), ("HRK", 2, date(2023, 2, 1)),
        ("ITL", 0, date(2002, 4, 1)), ("BYR", 0, date(2017, 2, 1)), ("LTL", 2, date(2015, 1, 1)), ("USD", 2, None), ("KWD", 3, None),
    ],
)  # fmt: skip
def test_a_withdrawn_currency_keeps_its_decimals_and_says_when(
    code: str, digits: int, first_day_without: date | None
) -> None:
    assert exponent(code) == digits
    assert withdrawn(code) == first_day_without


@pytest.mark.parametrize(
    ("code", "remedy"), [("XAU", "no minor unit"), ("usd", "write USD"), ("QQQ", "such as USD"), ("bgn", "write BGN")]
)
def test_what_cannot_be_billed_in_says_why(code: str, remedy: str) -> None:
    with pytest.raises(ValueError, match=remedy):
        exponent(code)
    assert not is_known(code)


def test_a_stored_plan_loads_when_its_currency_has_left_every_table() -> None:
    body = {"code": "p", "currency": "QQQ", "charges": [{"product": "x", "price": {"model": "flat", "amount": "1"}}]}
    assert Entry("ns", "plan", "p", 1, False, None, 0, 0, body).model.currency == "QQQ"
    grant = {"code": "g", "account": "a", "amount": "1", "currency": "QQQ"}
    assert Entry("ns", "credit_grant", "g", 1, False, None, 0, 0, grant).model.currency == "QQQ"
    with pytest.raises(ValueError, match="QQQ"):
        Plan.model_validate(body)
    assert Plan.model_validate(body | {"currency": "BGN"}).currency == "BGN"
