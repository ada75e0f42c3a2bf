"""What amounts are in: ISO 4217 currencies (those in force according to the ``iso4217`` library, and all withdrawn
ones), and a namespace's own units, whose codes say their scale themselves: ``token`` has no decimals, ``credit.2`` has
two. So an amount can be read and rounded without the catalog, however old it is."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
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
OWN_UNIT: Final = r"[a-z][a-z0-9_]{2,23}(\.([1-9]|1[0-2]))?"
"""Pattern of the codes of own units: small letters, digits and underscores, and behind a dot the scale, if it has
decimals."""
CURRENCY_OR_UNIT: Final = rf"^([A-Z]{{3}}|{OWN_UNIT})$"
_OWN_UNIT: Final = re.compile(OWN_UNIT, re.ASCII)


def is_own_unit(code: str) -> bool:
    """Whether the code is one of a namespace's own units, and no currency in small letters."""
    return _OWN_UNIT.fullmatch(code) is not None and code.upper() not in _MINOR_UNITS and code.upper() not in _NO_UNIT


def exponent(code: str) -> int:
    """Decimal places of the currency's minor unit: JPY 0, USD 2, KWD 3; a withdrawn currency keeps its own
    (``withdrawn``), and of an own unit those that its code says.

    Raises ValueError, with the remedy in its text, for a code that is not in the table and for one without a
    minor unit (gold XAU, the test code XTS, …), in which no amount can be rounded.
    """
    digits = _MINOR_UNITS.get(code)
    if digits is not None:
        return digits
    if is_own_unit(code):
        return int(code.partition(".")[2] or 0)
    if code in _NO_UNIT:
        raise ValueError(f"{code} has no minor unit in ISO 4217, so it cannot be rounded; use a currency")
    hint = code.strip().upper()
    remedy = f"write {hint}" if hint in _MINOR_UNITS else "write a three-letter code such as USD"
    raise ValueError(f"{code[:20]!r} is not an ISO 4217 currency code; {remedy}")


def is_too_fine(amount: Decimal, code: str) -> bool:
    """Whether an amount has more decimals, zeros among them, than its currency. Raises ValueError as ``exponent``."""
    return int(amount.as_tuple().exponent) < -exponent(code)


def is_known(code: str) -> bool:
    """Whether amounts in the currency can be rounded."""
    return code in _MINOR_UNITS or is_own_unit(code)


def withdrawn(code: str) -> date | None:
    """The first day after the currency's withdrawal; None for a currency in use."""
    if code in CURRENT or code not in WITHDRAWN:
        return None
    return WITHDRAWN[code][1]
