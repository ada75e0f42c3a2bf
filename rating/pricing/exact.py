"""Exact decimal arithmetic. Money is rounded in one place only: ``round_money``."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from decimal import ROUND_HALF_UP, Context, Decimal, Inexact, InvalidOperation, Overflow, localcontext
from typing import Final

from schemas.values.currency import exponent

# A quantity of 76 digits times an amount of 38, over many tiers, needs 120; Inexact raises instead of rounding.
_EXACT: Final = Context(prec=400, traps=[Inexact, InvalidOperation, Overflow])
# ROUND_HALF_UP of the decimal module is half away from zero.
_ROUNDING: Final = Context(prec=400, rounding=ROUND_HALF_UP, traps=[InvalidOperation, Overflow])

_SHARE: Final = Decimal(1).scaleb(-12)


def exactly() -> AbstractContextManager[Context]:
    """Within it Decimal results are exact; one that is not raises decimal.Inexact instead of being rounded."""
    return localcontext(_EXACT)


def round_money(amount: Decimal, currency: str) -> Decimal:
    """``amount`` (major units) half away from zero to the currency's ISO 4217 exponent; zero is never negative.

    Raises ValueError for a currency that ISO 4217 does not know or gives no minor unit.
    """
    rounded = amount.quantize(Decimal(1).scaleb(-exponent(currency)), context=_ROUNDING)
    return rounded if rounded else abs(rounded)


def share(amount: Decimal, part: Decimal, total: Decimal) -> Decimal:
    """``amount`` × part / total, half away from zero to 12 decimals, since most quotients have no exact decimal."""
    return (
        _ROUNDING.divide(_ROUNDING.multiply(amount, part), total).quantize(_SHARE, context=_ROUNDING).normalize(_EXACT)
    )


def money_text(amount: Decimal, currency: str) -> str:
    """A rounded amount with all digits of its currency: "0.10" in USD, "12" in JPY."""
    return format(round_money(amount, currency), "f")


def exact_sum(numbers: Iterable[Decimal]) -> Decimal:
    """The sum, also beyond the 28 digits to which Python's decimals round by default."""
    with exactly():
        return sum(numbers, Decimal(0))
