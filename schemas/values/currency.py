"""ISO 4217 currencies: those in force according to the ``iso4217`` library, and all withdrawn ones."""

from __future__ import annotations

from datetime import date
from typing import Final

import iso4217

from schemas.values.currency_table import CURRENT, WITHDRAWN

_NO_UNIT: Final = frozenset(
    code for code, entry in iso4217.raw_table.items() if code and not str(entry["CcyMnrUnts"]).isdigit()
)
_MINOR_UNITS: Final[dict[str, int]] = (
    {code: int(str(entry["CcyMnrUnts"])) for code, entry in iso4217.raw_table.items() if code and code not in _NO_UNIT}
    | {code: digits for code, (digits, _) in WITHDRAWN.items()}
    | CURRENT
)


def exponent(code: str) -> int:
    """Decimal places of the currency's minor unit: JPY 0, USD 2, KWD 3; a withdrawn currency keeps its own
    (``withdrawn``).

    Raises ValueError, with the remedy in its text, for a code that is not in the table and for one without a
    minor unit (gold XAU, the test code XTS, …), in which no amount can be rounded.
    """
    digits = _MINOR_UNITS.get(code)
    if digits is not None:
        return digits
    if code in _NO_UNIT:
        raise ValueError(f"{code} has no minor unit in ISO 4217, so it cannot be rounded; use a currency")
    hint = code.strip().upper()
    remedy = f"write {hint}" if hint in _MINOR_UNITS else "write a three-letter code such as USD"
    raise ValueError(f"{code[:20]!r} is not an ISO 4217 currency code; {remedy}")


def is_known(code: str) -> bool:
    """Whether amounts in the currency can be rounded."""
    return code in _MINOR_UNITS


def withdrawn(code: str) -> date | None:
    """The first day after the currency's withdrawal; None for a currency in use."""
    if code in CURRENT or code not in WITHDRAWN:
        return None
    return WITHDRAWN[code][1]
