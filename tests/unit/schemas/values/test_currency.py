"""Currencies: those in force, those that were, and what a catalog once took."""

from __future__ import annotations

from datetime import date

import iso4217
import pytest

from schemas.catalog.models import Plan
from schemas.catalog.state import Entry
from schemas.values.currency import exponent, is_known, withdrawn
from schemas.values.currency_table import CURRENT, WITHDRAWN


def test_the_librarys_table_and_ours_agree() -> None:
    """Fails where an upgrade of the library adds or drops a code: move it in ``schemas/values/currency_table.py``, and
    never remove one."""
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
        ("BGN", 2, date(2026, 2, 1)), ("ANG", 2, date(2025, 4, 1)), ("ZWL", 2, date(2024, 10, 1)),
        ("HRK", 2, date(2023, 2, 1)),
        ("ITL", 0, date(2002, 4, 1)), ("BYR", 0, date(2017, 2, 1)), ("LTL", 2, date(2015, 1, 1)), ("USD", 2, None),
        ("KWD", 3, None),
        ("CHC", 2, date(2004, 12, 1)), ("TJR", 2, date(2001, 5, 1)), ("ECS", 2, date(2000, 10, 1)),
        ("ECV", 2, date(2000, 10, 1)),
        ("ROL", 0, date(2005, 7, 1)), ("PLZ", 2, date(1997, 2, 1)), ("SUR", 2, date(1991, 1, 1)),
        ("XEU", 2, date(1999, 2, 1)),
    ],
)  # fmt: skip
def test_a_withdrawn_currency_keeps_its_decimals_and_says_when(
    code: str, digits: int, first_day_without: date | None
) -> None:
    assert exponent(code) == digits
    assert withdrawn(code) == first_day_without


HISTORIC = """
ADP AFA ALK ANG AOK AON AOR ARA ARP ARY ATS AYM AZM BAD BEC BEF BEL BGJ BGK BGL BGN BOP BRB BRC BRE BRN BRR BUK BYB BYR
CHC CSD CSJ CSK CUC CYP DDM DEM ECS ECV EEK ESA ESB ESP FIM FRF GEK GHC GHP GNE GNS GQE GRD GWE GWP HRD HRK IEP ILP ILR
ISJ ITL LAJ LSM LTL LTT LUC LUF LUL LVL LVR MGF MLF MRO MTL MTP MVQ MXP MZE MZM NIC NLG PEH PEI PES PLZ PTE RHD ROK ROL
RUR SDD SDP SIT SKK SLL SRG STD SUR TJR TMM TPE TRL UAK UGS UGW USS UYN UYP VEB VEF VNC XEU XFO XFU XRE YDD YUD YUM YUN
ZAL ZMK ZRN ZRZ ZWC ZWD ZWL ZWN ZWR
"""
"""ISO 4217 list three of 2026-01-01, the codes that no country uses any more."""


def test_every_historic_denomination_with_a_minor_unit_is_known() -> None:
    assert set(HISTORIC.split()) - {"XFO", "XFU", "XRE"} == WITHDRAWN.keys()
    assert all(digits in (0, 2) and day.year >= 1980 for digits, day in WITHDRAWN.values())


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
