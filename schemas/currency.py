"""Currencies by the ISO 4217 table of the ``iso4217`` library; none is listed by hand."""

from __future__ import annotations

from typing import Final

import iso4217

_MINOR_UNITS: Final[dict[str, str]] = {
    code: str(entry["CcyMnrUnts"]) for code, entry in iso4217.raw_table.items() if code and entry["CcyMnrUnts"]
}


def exponent(code: str) -> int:
    """Decimal places of the currency's minor unit: JPY 0, USD 2, KWD 3.

    Raises ValueError, with the remedy in its text, for a code that is not in the table and for one without a
    minor unit (gold XAU, the test code XTS, …), in which no amount can be rounded.
    """
    units = _MINOR_UNITS.get(code)
    if units is None:
        hint = code.strip().upper()
        remedy = f"write {hint}" if hint in _MINOR_UNITS else "write a three-letter code such as USD"
        raise ValueError(f"{code[:20]!r} is not an ISO 4217 currency code; {remedy}")
    if not units.isdigit():
        raise ValueError(f"{code} has no minor unit in ISO 4217, so it cannot be rounded; use a currency")
    return int(units)
